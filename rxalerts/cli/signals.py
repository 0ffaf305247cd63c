"""Signals as events of a queue. Light to import: it is wanted before anything slow is."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from types import FrameType
from typing import Any

STOPS = (signal.SIGTERM, signal.SIGINT)


class Signals:
    """Catches signals from the moment it is made, and keeps them until somebody asks.

    Arguments:
        numbers: the signals; what is ignored already (`nohup`, `trap '' TERM`) stays ignored.

    The second SIGTERM or SIGINT ends the process at once, wherever it is.
    """

    def __init__(self, numbers: Iterable[signal.Signals] = STOPS) -> None:
        self.events: SimpleQueue[Any] = SimpleQueue()
        self.at_exit: list[Callable[[], None]] = []
        self.stops = 0
        for number in numbers:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._note)

    def _note(self, number: int, _: FrameType | None) -> None:
        # Putting into a SimpleQueue is all that is safe here; the rest happens in the main loop.
        if number in STOPS:
            self.stops += 1
            if self.stops > 1:
                self._exit_now(number)
        self.events.put(signal.Signals(number))

    def _exit_now(self, number: int) -> None:
        os.write(2, b"rxalerts: second signal: exiting at once, alerts that were not delivered yet are lost\n")
        for clean in self.at_exit:
            clean()
        os._exit(128 + number)
