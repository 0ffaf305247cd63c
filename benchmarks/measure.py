"""Run whole processes and compare them: interleaved, several rounds, medians of the ratios of each round."""

import contextlib
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.registry import Bench, CannotRun


@dataclass(frozen=True)
class Ran:
    """What one process took: seconds of wall clock, peak resident bytes, what it printed."""

    seconds: float
    peak_bytes: int
    printed: str

    def json(self) -> dict[str, float]:
        """Return the figures that the program printed as JSON on its last line."""
        figures: dict[str, float] = json.loads(self.printed.splitlines()[-1])
        return figures


def run(command: Sequence[str], *, stdout: Path | None = None, limit: float = 600) -> Ran:
    """Run one process to its end, outside of the tree, and return what it took.

    A process that fails or takes more than `limit` seconds makes the row one that cannot be run.
    """
    with tempfile.TemporaryFile() as errors, contextlib.ExitStack() as stack:
        out = stack.enter_context(open(stdout, "w+b") if stdout else tempfile.TemporaryFile())
        started = time.perf_counter()
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=errors, cwd="/")
        status, usage = _wait(child, started + limit)
        seconds = time.perf_counter() - started
        if status != 0:
            errors.seek(0)
            said = errors.read().decode(errors="replace").strip().splitlines()
            raise CannotRun(f"{_short(command)} ended with {status}: {said[-1] if said else 'no message'}")
        printed = ""
        if stdout is None:
            out.seek(0)
            printed = out.read().decode()
    return Ran(seconds, usage * 1024, printed)


def _wait(child: subprocess.Popen[bytes], deadline: float) -> tuple[int, int]:
    """Return exit status and peak RSS in KiB; wait4 is the only call that tells the child's own peak."""
    pause = 0.001
    while True:
        pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        if pid:
            child.returncode = os.waitstatus_to_exitcode(status)
            return child.returncode, usage.ru_maxrss
        if time.perf_counter() > deadline:
            child.kill()
            child.wait()
            return -9, 0
        # Ends at most 1 ms after the child did: small against all that is measured here.
        time.sleep(pause)


def _short(command: Sequence[str]) -> str:
    return " ".join(Path(word).name if "/" in word else word for word in command[:3])


def interleave(bench: Bench, commands: Mapping[str, Sequence[str]]) -> dict[str, list[float]]:
    """Run the commands A B A B … and return the seconds of each, round by round; the first round warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(bench.repetitions + 1):
        for name, command in commands.items():
            took = run(command).seconds
            if turn > 0:
                seconds[name].append(took)
    return seconds


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median over the rounds of ours / theirs: a slow phase of the machine hits both."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
