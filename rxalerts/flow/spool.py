"""The spool: a sink's backlog on disk, in one SQLite file that one process, one thread and one connection use.

WAL with synchronous=FULL: what `commit` has returned for survives a crash of the process and of the machine. One
connection only: two meet a WAL-reset corruption before SQLite 3.51.3. Nothing here knows of threads or mailboxes.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import IO, NamedTuple

from rxalerts.errors import SinkError

log = logging.getLogger("rxalerts")

# Version 1 is the first schema. To change it, append what leads from one version to the next.
_MIGRATIONS: tuple[str, ...] = (
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
    INSERT INTO totals VALUES (0, 0, 0);
    """,
)


class Row(NamedTuple):
    """One alert in the spool: its JSON, and its rendering if it was formatted before (b"" means: the same)."""

    id: int
    priority: int
    at: float
    attempts: int
    alert: bytes
    data: bytes | None
    content_type: str | None

    @property
    def size(self) -> int:
        """What the row counts against the cap, in bytes."""
        return len(self.alert) + len(self.data or b"") + _OVERHEAD


# What a row costs beside its payload, roughly, in bytes.
_OVERHEAD = 64


class Spool:
    """One sink's file.

    Arguments:
        path: the file; its folder is made with mode 0700, the file has mode 0600: alerts tell secrets.

    Raises SinkError, naming the other process, when the file is in use, or its folder cannot be used.
    A file that is no database any more is set aside as `<path>.corrupt-<time>`, reported, and what can still be
    read of it is taken over.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._lock = _lock(path)
        try:
            self._connection = self._open()
        except BaseException:
            self._lock.close()
            raise
        count, size, last_id = self._connection.execute("SELECT count, bytes, last_id FROM totals").fetchone()
        self.count: int = count
        self.bytes: int = size
        self.last_id: int = last_id

    def _open(self) -> sqlite3.Connection:
        try:
            return _connect(self.path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) and "full" in str(error):
                raise SinkError(f"{self.path}: cannot be opened: {error}; free some space") from error
            return self._replace(error)

    def _replace(self, error: Exception) -> sqlite3.Connection:
        """Set a corrupted file aside, begin a new one, and save what can be read."""
        aside = f"{self.path}.corrupt-{time.strftime('%Y%m%dT%H%M%S')}"
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.rename(self.path + suffix, aside + suffix)
        connection = _connect(self.path)
        rows = list(_salvage(aside))
        with connection:
            connection.executemany(_INSERT, rows)
            size = sum(Row(*row).size for row in rows)
            last = max((row[0] for row in rows), default=0)
            connection.execute("UPDATE totals SET count = ?, bytes = ?, last_id = ?", (len(rows), size, last))
        log.error(
            "%s: corrupted (%s): set aside as %s; %d alerts were saved from it", self.path, error, aside, len(rows)
        )
        return connection

    def commit(self, rows: Sequence[Row], deleted: Iterable[int], failed: Iterable[tuple[int, float]] = ()) -> None:
        """Write new rows, delete finished ones and note failed attempts, all or nothing.

        Arguments:
            rows: with ids above `last_id`, ascending.
            deleted: ids of rows that were delivered or given up.
            failed: ids of rows whose attempt failed, and when the next one is due (epoch seconds).
        Raises sqlite3.Error when nothing of it was done, for example because the disk is full.
        """
        connection = self._connection
        count, size = self.count + len(rows), self.bytes + sum(row.size for row in rows)
        last_id = rows[-1].id if rows else self.last_id
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(_INSERT, rows)
            for first, last in _ranges(deleted):
                gone, freed = connection.execute(_SUM, (_OVERHEAD, first, last)).fetchone()
                connection.execute("DELETE FROM alerts WHERE id BETWEEN ? AND ?", (first, last))
                count, size = count - gone, size - freed
            connection.executemany(
                "UPDATE alerts SET attempts = attempts + 1, next_at = ? WHERE id = ?",
                ((next_at, row_id) for row_id, next_at in failed),
            )
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

    def victims(self, after: int, size: int, *, lowest: bool) -> list[Row]:
        """Return the rows above `after` to drop so that `size` bytes become free: the oldest, or the least urgent."""
        if lowest:
            self._connection.execute("CREATE INDEX IF NOT EXISTS urgency ON alerts (priority DESC, id)")
        order = "priority DESC, id" if lowest else "id"
        found: list[Row] = []
        freed = 0
        for values in self._connection.execute(f"{_COLUMNS} WHERE id > ? ORDER BY {order}", (after,)):
            if freed >= size:
                break
            found.append(Row(*values))
            freed += found[-1].size
        return found

    def oldest(self) -> float | None:
        """Return when the oldest alert came (epoch seconds)."""
        row = self._connection.execute("SELECT at FROM alerts ORDER BY id LIMIT 1").fetchone()
        return None if row is None else row[0]

    def due(self) -> float:
        """Return when the next attempt is due that was put off before the last end (epoch seconds, 0: now)."""
        row = self._connection.execute("SELECT next_at FROM alerts ORDER BY id LIMIT 1").fetchone()
        return 0.0 if row is None else row[0]

    def close(self) -> None:
        """Close the file and let others have it."""
        self._connection.close()
        self._lock.close()


_COLUMNS = "SELECT id, priority, at, attempts, alert, data, content_type FROM alerts"
_SELECT = f"{_COLUMNS} WHERE id > ? ORDER BY id LIMIT ?"
_INSERT = "INSERT INTO alerts (id, priority, at, attempts, alert, data, content_type) VALUES (?, ?, ?, ?, ?, ?, ?)"
_SUM = (
    "SELECT count(*), coalesce(sum(length(alert) + length(coalesce(data, '')) + ?), 0)"
    " FROM alerts WHERE id BETWEEN ? AND ?"
)


def _connect(path: str) -> sqlite3.Connection:
    """Open or make the file and bring it to the newest schema."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        os.chmod(path, 0o600)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        # Checkpoints fold the log back into the file; without a limit it would stay as large as it ever was.
        connection.execute("PRAGMA journal_size_limit = 67108864")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > len(_MIGRATIONS):
            raise SinkError(
                f"{path}: written by a newer version of rxalerts (schema {version}, this one knows "
                f"{len(_MIGRATIONS)}): run that version, or move the file away"
            )
        for number, migration in enumerate(_MIGRATIONS[version:], version + 1):
            connection.executescript(f"BEGIN; {migration}; PRAGMA user_version = {number}; COMMIT;")
        connection.execute("SELECT count, bytes, last_id FROM totals").fetchone()
        connection.execute(f"{_COLUMNS} ORDER BY id LIMIT 1").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _salvage(path: str) -> Iterator[tuple[int, int, float, int, bytes, bytes | None, str | None]]:
    """Yield the rows of a damaged file that can still be read, from both ends towards the damage."""
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    except sqlite3.Error:
        return
    seen: set[int] = set()
    with contextlib.closing(connection):
        for direction in ("ASC", "DESC"):
            try:
                for row in connection.execute(f"{_COLUMNS} ORDER BY id {direction}"):
                    if row[0] in seen:
                        break
                    seen.add(row[0])
                    yield row
            except sqlite3.Error as error:
                log.debug("%s: %s", path, error)


def _ranges(ids: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield the ids as ranges without gaps.

    >>> list(_ranges([3, 1, 2, 7]))
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


def _lock(path: str) -> IO[str]:
    """Take the file for this process; it is let go when the process ends, however it ends."""
    folder = os.path.dirname(path) or "."
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        lock = open(f"{path}.lock", "a+", opener=_private)
    except OSError as error:
        raise SinkError(f"{folder}: cannot keep a spool here: {error.strerror}; set spool_dir") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.seek(0)
        owner = lock.read().strip() or "unknown"
        lock.close()
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise
        raise SinkError(
            f"{path}: in use by another process (pid {owner}): stop it, or give this sink another name or spool_dir"
        ) from None
    lock.seek(0)
    lock.truncate()
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
