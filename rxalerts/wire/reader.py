"""Reads alerts from files of every shape."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Generator, Iterator
from datetime import date as Date
from datetime import timedelta
from types import TracebackType
from typing import Any, BinaryIO, cast

from rxalerts.alert import Alert
from rxalerts.errors import AlertError
from rxalerts.wire.days import OUT_OF_ORDER
from rxalerts.wire.decoder import MAX_RECORD, Decoder
from rxalerts.wire.jsonline import take_one
from rxalerts.wire.rejected import Rejected
from rxalerts.wire.rejects import OnBad, Rejects
from rxalerts.wire.unpack import Broken, Readable, unpacked

__all__ = ["OnBad", "Reader", "parse", "read"]

_CHUNK = 1 << 18
_FIRST = 10  # rejected pieces that a reader remembers
_PRESCAN_LIMIT = 256 << 20
_CLOCK = re.compile(rb"^(\d\d):(\d\d):(\d\d)\.\d{9}: ", re.MULTILINE)


def read(
    source: str | os.PathLike[str] | Readable,
    *,
    on_bad: OnBad = "report",
    date: Date | None = None,
    max_record: int = MAX_RECORD,
) -> Reader:
    """Read the alerts of a file, whatever Falco version wrote it and whatever it went through since.

    JSON of every Falco version, one object per line or spread over lines, glued together or in an array; lines of
    text; either of them behind syslog headers, and in the records of container runtimes and log collectors (Docker,
    CRI, journald, Fluent Bit, Elasticsearch, Loki, CloudWatch, Splunk and others), whose split lines are joined;
    UTF-8 and, by their byte order mark, UTF-16 and UTF-32; gzip, bzip2, xz and zstd, by their content. Memory does
    not grow with the file.

    Arguments:
        source: a path, ``-`` for standard input, or an open file.
        on_bad: what to do with what is no alert. ``report``: count it, remember the first ones, log one warning;
            ``raise``: raise an AlertError; a function: call it with each `Rejected`; a path or a binary file: write
            the bytes of each to it, one per line. All of them count.
        date: day of the first text line without a date (default: the file's time stamp is the last one's; without a
            file, each line is as near to the present as can be). When the clock goes back by more than 12 hours,
            the next day has begun.
        max_record: longest record that is taken, in bytes.

    Returns:
        an iterator of alerts, with the counters `read`, `rejected` and `skipped`.

    Raises:
        OSError: the file cannot be read.
        AlertError: a piece is no alert, and `on_bad` is ``raise``.
        MissingPackageError: the file is packed with zstd, and no module is there to unpack it.

    >>> import io
    >>> reader = read(io.BytesIO(b'10:20:05.408091526: Warning Sensitive file opened (user=root)\\n'))
    >>> [alert.output_fields for alert in reader]
    [{'user': 'root'}]
    >>> reader.read, reader.rejected
    (1, 0)
    """
    return Reader(source, on_bad=on_bad, date=date, max_record=max_record)


def parse(data: bytes | str, *, date: Date | None = None) -> Alert:
    """Return the one alert in some bytes or text: JSON of any Falco version, or a line of text.

    Arguments:
        data: the alert.
        date: the day of a text line without a date (default: the one that brings it nearest to the present).

    Raises:
        AlertError: there is no alert in it, or more than one; it names the key at fault, and the reason.

    >>> parse('{"rule": "r", "priority": "warning", "time": "2024-01-01T00:00:00Z"}').priority
    <Priority.WARNING: 4>
    >>> parse('{"rule": "r"}')
    Traceback (most recent call last):
      ...
    rxalerts.errors.AlertError: priority: missing
    """
    raw = data.encode("utf-8", "replace") if isinstance(data, str) else data
    alert = take_one(raw)
    if alert is not None:
        return alert
    decoder = Decoder(date=date, max_record=max(MAX_RECORD, len(raw)))
    pieces = [*decoder.feed(raw), *decoder.close()]
    for piece in pieces:
        if isinstance(piece, Rejected):
            raise AlertError(piece.reason, key=piece.key, offset=piece.offset, raw=piece.raw)
    if len(pieces) != 1:
        what = "Falco's own, but no alert" if decoder.skipped else "empty"
        raise AlertError(f"{len(pieces)} alerts where one is expected" if pieces else what, raw=raw[:4096])
    return cast("Alert", pieces[0])


class Reader(Iterator[Alert]):
    """Iterates over the alerts of a file; made by `read`, which explains the arguments.

    The counters may run ahead of the iteration by one block of the file. `close` it, use it in a ``with`` block or
    read it to the end, so that a file that it opened is closed.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | Readable,
        *,
        on_bad: OnBad = "report",
        date: Date | None = None,
        max_record: int = MAX_RECORD,
    ) -> None:
        self.read = 0
        """How many alerts were read."""
        self.first_rejects: list[Rejected] = []
        """The first rejected pieces."""
        self.path = ""
        """The file's name, if it has one."""
        self._owned: BinaryIO | None = None
        self._file = self._open(source)
        try:
            self._rejects = Rejects(on_bad, self.path)
        except BaseException:
            if self._owned is not None:
                self._owned.close()
            raise
        self._decoder = Decoder(date=date or self._first_day, max_record=max_record)
        self._alerts = self._iterate()
        self._blocks = self._read()

    @property
    def rejected(self) -> int:
        """Return how many pieces were no alerts."""
        return self._decoder.rejected

    @property
    def skipped(self) -> int:
        """Return how many lines were Falco's own, such as statistics."""
        return self._decoder.skipped

    def __iter__(self) -> Iterator[Alert]:
        # The generator itself: one call less for each alert.
        return self._alerts

    def __next__(self) -> Alert:
        return next(self._alerts)

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def begin_at(self, offset: int, line: int) -> None:
        """Count from here: the source is part of a file, and is closed with this reader."""
        self._decoder.offset, self._decoder.line = offset, line
        self._owned = cast("BinaryIO", self._file)

    def close(self) -> None:
        """Close the files that the reader opened; it gives no more alerts. May be called any number of times."""
        self._alerts.close()
        self._blocks.close()
        self._close_files()

    def _close_files(self) -> None:
        if self._owned is not None:
            self._owned.close()
        self._rejects.close()

    def _open(self, source: str | os.PathLike[str] | Readable) -> Readable:
        if isinstance(source, str | os.PathLike):
            if source == "-":
                return sys.stdin.buffer
            self.path = os.fspath(source)
            self._owned = open(source, "rb", buffering=0)
            return cast("Readable", self._owned)
        name: object = getattr(source, "name", "")
        self.path = name if isinstance(name, str) else ""
        return source

    def blocks(self) -> Iterator[list[Alert]]:
        """Return the alerts that are left in lists, as they are found together, for whoever can use many at once."""
        return self._blocks

    def _iterate(self) -> Generator[Alert, None, None]:
        for block in self._blocks:
            yield from block

    def _read(self) -> Generator[list[Alert], None, None]:
        decoder = self._decoder
        bad = 0
        try:
            for chunk in unpacked(self._file, _CHUNK):
                pieces = self._broken(chunk) if isinstance(chunk, Broken) else decoder.feed(chunk)
                if decoder.rejected == bad:
                    self.read += len(pieces)
                    yield cast("list[Alert]", pieces)
                else:
                    bad = decoder.rejected
                    yield from self._sift(pieces)
            yield from self._sift(decoder.close())
        finally:
            self._close_files()

    def _broken(self, reason: Broken) -> list[Alert | Rejected]:
        """Return what the end of a broken file leaves, and the reason why it ends here."""
        decoder = self._decoder
        pieces = decoder.close()
        decoder.rejected += 1
        return [*pieces, Rejected(decoder.line, decoder.offset, str(reason), b"")]

    def _sift(self, pieces: list[Alert | Rejected]) -> Iterator[list[Alert]]:
        """Yield the alerts in front of each rejected piece before that is dealt with, which may raise."""
        alerts: list[Alert] = []
        for piece in pieces:
            if isinstance(piece, Rejected):
                yield alerts
                alerts = []
                if len(self.first_rejects) < _FIRST:
                    self.first_rejects.append(piece)
                self._rejects.add(piece)
            else:
                self.read += 1
                alerts.append(piece)
        yield alerts

    def _first_day(self) -> Date | None:
        """Return the day of a file's first line: that of its time stamp, less the midnights in the file.

        None if it is no regular file: its lines are being written now.
        """
        try:
            fileno: int = cast("Any", self._file).fileno()
            status = os.fstat(fileno)
        except (AttributeError, OSError, ValueError):
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        day = Date.fromtimestamp(int(status.st_mtime))
        if self._owned is None or status.st_size > _PRESCAN_LIMIT:
            return day
        try:
            with open(self.path, "rb") as file:
                return day - timedelta(days=midnights(file))
        except (OSError, OverflowError):
            return day


def midnights(file: BinaryIO) -> int:
    """Return how often the clock of a file's text lines goes back by more than 12 hours."""
    count = last = 0
    rest = b""
    for chunk in unpacked(file, _CHUNK):
        data = rest + (b"" if isinstance(chunk, Broken) else chunk)
        cut = data.rfind(b"\n") + 1
        rest = data[cut:] if len(data) - cut <= MAX_RECORD else b""
        for match in _CLOCK.finditer(data, 0, cut):
            hour, minute, second = match.groups()
            now = int(hour) * 3600 + int(minute) * 60 + int(second)
            if count and now - last > 24 * 3600 - OUT_OF_ORDER:
                continue  # from before midnight, as in Days
            count += last - now > 12 * 3600
            last = now
    return count
