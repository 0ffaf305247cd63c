"""Recorded logs as one recording, merged by time, which can be opened anywhere."""

from __future__ import annotations

import contextlib
import heapq
import logging
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from operator import attrgetter
from types import TracebackType

from rxalerts.alert import Alert
from rxalerts.flow.source import SourceStats
from rxalerts.sources._index import open_from
from rxalerts.sources._stdin import reader_stats
from rxalerts.wire import Decoder, OnBad, Reader, read
from rxalerts.wire.unpack import is_packed

log = logging.getLogger("rxalerts")

_time_ns: Callable[[Alert], int] = attrgetter("time_ns")

# How much of a file's end is read to see when it ends, in bytes.
_TAIL = 256 << 10

# A file up to this size, in bytes, is read to its end for that, if it cannot be read from near its end.
_SMALL, _SMALL_PACKED = 32 << 20, 4 << 20

# How many rejected pieces are told of readings that are over.
_FIRST = 10


class Tape:
    """The alerts of some files between two moments.

    Arguments:
        paths: the files; `-` is standard input.
        since, until: epoch nanoseconds; alerts from this moment on, and before that one.
        on_bad: what to do with what is no alert; a piece that is read again is rejected again.
        day: the day of the first line of text logs that carry no date.
    """

    def __init__(
        self, paths: Sequence[str], since: int | None, until: int | None, on_bad: OnBad, day: date | None
    ) -> None:
        self.paths = paths
        self._since = since
        self._until = until
        self._on_bad: OnBad = on_bad
        self._day = day
        self._readers: list[Reader] = []
        self._before = SourceStats("")
        self._files = contextlib.ExitStack()
        self._opened = 0
        self._left = 0
        self._end: tuple[int | None] | None = None

    def copied(self) -> Tape:
        """Return another one of the same."""
        return Tape(self.paths, self._since, self._until, self._on_bad, self._day)

    def __enter__(self) -> Tape:
        on_bad = self._on_bad
        if isinstance(on_bad, str | os.PathLike) and on_bad not in ("report", "raise"):
            # One file for the rejects of all.
            self._on_bad = self._files.enter_context(open(os.fspath(on_bad), "wb"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for reader in self._readers:
            reader.close()
        self._files.close()

    @property
    def windable(self) -> bool:
        """Whether it can be opened a second time."""
        return all(name != "-" and stat.S_ISREG(os.stat(name).st_mode) for name in self.paths)

    def open(self, start: int | None = None) -> Iterator[Alert]:
        """Return the alerts from `start` on, or from the beginning; what was opened before is closed."""
        since = max((each for each in (self._since, start) if each is not None), default=None)
        self._put_away()
        on_bad: OnBad = self._on_bad
        if self._opened and on_bad == "report":
            # It was reported in the first round.
            on_bad = id
        self._opened += 1
        for path in self.paths:
            reader = None if since is None else open_from(path, since, self._until, on_bad, self._day)
            self._readers.append(reader or read(path, on_bad=on_bad, date=self._day))
        alerts = iter(self._readers[0]) if len(self._readers) == 1 else heapq.merge(*self._readers, key=_time_ns)
        return alerts if since is None and self._until is None else _between(alerts, since, self._until)

    def blocks(self) -> Iterator[list[Alert]] | None:
        """Return what is left of the alerts that were opened in lists; None where they are looked at one by one."""
        if len(self._readers) > 1 or self._since is not None or self._until is not None:
            return None
        return self._readers[0].blocks()

    def leave(self, count: int) -> None:
        """Count as not read the last `count` alerts, which were read with others when nobody wanted them any more."""
        self._left += count
        if count and not self.windable:
            log.warning("%s: stopped: %d alerts that were read already are lost", ", ".join(self.paths), count)

    def _put_away(self) -> None:
        """Close the readers, and keep what they counted."""
        readers, self._readers = self._readers, []
        if not readers:
            return
        for reader in readers:
            reader.close()
        counted, total = reader_stats("", readers), self._before
        first = [*total.first_rejects, *(each for each in counted.first_rejects if each not in total.first_rejects)]
        self._before = SourceStats(
            "",
            total.read + counted.read,
            total.rejected + counted.rejected,
            total.skipped + counted.skipped,
            first[:_FIRST],
        )

    def stats(self, name: str) -> SourceStats:
        """Return what has been read, over all readings."""
        before, stats = self._before, reader_stats(name, self._readers)
        stats.read += before.read - self._left
        stats.rejected += before.rejected
        stats.skipped += before.skipped
        stats.first_rejects = [*before.first_rejects, *stats.first_rejects]
        return stats

    # -- its end --------------------------------------------------------------------------------------------

    def end(self) -> int | None:
        """Return the time of the last alert; None when it would take a while to find out."""
        if self._end is None:
            ends = [_end_of(path, self._day) for path in self.paths]
            known = [each for each in ends if each is not None]
            end = max(known) if len(known) == len(ends) else None
            self._end = (end if end is None or self._until is None else min(end, self._until),)
        return self._end[0]


def _between(alerts: Iterator[Alert], since: int | None, until: int | None) -> Iterator[Alert]:
    for alert in alerts:
        moment = alert.time_ns
        if (since is None or moment >= since) and (until is None or moment < until):
            yield alert


def _end_of(path: str, day: date | None) -> int | None:
    """Return the latest time near the end of a file; None when it is not known."""
    try:
        if path == "-" or not stat.S_ISREG(os.stat(path).st_mode):
            return None
        with open(path, "rb") as file:
            packed = is_packed(file.read(4))
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL))
            tail = b"" if packed else file.read()
    except OSError:
        return None
    lines = tail.splitlines(keepends=True)
    if size > _TAIL:
        del lines[:1]
    if lines and all(line.startswith(b"{") for line in lines):
        decoder = Decoder()
        pieces = [*decoder.feed(b"".join(lines)), *decoder.close()]
        return max((piece.time_ns for piece in pieces if isinstance(piece, Alert)), default=None)
    if size > (_SMALL_PACKED if packed else _SMALL):
        return None
    # `id` takes what is no alert in silence: it is told when it is played.
    with read(path, on_bad=id, date=day) as reader:
        return max((alert.time_ns for alert in reader), default=None)
