"""A program that is kept (`keep_alive: true`): one pipe for all alerts, respawned when it dies."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from rxalerts.flow.channel import Batch, Channel, Fatal, Retryable
from rxalerts.sinks._orders import Orders
from rxalerts.sinks._process import Process, missing

log = logging.getLogger("rxalerts")

# What stdio keeps back before it writes to a pipe, in bytes.
_BUFFER = 1 << 16
# How long a write waits for the program to read it before it leaves that to a later flush, in seconds.
_LINGER = 0.02
# How often a wait looks whether something else was asked for, in seconds.
_TICK = 0.1


@dataclass(frozen=True)
class KeptOptions:
    """What the channel needs to know of its sink."""

    name: str
    program: str
    buffering: bool
    patience: float
    render: Callable[[Any], bytes]
    # Have `flush` called soon, from any thread.
    nudge: Callable[[], object]


class KeptProgram(Channel):
    """Lines stay in `_lines` until the program has read them from the pipe; the first `_sent` bytes are in it.

    So a line counts as delivered when the program has read it, and a program that dies leaves behind exactly what
    it had not read; a line that it had read in part is sent again as a whole.
    """

    def __init__(self, options: KeptOptions, orders: Orders) -> None:
        self._options = options
        self._orders = orders
        self._process: Process | None = None
        self._lines: deque[bytes] = deque()
        self._size = 0
        self._sent = 0
        self._has_read = False
        self._warned = False
        self._nudged = False

    # -- hooks ----------------------------------------------------------------------------------------------

    def open(self) -> None:
        self._orders.reopen = False
        self._running()

    def write(self, batch: Batch[Any]) -> None:
        try:
            self._write(batch)
        except Retryable:
            # There may be no next alert to make the supervisor come back for what is left.
            self._nudge()
            raise

    def _write(self, batch: Batch[Any]) -> None:
        self._check(waiting=len(batch))
        if self._sent or not self._options.buffering:
            # What an earlier program left behind goes first, and alone: if this one dies too, nothing was added.
            self._push()
        self._take([self._options.render(item) + b"\n" for item in batch.items])
        batch.done(len(batch))
        if self._options.buffering and self._size - self._sent < _BUFFER:
            return
        self._push()
        if not self._settle(_LINGER):
            self._nudge()

    def flush(self) -> None:
        """Push out everything and wait until the program has read it, for as long as it gets on."""
        self._nudged = False
        self._check()
        if not self._lines:
            return
        self._push()
        left = self._size
        while not self._settle(self._options.patience):
            now = self._account()
            if self._orders.reopen:
                self._nudge()
                return
            if now >= left or self._orders.out_of_time:
                self._stuck()
                return
            left = now

    def reopen(self) -> None:
        """End the program as on stop, and start it again; what the old one has not read goes to the new one."""
        self._orders.reopen = False
        process = self._process
        if process is not None and not process.exited():
            self._offer(process, time.monotonic() + self._options.patience)
        self.close()
        self.open()
        if self._lines:
            self._nudge()

    def close(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        self._orders.ending = True
        try:
            if not process.exited():
                process.stop(0.0 if self._orders.hurried else self._options.patience)
            self._account(process)
            if process.status or self._lines:
                log.warning(
                    "%s: %r ended: %s; alerts that it has not read: %d",
                    self._options.name, self._options.program, process.verdict(), len(self._lines),
                )  # fmt: skip
        finally:
            self._orders.ending = False
            self._sent = 0
            process.close()

    # -- how ------------------------------------------------------------------------------------------------

    def _running(self) -> Process:
        if self._process is None:
            self._sent = 0
            self._has_read = self._warned = False
            self._process = Process(self._options.name, self._options.program, self._options.nudge)
        return self._process

    def _take(self, lines: Sequence[bytes]) -> None:
        self._lines.extend(lines)
        self._size += sum(map(len, lines))
        self.pending = len(self._lines)

    def _push(self) -> None:
        """Put all lines into the pipe, however long the program takes."""
        process = self._running()
        while not self._offer(process, time.monotonic() + _TICK):
            if process.exited():
                self._died(process)
            self._heed()

    def _offer(self, process: Process, until: float) -> bool:
        """Write until the pipe has everything or the time is up; says whether it has."""
        if self._sent >= self._size:
            return True
        data = memoryview(b"".join(self._lines))[self._sent :]
        offset = 0
        while offset < len(data):
            count = process.write(data[offset:])
            offset += count
            self._sent += count
            if count == 0 and (time.monotonic() >= until or process.wait(until - time.monotonic(), writing=True)):
                return False
        return True

    def _heed(self) -> None:
        """Do what was asked for while the program did not take its input."""
        if self._orders.out_of_time:
            raise Retryable(f"{self._options.program!r} has not read its input in time")
        if self._orders.reopen:
            raise Retryable(f"{self._options.program!r} was to be reopened while its pipe was full")
        if self._orders.stopping and not self._gets_on():
            self._stuck()

    def _gets_on(self) -> bool:
        """Say whether the program reads anything within `output_timeout`."""
        deadline = time.monotonic() + self._options.patience
        before = self._account()
        while time.monotonic() < deadline and not self._orders.out_of_time:
            process = self._running()
            if process.wait(_TICK):
                return True  # its end is somebody else's to find
            if self._account() != before:
                return True
        return False

    def _account(self, process: Process | None = None) -> int:
        """Forget the lines that the program has read; returns how many bytes it has not."""
        process = process or self._process
        taken = 0
        if process is not None:
            taken = self._sent - process.unread()
            self._has_read = self._has_read or taken > 0
            while self._lines and len(self._lines[0]) <= taken:
                line = self._lines.popleft()
                taken -= len(line)
                self._sent -= len(line)
                self._size -= len(line)
        self.pending = len(self._lines)
        return self._size - taken

    def _settle(self, seconds: float) -> bool:
        """Wait until the program has read everything; says whether it has."""
        process = self._running()
        deadline, pause = time.monotonic() + seconds, 0.001
        while self._account():
            if process.exited():
                self._died(process)
            left = deadline - time.monotonic()
            if left <= 0 or self._orders.reopen or self._orders.out_of_time:
                return False
            process.wait(min(pause, left))
            pause = min(pause * 2, 0.02)
        return True

    def _check(self, waiting: int = 0) -> None:
        process = self._process
        if process is not None and process.exited():
            self._died(process, waiting)

    def _died(self, process: Process, waiting: int = 0) -> NoReturn:
        """Bury the program and keep what it has not read, for the next one, which gets `waiting` more."""
        self._account(process)
        self._process = None
        self._sent = 0
        status, verdict = process.status, process.verdict()
        process.close()
        program = self._options.program
        if status in (126, 127) and not self._has_read:
            reason = missing(program, verdict)
        else:
            reason = f"{program!r} ended ({verdict}); alerts that it has not read: {len(self._lines) + waiting}"
        if self._orders.stopping and (self._lines or waiting) and not self._has_read:
            raise Fatal(f"{reason}; it reads nothing, and there is no time to try on")
        raise Retryable(reason)

    def _stuck(self) -> None:
        """The program has not read anything for `output_timeout`."""
        words = (
            f"{self._options.program!r} has read nothing for {self._options.patience:g} s; "
            f"alerts that wait for it: {len(self._lines)}"
        )
        if self._orders.out_of_time:
            raise Retryable(words)
        if self._orders.stopping:
            raise Fatal(words)
        if not self._warned:
            self._warned = True
            log.warning("%s: %s", self._options.name, words)
        self._nudge()

    def _nudge(self) -> None:
        if self._lines and not self._nudged:
            self._nudged = True
            self._options.nudge()
