"""Replay as a tape, and tables: the pace over a minute, a start within a large log, the memory of a million rows."""

import subprocess
import sys
import threading
from pathlib import Path

from benchmarks.measure import run
from benchmarks.registry import Bench, row

ROOT = Path(__file__).parent.parent
SECONDS = 60
MEBIBYTES = 1024
ROWS = 1_000_000


def paces(bench: Bench) -> dict[str, dict[str, float]]:
    """Return the figures of a minute at two speeds and of bare waiting, all three at the same time."""
    found: dict[str, dict[str, float]] = {}

    def measure(speed: str) -> None:
        found[speed] = run(bench.program("pace", speed, SECONDS)).json()

    threads = [threading.Thread(target=measure, args=(speed,)) for speed in ("1", "10", "bare")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def pace(bench: Bench, speed: str, figure: str) -> float:
    """Return one figure of them."""
    return bench.once("paces", lambda: paces(bench))[speed][figure]


@row("replay at 1x for a minute: gaps against the recorded ones, p99", "ms", at_most=2)
def pace_1(bench: Bench) -> float:
    """3,600 alerts with gaps as they come."""
    return pace(bench, "1", "p99")


@row("the same, drift at the end", "ms", at_most=2)
def drift_1(bench: Bench) -> float:
    """The last hundred alerts against the first hundred."""
    return pace(bench, "1", "drift")


@row("replay at 10x for a minute: gaps, p99", "ms", at_most=2)
def pace_10(bench: Bench) -> float:
    """Ten minutes of a log in one."""
    return pace(bench, "10", "p99")


@row("the same, drift at the end", "ms", at_most=2)
def drift_10(bench: Bench) -> float:
    """The last hundred alerts against the first hundred."""
    return pace(bench, "10", "drift")


@row("beside it, the machine: a thread that only waits for the same moments, p99", "ms", at_most=2)
def bare(bench: Bench) -> float:
    """If this one is missed, the four above say nothing."""
    return pace(bench, "bare", "p99")


def starts(bench: Bench) -> dict[str, float]:
    """Return what a start near the end of a large log takes, without an index and with it."""
    log = bench.folder / f"since-{MEBIBYTES}.jsonl"
    index = Path(f"{log}.rxidx")
    make = [sys.executable, "-m", "benchmarks.programs.since", "make", str(log), str(MEBIBYTES)]
    moment = subprocess.run(make, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    first, again, packed = list[float](), list[float](), 0
    for _ in range(3):
        index.unlink(missing_ok=True)
        first.append(run(bench.program("since", "first", log, moment)).json()["seconds"])
        packed = index.stat().st_size
        again.append(run(bench.program("since", "first", log, moment)).json()["seconds"])
    size = log.stat().st_size
    log.unlink()
    index.unlink()
    return {"rate": size / min(first) / 1e6, "again": sorted(again)[1], "index": packed / size * 1e6}


@row("replay since the end of a log of 1 GiB: first alert, import included", "s", at_most=1)
def start_again(bench: Bench) -> float:
    """With the index that the first use has made."""
    return bench.once("since", lambda: starts(bench))["again"]


@row("the same at first use: rate at which the index is made", "MB/s", at_least=200)
def start_first(bench: Bench) -> float:
    """The whole log is looked at."""
    return bench.once("since", lambda: starts(bench))["rate"]


@row("the same, the index per MB of log", "bytes", at_most=100)
def index_size(bench: Bench) -> float:
    """An entry for each MiB."""
    return bench.once("since", lambda: starts(bench))["index"]


@row("frame of 1,000,000 alerts: peak RSS", "MB", at_most=2000)
def frame_memory(bench: Bench) -> float:
    """All 50 output fields of the example week's largest log as columns."""
    return run(bench.program("frame", ROWS, ROOT / "examples" / "week" / "node-1.jsonl.gz")).peak_bytes / 1e6
