"""The producers' end of a mailbox: how an item comes in, or what its policy does with it, and who has to wait."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from rxalerts.flow.batching import UNBOUNDED
from rxalerts.flow.eviction import EvictionQueue
from rxalerts.flow.overflow import EVERYBODY, Audience, Losses, Offer, Overflow
from rxalerts.flow.scope import Mark

# Looked up once: the hot path of every alert.
_ACCEPTED, _REPLACED = Offer.ACCEPTED, Offer.REPLACED

# The item, when it came (monotonic seconds), the number of its emission and who wants to know when it is done.
Entry = tuple[Any, float, int, Mark | None]


class Queue(Protocol):
    """What the mailbox needs of its queue: a `collections.deque` has it."""

    def append(self, entry: Entry, /) -> object: ...
    def popleft(self) -> Entry: ...
    def clear(self) -> None: ...
    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Entry: ...


class Intake:
    """What producers see of a `Mailbox`, whose arguments these are; the consumer's end is there."""

    def __init__(
        self,
        capacity: int = 10_000,
        on_full: Overflow = Overflow.BLOCK,
        *,
        patience: float | None = None,
        then: Overflow = Overflow.DROP_NEWEST,
        on_drop: Callable[[Any, str], None] | None = None,
        audience: Audience = EVERYBODY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.capacity = 1 if on_full is Overflow.LATEST else capacity
        self.on_full = on_full
        self._patience = patience
        self._then = then
        self._on_drop = on_drop
        self._audience = audience
        self._clock = clock
        self._lock = threading.Lock()
        lowest = Overflow.DROP_LOWEST in (on_full, then)
        self._fifo: deque[Entry] | None = None if lowest else deque()
        self._queue: Queue = EvictionQueue() if self._fifo is None else self._fifo
        self._low = self.capacity // 2
        self._in_hand: int = 0
        self._waker: Callable[[], None] | None = None
        self._control: deque[Any] = deque()
        self._control_only = False
        self._pressed_at: float | None = None
        self._impatient = False
        self._low_waiters: list[Callable[[], None]] = []
        self._closed: str | None = None
        # The capacity while open, 0 when closed: one comparison on the hot path.
        self._room = self.capacity
        self._refused = 0
        self._awaited = False
        self._sheds = on_full in (Overflow.DROP_OLDEST, Overflow.LATEST)
        self._losses = Losses(clock)
        self._entered: int = 0

    def offer(self, item: Any, seq: int = 0, mark: Mark | None = None, *, may_wait: bool = False) -> Offer:
        """Put `item` in, or do with it what the policy says; never blocks.

        Arguments:
            item: anything but None.
            seq, mark: the emission it belongs to, see `rxalerts.flow.scope`.
            may_wait: with BLOCK and no room: answer FULL, so that the producer can wait, instead of pressing.
        """
        outcome, evicted, quiet = _ACCEPTED, None, False
        with self._lock:
            queue = self._queue
            # The two hot paths are written out: when all is well, and under overload, the worst time to be slow.
            if len(queue) + self._in_hand < self._room:
                self._entered += 1
                if mark is not None:
                    mark = self._held(mark, seq)
                queue.append((item, self._clock(), seq, mark))
            elif self._sheds and self._room and len(queue):
                outcome, evicted, losses = _REPLACED, queue.popleft(), self._losses
                quiet = losses.going and evicted[3] is None and not self._audience.observed
                losses.overflowed += 1
                losses.last = now = self._clock()
                if not losses.going:
                    losses.begin(now)
                self._entered += 1
                if mark is not None:
                    mark = self._held(mark, seq)
                queue.append((item, now, seq, mark))
            else:
                outcome, evicted = self._overflow(item, seq, mark, may_wait)
            waker = self._waker
            if waker is not None:
                waker = self._wake()
        if waker is not None:
            waker()
        if outcome is not _ACCEPTED and not quiet:
            self._report(outcome, item, evicted)
        return outcome

    def offer_all(self, items: Sequence[Any], seq: int = 0, mark: Mark | None = None) -> Offer:
        """Do the same with several, all of one emission.

        Returns PRESSED if some of them are beyond the capacity, OVERFLOW if some were refused under FAIL, and else
        ACCEPTED, whatever was dropped for them.
        """
        with self._lock:
            queue, spare = self._fifo, self._room - self._in_hand - len(items)
            fits = queue is not None and len(queue) <= spare
            shed: list[Entry] = []
            quiet = False
            waker: Callable[[], None] | None = None
            if not fits and self._sheds and queue is not None and self._room and spare >= 0:
                shed = [queue.popleft() for _ in range(len(queue) - spare)]
                quiet = self._losses.going and not self._audience.observed
                self._losses.overflow(len(shed))
                fits = True
            if fits and queue is not None:
                self._entered += len(items)
                held = None
                if mark is not None:
                    for _ in items:
                        held = self._held(mark, seq)
                now = self._clock()
                queue.extend([(item, now, seq, held) for item in items])
                if self._waker is not None:
                    waker = self._wake()
        if not fits:
            outcomes = {self.offer(item, seq, mark) for item in items}
            grave = outcomes & {Offer.PRESSED, Offer.OVERFLOW}
            return grave.pop() if grave else Offer.ACCEPTED
        if waker is not None:
            waker()
        for entry in [entry for entry in shed if entry[3]] if quiet else shed:
            self._report(Offer.REPLACED, None, entry)
        return Offer.ACCEPTED

    @property
    def room(self) -> int:
        """How many items it takes now without pressing or failing."""
        if self._closed is not None or self.on_full not in (Overflow.BLOCK, Overflow.FAIL):
            return UNBOUNDED
        return max(0, self._room - self._in_hand - len(self._queue))

    def _wake(self) -> Callable[[], None] | None:
        if self._control_only:
            return None
        waker, self._waker = self._waker, None
        return waker

    def _enter(self, item: Any, seq: int, mark: Mark | None) -> None:
        self._entered += 1
        if mark is not None:
            mark = self._held(mark, seq)
        self._queue.append((item, self._clock(), seq, mark))

    def _held(self, mark: Mark, seq: int) -> Mark | None:
        if not mark.until_delivered:
            # Accepted into memory is all that such a mark asks for.
            return None
        mark.hold(seq)
        self._awaited = True
        return mark

    def _overflow(self, item: Any, seq: int, mark: Mark | None, may_wait: bool) -> tuple[Offer, Entry | None]:
        """Apply the policy, under the lock: the outcome and the entry that had to go, if any."""
        if self._closed is not None:
            self._refused += 1
            self._losses.add(self._closed)
            return Offer.CLOSED, None
        policy = self.on_full
        if policy is Overflow.BLOCK:
            if self._pressed_at is None:
                self._pressed_at = self._clock()
            if not self._out_of_patience():
                if may_wait:
                    return Offer.FULL, None
                self._enter(item, seq, mark)
                return Offer.PRESSED, None
            policy = self._then
        if policy is Overflow.FAIL:
            self._refused += 1
            self._losses.add("overflow")
            return Offer.OVERFLOW, None
        if policy is not Overflow.DROP_NEWEST and not len(self._queue):
            # All of a tiny capacity is in the consumer's hands: one may wait beside it.
            self._enter(item, seq, mark)
            return Offer.ACCEPTED, None
        evicted = self._evict(policy, item)
        if evicted is None:
            self._refused += 1
            self._losses.add("overflow")
            return Offer.DROPPED, None
        self._losses.add("overflow")
        self._enter(item, seq, mark)
        return Offer.REPLACED, evicted

    def _evict(self, policy: Overflow, item: Any) -> Entry | None:
        """Take out the entry that makes room for `item`; None when `item` itself is the one to drop."""
        queue = self._queue
        if policy is Overflow.DROP_LOWEST and isinstance(queue, EvictionQueue):
            victim: Entry | None = queue.evict(item)
            return victim
        if policy in (Overflow.DROP_OLDEST, Overflow.LATEST) and len(queue):
            return queue.popleft()
        return None

    def slip_in(self, item: Any, seq: int, mark: Mark) -> bool:
        """Take an item that its owner keeps until it is delivered; false when there is no room for it now."""
        if self.closed or self._depth() >= self.capacity:
            return False
        return self.offer(item, seq, mark) in (Offer.ACCEPTED, Offer.PRESSED, Offer.REPLACED)

    def refuse(self, item: Any, reason: str) -> Offer:
        """Drop an item at the door, counted under `reason`."""
        with self._lock:
            self._refused += 1
            self._losses.add(reason)
        if self._on_drop is not None:
            self._on_drop(item, reason)
        return Offer.DROPPED

    def count_dropped(self, reason: str) -> None:
        """Count an item that was dropped elsewhere on behalf of this mailbox."""
        with self._lock:
            self._losses.add(reason)

    def _report(self, outcome: Offer, item: Any, evicted: Entry | None) -> None:
        """Tell about a drop, outside of the lock."""
        if evicted is not None:
            item = evicted[0]
        elif outcome in (Offer.ACCEPTED, Offer.PRESSED, Offer.FULL):
            return
        if self._on_drop is not None:
            reason = self._closed if outcome is Offer.CLOSED else None
            self._on_drop(item, reason or "overflow")
        if evicted is not None and evicted[3] is not None:
            evicted[3].release(evicted[2])

    def lose_patience(self) -> None:
        """Let `then` apply from now on until there is room again: who feeds this cannot be made to wait."""
        self._impatient = True

    def _out_of_patience(self) -> bool:
        if self._impatient:
            return True
        since = self._pressed_at
        return since is not None and self._patience is not None and self._clock() - since >= self._patience

    @property
    def pressing(self) -> bool:
        """Whether sources should wait: full, with BLOCK, and patience left."""
        return self._pressed_at is not None and self._closed is None and not self._out_of_patience()

    def when_low(self, callback: Callable[[], None]) -> None:
        """Call `callback` once the mailbox is at most half full, or closed; at once if it is so already."""
        with self._lock:
            ready = self._closed is not None or self._depth() <= self._low
            if not ready:
                self._low_waiters.append(callback)
        if ready:
            callback()

    def _relieved(self) -> list[Callable[[], None]]:
        if self._depth() > self._low and self._closed is None:
            return []
        self._pressed_at = None
        self._impatient = False
        waiters, self._low_waiters = self._low_waiters, []
        return waiters

    def close(self, reason: str) -> None:
        """Refuse everything from now on, under `reason`; what is inside can still be taken."""
        with self._lock:
            self._closed = self._closed or reason
            self._room = 0
            waiters = self._relieved()
        for waiter in waiters:
            waiter()

    @property
    def closed(self) -> bool:
        """Whether everything is refused."""
        return self._closed is not None

    def _depth(self) -> int:
        return len(self._queue) + self._in_hand

    @property
    def depth(self) -> int:
        """How many items wait or are in the consumer's hands."""
        return self._depth()

    @property
    def received(self) -> int:
        """How many items were offered, those that were refused included."""
        return self._entered + self._refused

    @property
    def refused(self) -> int:
        """How many items were dropped at the door."""
        return self._refused

    @property
    def entered(self) -> int:
        """How many items have come in."""
        return self._entered

    @property
    def losing_since(self) -> float | None:
        """When the spell of losses began that `loss` has not told about yet (epoch seconds)."""
        return self._losses.since

    @property
    def dropped(self) -> dict[str, int]:
        """How many items were dropped, by reason."""
        return self._losses.counts
