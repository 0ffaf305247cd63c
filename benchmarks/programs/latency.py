"""1,000 alerts a second into an unbuffered file, watched by another process. Usage: LOG OUT COUNT.

Prints {"p50_ms": …, "p99_ms": …} from the call of on_next until the line could be read.
"""

import itertools
import json
import subprocess
import sys
import time
from pathlib import Path

from reactivex.subject import Subject

import rxalerts as rxa
from rxalerts import operators as ops
from rxalerts import sinks

PERIOD_NS = 1_000_000


def send(alerts: list[rxa.Alert], out: str) -> list[int]:
    """Push the alerts at an even pace and return when each was handed over."""
    stream = Subject[rxa.Alert]()
    sink = sinks.FileSink(out, keep_alive=True, unbuffered=True)
    stream.pipe(ops.to_json()).subscribe(sink)
    sent: list[int] = []
    due = time.monotonic_ns()
    for alert in alerts:
        due += PERIOD_NS
        time.sleep(max(0, due - time.monotonic_ns()) / 1e9)
        sent.append(time.monotonic_ns())
        stream.on_next(alert)
    stream.on_completed()
    sink.close(10)
    return sent


def main(log: str, out: str, count: int) -> None:
    """Measure `count` alerts; the first tenth warms up and is left out."""
    Path(out).unlink(missing_ok=True)
    alerts = list(itertools.islice(rxa.read(log), count))
    watcher = [sys.executable, str(Path(__file__).with_name("watch_file.py")), out, str(count)]
    with subprocess.Popen(watcher, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
        sent = send(alerts, out)
        seen: list[int] = json.loads(child.stdout.readline())
    took = sorted((b - a) / 1e6 for a, b in zip(sent[count // 10 :], seen[count // 10 :], strict=True))
    print(json.dumps({"p50_ms": took[len(took) // 2], "p99_ms": took[len(took) * 99 // 100]}))


main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
