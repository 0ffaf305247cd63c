"""The mailbox: a bounded queue with many producers, one consumer, a control lane and a policy for overflow.

One lock, one deque, no condition variable: a consumer that finds nothing leaves a *waker* behind, and the next
producer calls it once. A thread's waker sets an event, an event loop's is one `call_soon_threadsafe`; under
load neither is called at all. What a consumer has taken counts against the capacity until it is settled.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from rxalerts.flow.eviction import EvictionQueue
from rxalerts.flow.intake import Entry, Intake
from rxalerts.flow.overflow import Loss

__all__ = ["Entry", "Mailbox"]

_SPELLS_APART = 1.0
"""Seconds from telling about one spell of losses until the next one is told."""


class Mailbox(Intake):
    """A bounded mailbox.

    Arguments:
        capacity: how many items may be waiting or in the consumer's hands.
        on_full: the `Overflow` policy.
        patience: with BLOCK, seconds that a source waits before `then` applies; None: as long as it takes.
        then: the policy that applies when the patience is over.
        on_drop: called with (item, reason) for every item that is dropped, outside of the lock.
        audience: tells whether anybody wants to hear of more than the first item of a spell of overflow.
        clock: monotonic seconds, for tests.

    >>> from rxalerts.flow.overflow import Overflow
    >>> box = Mailbox(capacity=2, on_full=Overflow.DROP_OLDEST)
    >>> [box.offer(text).value for text in ("a", "b", "c")]
    ['accepted', 'accepted', 'replaced']
    >>> entries = box.take(1); box.settle(entries)
    >>> entries[0][0], box.depth
    ('b', 1)
    """

    _oldest_in_hand: float | None = None
    _first_in_hand = 1
    _told = -math.inf

    def take(self, limit: int) -> list[Entry]:
        """Take up to `limit` entries, oldest first, into the consumer's hands; may be empty."""
        with self._lock:
            queue = self._queue
            # Never more than half the capacity in hand, so that a stuck write leaves something to evict.
            limit = min(limit, max(1, self.capacity // 2) - self._in_hand)
            size = len(queue)
            if isinstance(queue, EvictionQueue) and not self._in_hand:
                self._first_in_hand = queue.first
            entries: list[Entry]
            if size <= limit and self._fifo is not None:
                entries = list(self._fifo)
                self._fifo.clear()
            else:
                entries = [queue.popleft() for _ in range(min(limit, size))]
            if entries:
                self._in_hand += len(entries)
                self._oldest_in_hand = entries[0][1]
        return entries

    def settle(self, entries: Sequence[Entry]) -> None:
        """Make room: the consumer has no longer in its hands `entries`, which it had taken."""
        with self._lock:
            self._in_hand -= len(entries)
            if not self._in_hand:
                self._oldest_in_hand = None
            waiters = self._relieved()
        for waiter in waiters:
            waiter()

    def confirm(self, entries: Sequence[Entry]) -> None:
        """Release the marks of `entries`: they have reached the destination, or will never."""
        if not self._awaited:
            return
        for _, _, seq, mark in entries:
            if mark is not None:
                mark.release(seq)

    def failed(self, entries: Sequence[Entry], pause: float) -> None:
        """Note that an attempt to deliver `entries` failed and is repeated after `pause` seconds."""

    def attempts(self, entry: Entry) -> int:
        """Return how often an earlier process has tried to deliver `entry`."""
        return 0

    def end(self, then: Callable[[], None]) -> None:
        """Give back what the mailbox itself holds open, when its sink has ended, and call `then` when that is done."""
        then()

    def forked(self) -> None:
        """Give back, in a forked child, what belongs to the parent."""

    @property
    def awaited(self) -> bool:
        """Whether anybody has ever waited for entries to be confirmed."""
        return self._awaited

    def arm(self, waker: Callable[[], None], *, control_only: bool = False) -> bool:
        """Leave `waker` to be called when something comes; false when something is there already."""
        with self._lock:
            if self._control or (not control_only and len(self._queue)):
                return False
            self._waker = waker
            self._control_only = control_only
        return True

    def has_mail(self, *, control_only: bool = False) -> bool:
        """Tell whether there is something to do, as `arm` would."""
        with self._lock:
            return bool(self._control) or (not control_only and len(self._queue) > 0)

    def disarm(self) -> None:
        """Take the waker back."""
        with self._lock:
            self._waker = None
            self._control_only = False

    def post(self, message: Any) -> None:
        """Put a control message in its own lane: never dropped, seen before the next batch."""
        with self._lock:
            self._control.append(message)
            waker, self._waker = self._waker, None
        if waker is not None:
            waker()

    def control(self) -> list[Any]:
        """Take all control messages."""
        with self._lock:
            messages = list(self._control)
            self._control.clear()
        return messages

    def discard(self, reason: str) -> int:
        """Drop everything that waits, under `reason`; returns how many."""
        with self._lock:
            entries = [self._queue.popleft() for _ in range(len(self._queue))]
            self._losses.add(reason, len(entries))
            waiters = self._relieved()
        for waiter in waiters:
            waiter()
        self._bury(entries, reason)
        return len(entries)

    def forsake(self, entries: Sequence[Entry], reason: str) -> int:
        """Count as dropped, under `reason`, entries that the consumer had taken; returns how many are lost."""
        with self._lock:
            self._losses.add(reason, len(entries))
        self._bury(entries, reason)
        return len(entries)

    def _bury(self, entries: Sequence[Entry], reason: str) -> None:
        if reason != "shutdown":
            # What a stop leaves undone is not finished: a source that commits gives it again next time.
            self.confirm(entries)
        if self._on_drop is not None:
            for item, _, _, _ in entries:
                self._on_drop(item, reason)

    def loss(self) -> Loss | None:
        """Return the spell of losses that has ended, once: when there is room again.

        Spells that follow each other within a second are one: a tiny mailbox is full and empty for every alert.
        """
        with self._lock:
            now = self._clock()
            soon = self._depth() > self._low or now - self._told < _SPELLS_APART
            if not self._losses.going or (soon and self._closed is None):
                return None
            self._told = now
            return self._losses.end()

    @property
    def left(self) -> int:
        """Up to which of those that came in, in their order, none is inside any more, for whatever reason."""
        with self._lock:
            if not isinstance(self._queue, EvictionQueue):
                return self._entered - self._depth()
            # Evicted ones leave before their turn: only the oldest one that is still here tells.
            return (self._first_in_hand if self._in_hand else self._queue.first) - 1

    @property
    def drained(self) -> bool:
        """Whether nothing waits to be taken any more."""
        return not len(self._queue)

    @property
    def spooled(self) -> int:
        """How many of the items inside will survive this process."""
        return 0

    @property
    def due(self) -> float:
        """Seconds until the first attempt, when an earlier process had put it off."""
        return 0.0

    @property
    def waiting(self) -> int:
        """How many items wait, without those in the consumer's hands."""
        return len(self._queue)

    @property
    def oldest(self) -> float:
        """For how many seconds the oldest unfinished item has been here; 0 when there is none."""
        with self._lock:
            since = self._oldest_in_hand
            if since is None and len(self._queue):
                since = self._queue[0][1]
        return 0.0 if since is None else max(0.0, self._clock() - since)
