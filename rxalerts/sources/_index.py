"""An index beside a large log, so that a reading from some moment on need not begin at the beginning.

`LOG.rxidx` has one entry for each MiB of the log: where it begins, its line, the earliest and the latest time in it,
and its checksum. From these follow the first block that can hold an alert from a moment on, and the one behind which
there is none before another moment, in whatever order the alerts are. Blocks are found as they are asked for, from the
beginning on: a reading begins as soon as its first block is found, and a log that has grown gets the blocks of what
was added. The last block, which may be cut, is never kept.

An index is used when the log's inode is the same, it has not become shorter, nor changed without having grown, and its
first block, the last one and sixteen others at random have their checksums: whatever is inserted or taken away moves
all that follows. Blocks end before the first object that is spread over lines, and the first alert that takes its time
from what stands before it; from there on all is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import random
import stat
import tempfile
from bisect import bisect_left
from collections.abc import Callable, Iterator
from datetime import date
from operator import attrgetter
from typing import BinaryIO
from zlib import crc32

import msgspec

from rxalerts.sources._blocks import Block, next_block
from rxalerts.wire import OnBad, Reader, read

log = logging.getLogger("rxalerts")

ENDING = ".rxidx"
"""What is put behind a log's name for the name of its index."""

MIN_SIZE = 64 << 20
"""Logs from this size on, in bytes, get an index."""

_MAGIC = b"rxidx 2\n"
_SAMPLES = 16
# Making so much of an index, in bytes, takes a second or more, and is told.
_TOLD = 1 << 30

_begin_of: Callable[[Block], int] = attrgetter("begin")


class _Saved(msgspec.Struct, frozen=True):
    """What is in the file: the log as it was, and its blocks."""

    inode: int
    device: int
    size: int
    mtime_ns: int
    blocks: list[Block]


class Blocks:
    """The blocks of a log, up to its end or to where it must be read in order; found when they are asked for.

    Arguments:
        path: the log's name.
        file: the log, opened.
    """

    def __init__(self, path: str, file: BinaryIO) -> None:
        self._path = path
        self._file = file
        self._status = os.fstat(file.fileno())
        self._blocks = _load(path + ENDING, file, self._status)
        self._kept = len(self._blocks)

    def __iter__(self) -> Iterator[Block]:
        return self._from(0)

    def _from(self, place: int) -> Iterator[Block]:
        while place < len(self._blocks) or self._find():
            yield self._blocks[place]
            place += 1

    def _find(self) -> bool:
        if self._blocks and not self._blocks[-1].whole:
            return False
        found = next_block(self._file, *self.end)
        if found is not None:
            self._blocks.append(found)
        return found is not None

    @property
    def end(self) -> tuple[int, int]:
        """The end of the last whole block that was found: the offset, and the number of the line that follows."""
        if not self._blocks:
            return 0, 1
        last = self._blocks[-1]
        return (last.end, last.line + last.lines) if last.whole else (last.begin, last.line)

    def limit(self, until: int, at: int) -> int | None:
        """Return up to where to read on from the beginning of a block, or an end; None: to the end of the log."""
        for block in self._from(bisect_left(self._blocks, at, key=_begin_of)):
            if block.earliest < until:
                return block.end if block.whole else None
        self.keep()
        last = self._blocks[-1]
        return at if not last.whole or last.end >= os.fstat(self._file.fileno()).st_size else None

    def keep(self) -> None:
        """Save what was found; the last block is left out when it may still grow."""
        whole = [block for block in self._blocks if block.whole]
        if len(whole) > self._kept:
            self._kept = len(whole)
            status = self._status
            saved = _Saved(status.st_ino, status.st_dev, status.st_size, status.st_mtime_ns, whole)
            _save(self._path + ENDING, msgspec.msgpack.encode(saved), status.st_mode)

    def close(self) -> None:
        """Close the log."""
        self._file.close()


def open_from(path: str, since: int, until: int | None, on_bad: OnBad, day: date | None = None) -> Reader | None:
    """Return a reader that begins shortly before the first alert of `since` or later.

    None when the log is small, no regular file, or in a form that has no index: it is to be read whole.
    """
    blocks = _blocks_of(path)
    if blocks is None:
        return None
    first = next((block for block in blocks if block.latest >= since), None)
    begin, line = blocks.end if first is None else (first.begin, first.line)
    blocks.keep()
    if (begin, first) == (0, None):
        blocks.close()
        return None
    file = _Part(path, begin, blocks, until)
    reader = read(file, on_bad=on_bad, date=day)
    reader.begin_at(begin, line)
    return reader


def _blocks_of(path: str) -> Blocks | None:
    if path == "-":
        return None
    with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
        file = stack.enter_context(open(path, "rb"))
        status = os.fstat(file.fileno())
        if stat.S_ISREG(status.st_mode) and status.st_size >= MIN_SIZE:
            blocks = Blocks(path, file)
            if status.st_size - blocks.end[0] > _TOLD:
                log.info("%s: looking for where to begin; what is found is kept in %s", path, path + ENDING)
            stack.pop_all()
            return blocks
    return None


class _Part:
    """A log from some place on, as something to be read; with `until`, to where no alert is before that moment."""

    def __init__(self, path: str, begin: int, blocks: Blocks, until: int | None) -> None:
        self.name = path
        self._blocks = blocks
        self._until = until
        self._file = open(path, "rb", buffering=0)
        self._at = self._file.seek(begin)
        self._limit: int | None = begin

    def fileno(self) -> int:
        return self._file.fileno()

    def read(self, size: int, /) -> bytes:
        if self._at == self._limit:
            self._limit = None if self._until is None else self._blocks.limit(self._until, self._at)
        data = self._file.read(size if self._limit is None else min(size, self._limit - self._at))
        self._at += len(data)
        return data

    def close(self) -> None:
        self._file.close()
        self._blocks.close()


# -- keeping it ---------------------------------------------------------------------------------------------


def _save(path: str, body: bytes, mode: int) -> None:
    """Write an index, whole at once, readable by who can read the log; where that cannot be, there is none."""
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


def _load(path: str, file: BinaryIO, status: os.stat_result) -> list[Block]:
    """Return the blocks in an index; none if there is no index, or it is damaged, or of another log."""
    try:
        with open(path, "rb") as index:
            data = index.read()
        start = len(_MAGIC) + 32
        body = data[start:]
        if not data.startswith(_MAGIC) or hashlib.sha256(body).digest() != data[len(_MAGIC) : start]:
            return []
        saved = msgspec.msgpack.decode(body, type=_Saved)
        return saved.blocks if _fits(saved, file, status) else []
    except (OSError, msgspec.MsgspecError):
        return []


def _fits(saved: _Saved, file: BinaryIO, now: os.stat_result) -> bool:
    """Tell whether a log still has the blocks that it had."""
    if (saved.inode, saved.device) != (now.st_ino, now.st_dev) or now.st_size < saved.size:
        return False
    if now.st_size == saved.size and now.st_mtime_ns != saved.mtime_ns:
        return False
    blocks = saved.blocks
    chosen = {0, len(blocks) - 1, *random.sample(range(len(blocks)), min(_SAMPLES, len(blocks)))} if blocks else ()
    fd = file.fileno()
    return all(
        crc32(os.pread(fd, each.end - each.begin, each.begin)) == each.crc for each in map(blocks.__getitem__, chosen)
    )
