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
from rxalerts.wire.jsonline import from_bytes, from_line, from_object, to_object
from rxalerts.wire.prefixes import COLLECTOR, COLORS, HEADER, STAMPED, is_falcos, looks_like, stamp_ns, time_of
from rxalerts.wire.records import Records
from rxalerts.wire.rejected import Rejected
from rxalerts.wire.scanner import DONE, MORE, Scanner
from rxalerts.wire.textline import fields_of, from_syslog, from_text, is_noise
from rxalerts.wire.wrappers import Content

__all__ = ["MAX_RECORD", "Decoder"]

MAX_RECORD = 1 << 20
"""The longest record that is taken, in bytes, unless said otherwise."""

# What may stand between the elements of a JSON array or sequence (RFC 7464); skipped before an object only.
_BETWEEN = re.compile(rb"[\s\x1e,\[\]]*")
_BLANK = re.compile(rb"(?:\s+|" + COLORS + rb")*")
_LAST_COLORS = re.compile(COLORS + rb"+\r?$")
_PREFIX = re.compile(PREFIX.pattern.encode().replace(b"|$)", rb"|\r*$)"))
_ANY_START = re.compile(ANY_START.pattern.encode())
_JSON_START = re.compile(JSON_START.pattern.encode())
_TEXT_START = re.compile(TEXT_START.pattern.encode())
_BRACE = ord("{")
# How often one line is searched again from just behind a false start: bounds the time that garbage can take.
_MAX_TRIES = 16
# How deep a line can stand in records in records.
_MAX_DEPTH = 4
_TORN = "torn or broken JSON"
_NO_ALERT = "not an alert: neither a JSON object nor a line '<time>: <Priority> <text>'"


