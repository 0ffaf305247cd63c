"""The durable mailbox: what a sink has accepted is on disk until it is confirmed.

    producers → front (memory, bounded, the sink's policy) → spool thread → SQLite → back (a window) → sink

The front is where pressure arises: when the disk is full or slow, or the spool has reached its size cap, the
front fills up and the source waits. The spool thread is the only one that touches the file: it writes what the
front holds in one transaction (group commit), deletes what the sink has confirmed in the same one, and keeps the
back filled, in order, from memory or from the file.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from rxalerts.alert import Alert
from rxalerts.flow.mailbox import Entry
from rxalerts.flow.overflow import Loss, Offer
from rxalerts.flow.scope import Mark
from rxalerts.flow.spooling import Spooling
from rxalerts.format import Formatted

log = logging.getLogger("rxalerts")

# What can be kept on disk.
_KEPT = (Alert, Formatted)


class DurableMailbox(Spooling):
    """A mailbox over a `Spool`; what it inherits is the consumer's end, the window in memory.

    Arguments:
        path: the spool's file.
        capacity: how many alerts may wait to be written to disk, and how many are kept ready in memory.
        on_full: the policy when they cannot be written: disk full, or the cap reached.
        bound: how many alerts may be with the sink, or delivered and not deleted from disk yet: so many come again
            after a crash, at most. Beyond them the sink waits for the next transaction, unless the disk is full.
        max_bytes: the cap of the file's content. When it is reached: `block` makes the source wait,
            `drop_newest` refuses, `drop_oldest` and `drop_lowest` delete to make room, from all that the sink has
            not in its hands. What is in memory at the end is written beyond the cap rather than lost.
        name: for log lines.
        patience, then, on_drop, clock: as for `Mailbox`.

    Raises SinkError when the file is in use or cannot be written.
    """

    # -- the producers' end: the front ----------------------------------------------------------------------

    def offer(self, item: Any, seq: int = 0, mark: Mark | None = None, *, may_wait: bool = False) -> Offer:
        """As `Mailbox.offer`; a mark that asks for acceptance is told when the alert is on disk."""
        if not isinstance(item, _KEPT):
            log.error("%s: %s cannot be kept on disk: only alerts can", self._name, type(item).__name__)
            return self._front.refuse(item, "no alert")
        return self._front.offer(item, seq, mark, may_wait=may_wait)

    def offer_all(self, items: Sequence[Any], seq: int = 0, mark: Mark | None = None) -> Offer:
        """As `Mailbox.offer_all`."""
        if all(isinstance(item, _KEPT) for item in items):
            return self._front.offer_all(items, seq, mark)
        outcomes = {self.offer(item, seq, mark) for item in items} & {Offer.PRESSED, Offer.OVERFLOW}
        return outcomes.pop() if outcomes else Offer.ACCEPTED

    @property
    def room(self) -> int:
        """As `Mailbox.room`."""
        return self._front.room

    def slip_in(self, item: Any, seq: int, mark: Mark) -> bool:
        """As `Mailbox.slip_in`: past the file, since it is kept elsewhere."""
        with self._lock:
            if self._front.closed or self._depth() >= self.capacity:
                return False
            self._slipped += 1
        super().offer(item, seq, mark)
        return True

    @property
    def pressing(self) -> bool:
        """Whether sources should wait."""
        return self._front.pressing

    def when_low(self, callback: Callable[[], None]) -> None:
        """As `Mailbox.when_low`."""
        self._front.when_low(callback)

    def lose_patience(self) -> None:
        """As `Mailbox.lose_patience`."""
        self._front.lose_patience()

    def close(self, reason: str) -> None:
        """Refuse everything from now on; what is inside is still written and delivered."""
        self._front.close(reason)
        self._bell.set()

    # -- the consumer's end: what a memory mailbox does, and the file follows ---------------------------------

    def take(self, limit: int) -> list[Entry]:
        """As `Mailbox.take`, within the bound of what may come again after a crash."""
        return super().take(max(0, min(limit, self._room_in_bound)))

    def arm(self, waker: Callable[[], None], *, control_only: bool = False) -> bool:
        """As `Mailbox.arm`; beyond the bound, what waits is no mail until the next transaction."""
        with self._lock:
            if self._has_mail(control_only):
                return False
            self._waker, self._control_only = waker, control_only
        return True

    def has_mail(self, *, control_only: bool = False) -> bool:
        """As `Mailbox.has_mail`."""
        with self._lock:
            return self._has_mail(control_only)

    def settle(self, entries: Sequence[Entry]) -> None:
        """As `Mailbox.settle`; the window is filled up when it is half empty."""
        super().settle(entries)
        if self._can_fill():
            self._bell.set()

    def confirm(self, entries: Sequence[Entry]) -> None:
        """Delete the entries from disk, with the next transaction."""
        done: list[int] = []
        for _, _, row_id, mark in entries:
            if mark is not self._rows:
                if mark is not None:
                    mark.release(row_id)
            elif row_id in self._marks:
                self._row_done(row_id)
            else:
                done.append(row_id)
        self._done.extend(done)
        self._bell.set()

    def failed(self, entries: Sequence[Entry], pause: float) -> None:
        """Note on disk that an attempt failed, and when the next one is due."""
        due = time.time() + pause
        if len(self._failures) >= self.capacity:
            # A disk that takes no notes must not fill the memory with them.
            return
        self._failures.extend((row_id, due) for _, _, row_id, mark in entries if mark is self._rows)
        self._bell.set()

    def attempts(self, entry: Entry) -> int:
        """Return how often an earlier process has tried to deliver `entry`."""
        return self._earlier.get(entry[2], 0) if entry[3] is self._rows else 0

    def forsake(self, entries: Sequence[Entry], reason: str) -> int:
        """Leave the entries on disk, for the next start; returns 0, because nothing is lost."""
        return 0

    def discard(self, reason: str) -> int:
        """Leave what waits on disk, for the next start; returns 0, because nothing is lost."""
        with self._lock:
            self._entered -= len(self._queue)
            self._queue.clear()
        return 0

    def loss(self) -> Loss | None:
        """As `Mailbox.loss`."""
        return self._front.loss()

    @property
    def drained(self) -> bool:
        """Whether nothing is left to deliver, in memory or on disk."""
        return self._broken or (not self._front.depth and self._loaded >= self._spool.last_id and not self.waiting)

    @property
    def due(self) -> float:
        """Seconds until the attempt is due that was put off before the last end."""
        return max(0.0, self._first_due - time.time())

    def end(self, then: Callable[[], None]) -> None:
        """Write what is still in memory, close the file, let it go, and call `then`, from the spool's thread."""
        self._front.close("closed")
        with self._end_lock:
            if not self._gone:
                self._callbacks.append(then)
                self._ending = True
                self._bell.set()
                return
        then()

    def forked(self) -> None:
        """Leave the file to the parent process."""
        self._spool.forked()

    # -- counts ---------------------------------------------------------------------------------------------

    @property
    def entered(self) -> int:
        """How many alerts have entered, the recovered ones included."""
        return self._recovered + self._slipped + self._front.entered

    @property
    def left(self) -> int:
        """How many of them have left: delivered, rejected or dropped."""
        return self._entered - self._depth() + self._evicted + self._front.left - self._committed

    @property
    def refused(self) -> int:
        """How many were dropped at the door."""
        return self._front.refused

    @property
    def received(self) -> int:
        """How many alerts were offered or recovered."""
        return self._recovered + self._slipped + self._front.received

    @property
    def dropped(self) -> dict[str, int]:
        """How many were dropped, by reason."""
        return self._front.dropped

    @property
    def losing_since(self) -> float | None:
        """When the spell of losses began that `loss` has not told about yet (epoch seconds)."""
        return self._front.losing_since

    @property
    def depth(self) -> int:
        """How many alerts are inside, in memory or on disk."""
        return self._front.depth + self.spooled

    @property
    def oldest(self) -> float:
        """For how many seconds the oldest alert has been waiting in this process."""
        return max(super().oldest, self._front.oldest)

    @property
    def transactions(self) -> int:
        """How many transactions were tried."""
        return self._spool.transactions
