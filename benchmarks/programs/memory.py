"""A long stream with one sink that works and one that is stuck. Usage: LOG TIMES.

The parent reads the peak RSS. Prints {"alerts": …, "dropped": …}.
"""

import json
import sys
from collections.abc import Iterator

from null_sink import CountingSink, StuckSink

import rxalerts as rxa
from rxalerts import operators as ops
from rxalerts import sources


def main(log: str, times: int) -> None:
    """Read `log` `times` times, as one stream."""
    working, stuck = CountingSink(), StuckSink(on_full="drop_oldest")

    def stream() -> Iterator[rxa.Alert]:
        for _ in range(times):
            yield from rxa.read(log)
        stuck.released.set()

    rxa.run(
        sources.from_iterable(stream()),
        rxa.route(ops.to_json(), to=working),
        rxa.route(ops.to_json(), to=stuck),
    )
    stats = stuck.stats()
    print(json.dumps({"alerts": working.count, "dropped": sum(stats.dropped.values())}))


main(sys.argv[1], int(sys.argv[2]))
