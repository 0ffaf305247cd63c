"""The dead letters of a sink, kept on disk until somebody has looked at them.

A file of its own, in rollback-journal mode and opened for each operation, so that `rxalerts dead` may use it while
the sink runs: the spool itself allows one connection only.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from rxalerts.alert import Alert
from rxalerts.flow.database import connect, is_damage, make_folder, salvage, set_aside
from rxalerts.format import JSON, Formatted
from rxalerts.wire import parse

log = logging.getLogger("rxalerts")

MIGRATIONS: list[str] = [
    """
    CREATE TABLE letters (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        alert BLOB NOT NULL,
        data BLOB,
        content_type TEXT,
        reason TEXT NOT NULL,
        detail TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        first REAL NOT NULL,
        last REAL NOT NULL,
        wanted INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX wanted ON letters (id) WHERE wanted;
    CREATE TABLE counts (what TEXT PRIMARY KEY, number INTEGER NOT NULL)
    """,
]

_PRAGMAS = ("journal_mode = DELETE", "synchronous = FULL", "secure_delete = ON")
_NAMES = "id, alert, data, content_type, reason, detail, attempts, first, last, wanted"
_SIZE = "length(alert) + length(coalesce(data, '')) + 128"

_LAST = ("SELECT seq FROM sqlite_sequence WHERE name = 'letters'", "SELECT id FROM letters ORDER BY id DESC LIMIT 1")

# Why letters were removed without having been delivered.
PURGES = ("size", "age", "asked")


class Letter(NamedTuple):
    """A dead letter as it is stored; `wanted` says that it is to be sent again. Times are epoch seconds."""

    id: int
    alert: bytes
    data: bytes | None
    content_type: str | None
    reason: str
    detail: str
    attempts: int
    first: float
    last: float
    wanted: int

    @property
    def item(self) -> Alert | Formatted:
        """The alert, formatted if it was."""
        alert = parse(self.alert)
        if self.content_type is None:
            return alert
        return Formatted(alert, self.data or self.alert, self.content_type)

    @property
    def size(self) -> int:
        """What it counts against the limit, in bytes."""
        return len(self.alert) + len(self.data or b"") + 128


def letter_for(
    item: Alert | Formatted, reason: str, detail: str, attempts: int, first: float, last: float, number: int = 0
) -> Letter:
    """Return a letter for an alert; `number` is the one that it had before, if it failed again."""
    alert = item.alert if isinstance(item, Formatted) else item
    text = JSON.render(alert)
    data = content_type = None
    if isinstance(item, Formatted):
        data = b"" if item.data == text else item.data
        content_type = item.content_type
    return Letter(number, text, data, content_type, reason, detail, attempts, first, last, 0)


@dataclass(frozen=True)
class DeadLetters:
    """One sink's store.

    Arguments:
        path: the file, made when the first letter comes, with mode 0600.
        max_bytes: beyond that the oldest letters go, and are counted; None: no limit.
        max_age: seconds after the last try after which a letter goes, and is counted; None: no limit.

    Every method is one transaction and raises sqlite3.Error when nothing of it was done. A file that is no database
    is set aside, and what can be read of it is taken over.

    >>> import tempfile
    >>> store = DeadLetters(os.path.join(tempfile.mkdtemp(), "http.dead"))
    >>> store.change(added=[letter_for(Alert("r"), "rejected", "HTTP 400", 1, 0.0, 0.0)])
    >>> [(letter.id, letter.reason) for letter in store.select()]
    [(1, 'rejected')]
    """

    path: str
    max_bytes: int | None = None
    max_age: float | None = None

    def change(
        self,
        added: Sequence[Letter] = (),
        again: Sequence[Letter] = (),
        delivered: Iterable[int] = (),
        unkept: int = 0,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Add letters, update those that failed again, remove what was delivered, and keep the limits.

        Arguments:
            unkept: how many there were besides that could not be kept: counted.
        """
        with self._transaction() as connection:
            connection.executemany(
                "INSERT INTO letters (alert, data, content_type, reason, detail, attempts, first, last)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (letter[1:9] for letter in added),
            )
            connection.executemany(
                "UPDATE letters SET reason = ?, detail = ?, attempts = attempts + ?, last = ?, wanted = 0 WHERE id = ?",
                ((each.reason, each.detail, each.attempts, each.last, each.id) for each in again),
            )
            gone = connection.executemany("DELETE FROM letters WHERE id = ?", ((number,) for number in delivered))
            _count(connection, "delivered", max(0, gone.rowcount))
            _count(connection, "unkept", unkept)
            _count(connection, "bytes", sum(letter.size for letter in added))
            if gone.rowcount > 0:
                _recount(connection)
            self._keep_limits(connection, now())

    def expire(self, *, now: Callable[[], float] = time.time) -> None:
        """Remove what has become too old."""
        if self.max_age is not None and os.path.exists(self.path):
            with self._transaction() as connection:
                self._keep_limits(connection, now())

    def _keep_limits(self, connection: sqlite3.Connection, now: float) -> None:
        if self.max_age is not None:
            old = connection.execute("DELETE FROM letters WHERE last < ?", (now - self.max_age,)).rowcount
            if old:
                _recount(connection)
                _count(connection, "age", old)
                log.warning("%s: removed %d letters that were too old", self.path, old)
        if self.max_bytes is None:
            return
        over = _number(connection, "bytes") - self.max_bytes
        if over <= 0:
            return
        last = count = 0
        sizes = connection.execute(f"SELECT id, {_SIZE} FROM letters ORDER BY id")
        while over > 0 and (row := sizes.fetchone()) is not None:
            last, count, over = row[0], count + 1, over - row[1]
        connection.execute("DELETE FROM letters WHERE id <= ?", (last,))
        _recount(connection)
        _count(connection, "size", count)
        log.warning("%s: removed the oldest %d letters: more than %d bytes", self.path, count, self.max_bytes)

    # -- reading --------------------------------------------------------------------------------------------

    def select(self, where: str = "", values: Sequence[Any] = ()) -> list[Letter]:
        """Return letters, oldest first; `where` is SQL, with `values` for its question marks."""
        if not os.path.exists(self.path):
            return []
        with self._transaction() as connection:
            return [Letter(*row) for row in connection.execute(f"SELECT {_NAMES} FROM letters {where}", values)]

    def wanted(self, after: int, limit: int) -> list[Letter]:
        """Return up to `limit` letters that are to be sent again, with ids above `after`."""
        return self.select("WHERE wanted AND id > ? ORDER BY id LIMIT ?", (after, limit))

    def counts(self) -> dict[str, int]:
        """Return how many letters there are (`kept`), their `bytes`, and how many went, by reason."""
        if not os.path.exists(self.path):
            return {"kept": 0}
        with self._transaction() as connection:
            found = dict(connection.execute("SELECT what, number FROM counts").fetchall())
            return {"kept": connection.execute("SELECT count(*) FROM letters").fetchone()[0], **found}

    @property
    def changed(self) -> int:
        """A number that changes with every transaction, of whatever process; 0 when there is no file."""
        try:
            return os.stat(self.path).st_mtime_ns
        except OSError:
            return 0

    # -- on request -----------------------------------------------------------------------------------------

    def want(self, where: str, values: Sequence[Any] = ()) -> int:
        """Mark the letters that `where` selects as to be sent again; returns how many."""
        if not os.path.exists(self.path):
            return 0
        with self._transaction() as connection:
            return connection.execute(f"UPDATE letters SET wanted = 1 {where}", values).rowcount

    def purge(self, where: str, values: Sequence[Any] = ()) -> int:
        """Remove the letters that `where` selects; returns how many."""
        if not os.path.exists(self.path):
            return 0
        with self._transaction() as connection:
            count = connection.execute(f"DELETE FROM letters {where}", values).rowcount
            _recount(connection)
            _count(connection, "asked", count)
            return count

    # -- the file -------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        connection = self._open()
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        finally:
            # What was not committed is rolled back.
            connection.close()

    def _open(self) -> sqlite3.Connection:
        make_folder(self.path)
        try:
            return self._connect()
        except sqlite3.Error as error:
            if not is_damage(error, opening=True):
                raise
            return self._replace(error)

    def _connect(self) -> sqlite3.Connection:
        return connect(self.path, MIGRATIONS, f"SELECT {_NAMES} FROM letters LIMIT 1", pragmas=_PRAGMAS)

    def _replace(self, error: sqlite3.Error) -> sqlite3.Connection:
        aside = set_aside(self.path)
        connection = self._connect()
        saved = salvage(aside, "letters", _NAMES, _LAST)
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            f"INSERT INTO letters ({_NAMES}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", sorted(saved.values())
        )
        _recount(connection)
        connection.execute("COMMIT")
        log.error(
            "%s: damaged (%s): set aside as %s; %d letters were saved from it", self.path, error, aside, len(saved)
        )
        return connection


def _number(connection: sqlite3.Connection, what: str) -> int:
    row = connection.execute("SELECT number FROM counts WHERE what = ?", (what,)).fetchone()
    return 0 if row is None else row[0]


def _count(connection: sqlite3.Connection, what: str, more: int) -> None:
    if more:
        connection.execute(
            "INSERT INTO counts VALUES (?, ?) ON CONFLICT (what) DO UPDATE SET number = number + ?", (what, more, more)
        )


def _recount(connection: sqlite3.Connection) -> None:
    size = connection.execute(f"SELECT coalesce(sum({_SIZE}), 0) FROM letters").fetchone()[0]
    connection.execute("INSERT OR REPLACE INTO counts VALUES ('bytes', ?)", (size,))
