"""The consumer's end of a durable mailbox: what of the spool is ready in memory for its sink."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from rxalerts.errors import AlertError
from rxalerts.flow.mailbox import Entry, Mailbox
from rxalerts.flow.rows import Row, as_item
from rxalerts.flow.scope import Mark
from rxalerts.flow.spool import Spool

log = logging.getLogger("rxalerts")

# The most alerts that one transaction writes, and that are read at a time.
GROUP = 1000


class _Rows:
    """The mark of every entry in the back that is in the file: releasing it means that the sink is done with it."""

    until_delivered = True

    def __init__(self, done: Callable[[int], None]) -> None:
        self._done = done

    def hold(self, seq: int) -> None:
        """Rows are held by being in the file."""

    def release(self, seq: int) -> None:
        self._done(seq)


class Window(Mailbox):
    """A mailbox that is filled from a spool, in order.

    Arguments:
        capacity: how many alerts are kept ready.
        spool: where they come from.
        front: where alerts are that are not in the spool yet; it counts what is dropped of them, too.
        bound: how many may be with the sink, or delivered and not deleted from disk yet.
        name: for log lines.
        on_drop, clock: as for `Mailbox`.
    """

    def __init__(
        self,
        capacity: int,
        spool: Spool,
        front: Mailbox,
        *,
        bound: int,
        name: str,
        on_drop: Callable[[Any, str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(capacity, clock=clock, on_drop=on_drop)
        self._awaited = True
        self._name = name
        self._bound = bound
        self._spool = spool
        self._front = front
        self._rows = _Rows(self._row_done)
        self._done: deque[int] = deque()
        # The sizes of the rows that are in the window or awaited, and who wants to know when one is delivered.
        self._sizes: dict[int, int] = {}
        self._marks: dict[int, tuple[Mark, int]] = {}
        self._earlier: dict[int, int] = {}
        self._doomed: dict[int, int] = {}
        self._evicted: int = 0
        self._loaded = 0
        self._stuck = False
        self._ending = False

    @property
    def spooled(self) -> int:
        """How many alerts are on disk."""
        return max(0, self._spool.count - len(self._done) - len(self._doomed))

    def _has_mail(self, control_only: bool) -> bool:
        return bool(self._control) or (not control_only and len(self._queue) > 0 and self._room_in_bound > 0)

    @property
    def _room_in_bound(self) -> int:
        # A disk that takes no deletions must not keep the backlog from going out.
        return self._bound if self._stuck else self._bound - self._in_hand - len(self._done)

    def _resume(self) -> None:
        """Wake the sink, which may have waited for a transaction."""
        with self._lock:
            waker = self._wake() if self._waker is not None and len(self._queue) else None
        if waker is not None:
            waker()

    def _queue_items(self) -> list[Entry]:
        return list(self._fifo or ())

    def _drop(self, item: Any, row_id: int, reason: str) -> None:
        """Count a stored alert as dropped, and release who waits for it."""
        self._front.count_dropped(reason)
        if self._on_drop is not None:
            self._on_drop(item, reason)
        self._sizes.pop(row_id, None)
        self._release(row_id)

    def _release(self, row_id: int) -> None:
        """Tell whoever waits for a stored alert that it is done."""
        held = self._marks.pop(row_id, None)
        if held is not None:
            held[0].release(held[1])

    def _hand_on(self, items: list[tuple[Any, int]]) -> None:
        """Put items with their rows' ids into the window."""
        if not items:
            return
        waker = None
        with self._lock:
            self._entered += len(items)
            now, rows, append = self._clock(), self._rows, self._queue.append
            for item, row_id in items:
                append((item, now, row_id, rows))
            if self._waker is not None:
                waker = self._wake()
        self._loaded = max(self._loaded, items[-1][1])
        if waker is not None:
            waker()

    def _can_fill(self) -> bool:
        return self._loaded < self._spool.last_id and self._depth() <= self.capacity // 2 and not self._ending

    def _fill(self) -> bool:
        """Read on from the file, in order, until the window is full."""
        if not self._can_fill():
            return True
        # In pieces, so that the sink has something to do while the rest is read.
        rows = self._spool.load(self._loaded, max(1, min(GROUP, self.capacity - self._depth())))
        if not rows:
            self._loaded = self._spool.last_id
        ready: list[tuple[Any, int]] = []
        for row in rows:
            self._sizes[row.id] = row.size
            if row.attempts:
                self._earlier[row.id] = row.attempts
            item = self._item_of(row)
            if item is None:
                self._lost_row(row)
            else:
                ready.append((item, row.id))
        self._hand_on(ready)
        return True

    def _item_of(self, row: Row) -> Any:
        """Return what is in a row; None, having told so, when its bytes are no alert any more."""
        try:
            return as_item(row)
        except (AlertError, ValueError):
            log.error("%s: %s: row %d is damaged and lost: %r", self._name, self._spool.path, row.id, row.alert[:200])
            return None

    def _lost_row(self, row: Row) -> None:
        """Give up a row whose bytes are no alert any more."""
        self._loaded = max(self._loaded, row.id)
        self._evicted += 1
        self._drop(row, row.id, "damaged")
        self._doomed[row.id] = row.size

    def _row_done(self, row_id: int) -> None:
        self._release(row_id)
        self._done.append(row_id)
