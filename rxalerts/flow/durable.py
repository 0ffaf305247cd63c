"""The durable mailbox: what a sink has accepted is on disk until it is confirmed.

    producers → front (memory, bounded, the sink's policy) → spool thread → SQLite → back (a window) → sink

The front is where pressure arises: when the disk is full or slow, or the spool has reached its size cap, the
front fills up and the source waits. The spool thread is the only one that touches the file: it writes what the
front holds in one transaction (group commit), deletes what the sink has confirmed in the same one, and keeps the
back filled, in order, from memory or from the file.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from rxalerts.alert import Alert
from rxalerts.flow.mailbox import Entry, Loss, Mailbox, Offer, Overflow
from rxalerts.flow.scope import Mark
from rxalerts.flow.spool import Row, Spool
from rxalerts.format import JSON, Formatted
from rxalerts.wire import parse

log = logging.getLogger("rxalerts")

# The most alerts that one transaction writes.
_GROUP = 1000

# Pause after a failed transaction, in seconds: a full disk must not keep the processor busy.
_PAUSE = 0.5


class _Front(Mailbox):
    """The producers' end: every mark is held until the alert is on disk, at least."""

    def _held(self, mark: Mark, seq: int) -> Mark | None:
        mark.hold(seq)
        self._awaited = True
        return mark


class _Rows:
    """The mark of every entry in the back: releasing a row means that the sink is done with it."""

    until_delivered = True

    def __init__(self, done: Callable[[int], None]) -> None:
        self._done = done

    def hold(self, seq: int) -> None:
        """Rows are held by being in the file."""

    def release(self, seq: int) -> None:
        self._done(seq)


