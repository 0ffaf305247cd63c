"""What the spool and the dead letters need of SQLite: private files, a lock, a schema, and a way out of damage."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import sqlite3
import struct
import time
from collections.abc import Sequence
from typing import IO, Any

from rxalerts.errors import SinkError

log = logging.getLogger("rxalerts")

Values = tuple[Any, ...]


class Lock:
    """Takes a sink's files for this process; the kernel lets go of it when the process ends, however it ends.

    Arguments:
        path: the lock file; its folder is made with mode 0700. The owner's process id is in it.

    Raises SinkError, naming the owner, when somebody has it, or when nothing can be written here.

    >>> import tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "file.lock")
    >>> lock = Lock(path)
    >>> Lock.owner(path) == os.getpid()
    True
    >>> lock.close()
    >>> Lock.owner(path) is None
    True
    """

    def __init__(self, path: str) -> None:
        self.path = path
        folder = make_folder(path)
        try:
            self._file: IO[str] = open(path, "a+", opener=private)
        except OSError as error:
            raise SinkError(
                f"{folder}: cannot keep alerts here: {error.strerror}: set spool_dir to a folder of your own"
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = _number_in(self._file)
            self._file.close()
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            who = "another sink of this process" if owner == os.getpid() else f"another process (pid {owner or '?'})"
            raise SinkError(
                f"{path}: in use by {who}: stop it, or give this sink another name or spool_dir"
            ) from None
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    @property
    def in_place(self) -> bool:
        """Whether the file is still there: without it another process could take the lock."""
        return same_file(self.path, os.fstat(self._file.fileno()))

    def close(self) -> None:
        """Let go of it."""
        self._file.close()

    @staticmethod
    def owner(path: str) -> int | None:
        """Return the process that has it (0 if it did not say); None when nobody has."""
        try:
            with open(path, "r+", opener=private) as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except OSError:
                    return _number_in(file)
        except OSError:
            return None
        return None


def same_file(path: str, status: os.stat_result) -> bool:
    """Tell whether what is at `path` is the file that `status` is of."""
    try:
        return os.path.samestat(os.stat(path), status)
    except OSError:
        return False


def _number_in(file: IO[str]) -> int:
    file.seek(0)
    text = file.read(20).strip()
    return int(text) if text.isdigit() else 0


def make_folder(path: str) -> str:
    """Make the folder that `path` is in, for this user only; raises SinkError when that cannot be."""
    folder = os.path.dirname(path) or "."
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    except OSError as error:
        raise SinkError(f"{folder}: cannot be made: {error.strerror}: set spool_dir to a folder of your own") from error
    return folder


def private(path: str, flags: int) -> int:
    """Open as `open` does, a new file for this user only, and no symbolic link that others may have put there."""
    return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def connect(path: str, migrations: Sequence[str], probe: str, *, pragmas: Sequence[str]) -> sqlite3.Connection:
    """Open or make a database and bring it to the newest schema.

    Arguments:
        path: the file; a new one gets mode 0600.
        migrations: the statements that lead from version 0 to 1, from 1 to 2 …
        probe: a query that every good file can answer.
        pragmas: what is set first.

    Raises SinkError for a file of a newer version, sqlite3.Error for one that cannot be used.
    """
    try:
        os.close(private(path, os.O_RDWR | os.O_CREAT))
    except OSError as error:
        raise SinkError(f"{path}: cannot be opened: {error.strerror}") from error
    connection = sqlite3.connect(path, timeout=5.0, isolation_level=None, check_same_thread=False)
    try:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > len(migrations):
            raise SinkError(
                f"{path}: written by a newer version of rxalerts (schema {version}, this one knows "
                f"{len(migrations)}): run that version, or move the file away"
            )
        if version < len(migrations):
            migrate(connection, migrations)
        connection.execute(probe).fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def migrate(connection: sqlite3.Connection, migrations: Sequence[str]) -> None:
    """Take the steps that are missing, all or nothing; another process may be doing the same."""
    connection.execute("BEGIN IMMEDIATE")
    now = connection.execute("PRAGMA user_version").fetchone()[0]
    for number, migration in enumerate(migrations[now:], now + 1):
        for statement in filter(None, map(str.strip, migration.split(";"))):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {number}")
    connection.execute("COMMIT")


# What SQLite says of a file that is broken, and not only hard to reach at the moment.
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def is_damage(error: sqlite3.Error, *, opening: bool = False) -> bool:
    """Tell whether an error means that the file itself is broken.

    While `opening`, missing tables do: SQLite calls that a wrong statement.
    """
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        # Raised by the module itself: text that is none, for example.
        return isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.ProgrammingError)
    return code & 0xFF in _DAMAGE or (opening and code & 0xFF == sqlite3.SQLITE_ERROR)


def is_full(error: sqlite3.Error) -> bool:
    """Tell whether an error means that there is no space."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL


