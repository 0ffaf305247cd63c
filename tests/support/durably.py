"""Helpers of the tests of what survives: alerts with numbers, waiting, file systems that get full."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rxalerts import Alert
from rxalerts.flow.deadletters import Letter
from rxalerts.flow.scope import Mark, Scope
from rxalerts.flow.sink import Sink
from rxalerts.format import Formatted


def alert(number: int, priority: str = "notice", size: int = 0) -> Alert:
    """Return an alert that carries its number, and so many bytes of padding."""
    return Alert("r", priority, f"number {number} {'x' * size}", {"n": number}, time=number)


def number_of(item: Alert | Formatted | Letter) -> int:
    """Return the number of an alert."""
    if isinstance(item, Letter):
        item = item.item
    found = item.alert if isinstance(item, Formatted) else item
    number: int = found.output_fields["n"]
    return number


def numbers(items: Iterable[Any]) -> list[int]:
    """Return the numbers of alerts."""
    return [number_of(item) for item in items]


def wait_for(condition: Callable[[], object], seconds: float = 20.0, what: str = "") -> None:
    """Wait until `condition` holds; fail when it takes too long."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain {what}"
        threading.Event().wait(0.005)


def send(sink: Sink[Any], items: Iterable[Any], mark: Mark | None = None, *, start: int = 0) -> Scope:
    """Send items as a source does, without waiting under pressure."""
    with Scope(mark, start) as scope:
        for item in items:
            scope.seq += 1
            sink.on_next(item)
    return scope


@contextmanager
def small_disk(path: Path, size: str) -> Generator[Path]:
    """Mount a file system of `size` at `path`; needs root, else the test is skipped."""
    path.mkdir(exist_ok=True)
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)], capture_output=True, text=True
    )
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


class Counter:
    """A mark that counts what is held and notes what was released."""

    def __init__(self, *, until_delivered: bool) -> None:
        self.until_delivered = until_delivered
        self.held: list[int] = []
        self.released: list[int] = []

    def hold(self, seq: int) -> None:
        """Note it."""
        self.held.append(seq)

    def release(self, seq: int) -> None:
        """Note it."""
        self.released.append(seq)
