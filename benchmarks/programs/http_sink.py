"""The HTTP sink against a bare aiohttp server in another process. Usage: LOG COUNT BATCH IN_FLIGHT.

Prints {"alerts_per_s": …}, connecting and draining included; the alerts are read beforehand.
"""

import itertools
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Literal, cast

import rxalerts as rxa
from rxalerts import sinks, sources, wire


def main(log: str, count: int, batch: str, in_flight: int) -> None:
    """Send the first `count` alerts of `log`."""
    alerts: list[Any] = list(itertools.islice(wire.read(log), count))
    kind = cast(Literal["none", "ndjson", "array"], batch)
    program = str(Path(__file__).parent / "http_endpoint.py")
    command = [sys.executable, program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        sink = sinks.HttpSink(url, format="json", batch=kind, batch_count=100, in_flight=in_flight)
        sink.start()
        started = time.perf_counter()
        report = rxa.run(sources.from_iterable(alerts), sink)
        seconds = time.perf_counter() - started
        said, _ = server.communicate()
    assert report.lost == 0 and report.delivered == len(alerts), report
    wanted = len(alerts) if batch == "none" else -(-len(alerts) // 100)
    assert wanted <= json.loads(said)["requests"] <= wanted + 100, said
    print(json.dumps({"alerts_per_s": len(alerts) / seconds}))


main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
