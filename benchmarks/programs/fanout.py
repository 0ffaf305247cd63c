"""Six routes, each with its own filter and format, into six sinks. Usage: LOG COUNT.

The alerts are read beforehand, so that only the routes are measured. Prints {"us_per_alert": …}.
"""

import itertools
import json
import sys
import time
from typing import Any

from null_sink import CountingSink

import rxalerts as rxa
from rxalerts import operators as ops
from rxalerts import sources

LEVELS = ["warning", "warning", "warning", "error", "error", "critical"]


def main(log: str, count: int) -> None:
    """Send the first `count` alerts of `log` through the six routes."""
    alerts: list[Any] = list(itertools.islice(rxa.read(log), count))
    sinks = [CountingSink(name=f"sink{number}") for number in range(len(LEVELS))]
    formats = [ops.to_json(), ops.to_text()] * 3
    routes = [
        rxa.route(ops.at_least(level), form, to=sink)
        for level, form, sink in zip(LEVELS, formats, sinks, strict=True)
    ]
    started = time.perf_counter()
    report = rxa.run(sources.from_iterable(alerts), *routes)
    seconds = time.perf_counter() - started
    expected = [sum(1 for a in alerts if a.priority <= rxa.Priority.parse(level)) for level in LEVELS]
    assert [sink.count for sink in sinks] == expected and report.lost == 0, report
    print(json.dumps({"us_per_alert": seconds / len(alerts) * 1e6}))


main(sys.argv[1], int(sys.argv[2]))
