"""The spool: a sink's backlog on disk, in one SQLite file that one process, one thread and one connection use.

WAL with synchronous=FULL: what `commit` has returned for survives a crash of the process and of the machine. One
connection only: two meet a WAL-reset corruption before SQLite 3.51.3. Nothing here knows of threads or mailboxes.
"""

from __future__ import annotations

import contextlib
import heapq
import logging
import os
import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from rxalerts.errors import SinkError
from rxalerts.flow.database import Lock, check_log, connect, is_damage, migrate, salvage, same_file, set_aside
from rxalerts.flow.rows import NAMES, Row, insert

log = logging.getLogger("rxalerts")

# Version 1 is the first schema. To change it, append what leads from one version to the next.
MIGRATIONS: list[str] = [
    """
    CREATE TABLE alerts (
        id INTEGER PRIMARY KEY,
        priority INTEGER NOT NULL,
        at REAL NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        next_at REAL NOT NULL DEFAULT 0,
        alert BLOB NOT NULL,
        data BLOB,
        content_type TEXT
    );
    CREATE TABLE totals (count INTEGER NOT NULL, bytes INTEGER NOT NULL, last_id INTEGER NOT NULL);
    INSERT INTO totals VALUES (0, 0, 0)
    """,
]

# Alerts of half a KiB and more waste less of such a page than of a usual one, and there are fewer to copy.
_PAGE_SIZE = 8192

# Checkpoints fold the log back into the file, every 32 MB; without a limit it would stay as large as it ever was.
_PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "wal_autocheckpoint = 4000",
    "journal_size_limit = 33554432",
)


# What is left of a file system when the file has stopped growing, in bytes: for deleting what was delivered, and for
# the log of what takes its place.
_RESERVE = 1 << 19
# What a transaction may take of the log beside its rows: the pages that it touches, however little it changes there.
_TOUCHED = 8 * _PAGE_SIZE
# What an empty file takes, with its log, and some more.
_LITTLE = 24 * _PAGE_SIZE
# For how many seconds a look at the free space counts: each one may have to wait for the interpreter's lock.
_TRUST = 1.0
_FREE_PAGES = ("freelist_count", "page_size")


