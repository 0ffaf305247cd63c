"""Make a log of MEBIBYTES in order of time, or print how long a replay of it takes to its first alert.

since.py make LOG MEBIBYTES      prints the moment of the last alert
since.py first LOG MOMENT        prints the seconds until the first alert from that moment on was there
"""

import json
import sys
import time
from datetime import date, timedelta
from pathlib import Path


def make(log: Path, mebibytes: int) -> str:
    """Write the log: the same alerts on as many days as it takes."""
    from benchmarks.generate import generate

    day = generate(log.with_name("since-a-day.jsonl"), 100_000).read_bytes()
    with log.open("wb") as out:
        number = 0
        while out.tell() < mebibytes << 20:
            today = str(date(2025, 6, 11) + timedelta(number)).encode() + b"T"
            out.write(day.replace(b"2025-06-11T", today))
            number += 1
    moment: str = json.loads(day.splitlines()[-1])["time"]
    return moment.replace("2025-06-11", str(date(2025, 6, 11) + timedelta(number - 1)))


def first(log: str, moment: str) -> float:
    """Return the seconds from the question to the first alert."""
    begin = time.perf_counter()
    from rxalerts.sources import replay

    found: list[float] = []
    replay(log, since=moment).subscribe(lambda _: found.append(time.perf_counter()))
    return found[0] - begin


def main() -> None:
    """Do what the arguments say."""
    what, log, value = sys.argv[1:]
    print(make(Path(log), int(value)) if what == "make" else json.dumps({"seconds": first(log, value)}))


if __name__ == "__main__":
    main()
