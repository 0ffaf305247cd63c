"""An index beside a large log, so that a reading from some moment on need not begin at the beginning.

`LOG.rxidx` has one entry for each MiB of the log: where it begins, its line, and the earliest and the latest time in
it. From these follow the first block that can hold an alert from a moment on, and the block from which on there is
none before another moment, in whatever order the alerts are. It is made when a moment is first asked for, and
thrown away when the log is not the one that it was made of: size, time of change, inode and the beginning's hash
must be the same. Only logs of JSON objects, each beginning with a line of its own, have one: there, a line that
begins with a brace can be read without what stands before it.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import stat
import tempfile
import time
from bisect import bisect_left
from dataclasses import dataclass
from itertools import accumulate
from typing import BinaryIO

import msgspec

from rxalerts.alert import Alert
from rxalerts.wire import Decoder, OnBad, Reader, read
from rxalerts.wire.days import Days

log = logging.getLogger("rxalerts")

ENDING = ".rxidx"
"""What is put behind a log's name for the name of its index."""

MIN_SIZE = 64 << 20
"""Logs from this size on, in bytes, get an index."""

_BLOCK = 1 << 20
# A block with a line beyond this is read with the whole log.
_LONGEST = 64 << 20

_MAGIC = b"rxidx 1\n"
_HEAD = 64 << 10

# What changed less than so many nanoseconds ago is being written, or may change again without a new time of change.
_FRESH = 2_000_000_000

_OTHER_LINE = re.compile(rb"(?:\A|\n)[^{\n]")


class Identity(msgspec.Struct, frozen=True):
    """What tells one state of a log from another."""

    size: int
    mtime_ns: int
    inode: int
    device: int
    head: str


class Index(msgspec.Struct, frozen=True):
    """The blocks of a log; none when it cannot be read from its middle."""

    identity: Identity
    offsets: list[int]
    lines: list[int]
    earliest: list[int]
    latest: list[int]

    def start(self, since: int) -> int:
        """Return the first block that has an alert from `since` on; the number of blocks when there is none."""
        return bisect_left(list(accumulate(self.latest, max)), since)

    def stop(self, until: int) -> int:
        """Return the block from which on no alert is before `until`."""
        from_behind = list(accumulate(reversed(self.earliest), min))
        return len(from_behind) - bisect_left(from_behind, True, key=lambda least: least < until)


def open_from(path: str, since: int, until: int | None, on_bad: OnBad) -> Reader | None:
    """Return a reader that begins shortly before the first alert of `since` or later.

    None when the log is small, packed, no regular file, or in a form that has no index: it is to be read whole.
    """
    index = index_of(path)
    if index is None or not index.offsets:
        return None
    size = index.identity.size
    first = index.start(since)
    last = len(index.offsets) if until is None else max(first, index.stop(until))
    begin, end = ((*index.offsets, size)[block] for block in (first, last))
    file = _Part(path, begin, end)
    if begin < size and not file.at_line():
        file.close()
        return None
    reader = read(file, on_bad=on_bad)
    reader.begin_at(begin, index.lines[first] if first < len(index.lines) else 1)
    return reader


class _Part:
    """A part of a file, as something to be read."""

    def __init__(self, path: str, begin: int, end: int) -> None:
        self.name = path
        self._file = open(path, "rb", buffering=0)
        self._begin = begin
        self._left = end - begin
        self._file.seek(begin)

    def at_line(self) -> bool:
        """Tell whether an object begins here, on a line of its own."""
        fd = self._file.fileno()
        if self._begin == 0:
            return os.pread(fd, 1, 0) == b"{"
        return os.pread(fd, 2, self._begin - 1) == b"\n{"

    def read(self, size: int, /) -> bytes:
        data = self._file.read(min(size, self._left)) if self._left else b""
        if not data:
            self.close()
            return b""
        self._left -= len(data)
        return data

    def close(self) -> None:
        self._left = 0
        self._file.close()


