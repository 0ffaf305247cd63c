"""Two file sinks beside an HTTP sink whose endpoint is dead, or a sink that works. LOG OUT none|dead replay|read.

The dead endpoint takes connections and never answers; its sink drops the oldest. Prints {"seconds": …}: until
the log has been read, as fast as the sinks take it.
"""

import importlib
import json
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from null_sink import CountingSink

import rxalerts as rxa
from rxalerts import operators as ops
from rxalerts import sinks, sources, wire

# What loading it takes is no matter of rates, and is the same in both halves.
importlib.import_module("aiohttp")


def generated(log: str) -> Iterator[rxa.Alert]:
    """Yield the alerts of a log, as a program of one's own may."""
    yield from wire.read(log)


def main(log: str, out: str, which: str, how: str) -> None:
    """Run the log through the routes."""
    outs = [Path(f"{out}-{number}") for number in range(2)]
    for path in outs:
        path.unlink(missing_ok=True)
    files = [sinks.FileSink(path, keep_alive=True, name=path.name) for path in outs]
    routes = [rxa.route(ops.to_json(), to=sink) for sink in files]
    with socket.create_server(("127.0.0.1", 0), backlog=64) as dead:
        url = f"http://127.0.0.1:{dead.getsockname()[1]}/"
        http = sinks.HttpSink(url, on_full="drop_oldest", timeout=1, in_flight=4)
        routes.append(rxa.route(ops.to_json(), to=http if which == "dead" else CountingSink(name="third")))
        ended: list[float] = []
        pipeline = rxa.Pipeline(sources.replay(log) if how == "replay" else generated(log), *routes, timeout=3)
        pipeline.when_finished(lambda: ended.append(time.perf_counter()))
        started = time.perf_counter()
        report = pipeline.start().wait()
    assert len({report.sinks[sink.name].delivered for sink in files}) == 1, report
    print(json.dumps({"seconds": ended[0] - started}))


main(*sys.argv[1:])
