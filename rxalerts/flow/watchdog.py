"""The watchdog: one thread that looks every 100 ms whether a sink's write takes too long (Falco: watchdog.h)."""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from typing import Protocol

from rxalerts.flow.threads import ThreadShortage, start

log = logging.getLogger("rxalerts")

# Falco's own resolution, in seconds.
_TICK = 0.1


class Watched(Protocol):
    """What the watchdog looks at."""

    def check_blocked(self, now: float) -> None: ...


class Watchdog:
    """Calls `check_blocked` of every watched sink; its thread lives only while there are any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: weakref.WeakSet[Watched] = weakref.WeakSet()
        self._thread: threading.Thread | None = None

    def watch(self, sink: Watched) -> None:
        """Look after `sink` from now on, until `forget` or its end."""
        with self._lock:
            self._watched.add(sink)
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="rxalerts-watchdog", daemon=True)
                try:
                    self._thread = start(thread)
                except ThreadShortage as error:
                    # Nobody looks; the next sink to start tries again.
                    log.warning("%s; writes that hang are not reported", error)

    def forget(self, sink: Watched) -> None:
        """Look after `sink` no longer."""
        with self._lock:
            self._watched.discard(sink)

    def _run(self) -> None:
        while True:
            time.sleep(_TICK)
            if not self._look():
                return

    def _look(self) -> bool:
        """Look at every sink once, without keeping any alive between two looks; false when there are none."""
        with self._lock:
            sinks = list(self._watched)
            if not sinks:
                self._thread = None
                return False
        now = time.monotonic()
        for sink in sinks:
            sink.check_blocked(now)
        return True

    def reset(self) -> None:
        """Forget everything: the thread does not exist in a forked child."""
        self.__init__()  # type: ignore[misc]


watchdog = Watchdog()
os.register_at_fork(after_in_child=watchdog.reset)
