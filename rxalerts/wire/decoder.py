"""Bytes in pieces of any size -> alerts, and what is no alert.

Plain lines of JSON are taken in one go (`take_lines`). Everything else goes through `_slow`, one piece after the
other: an object that may span lines, or a line of text. Wherever the input is cut into pieces, the result is the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date as Date
from typing import Any, cast

import msgspec

from rxalerts.alert import Alert
from rxalerts.errors import AlertError
from rxalerts.record import FIELDS, PREFIX
from rxalerts.wire.days import Days
from rxalerts.wire.encoding import ToUtf8
from rxalerts.wire.jsonline import from_object, take_lines, take_one, to_object
from rxalerts.wire.lines import MAX_DEPTH, TORN, Lines, end_of
from rxalerts.wire.rejected import Rejected
from rxalerts.wire.scanner import DONE, MORE, Scanner

__all__ = ["MAX_RECORD", "Decoder"]

MAX_RECORD = 1 << 20
"""The longest record that is taken, in bytes, unless said otherwise."""

# What may stand between the elements of a JSON array or sequence (RFC 7464); skipped before an object only.
_SEPARATORS = b" \t\n\r\v\f\x1e,[]"
_BETWEEN = re.compile(rb"[" + re.escape(_SEPARATORS) + rb"]*")
_NEWLINES = re.compile(rb"[\r\n]*")
_BRACE = ord("{")
_NEWLINE = ord("\n")
_decode: Callable[[bytes], dict[str, Any]] = msgspec.json.Decoder(dict[str, Any]).decode
_OURS = {*FIELDS, "id"}


class Decoder(Lines):
    """Reads alerts from bytes as they come; used by `read` and by all sources.

    Arguments:
        date: the day of the first text line without a date, or a function that finds it when it is needed;
            None: such lines are being written now.
        max_record: the longest record that is taken, in bytes; longer ones are rejected without being kept.

    >>> decoder = Decoder()
    >>> decoder.feed(b'{"rule":"r","priority":"Error","time":"2024-01-01T00:00:00Z"}\\n{"rule')
    [Alert('r', 'Error', 'r', time='2024-01-01T00:00:00.000000000Z')]
    >>> decoder.ends
    [62]
    >>> print(decoder.close()[0])
    line 2, byte 62: torn or broken JSON: b'{"rule'
    """

    def __init__(self, *, date: Date | Callable[[], Date | None] | None = None, max_record: int = MAX_RECORD) -> None:
        super().__init__(max_record, Days(date))
        self._near: int | None = None  # the time of the record that it stood in
        self._utf8 = ToUtf8()

    def feed(self, data: bytes) -> list[Alert | Rejected]:
        """Return the pieces that are complete now. Never raises, whatever the bytes are."""
        self._out, self._ends = [], []
        data = self._utf8.feed(data)
        if self._utf8.mark_size:
            self.offset = self._utf8.mark_size
            self._utf8.mark_size = 0
        if data:
            self._take(data)
        return self._out

    def close(self, *, final: bool = True) -> list[Alert | Rejected]:
        """Return the pieces that the end of the input completes: a last line without newline, a torn one.

        Arguments:
            final: no other input follows, in which a line that was split over records could `go_on`.
        """
        self._out, self._ends = [], []
        rest = self._utf8.feed(b"", final=True)
        end = self.offset + len(self._tail) + len(rest)
        lost = self._lost
        if lost is not None and lost.scanner is not None:
            lost.take(bytes(self._tail) + rest)
            self._end_lost(lost, end)
        elif rest or self._tail or lost:
            self._take(rest + b"\n")
            if self._tail:
                self._reject(bytes(self._tail), 0, len(self._tail), "unfinished JSON")
        self._tail.clear()
        self._scanner = None
        self._waiting = False
        self.offset = end
        self._end = end
        if final:
            self._end_splits()
        return self._out

    def _take(self, data: bytes) -> None:
        if self._lost is not None:
            data = self._skip_lost(self._lost, data)
        if self._scanner is not None:
            self._tail += data
            self._resume(self._scanner)
        elif self._waiting and not self._is_ripe(data):
            self._tail += data
            if len(self._tail) > self.max_record:
                whole = bytes(self._tail)
                self._lose(whole, 0, None)
        elif self._tail and self._lost is None:
            self._tail += data
            whole = bytes(self._tail)
            self._tail = bytearray()
            self._run(whole, 0)
        elif data:
            self._run(data, 0)

    def _resume(self, scanner: Scanner) -> None:
        result = scanner.scan(self._tail, scanner.pos)
        if result == MORE:
            if len(self._tail) > self.max_record:
                self._lose(bytes(self._tail), 0, scanner)
            return
        buffer = bytes(self._tail)
        self._tail = bytearray()
        self._scanner = None
        after = self._scanned(buffer, 0, result, scanner.pos)
        if after >= 0:
            self._run(buffer, after)

    def _is_ripe(self, data: bytes) -> bool:
        """Tell whether with `data` the tail, which waits for the end of its line, is worth another look."""
        if b"\n" in data:
            return True
        # An object may end without a newline, or be too long.
        return self._tail[0] == _BRACE and (_may_end(data) or len(self._tail) + len(data) > self.max_record)

    def _run(self, buffer: bytes, pos: int) -> None:
        """Read the pieces of a buffer, whose first byte is at `offset`; keep what is not complete."""
        self._waiting = False
        size = len(buffer)
        longest = min(size, self.max_record)
        out = cast("list[Alert]", self._out)
        while pos < size:
            start, known = pos, len(out)
            pos = take_lines(buffer, pos, longest, out)
            if pos > start:
                self._ends.append((buffer, self.offset, start, pos))
                self._line_at(buffer, start)
                self.line, self._counted = self.line + len(out) - known, pos
                if pos == size:
                    break
            newline = buffer.find(b"\n", pos)
            if newline < 0 and self._may_wait(buffer, pos):
                pos = self._keep(buffer, pos, waiting=True)
            else:
                pos = self._slow(buffer, pos, newline)
            if pos < 0:
                return
        self._forget(buffer, size)

    def _may_wait(self, buffer: bytes, pos: int) -> bool:
        """Tell whether what stands at `pos`, whose line has not ended, is most likely the beginning of a plain line.

        Searching for the end of the object can wait then until the end of the line is here.
        """
        at_start = pos == 0 or buffer[pos - 1] == _NEWLINE
        return at_start and buffer[pos] == _BRACE and not _may_end(buffer) and len(buffer) - pos <= self.max_record

    def _slow(self, buffer: bytes, pos: int, newline: int) -> int:
        """Read one piece, which begins at `pos` on a line that ends at `newline` (-1: it has not ended yet).

        Returns:
            where the next piece begins; -1 if more input is needed: the rest of the buffer was kept.
        """
        end = newline if newline >= 0 else len(buffer)
        self.days.near = self._near
        start = end_of(_BETWEEN, buffer, pos, end)
        if start < end and buffer[start] == _BRACE and start - pos <= self.max_record:
            return self._object(buffer, start, newline)
        if newline < 0:
            return self._keep(buffer, pos, waiting=start < end)
        if end - pos > self.max_record:
            return self._reject(buffer, pos, end, self._too_long(), after=end + 1)
        if start == end:
            return end_of(_NEWLINES, buffer, end, len(buffer))
        return self._text(buffer, pos, end)

    def _object(self, buffer: bytes, start: int, end: int) -> int:
        if 0 <= end - start <= self.max_record:
            # Nearly always it is the rest of its line; looking for its end costs more than reading it.
            data = buffer[start:end].rstrip()
            pos = start + len(data)
            alert = take_one(data)
            if alert is not None:
                return self._accept(alert, pos)
            try:
                value = _decode(data)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                pass
            else:
                return self._take_object(value, buffer, start, pos)
        scanner = Scanner()
        result = scanner.scan(buffer, start)
        if result == MORE:
            scanner.pos -= start  # the kept rest begins at the object
            return self._keep(buffer, start, scanner=scanner)
        return self._scanned(buffer, start, result, scanner.pos)

    def _scanned(self, buffer: bytes, start: int, result: int, pos: int) -> int:
        """Read the object from `start` to `pos`, where it ends or cannot go on."""
        if result == DONE:
            if pos - start > self.max_record:
                return self._reject(buffer, start, pos, self._too_long())
            return self._whole(buffer, start, pos)
        line_start = buffer.rfind(b"\n", start, pos) + 1
        if pos - start > self.max_record:
            if line_start == pos:
                return self._reject(buffer, start, pos, self._too_long())
        elif line_start > start:
            # It was torn off on an earlier line: this one is read anew.
            return self._reject(buffer, start, line_start, TORN)
        end = buffer.find(b"\n", pos)
        if end < 0:
            return self._keep(buffer, start, waiting=True)
        if end - start > self.max_record:
            return self._reject(buffer, start, end, self._too_long(), after=end + 1)
        return self._garbage(buffer, start, end, TORN, pos)

    def _whole(self, buffer: bytes, start: int, pos: int) -> int:
        """Read the object from `start` to `pos`: an alert, or a record with alerts inside."""
        data = buffer[start:pos]
        alert = take_one(data)
        if alert is not None:
            return self._accept(alert, pos)
        try:
            value = to_object(data)
        except AlertError as error:
            return self._reject(buffer, start, pos, error.reason, error.key)
        return self._take_object(value, buffer, start, pos)

    def _take_object(self, value: dict[str, Any], buffer: bytes, start: int, pos: int) -> int:
        if _is_collected(value) and self._take_record(value, buffer, start, pos):
            return pos
        try:
            return self._accept(from_object(value, self.days), pos)
        except AlertError as error:
            return self._reject(buffer, start, pos, error.reason, error.key)

    def _decode_line(self, line: bytes, near: int | None) -> tuple[list[Alert | Rejected], int]:
        alert = take_one(line)
        if alert is not None:
            return [alert], 0
        if self._depth >= MAX_DEPTH:
            raise AlertError(f"it stands in more than {MAX_DEPTH} records")
        inner = Decoder(max_record=self.max_record)
        inner.days, inner._depth, inner._near = self.days, self._depth + 1, near or self._near
        if line.lstrip()[:1] in (b"{", b"["):
            return [*inner.feed(line + b"\n"), *inner.close()], inner.skipped
        return inner._one_line(line + b"\n"), inner.skipped

    def _one_line(self, line: bytes) -> list[Alert | Rejected]:
        """Read a record's line: a newline inside of it is part of a field, whatever stands behind it."""
        pos, end = 0, len(line) - 1
        while 0 <= pos < end:
            self.days.near = self._near
            pos = self._text(line, pos, end)
        return [*self._out, *self.close()]


def _may_end(data: bytes) -> bool:
    """Tell whether an object may end where these bytes do, but for what stands between two of them."""
    return data[-64:].rstrip(_SEPARATORS).endswith(b"}")


def _is_collected(value: dict[str, Any]) -> bool:
    """Tell whether an object is a collector's record, which may have a priority and a message of its own."""
    if "rule" in value or "output" in value:
        return False
    message = value.get("message")
    is_line = isinstance(message, str) and (message[:1] == "{" or PREFIX.match(message) is not None)
    return is_line or not value.keys() <= _OURS