class Decoder(Records):
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
        super().__init__(max_record, Days(date))
        self._depth = 0  # in how many records what is read here stood
        self._near: int | None = None  # the time of the record that it stood in
        self._utf8 = ToUtf8()
        self._tries = (0, 0)  # a line, and how often it was searched again

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

    def close(self) -> list[Alert | Rejected]:
        """Return the pieces that the end of the input completes: a last line without newline, a torn one."""
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
        self._end_splits()
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
        find, append, newline = buffer.find, self._out.append, -1
        while pos < size:
            start = pos
            try:
                while 0 <= (newline := find(b"\n", pos)) <= pos + longest:
                    append(from_line(buffer[pos:newline]))
                    pos = newline + 1
            except NOT_PLAIN:
                pass
            if pos > start:
                self._ends.append((buffer, self.offset, start, pos))
                if pos == size:
                    break
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
        self.days.near = self._near
        start = _end_of(_BETWEEN, buffer, pos, end)
        if start < end and buffer[start] == _BRACE and start - pos <= self.max_record:
            return self._object(buffer, start)
        if newline < 0:
            return self._keep(buffer, pos, waiting=start < end)
        if end - pos > self.max_record:
            return self._reject(buffer, pos, end, self._too_long(), after=end + 1)
        if start == end:
            return end + 1
        return self._text(buffer, pos, end)

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
            return self._whole(buffer, start, pos)
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

    def _whole(self, buffer: bytes, start: int, pos: int) -> int:
        """Read the object from `start` to `pos`: an alert, or a record with alerts inside."""
        data = buffer[start:pos]
        try:
            return self._accept(from_line(data), pos)
        except NOT_PLAIN:
            pass
        try:
            value = to_object(data)
        except AlertError as error:
            return self._reject(buffer, start, pos, error.reason, error.key)
        collected = "rule" not in value and "output" not in value
        # A collector's record can have a priority and a message of its own.
        if collected and self._is_line(value.get("message")) and self._take_record(value, buffer, start, pos):
            return pos
        try:
            return self._accept(from_object(value, self.days), pos)
        except AlertError as error:
            if collected and self._take_record(value, buffer, start, pos):
                return pos
            return self._reject(buffer, start, pos, error.reason, error.key)

    def _decode_line(self, line: bytes, near: int | None) -> tuple[list[Alert | Rejected], int]:
        try:
            return [from_line(line)], 0
        except NOT_PLAIN:
            pass
        if self._depth >= _MAX_DEPTH:
            raise AlertError(f"it stands in more than {_MAX_DEPTH} records")
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

    @staticmethod
    def _is_line(text: object) -> bool:
        """Tell whether a text is a line with an alert rather than an alert's message."""
        return isinstance(text, str) and (text[:1] == "{" or PREFIX.match(text) is not None)

    def _text(self, buffer: bytes, pos: int, end: int, depth: int = 0) -> int:
        """Read the line of text from `pos` to `end`, where its newline is."""
        start = _end_of(_BLANK, buffer, pos, end)
        if _PREFIX.match(buffer, start, end):
            return self._alert_text(buffer, start, end)
        if buffer.startswith(b"{", start, end):
            return self._object(buffer, start)
        behind = self._behind(buffer, start, end) if depth < _MAX_DEPTH else -1
        if behind > end:
            return behind
        if behind >= 0:
            return self._text(buffer, behind, end, depth + 1)
        header = HEADER.match(buffer, start, end)
        if header is not None:
            return self._syslog(buffer, start, end, header)
        if is_noise(buffer[pos:end].decode("utf-8", "replace")):
            self.skipped += 1
            glued = _ANY_START.search(buffer, start, end)
            return glued.start() if glued else end + 1
        if start == end:
            return end + 1
        looks = looks_like(buffer[start:end])
        return self._garbage(buffer, start, end, f"not an alert: it looks like {looks}" if looks else _NO_ALERT, start)

    def _behind(self, buffer: bytes, start: int, end: int) -> int:
        """Return where the line begins that a collector has put its mark in front of.

        -1: there is no such mark; behind the end: the line was a part of a longer one, and is taken care of.
        """
        mark = COLLECTOR.match(buffer, start, end)
        if mark is None:
            mark = STAMPED.match(buffer, start, end)
            if mark is None or not self._is_known(buffer, mark.end(), end):
                return -1
        elif mark["cri"]:
            stream, more = f"cri/{mark['stream'].decode()}", mark["part"] == b"P"
            if more or stream in self._splits:
                body = buffer[mark.end() : end].rstrip(b"\r")
                self._take_part(Content(body, time_of(mark, self.days), stream, more, True), buffer, start, end)
                return end + 1
        self.days.near = time_of(mark, self.days) or self.days.near
        return mark.end()

    @staticmethod
    def _is_known(buffer: bytes, pos: int, end: int) -> bool:
        """Tell whether a line begins like an alert, or is one of Falco's own."""
        if buffer.startswith(b"{", pos, end) or _PREFIX.match(buffer, pos, end):
            return True
        return is_noise(buffer[pos:end].decode("utf-8", "replace"))

    def _syslog(self, buffer: bytes, start: int, end: int, header: re.Match[bytes]) -> int:
        """Read the line from `start` to `end`, which begins with a syslog header."""
        begin = header.end()
        near = self.days.near = stamp_ns(header.group(), self.days) or self.days.near
        if buffer.startswith(b"{", begin, end):
            return self._object(buffer, begin)
        if _PREFIX.match(buffer, begin, end):
            return self._alert_text(buffer, begin, end)
        if not is_falcos(header):
            return self._garbage(buffer, start, end, "a syslog message of another program, and no alert", start)
        text = buffer[begin:end].rstrip(b"\r").decode("utf-8", "replace")
        try:
            return self._accept(from_syslog(text, header.group(), near), end + 1)
        except AlertError as error:
            if is_noise(text) or not fields_of(text):
                self.skipped += 1
                return end + 1
            return self._garbage(buffer, start, end, error.reason, start, error.key)

    def _alert_text(self, buffer: bytes, start: int, end: int) -> int:
        """Read the text alert at `start`, and leave to the next turn what is glued to it.

        Only what follows a closing bracket is taken for another alert: it is the usual end of a rule's output.
        Anything else could be part of a command line, put there to forge an alert.
        """
        glued = _TEXT_START.search(buffer, start + 1, end)
        cut = glued.start() if glued else end
        cut = self._glued_json(buffer, start, cut, end)
        text = buffer[start:cut].rstrip(b"\r")
        if buffer[start - 1 : start] in (b"m", b"K"):
            text = _LAST_COLORS.sub(b"", text)
        after = cut if cut < end else end + 1
        try:
            return self._accept(from_text(text.decode("utf-8", "replace"), self.days), after)
        except AlertError as error:
            return self._reject(buffer, start, cut, error.reason, error.key, after)

    def _glued_json(self, buffer: bytes, start: int, cut: int, end: int) -> int:
        """Return where a whole JSON alert begins between `start` and `cut` behind a bracket; else `cut`."""
        if buffer.find(b"{", start, cut) < 0 or buffer.find(b'"priority"', start, end) < 0:
            return cut
        for tries, match in enumerate(_JSON_START.finditer(buffer, start, cut)):
            if tries >= _MAX_TRIES:
                break
            begin = match.start()
            if buffer[begin - 1 : begin] != b")":
                continue
            scanner = Scanner()
            if scanner.scan(buffer, begin) == DONE and scanner.pos <= end:
                try:
                    from_bytes(buffer[begin : scanner.pos], Days())
                except AlertError:
                    continue
                return begin
        return cut

    def _garbage(self, buffer: bytes, start: int, end: int, reason: str, bad: int, key: str = "") -> int:
        """Reject what stands from `start` up to the next thing on the line that looks like an alert."""
        line = self._line_at(buffer, start)
        tries = self._tries[1] + 1 if self._tries[0] == line else 1
        self._tries = (line, tries)
        # Inside of a torn object, text that looks like an alert is part of one: of its output.
        pattern = _JSON_START if reason is _TORN else _ANY_START
        match = pattern.search(buffer, start + 1 if tries <= _MAX_TRIES else max(bad, start + 1), end)
        cut = match.start() if match else end
        return self._reject(buffer, start, cut, reason, key, cut if match else end + 1)


def _end_of(pattern: re.Pattern[bytes], buffer: bytes, pos: int, end: int) -> int:
    match = pattern.match(buffer, pos, end)
    return match.end() if match else pos
