"""Three sinks; with `one` the third is stuck and drops its oldest. Usage: LOG none|one.

Prints {"seconds": …}: from the start until the first two sinks have everything.
"""

import json
import sys
import threading
import time

from null_sink import CountingSink, StuckSink

import rxalerts as rxa
from rxalerts import operators as ops
from rxalerts import sources


def main(log: str, how_many: str) -> None:
    """Run the log through three routes; release the stuck sink when the others are done."""
    free = [CountingSink(name=f"free{number}") for number in range(2)]
    third = StuckSink(on_full="drop_oldest") if how_many == "one" else CountingSink(name="third")
    total = sum(1 for alert in rxa.read(log) if alert.priority <= rxa.Priority.WARNING)

    def release() -> None:
        while min(sink.count for sink in free) < total:
            time.sleep(0.01)
        if isinstance(third, StuckSink):
            third.released.set()

    threading.Thread(target=release, daemon=True).start()
    started = time.perf_counter()
    rxa.run(
        sources.replay(log),
        *(rxa.route(ops.at_least("warning"), ops.to_json(), to=sink) for sink in [*free, third]),
    )
    print(json.dumps({"seconds": max(sink.last for sink in free) - started}))


main(*sys.argv[1:])
