"""Half the maximum rate for a while, input and output rotated each second: flat memory, threads and descriptors."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.faults.ledger import Case, Row, compare
from tests.faults.signals import Rotated, all_reached
from tests.support.run import Run, alerts, until

# So many alerts are sent at once to learn what the maximum is.
BURST = 4000
TICK = 0.02


@dataclass(frozen=True)
class Figures:
    """What a process uses: KiB of memory, threads, descriptors."""

    memory: int
    threads: int
    descriptors: int

    @classmethod
    def of(cls, pid: int) -> Figures:
        """Look at a process."""
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        values = {key: value.split()[0] for key, _, value in (line.partition(":") for line in lines) if value.split()}
        return cls(int(values["VmRSS"]), int(values["Threads"]), len(os.listdir(f"/proc/{pid}/fd")))

    def __str__(self) -> str:
        return f"{self.memory / 1024:.0f} MiB {self.threads} threads {self.descriptors} fds"


class Log:
    """The input: a file that grows, and is moved away each second."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "events.log"
        self.path.touch()
        self.written = 0
        self._rotations = 0

    def write(self, count: int) -> None:
        """Append so many alerts."""
        with self.path.open("a") as log:
            log.writelines(alerts(count, self.written))
        self.written += count

    def rotate(self) -> None:
        """Move it away; of the old ones ten are kept."""
        self._rotations += 1
        for number in range(10, 0, -1):
            old = self.path.with_name(f"events.log.{number}")
            if old.exists():
                old.rename(self.path.with_name(f"events.log.{number + 1}"))
        self.path.rename(self.path.with_name("events.log.1"))


def soak(folder: Path, full: bool) -> Row:
    """Measure the maximum, then go at half of it, and compare the figures after the first fifth with the last."""
    seconds = 600.0 if full else 5.0
    row = Row("soak, rotation each second", tries=1)
    with Rotated(folder) as destinations:
        log = Log(folder)
        origin = f"tail:{log.path}?poll=0.02&state={folder}/state"
        with Run("run", "-c", destinations.write_config(), "--from", origin, folder=folder) as run:
            run.ready()
            began = time.monotonic()
            log.write(BURST)
            until(partial(all_reached, destinations, BURST), "the burst")
            rate = BURST / (time.monotonic() - began) / 2
            before, after = steady(run, destinations, log, rate, seconds)
            until(partial(all_reached, destinations, log.written), "the rest", 120)
            run.signal(signal.SIGTERM)
            status = run.end()
            row.check(status == 0, f"exit status {status}: {run.err[-600:]}")
        destinations.program_left()
        for sink, got in destinations.got().items():
            row.add(compare(range(log.written), got), sink)
    row.note = f"{rate:.0f}/s; after a fifth {before}, at the end {after}"
    row.check(after.memory - before.memory < 20 * 1024, f"memory grew: {row.note}")
    row.check(after.threads - before.threads <= 2, f"threads grew: {row.note}")
    row.check(after.descriptors - before.descriptors <= 5, f"descriptors grew: {row.note}")
    return row


def steady(run: Run, destinations: Rotated, log: Log, rate: float, seconds: float) -> tuple[Figures, Figures]:
    """Write at the rate; return the figures after a fifth of the time and at the end."""
    began, start, turns = time.monotonic(), log.written, 0
    before: Figures | None = None
    while (now := time.monotonic() - began) < seconds:
        log.write(max(0, round(now * rate) - (log.written - start)))
        if now > turns + 1:
            turns += 1
            log.rotate()
            destinations.rotate()
            run.signal(signal.SIGUSR1)
        if before is None and now > seconds / 5:
            before = Figures.of(run.process.pid)
        threading.Event().wait(TICK)
    after = Figures.of(run.process.pid)
    return before or after, after


CASES = [Case("soak", soak)]
