"""A program that is run anew for each alert (`keep_alive: false`)."""

from __future__ import annotations

import logging
import select
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rxalerts.flow.channel import Batch, Channel, Fatal, Retryable
from rxalerts.sinks._orders import Orders
from rxalerts.sinks._process import Process, missing

log = logging.getLogger("rxalerts")

# How often a wait looks whether time is up, in seconds.
_TICK = 0.1
_CANNOT_RUN = (126, 127)  # sh: not executable, not found


@dataclass(frozen=True)
class EachOptions:
    """What the channel needs to know of its sink."""

    name: str
    program: str
    max_processes: int
    check: bool
    render: Callable[[Any], bytes]


@dataclass(slots=True)
class RunCounts:
    """How the runs went: all of them, those with a status other than 0, those that left some of the alert unread."""

    runs: int = 0
    failed: int = 0
    unread: int = 0


class _Run:
    """One alert on its way into one process."""

    def __init__(self, name: str, program: str, line: bytes) -> None:
        self.process = Process(name, program)
        self._rest = memoryview(line)
        self.feed()

    @property
    def hungry(self) -> bool:
        return len(self._rest) > 0

    def feed(self) -> None:
        if self.hungry:
            self._rest = self._rest[self.process.write(self._rest) :]
            if not self.hungry:
                self.process.end_input()

    def unread(self) -> int:
        return self.process.unread() + len(self._rest)


class ProgramForEach(Channel):
    """Runs up to `max_processes` programs at once; a batch is done when all of its programs have ended."""

    def __init__(self, options: EachOptions, orders: Orders, counts: RunCounts) -> None:
        self._options = options
        self._orders = orders
        self._counts = counts

    def write(self, batch: Batch[Any]) -> None:
        waiting = deque(enumerate([self._options.render(item) + b"\n" for item in batch.items]))
        running: dict[int, _Run] = {}
        faults: list[Exception] = []
        try:
            while running or (waiting and not faults):
                while waiting and not faults and len(running) < self._options.max_processes:
                    self._start(*waiting.popleft(), running, faults)
                self._wait(running)
                for index in [index for index, run in running.items() if run.process.exited()]:
                    fault = self._judge(running.pop(index))
                    if fault is None:
                        batch.confirm(index)
                    else:
                        faults.append(fault)
                if running and self._orders.out_of_time:
                    raise Retryable(f"{self._options.program!r} has not ended in time")
        finally:
            for run in running.values():
                self._abort(run)
        if faults:
            raise faults[0]

    def reopen(self) -> None:
        """Do nothing: the next alert gets a new process anyway."""

    # -- how ------------------------------------------------------------------------------------------------

    def _start(self, index: int, line: bytes, running: dict[int, _Run], faults: list[Exception]) -> None:
        try:
            running[index] = _Run(self._options.name, self._options.program, line)
        except OSError as error:
            faults.append(Retryable(f"cannot start {self._options.program!r}: {error.strerror or error}"))

    def _wait(self, running: dict[int, _Run]) -> None:
        """Wait until a program takes more of its alert or ends; feed those that do."""
        poll = select.poll()
        soon = _TICK
        for run in running.values():
            run.feed()
            soon = min(soon, run.process.watch(poll, writing=run.hungry) or soon)
        if not any(run.process.exited() for run in running.values()):
            poll.poll(int(soon * 1000) + 1)

    def _judge(self, run: _Run) -> Exception | None:
        """Reap a program; returns what keeps its alert from being delivered, if anything does.

        The alert is delivered when the program has read all of it, or is content without.
        """
        process = run.process
        status, unread, program = process.status, run.unread(), self._options.program
        verdict = process.verdict() if status or unread else ""
        process.close()
        counts = self._counts
        counts.runs += 1
        counts.failed += status != 0
        counts.unread += unread > 0
        if status in _CANNOT_RUN and unread:
            words = missing(program, verdict)
            return Fatal(words) if self._orders.stopping else Retryable(words)
        if status and (unread or self._options.check):
            left = f" without having read its alert ({unread} bytes were left)" if unread else ""
            return Retryable(f"{program!r} failed{left}: {verdict}")
        if status and _worth_saying(counts.failed):
            log.warning(
                "%s: %r failed after it had read its alert, which counts as delivered (%d so far; `check: true` "
                "tries again): %s",
                self._options.name, program, counts.failed, verdict,
            )  # fmt: skip
        elif unread and _worth_saying(counts.unread):
            log.warning(
                "%s: %r has not read its alert (%d bytes were left) and says that all is well: it counts as "
                "delivered (%d so far). Does the program take its input from stdin? xargs can make it an argument",
                self._options.name, program, unread, counts.unread,
            )  # fmt: skip
        return None

    def _abort(self, run: _Run) -> None:
        """Get rid of a program that has had its time, or whose sink is in trouble itself."""
        self._orders.ending = True
        try:
            run.process.stop(0.0)
        finally:
            self._orders.ending = False
            run.process.close()


def _worth_saying(count: int) -> bool:
    """Say something at the first, second, fourth, eighth … time."""
    return count & (count - 1) == 0
