"""Signals as events of a queue. Light to import: it is wanted before anything slow is."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from types import FrameType
from typing import Any

STOPS = (signal.SIGTERM, signal.SIGINT)

# A stop that comes so soon after the first, in seconds, is the same one: `timeout` and a terminal's group give two.
_SAME = 0.25


class Signals:
    """Catches signals from the moment it is made, and keeps them until somebody asks.

    Arguments:
        numbers: the signals; what is ignored already (`nohup`, `trap '' TERM`) stays ignored.

    The second SIGTERM or SIGINT ends the process at once, wherever it is, unless it comes right with the first.
    """

    def __init__(self, numbers: Iterable[signal.Signals] = STOPS) -> None:
        self.events: SimpleQueue[Any] = SimpleQueue()
        self.at_exit: list[Callable[[], None]] = []
        self._stopped_at: float | None = None
        for number in numbers:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._note)

    def _note(self, number: int, _: FrameType | None) -> None:
        # Putting into a SimpleQueue is all that is safe here; the rest happens in the main loop.
        if number in STOPS:
            if self._stopped_at is None:
                self._stopped_at = time.monotonic()
            elif time.monotonic() - self._stopped_at > _SAME:
                self._exit_now(number)
            else:
                return
        self.events.put(signal.Signals(number))

    def _exit_now(self, number: int) -> None:
        os.write(2, b"rxalerts: second signal: exiting at once, alerts that were not delivered yet are lost\n")
        for clean in self.at_exit:
            clean()
        os._exit(128 + number)