def index_of(path: str) -> Index | None:
    """Return the index of a log, made anew if there is none that fits; None for what gets none."""
    if path == "-":
        return None
    with contextlib.suppress(OSError), open(path, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size < MIN_SIZE:
            return None
        identity = _identity(file)
        index = _load(path + ENDING)
        if index is not None and index.identity == identity:
            return index
        if time.time_ns() - identity.mtime_ns < _FRESH or not os.access(os.path.dirname(path) or ".", os.W_OK):
            # Being written, or nowhere to keep an index: reading it whole costs no more than making one.
            return None
        log.info("%s: making an index beside it, for this and later readings from some moment on", path)
        index = _made(file, identity)
        if _identity(file) != identity:
            # It grows while we read: what is found now will not be true later.
            return None
        _save(path + ENDING, index, status.st_mode)
        return index
    return None


def _identity(file: BinaryIO) -> Identity:
    status = os.fstat(file.fileno())
    head = hashlib.sha256(os.pread(file.fileno(), _HEAD, 0)).hexdigest()
    return Identity(status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev, head)


# -- making it ----------------------------------------------------------------------------------------------


class _NoDays(Days):
    """Notes that a day was asked for: then a time depends on what stands before it in the log."""

    asked = False

    def ns(self, text: str, near: int | None = None) -> int:
        self.asked = True
        return super().ns(text, near)


@dataclass
class _Block:
    earliest: int
    latest: int


def _made(file: BinaryIO, identity: Identity) -> Index:
    """Read a log and return its index; without any block if its lines depend on each other."""
    index = Index(identity, [], [], [], [])
    began = time.time_ns()
    offset, line = 0, 1
    file.seek(0)
    while data := file.read(_BLOCK):
        data += file.readline(_LONGEST)
        whole = len(data) < _LONGEST and not _OTHER_LINE.search(data)
        block = _times(data, began) if whole else None
        if block is None:
            return Index(identity, [], [], [], [])
        index.offsets.append(offset)
        index.lines.append(line)
        index.earliest.append(block.earliest)
        index.latest.append(block.latest)
        offset += len(data)
        line += data.count(b"\n")
    return index


def _times(data: bytes, began: int) -> _Block | None:
    """Return the earliest and latest time in a block; None when it is not all said in the block itself."""
    decoder = Decoder()
    days = decoder.days = _NoDays()
    pieces = [*decoder.feed(data), *decoder.close()]
    times = [piece.time_ns for piece in pieces if isinstance(piece, Alert)]
    if decoder.split:
        # A line that was split over records may go on in the next block.
        return None
    if not times:
        return _Block(_LAST, -_LAST)
    # An alert without any time gets that of its reading.
    return None if days.asked or max(times) >= began else _Block(min(times), max(times))


_LAST = (1 << 63) - 1


# -- keeping it ---------------------------------------------------------------------------------------------


def _save(path: str, index: Index, mode: int) -> None:
    """Write an index, whole at once, readable by who can read the log; where that cannot be, there is none."""
    body = msgspec.msgpack.encode(index)
    try:
        fd, new = tempfile.mkstemp(prefix=os.path.basename(path) + ".", dir=os.path.dirname(path) or ".")
        try:
            with open(fd, "wb") as file:
                file.write(_MAGIC + hashlib.sha256(body).digest() + body)
            os.chmod(new, mode & 0o666)
            os.replace(new, path)
        except OSError:
            os.unlink(new)
            raise
    except OSError as error:
        log.debug("%s: no index is kept: %s", path, error.strerror)


def _load(path: str) -> Index | None:
    """Read an index; None when there is none, or it is damaged."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError:
        return None
    start = len(_MAGIC) + 32
    body = data[start:]
    if not data.startswith(_MAGIC) or hashlib.sha256(body).digest() != data[len(_MAGIC) : start]:
        return None
    try:
        index = msgspec.msgpack.decode(body, type=Index)
    except msgspec.MsgspecError:
        return None
    columns = (index.offsets, index.lines, index.earliest, index.latest)
    return index if len({len(column) for column in columns}) == 1 else None
