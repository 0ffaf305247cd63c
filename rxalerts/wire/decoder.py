"""Bytes in pieces of any size -> alerts, and what is no alert.

Plain lines of JSON take the loop in `_run`. Everything else goes through `_slow`, one piece after the other: an
object that may span lines, or a line of text. Wherever the input is cut into pieces, the result is the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date as Date

from rxalerts.alert import Alert
from rxalerts.errors import AlertError
from rxalerts.record import ANY_START, JSON_START, PREFIX, TEXT_START
from rxalerts.wire.days import Days
from rxalerts.wire.encoding import ToUtf8
from rxalerts.wire.jsonline import BAD as NOT_PLAIN
from rxalerts.wire.jsonline import from_bytes, from_line
from rxalerts.wire.rejected import RAW_LIMIT, Rejected
from rxalerts.wire.scanner import BAD, DONE, MORE, Scanner
from rxalerts.wire.textline import HEADER, from_syslog, from_text, is_noise

__all__ = ["MAX_RECORD", "Decoder"]

MAX_RECORD = 1 << 20
"""The longest record that is taken, in bytes, unless said otherwise."""

# What may stand between the elements of a JSON array or sequence (RFC 7464); skipped before an object only.
_BETWEEN = re.compile(rb"[\s\x1e,\[\]]*")
_BLANK = re.compile(rb"\s*")
_ANY_START = re.compile(ANY_START.pattern.encode())
_JSON_START = re.compile(JSON_START.pattern.encode())
_TEXT_START = re.compile(TEXT_START.pattern.encode())
_BRACE = ord("{")
# How often one line is searched again from just behind a false start: bounds the time that garbage can take.
_MAX_TRIES = 16
_NEWLINE = ord("\n")
_TORN = "torn or broken JSON"
_NO_ALERT = "not an alert: neither a JSON object nor a line '<time>: <Priority> <text>'"


class _Lost:
    """Collects a piece that is too long to be kept."""

    def __init__(self, offset: int, line: int, scanner: Scanner | None) -> None:
        self.offset = offset
        self.line = line
        self.scanner = scanner  # finds the end of an object; None: the piece ends with its line
        self.head = bytearray()
        self.size = 0

    def take(self, data: bytes) -> None:
        """Count further bytes of the piece, and keep them if they are among the first."""
        self.size += len(data)
        if len(self.head) < RAW_LIMIT:
            self.head += data[: RAW_LIMIT - len(self.head)]


class Decoder:
    """Reads alerts from bytes as they come; used by `read` and by all sources.

    Args:
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
        if max_record < 1:
            raise ValueError(f"max_record: must be at least 1, not {max_record}")
        self.days = Days(date)
        self.max_record = max_record
        self.ends: list[int] = []
        """Where each piece of the last result ends, as an offset into the decoded stream: reading that begins
        there again goes on with the next piece."""
        self.line = 1
        """Number of the line that is being read."""
        self.offset = 0
        """Offset, in the decoded stream, of the first byte that is not part of any piece yet."""
        self.skipped = 0
        """How many lines were Falco's own, but no alerts: log lines and statistics."""
        self.rejected = 0
        """How many pieces were rejected."""
        self._utf8 = ToUtf8()
        self._tail = bytearray()  # what was fed but not read; it begins at `offset`
        self._waiting = False  # the tail is of no use until its line ends
        self._scanner: Scanner | None = None  # in the middle of the object that the tail begins with
        self._lost: _Lost | None = None
        self._counted = 0  # position in the buffer up to which `line` has counted
        self._tries = (0, 0)  # a line, and how often it was searched again
        self._out: list[Alert | Rejected] = []

    def feed(self, data: bytes) -> list[Alert | Rejected]:
        """Return the pieces that are complete now. Never raises, whatever the bytes are."""
        self._out, self.ends = [], []
        data = self._utf8.feed(data)
        if self._utf8.skipped:
            self.offset, self._utf8.skipped = self._utf8.skipped, 0
        if data:
            self._take(data)
        return self._out

    def close(self) -> list[Alert | Rejected]:
        """Return the pieces that the end of the input completes: a last line without newline, a torn one."""
        self._out, self.ends = [], []
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
        self.ends = [min(known, end) for known in self.ends]
        return self._out

    def _take(self, data: bytes) -> None:
        if self._lost is not None:
            data = self._skip_lost(self._lost, data)
        if self._scanner is not None:
            self._tail += data
            self._resume(self._scanner)
        elif self._waiting and b"\n" not in data:
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

    def _run(self, buffer: bytes, pos: int) -> None:
        """Read the pieces of a buffer, whose first byte is at `offset`; keep what is not complete."""
        self._waiting = False
        size = len(buffer)
        longest = min(size, self.max_record)
        find, append, ended, base = buffer.find, self._out.append, self.ends.append, self.offset
        while pos < size:
            newline = find(b"\n", pos)
            if newline >= 0 and newline - pos <= longest:
                try:
                    append(from_line(buffer[pos:newline]))
                except NOT_PLAIN:
                    pass
                else:
                    pos = newline + 1
                    ended(base + pos)
                    continue
            pos = self._slow(buffer, pos, newline)
            if pos < 0:
                return
        self._forget(buffer, size)

    def _slow(self, buffer: bytes, pos: int, newline: int) -> int:
        """Read one piece, which begins at `pos` on a line that ends at `newline` (-1: it has not ended yet).

        Returns:
            where the next piece begins; -1 if more input is needed: the rest of the buffer was kept.
        """
        end = newline if newline >= 0 else len(buffer)
        start = _end_of(_BETWEEN, buffer, pos, end)
        if start < end and buffer[start] == _BRACE and start - pos <= self.max_record:
            return self._object(buffer, start)
        if newline < 0:
            return self._keep(buffer, pos, waiting=True)
        if end - pos > self.max_record:
            return self._reject(buffer, pos, end, self._too_long(), after=end + 1)
        if start == end:
            return end + 1
        return self._text(buffer, _end_of(_BLANK, buffer, pos, end), end)

    def _object(self, buffer: bytes, start: int) -> int:
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
            try:
                return self._accept(from_bytes(buffer[start:pos], self.days), pos)
            except AlertError as error:
                return self._reject(buffer, start, pos, error.reason, error.key)
        line_start = buffer.rfind(b"\n", start, pos) + 1
        if pos - start > self.max_record:
            if line_start == pos:
                return self._reject(buffer, start, pos, self._too_long())
        elif line_start > start:
            # It was torn off on an earlier line: this one is read anew.
            return self._reject(buffer, start, line_start, _TORN)
        end = buffer.find(b"\n", pos)
        if end < 0:
            return self._keep(buffer, start, waiting=True)
        if end - start > self.max_record:
            return self._reject(buffer, start, end, self._too_long(), after=end + 1)
        return self._garbage(buffer, start, end, _TORN, pos)

    def _text(self, buffer: bytes, start: int, end: int) -> int:
        """Read the line of text from `start` to `end`, where its newline is."""
        line = buffer[start:end].rstrip(b"\r")
        header = HEADER.match(line)
        if header is not None:
            begin = start + header.end()
            if begin < end and buffer[begin] == _BRACE:
                return self._object(buffer, begin)
            priority = header.group(1) or header.group(2) or header.group(3)
            text = line[header.end() :].decode("utf-8", "replace")
            if PREFIX.match(text):
                return self._alert_text(buffer, begin, end)
            if priority:
                try:
                    alert = from_syslog(text, header.group(), int(priority), self.days)
                    return self._accept(alert, end + 1)
                except AlertError as error:
                    if not is_noise(text):
                        return self._garbage(buffer, start, end, error.reason, start)
                    self.skipped += 1
                    return end + 1
        text = line.decode("utf-8", "replace")
        if PREFIX.match(text):
            return self._alert_text(buffer, start, end)
        if is_noise(text):
            self.skipped += 1
            glued = _ANY_START.search(buffer, start, end)
            return glued.start() if glued else end + 1
        return self._garbage(buffer, start, end, _NO_ALERT, start)

    def _alert_text(self, buffer: bytes, start: int, end: int) -> int:
        """Read the text alert at `start`, and leave to the next turn what is glued to it.

        Only what follows a closing bracket is taken for another alert: it is the usual end of a rule's output.
        Anything else could be part of a command line, put there to forge an alert.
        """
        glued = _TEXT_START.search(buffer, start + 1, end)
        cut = glued.start() if glued else end
        cut = self._glued_json(buffer, start, cut, end)
        text = buffer[start:cut].rstrip(b"\r").decode("utf-8", "replace")
        after = cut if cut < end else end + 1
        try:
            return self._accept(from_text(text, self.days), after)
        except AlertError as error:
            return self._reject(buffer, start, cut, error.reason, error.key, after)

    def _glued_json(self, buffer: bytes, start: int, cut: int, end: int) -> int:
        """Return where a whole JSON alert begins between `start` and `cut` behind a bracket; else `cut`."""
        if buffer.find(b'"priority"', start, end) < 0:
            return cut
        for tries, match in enumerate(_JSON_START.finditer(buffer, start, cut)):
            if tries >= _MAX_TRIES:
                break
            begin = match.start()
            if buffer[begin - 1 : begin] != b")":
                continue
            scanner = Scanner()
            if scanner.scan(buffer[begin:end], 0) == DONE:
                try:
                    from_bytes(buffer[begin : begin + scanner.pos], Days())
                except AlertError:
                    continue
                return begin
        return cut

    def _garbage(self, buffer: bytes, start: int, end: int, reason: str, bad: int) -> int:
        """Reject what stands from `start` up to the next thing on the line that looks like an alert."""
        line = self._line_at(buffer, start)
        tries = self._tries[1] + 1 if self._tries[0] == line else 1
        self._tries = (line, tries)
        match = _ANY_START.search(buffer, start + 1 if tries <= _MAX_TRIES else max(bad, start + 1), end)
        cut = match.start() if match else end
        return self._reject(buffer, start, cut, reason, after=cut if match else end + 1)

    def _accept(self, alert: Alert, after: int) -> int:
        self._out.append(alert)
        self.ends.append(self.offset + after)
        return after

    def _reject(self, buffer: bytes, start: int, end: int, reason: str, key: str = "", after: int | None = None) -> int:
        after = end if after is None else after
        lost = _Lost(self.offset + start, self._line_at(buffer, start), None)
        lost.take(buffer[start:end].rstrip(b"\r\n") if end - start <= self.max_record else buffer[start:end])
        self._add_rejected(lost, reason, key, self.offset + after)
        return after

    def _add_rejected(self, piece: _Lost, reason: str, key: str, end: int) -> None:
        self.rejected += 1
        self._out.append(Rejected(piece.line, piece.offset, reason, bytes(piece.head), key, piece.size))
        self.ends.append(end)

    def _too_long(self) -> str:
        return f"longer than max_record ({self.max_record} bytes)"

    def _line_at(self, buffer: bytes, pos: int) -> int:
        """Return the line number of a position; positions must not decrease within a buffer."""
        if pos > self._counted:
            self.line += buffer.count(b"\n", self._counted, pos)
            self._counted = pos
        return self.line

    def _forget(self, buffer: bytes, pos: int) -> None:
        """Leave behind what stands before `pos`: the next buffer begins there."""
        self._line_at(buffer, pos)
        self.offset += pos
        self._counted = 0

    def _keep(self, buffer: bytes, pos: int, waiting: bool = False, scanner: Scanner | None = None) -> int:
        """Keep the rest of the buffer, from `pos` on, until more comes."""
        if len(buffer) - pos > self.max_record:
            return self._lose(buffer, pos, scanner)
        self._forget(buffer, pos)
        self._tail = bytearray(buffer[pos:])
        self._waiting = waiting
        self._scanner = scanner
        return -1

    def _lose(self, buffer: bytes, pos: int, scanner: Scanner | None) -> int:
        """Begin to skip a piece that is too long, and whose end has not come yet."""
        lost = self._lost = _Lost(self.offset + pos, self._line_at(buffer, pos), scanner)
        done = pos + scanner.pos if scanner else len(buffer)
        lost.take(buffer[pos:done])
        self._forget(buffer, done)
        self._tail = bytearray(buffer[done:])
        self._waiting = False
        self._scanner = None
        return -1

    def _skip_lost(self, lost: _Lost, data: bytes) -> bytes:
        """Skip what belongs to the piece that is too long; return what does not."""
        buffer = bytes(self._tail) + data
        self._tail = bytearray()
        if lost.scanner is None:
            newline = buffer.find(b"\n")
            lost.take(buffer[:newline] if newline >= 0 else buffer)
            done = newline + 1 if newline >= 0 else len(buffer)
            if newline >= 0:
                self._end_lost(lost, self.offset + done)
            self._forget(buffer, done)
            return buffer[done:]
        result = lost.scanner.scan(buffer, 0)
        done = lost.scanner.pos
        lost.take(buffer[:done])
        at_line_start = lost.scanner.previous == _NEWLINE
        if result == DONE or (result == BAD and at_line_start):
            self._end_lost(lost, self.offset + done)
        self._forget(buffer, done)
        if result == MORE:
            self._tail = bytearray(buffer[done:])
            return b""
        if self._lost is not None:
            lost.scanner = None  # the rest of its line goes with it
            return self._skip_lost(lost, buffer[done:])
        return buffer[done:]

    def _end_lost(self, lost: _Lost, end: int) -> None:
        self._lost = None
        self._add_rejected(lost, self._too_long(), "", end)


def _end_of(pattern: re.Pattern[bytes], buffer: bytes, pos: int, end: int) -> int:
    match = pattern.match(buffer, pos, end)
    return match.end() if match else pos
