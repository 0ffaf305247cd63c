"""The other side of a durable mailbox: a thread that writes, deletes and reads, the only one to touch the file."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from rxalerts.errors import SinkError
from rxalerts.flow.database import is_damage, is_full
from rxalerts.flow.mailbox import Entry, Mailbox
from rxalerts.flow.overflow import Overflow
from rxalerts.flow.rows import Row, as_rows
from rxalerts.flow.scope import Mark
from rxalerts.flow.spool import Spool
from rxalerts.flow.spoolstatus import StatusFile
from rxalerts.flow.threads import ThreadShortage, start
from rxalerts.flow.window import GROUP, Window

log = logging.getLogger("rxalerts")

# How often it is looked whether the file is still there, in seconds: somebody may remove it.
_LOOK = 1.0

# Pause after a failed transaction, in seconds: a full disk must not keep the processor busy.
PAUSE = 0.5


class _Front(Mailbox):
    """The producers' end: every mark is held until the alert is on disk, at least."""

    def _held(self, mark: Mark, seq: int) -> Mark | None:
        mark.hold(seq)
        self._awaited = True
        return mark


class Spooling(Window):
    """What is behind a `DurableMailbox`, whose arguments these are: the front, the file, the window, and the thread."""

    def __init__(
        self,
        path: str,
        capacity: int,
        on_full: Overflow,
        *,
        bound: int,
        max_bytes: int,
        name: str,
        patience: float | None = None,
        then: Overflow = Overflow.DROP_NEWEST,
        on_drop: Callable[[Any, str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        front = _Front(capacity, on_full, patience=patience, then=then, on_drop=on_drop, clock=clock)
        super().__init__(capacity, Spool(path), front, bound=bound, name=name, on_drop=on_drop, clock=clock)
        self._max_bytes = max_bytes
        self._failures: deque[tuple[int, float]] = deque()
        self._group: list[Entry] = []
        self._committed = 0
        self._slipped: int = 0
        self._bell = threading.Event()
        self._broken = False
        self._complained = False
        self._look_at = 0.0
        self._warned_full = False
        self._waiting = False
        # The disk was full: what can be deleted is deleted first.
        self._tight = False
        self._end_lock = threading.Lock()
        self._gone = False
        self._callbacks: list[Callable[[], None]] = []
        self._status = StatusFile(path, self._spool)
        self._recovered = self._spool.count
        self._first_due = self._spool.due()
        if self._recovered:
            log.warning("%s: %d alerts from before are in the spool: they go first", name, self._recovered)
        self._thread = threading.Thread(target=self._live, name=f"rxalerts-spool-{name}", daemon=True)
        try:
            start(self._thread)
        except ThreadShortage as error:
            self._spool.close()
            raise SinkError(str(error)) from error

    def _live(self) -> None:
        try:
            while True:
                ending = self._ending
                worked = self._work()
                if ending and (not worked or not self._has_writing()):
                    break
                self._tried(self._tell_status)
                self._rest(worked)
        except Exception:
            log.exception("%s: the spool thread failed: the sink closes, what is on disk stays", self._name)
            self._broken = True
            self._front.close("failed")
        finally:
            self._leave()

    def _tell_status(self) -> bool:
        """Let `rxalerts spool status` know."""
        self._status.update(self._name)
        return True

    def _leave(self) -> None:
        """Count what could not be written, close the file, and tell who waits for the end."""
        group, self._group = self._group, []
        self._front.settle(group)
        count = self._front.forsake(group, "shutdown") + self._front.discard("shutdown")
        if count:
            log.error("%s: %d alerts could not be written to disk in time and are lost (shutdown)", self._name, count)
        self._look_at = 0.0
        if self._spool.count and not self._in_place():
            self._destroyed()
        try:
            self._status.update(self._name, final=True)
            self._spool.close()
        except Exception as error:
            log.error("%s: closing the spool: %s", self._name, error)
        with self._end_lock:
            self._gone = True
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def _destroyed(self) -> None:
        """Count what is gone with this process, because its file was removed and cannot be written anew."""
        count, self._spool.count = self.spooled, 0
        self._evicted += count
        for _ in range(count):
            self._front.count_dropped("removed")
        if count:
            log.error("%s: %s was removed: %d alerts that were in it are lost", self._name, self._spool.path, count)

    def _rest(self, worked: bool) -> None:
        """Wait for work; after a failure, for a while in any case."""
        if not worked:
            until = time.monotonic() + PAUSE
            while (left := until - time.monotonic()) > 0 and not self._ending and not (self._waiting and self._done):
                self._bell.clear()
                if not (self._can_fill() and self._tried(self._fill)):
                    self._bell.wait(left)
            return
        if self._has_work():
            return
        self._bell.clear()
        if self._front.arm(self._bell.set):
            if not self._has_work() and not self._ending:
                self._bell.wait(self._status.pause or (_LOOK if self._spool.count else None))
            self._front.disarm()

    def _has_writing(self) -> bool:
        return bool(self._group or self._front.waiting or self._done or self._failures or self._doomed)

    def _has_work(self) -> bool:
        return self._has_writing() or self._can_fill()

    def _work(self) -> bool:
        """One transaction and one look at the window; false when something failed and has to be tried again."""
        if not self._in_place():
            self._tried(self._fill)
            return False
        worked = self._tried(self._write) if self._has_writing() else True
        # What is on disk goes out even when nothing can be written there.
        return self._tried(self._fill) and worked

    def _in_place(self) -> bool:
        """See to it, once in a while, that the file is where the next start will look for it."""
        now = time.monotonic()
        if now < self._look_at:
            return True
        if self._spool.in_place:
            self._look_at = now + _LOOK
            return True
        try:
            self._spool.restore()
        except (OSError, SinkError, sqlite3.Error) as error:
            self._fail_to_write(error)
            return False
        return True

    def _tried(self, step: Callable[[], bool]) -> bool:
        try:
            worked = step()
        except sqlite3.Error as error:
            try:
                return self._mend(error)
            except (sqlite3.Error, OSError, SinkError) as again:
                self._fail_to_write(again)
                return False
        except (OSError, SinkError) as error:
            self._fail_to_write(error)
            return False
        if worked and step == self._write and not self._waiting:
            self._complained = False
        return worked

    def _fail_to_write(self, error: Exception) -> None:
        """Say so, and let the sink go on without its deliveries being noted."""
        self._complain(error)
        self._stuck = True
        self._resume()

    def _complain(self, error: Exception | str) -> None:
        """Say once what is wrong, until it is over."""
        if not self._complained:
            self._complained = True
            log.error("%s: %s: %s; the source waits until it can be used", self._name, self._spool.path, error)

    def _warn_full(self) -> None:
        if not self._warned_full:
            self._warned_full = True
            log.warning(
                "%s: %s has reached its cap of %d bytes (on_full: %s)",
                self._name,
                self._spool.path,
                self._max_bytes,
                self._front.on_full,
            )

    def _write(self) -> bool:
        """One transaction; false when the cap is reached, and nothing of the group could be written."""
        if not self._group:
            self._group = self._front.take(GROUP)
        done, failures = list(self._done), list(self._failures)
        entries = [] if self._tight and (done or failures or self._doomed) else list(self._group)
        first = self._spool.last_id + 1
        now = time.time()
        rows, sizes = as_rows(first, [entry[0] for entry in entries], now)
        freed = {row_id: self._sizes.get(row_id, 0) for row_id in done}
        if self._doomed:
            freed |= self._doomed
        room = self._max_bytes - self._spool.bytes + sum(freed.values())
        size = sum(sizes)
        refused: set[int] = set()
        self._waiting = False
        if self._spool.bytes < self._max_bytes // 2:
            self._warned_full = False
        if rows and size > room and not self._ending:
            self._warn_full()
            if self._front.on_full in (Overflow.DROP_OLDEST, Overflow.DROP_LOWEST):
                refused = self._make_room(rows, size - room)
                freed |= self._doomed
            else:
                rows = self._fitting(rows, room, alone=self._spool.count <= len(freed))
                entries = entries[: len(rows)]
                self._waiting = not rows
        if len(rows) < len(sizes) or refused:
            size = sum(row.size for row in rows if row.id not in refused)
        if rows and not self._ending and size > (space := self._spool.space(size)):
            rows = self._fitting(rows, space, alone=False)
            entries = entries[: len(rows)]
            if not rows:
                self._waiting = True
                self._complain("the file system is nearly full")
                if self._begun_anew():
                    return True
        written = [row for row in rows if row.id not in refused] if refused else rows
        if written or freed or failures:
            self._spool.commit(written, freed, failures)
        self._noted(len(done), len(failures))
        self._written(rows, sizes, entries, refused)
        return not self._waiting or bool(freed)

    def _noted(self, done: int, failures: int) -> None:
        """Forget the first of what was done and of what failed: it is noted on disk."""
        for _ in range(done):
            row_id = self._done.popleft()
            self._sizes.pop(row_id, None)
            if self._earlier:
                self._earlier.pop(row_id, None)
        for _ in range(failures):
            self._failures.popleft()
        self._doomed = {}
        self._stuck = self._tight = False
        if done:
            self._resume()

    def _begun_anew(self) -> bool:
        """Where there is no space to delete anything, and everything is done: leave the file, and begin another one."""
        done, failures = list(self._done), len(self._failures)
        if not self._spool.clear({*done, *self._doomed}):
            return False
        self._noted(len(done), failures)
        # If this fails, it is seen at once that the file is not in its place, and nothing is written before it is.
        self._look_at = 0.0
        self._spool.restore()
        return True

    @staticmethod
    def _fitting(rows: list[Row], room: int, *, alone: bool) -> list[Row]:
        """Return the first of `rows` that go into `room` bytes; if they would be `alone`, one in any case."""
        count = 0
        for row in rows:
            room -= row.size
            if room < 0:
                break
            count += 1
        return rows[: max(count, 1 if alone else 0)]

    def _make_room(self, rows: list[Row], over: int) -> set[int]:
        """Drop what the policy says until `over` bytes are free; returns which of `rows` are not to be written."""
        lowest = self._front.on_full is Overflow.DROP_LOWEST
        with self._lock:
            # What waits in the window may go; what the sink has in its hands may not.
            after = next((entry[2] - 1 for entry in self._queue_items() if entry[3] is self._rows), self._loaded)
            victims = self._spool.victims(after, rows, over, lowest=lowest)
            stored = {row.id for row in victims if row.id < rows[0].id}
            window = [entry for entry in self._queue_items() if entry[3] is not self._rows or entry[2] not in stored]
            self._entered -= len(self._queue) - len(window)
            self._queue.clear()
            for entry in window:
                self._queue.append(entry)
        self._doomed |= {row.id: row.size for row in victims if row.id in stored}
        for row in victims:
            if row.id in stored:
                self._evicted += 1
                self._drop(self._item_of(row) or row, row.id, "overflow")
        return {row.id for row in victims} - stored

    def _written(self, rows: list[Row], sizes: list[int], entries: list[Entry], refused: set[int]) -> None:
        if not rows:
            return
        del self._group[: len(entries)]
        self._committed += len(entries)
        # Nothing older is only on disk: hand them on without reading them back.
        straight = self._loaded == rows[0].id - 1
        room = self.capacity - self._depth()
        released: list[tuple[Mark, int]] = []
        ready: list[tuple[Any, int]] = []
        if straight and room >= len(rows) and not refused and not any([entry[3] for entry in entries]):
            # As below, for what nobody waits for and all of which finds room.
            ids = range(rows[0].id, rows[0].id + len(rows))
            self._sizes.update(zip(ids, sizes, strict=False))
            self._hand_on([(entry[0], row_id) for entry, row_id in zip(entries, ids, strict=True)])
            self._front.settle(entries)
            return
        for row, (item, _, seq, mark) in zip(rows, entries, strict=True):
            if row.id in refused:
                self._evicted += 1
                if mark is not None:
                    self._marks[row.id] = (mark, seq)
                self._drop(item, row.id, "overflow")
                continue
            if mark is not None and not mark.until_delivered:
                released.append((mark, seq))
                mark = None
            if mark is not None:
                self._marks[row.id] = (mark, seq)
            if straight and room > 0:
                room -= 1
                self._sizes[row.id] = row.size
                ready.append((item, row.id))
            elif mark is not None:
                self._sizes[row.id] = row.size
        self._hand_on(ready)
        self._front.settle(entries)
        for mark, seq in released:
            mark.release(seq)

    def _mend(self, error: sqlite3.Error) -> bool:
        """Replace the file if it is damaged, or full and of no use any more; false when it has to be tried again."""
        if not is_damage(error):
            self._fail_to_write(error)
            # If the disk is full, some of it may be ours to give back; deleting by itself takes less than with writing.
            self._spool.relieve()
            self._tight = True
            return is_full(error) and self._begun_anew()
        before = self._spool.count
        saved = self._spool.replace(error)
        with self._lock:
            hidden = {row_id for row_id in self._sizes if row_id <= self._loaded} - saved
        lost = max(0, before - len(saved) - len(hidden))
        if lost:
            self._evicted += lost
            for _ in range(lost):
                self._front.count_dropped("damaged")
            log.error("%s: %d alerts were lost in the damaged file", self._name, lost)
        for row_id in [row_id for row_id in self._sizes if row_id > self._loaded and row_id not in saved]:
            del self._sizes[row_id]
            self._release(row_id)
        return True
