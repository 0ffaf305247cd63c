"""Signals as events of a queue. Light to import: it is wanted before anything slow is."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue
from types import FrameType

STOPS = (signal.SIGTERM, signal.SIGINT)

# A stop that comes so soon after the first, in seconds, is the same one: `timeout` and a terminal's group give two.
_SAME = 0.25


class Finished:
    """An event: the source, or the drain, has come to its end."""


Event = signal.Signals | Finished


class Signals:
    """Catches signals from the moment it is made, and keeps them until somebody asks.

    Arguments:
        numbers: the signals; what is ignored already (`nohup`, `trap '' TERM`) stays ignored.

    The second SIGTERM or SIGINT ends the process at once, wherever it is, unless it comes right with the first.
    """

    def __init__(self, numbers: Iterable[signal.Signals] = STOPS) -> None:
        self.at_exit: list[Callable[[], None]] = []
        self._events: SimpleQueue[Event] = SimpleQueue()
        self._stopped_at: float | None = None
        # A signal that arrives just before a wait begins, or on another thread, would not end a wait for a lock:
        # Python runs handlers on the main thread only, and not while that sleeps. A byte in a pipe ends it.
        self._heard, self._told = os.pipe()
        os.set_blocking(self._heard, False)
        os.set_blocking(self._told, False)
        signal.set_wakeup_fd(self._told, warn_on_full_buffer=False)
        for number in numbers:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._note)

    def put(self, event: Event) -> None:
        """Add an event of another kind, from any thread."""
        self._events.put(event)
        try:
            os.write(self._told, b"!")
        except BlockingIOError:
            # So full that whoever waits will wake up anyway.
            return

    def get(self, timeout: float | None = None) -> Event:
        """Wait for the next event; raises `queue.Empty` after `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            try:
                return self._events.get_nowait()
            except Empty:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise
            if select.select([self._heard], [], [], left)[0]:
                os.read(self._heard, 4096)

    def _note(self, number: int, _: FrameType | None) -> None:
        # Putting into a SimpleQueue is all that is safe here; the rest happens in the main loop.
        if number in STOPS:
            if self._stopped_at is None:
                self._stopped_at = time.monotonic()
            elif time.monotonic() - self._stopped_at > _SAME:
                self._exit_now(number)
            else:
                return
        self._events.put(signal.Signals(number))

    def _exit_now(self, number: int) -> None:
        os.write(2, b"rxalerts: second signal: exiting at once, alerts that were not delivered yet are lost\n")
        for clean in self.at_exit:
            clean()
        os._exit(128 + number)
