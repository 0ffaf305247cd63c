"""The head of the road: what happens to an alert once, before any channel sees it.

Falco's `priority` and rate limit act here, on all channels together; a reload holds the stream here while it
exchanges channels; and the program's own alerts join the stream here, one at a time with those of the source.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from rxalerts.alert import Alert
from rxalerts.cli.around import Around
from rxalerts.flow.batching import BatchObserver
from rxalerts.flow.holding import Held
from rxalerts.flow.scope import Scope, current
from rxalerts.flow.source import Source
from rxalerts.operators.limiting import TokenBucket
from rxalerts.priority import Priority
from rxalerts.record import INTERNAL

log = logging.getLogger("rxalerts")

# How often skipped alerts are told about, in seconds.
_TELL = 60.0


class Valve(Around):
    """A source around another one, which can filter, hold back and add alerts.

    Arguments:
        source: where the alerts come from.
        priority: only alerts of rules that are at least so urgent; the program's own alerts always pass (Falco).
        rate, burst: Falco's token bucket (0.5 to 0.36), for all channels together; a rate of 0 means no limit.
    """

    def __init__(
        self, source: Source[Alert], *, priority: Priority = Priority.DEBUG, rate: float = 0, burst: float = 0
    ) -> None:
        super().__init__(source)
        self.filtered = 0
        self.limited = 0
        self._lock = threading.RLock()
        self._held: Held[Alert] = Held()
        self._paused = False
        self._waiters: list[Callable[[], None]] = []
        self._numbers = (0.0, 0.0)
        self._tell_at = 0.0
        self._bucket: TokenBucket | None = None
        self.limit(priority, rate, burst)

    def limit(self, priority: Priority, rate: float, burst: float) -> None:
        """Filter by other limits from now on; the bucket is full again if its numbers have changed."""
        with self._lock:
            if (rate, burst) != self._numbers:
                self._bucket = TokenBucket(rate, burst, time.time_ns()) if rate else None
            self._numbers = (rate, burst)
            self._priority = priority
            self._all = self._bucket is None and priority is Priority.DEBUG

    # -- what flows -----------------------------------------------------------------------------------------

    def receive(self, alert: Alert) -> None:
        with self._lock:
            if self._all or self._passes(alert):
                self._hand_on(alert)

    def _hand_on(self, alert: Alert) -> None:
        """Do so, under the lock."""
        if self._observer is None:
            return
        if not self._paused:
            self._observer.on_next(alert)
            return
        self._held.add(alert)
        scope = current()
        if scope is not None:
            scope.pressed.append(self)

    @property
    def room(self) -> int:
        return 0 if self._paused else super().room

    def receive_all(self, alerts: Sequence[Alert]) -> None:
        with self._lock:
            passing = alerts if self._all else [alert for alert in alerts if self._passes(alert)]
            if isinstance(self._observer, BatchObserver) and not self._paused:
                if passing:
                    self._observer.on_batch(passing)
            else:
                # Paused since the source looked.
                for alert in passing:
                    self._hand_on(alert)

    def _passes(self, alert: Alert) -> bool:
        urgent = alert.priority <= self._priority
        # The source is looked at last: most alerts need not be decoded for it.
        if (urgent and self._bucket is None) or alert.source == INTERNAL:
            return True
        if not urgent:
            self.filtered += 1
            return False
        if self._bucket is None or self._bucket.claim(1, time.time_ns()):
            return True
        self.limited += 1
        log.debug("Skipping rate-limited notification for rule %s", alert.rule)
        now = time.monotonic()
        if now >= self._tell_at:
            log.warning("outputs.rate: %d alerts skipped so far, the latest of rule %s", self.limited, alert.rule)
            self._tell_at = now + _TELL
        return False

    def add(self, alerts: Iterable[Alert]) -> None:
        """Send alerts of our own down the road, between two of the source's; never waits."""
        for alert in alerts:
            with self._lock, Scope():
                self.receive(alert)

    # -- a hold ---------------------------------------------------------------------------------------------

    def pause(self) -> None:
        """Hold what comes from now on and let the source wait; when this returns nothing is on its way."""
        with self._lock:
            self._paused = True

    def resume(self) -> None:
        """Let go of what was held, in order, and go on."""
        with self._lock:
            with self._held.released() as alerts:
                for alert in alerts:
                    if self._observer is not None:
                        self._observer.on_next(alert)
            self._paused = False
            waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter()

    @property
    def pressing(self) -> bool:
        """Whether the source should wait (see `rxalerts.flow.scope.Pressed`)."""
        return self._paused

    def lose_patience(self) -> None:
        """Do nothing: the hold is short, and has room for whoever cannot wait (see `rxalerts.flow.scope.Pressed`)."""

    def when_low(self, callback: Callable[[], None]) -> None:
        """Call `callback` once the hold is over (see `rxalerts.flow.scope.Pressed`)."""
        with self._lock:
            paused = self._paused
            if paused:
                self._waiters.append(callback)
        if not paused:
            callback()
