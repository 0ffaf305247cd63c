"""A stand-in for the gRPC server of a Falco 0.24 to 0.43, in a process of its own.

Usage: python -m tests.support.falco_server ADDRESS LOG [--old] [--break-after N] [--break-with TEXT]
[--unimplemented].

Every line of LOG is one alert, as JSON with the keys of falco_messages.as_dict. As in Falco one queue serves every
call; `sub` reads a request, writes what is queued and waits for the next request. A line that comes on standard
input is queued too. Each request is reported on standard output.
"""

from __future__ import annotations

import argparse
import collections
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc

from tests.support.falco_messages import Response


def message(line: str, old: bool) -> bytes:
    """Return the response that a line describes; an old Falco (before 0.30) knows neither tags nor source."""
    values: dict[str, Any] = json.loads(line)
    if "bytes" in values:
        return bytes.fromhex(values["bytes"])
    seconds, nanos = divmod(values.pop("time_ns"), 1_000_000_000)
    if old:
        values.pop("tags", None)
        values.pop("source", None)
    made = Response(**values)
    made.time.seconds, made.time.nanos = seconds, nanos
    data: bytes = made.SerializeToString()
    return data


class Falco:
    """The queue and the two methods."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.queue: collections.deque[bytes] = collections.deque()
        self.break_after: int = options.break_after
        self.break_with: str = options.break_with
        self.written = 0

    def drain(self, context: Any) -> Iterator[bytes]:
        """Write what is queued."""
        while self.queue:
            yield self.queue.popleft()
            self.written += 1
            if self.break_after and self.written % self.break_after == 0:
                context.abort(grpc.StatusCode.UNAVAILABLE, self.break_with)

    def sub(self, requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        """Write after each request, and only then."""
        for _ in requests:
            print("request", flush=True)
            yield from self.drain(context)

    def get(self, _: bytes, context: Any) -> Iterator[bytes]:
        """Write what is queued, then end."""
        print("request", flush=True)
        yield from self.drain(context)


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("log")
    parser.add_argument("--old", action="store_true")
    parser.add_argument("--break-after", type=int, default=0)
    parser.add_argument("--break-with", default="broken on purpose")
    parser.add_argument("--unimplemented", action="store_true")
    options = parser.parse_args()
    falco = Falco(options)
    falco.queue.extend(message(line, options.old) for line in Path(options.log).read_text().splitlines())
    methods: dict[str, Any] = {
        "sub": grpc.stream_stream_rpc_method_handler(falco.sub),
        "get": grpc.unary_stream_rpc_method_handler(falco.get),
    }
    name = "some.other.service" if options.unimplemented else "falco.outputs.service"
    server = grpc.server(ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, methods),))
    server.add_insecure_port(options.address)
    server.start()
    print("up", flush=True)
    for line in sys.stdin:
        falco.queue.append(message(line, options.old))
    server.stop(0).wait()


if __name__ == "__main__":
    main()