class Spool:
    """One sink's file.

    Arguments:
        path: the file; its folder is made with mode 0700, the file has mode 0600: alerts tell secrets.

    Raises SinkError, naming the other process, when the file is in use, or when it cannot be used.
    A file that is no database any more is set aside as `<path>.corrupt-<time>`, reported, and what can still be
    read of it is taken over.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.count = 0
        self.bytes = 0
        self.last_id = 0
        self.transactions = 0
        self._looked, self._spare = -_TRUST, 0
        self._lock = Lock(lock_path(path))
        try:
            self._connection = self._open()
        except BaseException:
            self._lock.close()
            raise

    def _open(self) -> sqlite3.Connection:
        try:
            check_log(self.path)
            connection = self._connect()
            self._read_totals(connection)
            return connection
        except sqlite3.Error as error:
            if is_damage(error, opening=True):
                with contextlib.suppress(sqlite3.Error):
                    self.replace(error)
                    return self._connection
            raise SinkError(f"{self.path}: cannot be opened: {error}; is there space, and is it ours?") from error

    def _connect(self, page_size: int = _PAGE_SIZE) -> sqlite3.Connection:
        pragmas = (f"page_size = {page_size}", *_PRAGMAS)
        connection = connect(self.path, MIGRATIONS, f"{_COLUMNS} ORDER BY id LIMIT 1", pragmas=pragmas)
        self._places = {name: os.stat(name) for name in (self.path, f"{self.path}-wal") if os.path.exists(name)}
        return connection

    @property
    def in_place(self) -> bool:
        """Whether the file is where it was: one that was removed is gone with this process, and nobody would know."""
        return all(same_file(name, status) for name, status in self._places.items())

    def restore(self) -> None:
        """Put a file with all that ours holds in the place that it was taken from; what is there now is set aside.

        Raises SinkError, OSError or sqlite3.Error when that cannot be.
        """
        if not self._lock.in_place:
            removed, self._lock = self._lock, Lock(lock_path(self.path))
            removed.close()
        places = self._places
        if os.path.lexists(self.path):
            log.error("%s: is not what it was: set aside as %s", self.path, set_aside(self.path))
        # What is left of ours the new file must not share.
        self._unlink()
        # The copy of a file that an earlier version made has its pages.
        page_size = self._connection.execute("PRAGMA page_size").fetchone()[0]
        connection: sqlite3.Connection | None = None
        try:
            connection = self._connect(page_size)
            self._connection.backup(connection)
        except BaseException:
            if connection is not None:
                connection.close()
            # Half of it would take the space that the next attempt needs.
            self._unlink()
            self._places = places
            raise
        self._connection.close()
        self._connection = connection
        level = logging.ERROR if self.count else logging.WARNING
        log.log(level, "%s: written anew, with %d alerts", self.path, self.count)

    def _read_totals(self, connection: sqlite3.Connection) -> None:
        totals = connection.execute("SELECT count, bytes, last_id FROM totals").fetchone()
        if totals is None:
            raise sqlite3.DatabaseError("its totals are missing")
        self.count, self.bytes, self.last_id = totals

    def replace(self, error: Exception) -> set[int]:
        """Set a broken file aside, begin a new one, and save what can be read; returns the ids that were saved.

        Raises sqlite3.Error when the new file cannot be written either.
        """
        with contextlib.suppress(AttributeError, sqlite3.Error):
            self._connection.close()
        aside = set_aside(self.path)
        self._connection = self._connect()
        saved = sorted(_sound(salvage(aside, "alerts", NAMES, _LAST).values()))
        self.count, self.bytes, self.last_id = 0, 0, max([self.last_id, *(row.id for row in saved)])
        self.commit(saved, {})
        log.error(
            "%s: damaged (%s): set aside as %s; %d alerts were saved from it", self.path, error, aside, len(saved)
        )
        return {row.id for row in saved}

    def commit(
        self, rows: Sequence[Row], deleted: Mapping[int, int], failed: Sequence[tuple[int, float]] = ()
    ) -> None:
        """Write new rows, delete finished ones and note failed attempts, all or nothing.

        Arguments:
            rows: with ids above `last_id`, ascending.
            deleted: ids of rows that were delivered or given up, each with its size.
            failed: ids of rows whose attempt failed, and when the next one is due (epoch seconds).
        Raises sqlite3.Error when nothing of it was done, for example because the disk is full.
        """
        connection = self._connection
        added = sum(row.size for row in rows)
        count, size = self.count + len(rows), self.bytes + added - sum(deleted.values())
        last_id = max(rows[-1].id, self.last_id) if rows else self.last_id
        self.transactions += 1
        self._spare -= added + _TOUCHED
        try:
            connection.execute("BEGIN IMMEDIATE")
            insert(connection, rows)
            for first, last in ranges(deleted):
                count -= connection.execute("DELETE FROM alerts WHERE id BETWEEN ? AND ?", (first, last)).rowcount
            # No statement more than there must be: after each one the interpreter's lock has to be waited for.
            if failed:
                connection.executemany(
                    "UPDATE alerts SET attempts = attempts + 1, next_at = ? WHERE id = ?",
                    [(next_at, row_id) for row_id, next_at in failed],
                )
            size = max(0, size) if count else 0
            connection.execute("UPDATE totals SET count = ?, bytes = ?, last_id = ?", (count, size, last_id))
            connection.execute("COMMIT")
        except sqlite3.Error:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        self.count, self.bytes, self.last_id = count, size, last_id

    def load(self, after: int, limit: int) -> list[Row]:
        """Return up to `limit` rows with ids above `after`, oldest first."""
        return [Row(*row) for row in self._connection.execute(_SELECT, (after, limit))]

    def victims(self, after: int, new: Sequence[Row], size: int, *, lowest: bool) -> list[Row]:
        """Return what to drop so that `size` bytes become free.

        Arguments:
            after: only rows above this id can go; what is older is on its way out.
            new: rows that are about to be written, which may be dropped as well.
            lowest: the least urgent go first, and of these the oldest; false: the oldest.
        """
        if lowest:
            self._connection.execute("CREATE INDEX IF NOT EXISTS urgency ON alerts (priority DESC, id)")
        order = "priority DESC, id" if lowest else "id"
        stored = (Row(*row) for row in self._connection.execute(f"{_COLUMNS} WHERE id > ? ORDER BY {order}", (after,)))

        def key(row: Row) -> tuple[int, int]:
            return (-row.priority if lowest else 0, row.id)

        found: list[Row] = []
        for row in heapq.merge(stored, sorted(new, key=key), key=key):
            if size <= 0:
                break
            found.append(row)
            size -= row.size
        return found

    def oldest(self) -> float | None:
        """Return when the oldest alert came (epoch seconds)."""
        row = self._connection.execute("SELECT at FROM alerts ORDER BY id LIMIT 1").fetchone()
        return None if row is None else row[0]

    def due(self) -> float:
        """Return when the next attempt is due that was put off before the last end (epoch seconds, 0: now)."""
        row = self._connection.execute("SELECT next_at FROM alerts ORDER BY id LIMIT 1").fetchone()
        return 0.0 if row is None else row[0]

    def space(self, wanted: int) -> int:
        """Return how many bytes of alerts may be written so that the log can still be folded back into the file.

        A log that has taken the last byte never could: folding takes space first, and gives it back afterwards.
        What a look has found is taken as it is for a moment, down to half of it.
        """
        now = time.monotonic()
        if now < self._looked + _TRUST and wanted <= self._spare:
            return wanted
        try:
            space = self._space(wanted)
            if space < wanted:
                self.relieve()
                space = self._space(wanted)
        except OSError:
            # The folder is gone: SQLite will say so.
            return wanted
        self._looked, self._spare = now, space // 2
        return space

    def _space(self, wanted: int) -> int:
        free = _free_bytes(self.path) - _file_size(f"{self.path}-wal")
        # Whatever is written stands in the log and then in the file, in pages that are not quite full.
        space = (free - _RESERVE) // 3
        if space < wanted:
            # What goes into pages that were given back makes the log longer, but not the file.
            pages, size = (self._connection.execute(f"PRAGMA {what}").fetchone()[0] for what in _FREE_PAGES)
            space = max(space, min(pages * size, free - _RESERVE // 4) // 2)
        return max(0, space)

    def relieve(self) -> None:
        """Fold the log back into the file, which gives back the space of old versions of its pages."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def clear(self, done: Collection[int]) -> bool:
        """Remove the file, if all of its alerts are `done`; `restore` makes another one.

        Returns false when others are in it, or it would give nothing back.
        """
        if self.count > len(done) or sum(map(_file_size, self._names)) < _LITTLE:
            return False
        if not {row_id for (row_id,) in self._connection.execute("SELECT id FROM alerts")}.issubset(done):
            return False
        self._connection.close()
        self._unlink()
        self.count = self.bytes = 0
        self._looked = -_TRUST
        self._connection = self._in_memory()
        return True

    def _in_memory(self) -> sqlite3.Connection:
        """Return an empty database that goes on with the ids."""
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        connection.execute(f"PRAGMA page_size = {_PAGE_SIZE}")
        migrate(connection, MIGRATIONS)
        connection.execute("UPDATE totals SET last_id = ?", (self.last_id,))
        return connection

    @property
    def _names(self) -> tuple[str, ...]:
        return (self.path, f"{self.path}-wal", f"{self.path}-shm")

    def _unlink(self) -> None:
        for name in self._names:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)

    def close(self) -> None:
        """Close the file and let others have it."""
        try:
            self._connection.close()
        finally:
            self._lock.close()

    def forked(self) -> None:
        """Let go of the lock in a forked child, and leave the file alone: it is the parent's."""
        _parents.append(self._connection)
        self._lock.close()


