"""Start a durable sink with a backlog: backlog.py FOLDER [COUNT to make it first]. Prints when the first is out."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from rxalerts import Alert
from rxalerts.flow.rows import Row, as_row
from rxalerts.flow.spool import Spool


def make(folder: Path, count: int) -> None:
    """Write a backlog of so many alerts of some 650 bytes, a thousand to a transaction."""
    spool = Spool(str(folder / "file.spool"))
    fields = {"proc.cmdline": "x" * 400, "user.name": "root"}

    def rows(begin: int) -> Iterator[Row]:
        for number in range(begin + 1, begin + 1001):
            yield as_row(number, Alert("Read sensitive file", "warning", "message", fields, time=number), time.time())

    for begin in range(0, count, 1000):
        spool.commit(list(rows(begin)), {})
    spool.close()


def drain(folder: Path) -> None:
    """Deliver it, and print how long the first one took and all of them."""
    from rxalerts.sinks import FileSink

    out = folder / "out.jsonl"
    out.unlink(missing_ok=True)
    began = time.perf_counter()
    sink = FileSink(out, keep_alive=True, unbuffered=True, format="json", durable=folder)
    count = sink.stats().depth
    sink.start()
    while not (out.exists() and out.stat().st_size):
        time.sleep(0.001)
    first = time.perf_counter() - began
    sink.close()
    seconds = time.perf_counter() - began
    print(json.dumps({"first_s": first, "alerts": count, "alerts_per_s": count / seconds}))


if __name__ == "__main__":
    if len(sys.argv) > 2:
        make(Path(sys.argv[1]), int(sys.argv[2]))
    else:
        drain(Path(sys.argv[1]))
