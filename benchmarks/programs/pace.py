"""Play a log at a pace, or wait for the same moments with nothing but a condition, and print how true it was.

    pace.py SPEED SECONDS      the gaps of a replay with SPEED, which is a factor, or `bare`
"""

import json
import random
import sys
import tempfile
import threading
import time
from itertools import accumulate, pairwise
from pathlib import Path
from statistics import median


def gaps(seconds: float) -> list[float]:
    """Return gaps as alerts have them: some 60 in a second, bunched, a few of them long."""
    draw, found = random.Random(7), list[float]()
    while sum(found) < seconds:
        found += [draw.expovariate(60) for _ in range(200)]
    return found


def played(wanted: list[float], speed: float) -> list[float]:
    """Return when the alerts of a log with these gaps came."""
    from rxalerts import Alert
    from rxalerts.sources import replay

    start = 1_750_000_000_000_000_000
    times: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.jsonl"
        moments = [start + round(each * speed * 1e9) for each in accumulate(wanted, initial=0.0)]
        log.write_text("".join(Alert("x", "notice", time=moment).to_json() + "\n" for moment in moments))
        replay(log, speed=speed).subscribe(lambda _: times.append(time.monotonic()))
    return times


def waited(wanted: list[float]) -> list[float]:
    """Return when a thread came back that waited for each of these moments, and did nothing else."""
    condition = threading.Condition()
    times = [time.monotonic()]
    with condition:
        for moment in accumulate(wanted):
            while (left := times[0] + moment - time.monotonic()) > 0:
                condition.wait(left)
            times.append(time.monotonic())
    return times


def main() -> None:
    """Print the 99th percentile of what the gaps are wrong by, and the drift at the end, in milliseconds."""
    wanted = gaps(float(sys.argv[2]))
    times = waited(wanted) if sys.argv[1] == "bare" else played(wanted, float(sys.argv[1]))
    wrong = sorted(abs(b - a - gap) for (a, b), gap in zip(pairwise(times), wanted, strict=True))
    late = [at - times[0] - moment for at, moment in zip(times, accumulate(wanted, initial=0.0), strict=True)]
    # Of a hundred each: a single alert that is late is no drift.
    drift = median(late[-100:]) - median(late[:100])
    figures = {"p99": wrong[int(len(wrong) * 0.99)], "worst": wrong[-1], "drift": abs(drift)}
    print(json.dumps({name: 1e3 * value for name, value in figures.items()}))


if __name__ == "__main__":
    main()
