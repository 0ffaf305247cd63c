"""A client of Falco's gRPC output in a process of its own: prints each alert as a line of JSON.

Usage: python -m tests.support.grpc_client ADDRESS sub|get [--poll SECONDS] [--half-close] [--count N] [--pause SECONDS]
[--ca FILE] [--cert FILE] [--key FILE]. Ends after N alerts or with the stream, and prints {"end": CODE} last.
"""

from __future__ import annotations

import argparse
import json
import queue
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc

from tests.support.falco_messages import Response, as_dict


def arguments() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("method", choices=["sub", "get"])
    parser.add_argument("--poll", type=float, default=0.0)
    parser.add_argument("--half-close", action="store_true")
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--pause", type=float, default=0.0)
    parser.add_argument("--quiet", action="store_true", help="print only how many, and alerts per second")
    for name in ("--ca", "--cert", "--key"):
        parser.add_argument(name)
    return parser.parse_args()


def connect(options: argparse.Namespace) -> Any:
    """Return a channel, of any types: plain for a unix socket, else with the files."""
    if options.address.startswith("unix:"):
        # A window that does not grow: what a slow client has not read stays with the server.
        narrow: list[tuple[str, Any]] = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 1 << 16)]
        return grpc.insecure_channel(options.address, narrow)
    ca, key, cert = (
        Path(path).read_bytes() if path else None for path in (options.ca, options.key, options.cert)
    )
    return grpc.secure_channel(options.address, grpc.ssl_channel_credentials(ca, key, cert))


def requests(options: argparse.Namespace, idle: queue.SimpleQueue[None]) -> Iterator[bytes]:
    """Yield requests: none, then silence; or one again and again; or none and the end."""
    while options.poll:
        yield b""
        time.sleep(options.poll)
    if not options.half_close:
        idle.get()


def main() -> None:
    """Call, print, end."""
    options = arguments()
    channel = connect(options)
    idle: queue.SimpleQueue[None] = queue.SimpleQueue()
    path = f"/falco.outputs.service/{options.method}"
    if options.method == "sub":
        call: Any = channel.stream_stream(path, None, Response.FromString)(requests(options, idle))
    else:
        call = channel.unary_stream(path, None, Response.FromString)(b"")
    count, began = 0, 0.0
    try:
        for message in call:
            began = began or time.perf_counter()
            count += 1
            if not options.quiet:
                print(json.dumps(as_dict(message)), flush=True)
            if count == options.count:
                break
            if options.pause:
                time.sleep(options.pause)
    except grpc.RpcError:
        print(json.dumps({"details": call.details()}), flush=True)
    if options.quiet:
        print(json.dumps({"count": count, "rate": count / max(1e-9, time.perf_counter() - began)}), flush=True)
    if count == options.count and count:
        call.cancel()
    print(json.dumps({"end": call.code().name}), flush=True)
    idle.put(None)
    channel.close()


if __name__ == "__main__":
    main()