class DurableMailbox(Mailbox):
    """A mailbox over a `Spool`; what it inherits is the consumer's end, the window in memory.

    Arguments:
        path: the spool's file.
        capacity: how many alerts may wait to be written to disk, and how many are kept ready in memory.
        on_full: the policy when they cannot be written: disk full, or the cap reached.
        max_bytes: the cap of the file's content. When it is reached: `block` makes the source wait,
            `drop_newest` refuses, `drop_oldest` and `drop_lowest` delete from the file (beyond the window in
            memory) to make room.
        name: for log lines.
        patience, then, on_drop, clock: as for `Mailbox`.
    """

    def __init__(
        self,
        path: str,
        capacity: int,
        on_full: Overflow,
        *,
        max_bytes: int,
        name: str,
        patience: float | None = None,
        then: Overflow = Overflow.DROP_NEWEST,
        on_drop: Callable[[Any, str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(capacity, clock=clock)
        self._awaited = True
        self._name = name
        self._max_bytes = max_bytes
        self._on_drop = on_drop
        self._front = _Front(capacity, on_full, patience=patience, then=then, on_drop=on_drop, clock=clock)
        self._rows = _Rows(self._row_done)
        self._done: deque[int] = deque()
        self._failures: deque[tuple[int, float]] = deque()
        self._origins: dict[int, tuple[Mark, int]] = {}
        self._group: list[Entry] = []
        self._committed = 0
        self._evicted = 0
        self._loaded = 0
        self._bell = threading.Event()
        self._ending = False
        self._complained = False
        self._spool = Spool(path)
        self._recovered = self._spool.count
        self._first_due = self._spool.due()
        if self._recovered:
            log.warning("%s: %d alerts from before are in the spool: they go first", name, self._recovered)
        self._thread = threading.Thread(target=self._live, name=f"rxalerts-spool-{name}", daemon=True)
        self._thread.start()

    # -- the producers' end: the front ----------------------------------------------------------------------

    def offer(self, item: Any, seq: int = 0, mark: Mark | None = None, *, may_wait: bool = False) -> Offer:
        """As `Mailbox.offer`; a mark that asks for acceptance is told when the alert is on disk."""
        if not isinstance(item, Alert | Formatted):
            log.error("%s: %s cannot be kept on disk: only alerts can", self._name, type(item).__name__)
            return self._front.refuse(item, "no alert")
        return self._front.offer(item, seq, mark, may_wait=may_wait)

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

    def settle(self, entries: Sequence[Entry]) -> None:
        """As `Mailbox.settle`; the window is filled up when it is half empty."""
        super().settle(entries)
        if self._can_fill():
            self._bell.set()

    def confirm(self, entries: Sequence[Entry]) -> None:
        """Delete the entries from disk, with the next transaction."""
        super().confirm(entries)
        self._bell.set()

    def failed(self, entries: Sequence[Entry], pause: float) -> None:
        """Note on disk that an attempt failed, and when the next one is due."""
        due = time.time() + pause
        self._failures.extend((row_id, due) for _, _, row_id, _ in entries)
        self._bell.set()

    def forsake(self, entries: Sequence[Entry], reason: str) -> int:
        """Leave the entries on disk, for the next start; returns 0, because nothing is lost."""
        return 0

    def discard(self, reason: str) -> int:
        """Leave what waits on disk, for the next start; returns 0, because nothing is lost."""
        with self._lock:
            self._queue.clear()
        return 0

    def loss(self) -> Loss | None:
        """As `Mailbox.loss`."""
        return self._front.loss()

    @property
    def drained(self) -> bool:
        """Whether nothing is left to deliver, in memory or on disk."""
        return not self._front.depth and self._loaded >= self._spool.last_id and not self.waiting

    @property
    def due(self) -> float:
        """Seconds until the attempt is due that was put off before the last end."""
        return max(0.0, self._first_due - time.time())

    def end(self) -> None:
        """Write what is still in memory, close the file and let it go."""
        self._front.close("closed")
        self._ending = True
        self._bell.set()
        self._thread.join(_END)
        self._front.discard("shutdown")

    # -- counts ---------------------------------------------------------------------------------------------

    @property
    def entered(self) -> int:
        """How many alerts have entered, the recovered ones included."""
        return self._recovered + self._front.entered

    @property
    def left(self) -> int:
        """How many of them have left: delivered, rejected or dropped."""
        return self._left + self._evicted + self._front.left - self._committed

    @property
    def refused(self) -> int:
        """How many were dropped at the door."""
        return self._front.refused

    @property
    def received(self) -> int:
        """How many alerts were offered or recovered."""
        return self._recovered + self._front.received

    @property
    def dropped(self) -> dict[str, int]:
        """How many were dropped, by reason."""
        return self._front.dropped

    @property
    def depth(self) -> int:
        """How many alerts are inside, in memory or on disk."""
        return self._front.depth + self.spooled

    @property
    def spooled(self) -> int:
        """How many alerts are on disk."""
        return max(0, self._spool.count - len(self._done))

    @property
    def oldest(self) -> float:
        """For how many seconds the oldest alert has been waiting in this process."""
        return max(super().oldest, self._front.oldest)

    # -- the spool thread -----------------------------------------------------------------------------------

    def _live(self) -> None:
        try:
            while True:
                ending = self._ending
                worked = self._write() if self._has_work() else True
                if worked:
                    self._fill()
                if ending and (not worked or not self._has_work()):
                    return
                self._rest(worked)
        except Exception:
            log.exception("%s: the spool thread failed: the sink closes, what is on disk stays", self._name)
            self._front.close("failed")
        finally:
            self._spool.close()

    def _rest(self, worked: bool) -> None:
        """Wait for work; after a failure, for a while in any case."""
        if not worked:
            self._bell.clear()
            self._bell.wait(_PAUSE)
            return
        if self._has_work():
            return
        self._bell.clear()
        if self._front.arm(self._bell.set):
            if not self._has_work() and not self._ending:
                self._bell.wait()
            self._front.disarm()

    def _has_work(self) -> bool:
        return bool(self._group or self._front.waiting or self._done or self._failures or self._can_fill())

    def _write(self) -> bool:
        """One transaction; false when it failed and everything has to be tried again."""
        if not self._group:
            self._group = self._front.take(_GROUP)
        rows, entries = self._as_rows()
        done, failures = list(self._done), list(self._failures)
        if not (rows or done or failures):
            return True
        try:
            victims = self._make_room(sum(row.size for row in rows))
            if victims is None:
                # The cap is reached and the policy is to wait: only what frees space is done.
                rows, entries, victims = [], [], []
            self._spool.commit(rows, [*done, *(row.id for row in victims)], failures)
        except sqlite3.Error as error:
            if not self._complained:
                self._complained = True
                log.error("%s: %s: %s; the source waits until it can be written", self._name, self._spool.path, error)
            return False
        self._complained = False
        for _ in done:
            self._done.popleft()
        for _ in failures:
            self._failures.popleft()
        self._written(rows, entries)
        self._drop_rows(victims)
        # With the cap reached the rest waits for confirmations, not for this thread.
        return not self._group or bool(done)

    def _as_rows(self) -> tuple[list[Row], list[Entry]]:
        rows: list[Row] = []
        entries: list[Entry] = []
        for entry in self._group:
            row = as_row(self._spool.last_id + 1 + len(rows), entry[0])
            rows.append(row)
            entries.append(entry)
        return rows, entries

    def _make_room(self, size: int) -> list[Row] | None:
        """Return the rows to delete so that `size` bytes fit under the cap; None: wait instead."""
        over = self._spool.bytes + size - self._max_bytes
        if over <= 0 or not size:
            return []
        if self._front.on_full in (Overflow.DROP_OLDEST, Overflow.DROP_LOWEST):
            lowest = self._front.on_full is Overflow.DROP_LOWEST
            return self._spool.victims(self._loaded, over, lowest=lowest)
        if not self._done and not self._complained:
            self._complained = True
            log.warning("%s: %s has reached its cap of %d bytes", self._name, self._spool.path, self._max_bytes)
        return None

    def _written(self, rows: list[Row], entries: list[Entry]) -> None:
        if not rows:
            return
        self._group = []
        self._committed += len(entries)
        self._front.settle(entries)
        for row, (_, _, seq, mark) in zip(rows, entries, strict=True):
            if mark is not None:
                if mark.until_delivered:
                    self._origins[row.id] = (mark, seq)
                else:
                    mark.release(seq)
        if self._loaded == rows[0].id - 1:
            # Nothing older is only on disk: hand them on without reading them back.
            room = self.capacity - self._depth()
            for row, entry in list(zip(rows, entries, strict=True))[: max(0, room)]:
                super().offer(entry[0], row.id, self._rows)
                self._loaded = row.id

    def _drop_rows(self, victims: list[Row]) -> None:
        for row in victims:
            self._evicted += 1
            self._front.count_dropped("overflow")
            if self._on_drop is not None:
                self._on_drop(as_item(row), "overflow")
            self._release(row.id)

    def _can_fill(self) -> bool:
        return self._loaded < self._spool.last_id and self._depth() <= self.capacity // 2

    def _fill(self) -> None:
        """Read on from the file, in order, until the window is full."""
        if not self._can_fill():
            return
        rows = self._spool.load(self._loaded, self.capacity - self._depth())
        if not rows:
            self._loaded = self._spool.last_id
        for row in rows:
            super().offer(as_item(row), row.id, self._rows)
            self._loaded = row.id

    def _row_done(self, row_id: int) -> None:
        self._done.append(row_id)
        self._release(row_id)

    def _release(self, row_id: int) -> None:
        origin = self._origins.pop(row_id, None)
        if origin is not None:
            mark, seq = origin
            mark.release(seq)


# How long the end of a sink waits for its spool, in seconds.
_END = 10.0


def as_row(row_id: int, item: Alert | Formatted) -> Row:
    """Return what is kept of an alert, formatted or not."""
    alert = item.alert if isinstance(item, Formatted) else item
    text = JSON.render(alert)
    data = content_type = None
    if isinstance(item, Formatted):
        data = b"" if item.data == text else item.data
        content_type = item.content_type
    return Row(row_id, int(alert.priority), time.time(), 0, text, data, content_type)


def as_item(row: Row) -> Alert | Formatted:
    """Return the alert, formatted if it was."""
    alert = parse(row.alert)
    if row.content_type is None:
        return alert
    return Formatted(alert, row.data or row.alert, row.content_type)