def check_log(path: str) -> None:
    """Set a write-ahead log aside whose beginning is damaged: SQLite would pass over it without a word."""
    wal = f"{path}-wal"
    try:
        with open(wal, "rb") as file:
            head = file.read(32)
    except OSError:
        return
    if not head or _is_log_head(head):
        return
    aside = set_aside(wal)
    log.error("%s: damaged: set aside as %s; what came last before the crash may be missing", wal, aside)


def _is_log_head(head: bytes) -> bool:
    """Tell whether a write-ahead log begins as it should: with its magic number and the checksum of its head."""
    if len(head) < 32:
        # Shorter than its own head: a crash while it was begun.
        return True
    magic = int.from_bytes(head[:4], "big")
    if magic not in (0x377F0682, 0x377F0683):
        return False
    order = ">" if magic & 1 else "<"
    one = other = 0
    words = struct.unpack(f"{order}6I", head[:24])
    for x, y in zip(words[::2], words[1::2], strict=True):
        one = (one + x + other) & 0xFFFFFFFF
        other = (other + y + one) & 0xFFFFFFFF
    return struct.unpack(">2I", head[24:]) == (one, other)


def set_aside(path: str) -> str:
    """Rename a broken database, with its journals, and return its new name."""
    aside = f"{path}.corrupt-{time.strftime('%Y%m%dT%H%M%S')}-{time.time_ns() % 1_000_000:06d}"
    for suffix in ("", "-wal", "-shm", "-journal"):
        with contextlib.suppress(FileNotFoundError):
            os.rename(path + suffix, aside + suffix)
    return aside


def salvage(path: str, table: str, columns: str, last: Sequence[str]) -> dict[int, Values]:
    """Return, by number, the rows of a broken file that can still be read.

    Arguments:
        table, columns: what to read; the first column is the row's number, `id`.
        last: queries for the highest number; they may well fail.

    Read in small pieces from the end towards the beginning, so that damage costs no more than the page that it is
    in; pieces that are not complete are read row by row.
    """
    found: dict[int, Values] = {}
    _pad(path)
    try:
        connection = sqlite3.connect(path, isolation_level=None)
    except sqlite3.Error:
        return found
    with contextlib.closing(connection):
        ends = {value for query in last for (value,) in _tried(connection, query)}
        for end in sorted(value for value in ends if isinstance(value, int)):
            missing = 0
            for high in range(end, 0, -_PIECE):
                if high in found:
                    continue
                rows = _piece(connection, f"SELECT {columns} FROM {table}", max(1, high - _PIECE + 1), high)
                found.update((row[0], row) for row in rows)
                missing = 0 if rows else missing + _PIECE
                if missing > _MISSING:
                    break
    return found


# How many rows are read at a time in a broken file, and after how many missing ones nothing more is expected.
_PIECE = 128
_MISSING = 1_000_000


def _piece(connection: sqlite3.Connection, select: str, low: int, high: int) -> list[Values]:
    rows = _tried(connection, f"{select} WHERE id BETWEEN ? AND ?", (low, high))
    if len(rows) in (0, high - low + 1):
        # Nothing was here, or all is; an error leaves what came before it.
        if rows or _sound(connection, select, low, high):
            return rows
    known = {row[0] for row in rows}
    for number in range(low, high + 1):
        if number not in known:
            rows += _tried(connection, f"{select} WHERE id = ?", (number,))
    return [row for row in rows if low <= row[0] <= high]


def _sound(connection: sqlite3.Connection, select: str, low: int, high: int) -> bool:
    """Tell whether an empty piece is empty without an error."""
    try:
        connection.execute(f"{select} WHERE id BETWEEN ? AND ?", (low, high)).fetchone()
    except sqlite3.Error:
        return False
    return True


def _tried(connection: sqlite3.Connection, query: str, values: Sequence[int] = ()) -> list[Values]:
    """Return what a query gives until it fails."""
    rows: list[Values] = []
    try:
        for row in connection.execute(query, values):
            rows.append(row)
    except sqlite3.Error as error:
        log.debug("a damaged file: %s", error)
    return rows


def _pad(path: str) -> None:
    """Make a file that was cut as long as its head says: else nothing at all of it can be read."""
    with contextlib.suppress(OSError), open(path, "r+b") as file:
        head = file.read(32)
        size = int.from_bytes(head[16:18], "big")
        pages = int.from_bytes(head[28:32], "big")
        if head.startswith(b"SQLite format 3") and os.fstat(file.fileno()).st_size < size * pages <= _LARGEST:
            os.truncate(path, size * pages)


# No head of ours says more, in bytes (the hole takes no space).
_LARGEST = 1 << 40