# Connections of a parent process: closing one here would disturb the parent.
_parents: list[Any] = []

_COLUMNS = f"SELECT {NAMES} FROM alerts"
_SELECT = f"{_COLUMNS} WHERE id > ? ORDER BY id LIMIT ?"
_LAST = ("SELECT last_id FROM totals", "SELECT id FROM alerts ORDER BY id DESC LIMIT 1", "SELECT max(id) FROM alerts")


def _free_bytes(path: str) -> int:
    status = os.statvfs(os.path.dirname(path) or ".")
    return status.f_bavail * status.f_frsize


def _file_size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def lock_path(path: str) -> str:
    """Return the lock of the sink whose spool or dead letters are at `path`.

    >>> lock_path("/spool/http.spool"), lock_path("/spool/http.dead")
    ('/spool/http.lock', '/spool/http.lock')
    """
    return f"{os.path.splitext(path)[0]}.lock"


def _sound(rows: Iterable[tuple[Any, ...]]) -> Iterator[Row]:
    """Yield those rows of a broken file that are what they should be."""
    kinds: tuple[Any, ...] = (int, int, float, int, bytes, (bytes, type(None)), (str, type(None)))
    for row in rows:
        sound = row[0] > 0 and all(isinstance(value, kind) for value, kind in zip(row, kinds, strict=True))
        if sound and row[4][:1] == b"{" and row[4][-1:] == b"}":
            yield Row(*row)


def ranges(ids: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield the ids as ranges without gaps.

    >>> list(ranges([3, 1, 2, 7]))
    [(1, 3), (7, 7)]
    """
    ordered = sorted(ids)
    if not ordered:
        return
    first = ordered[0]
    for one, other in pairwise(ordered):
        if other != one + 1:
            yield first, one
            first = other
    yield first, ordered[-1]
