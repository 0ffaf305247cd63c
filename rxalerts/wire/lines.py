"""Lines of text: alerts, behind syslog headers and collectors' marks too, Falco's own lines, and garbage."""

from __future__ import annotations

import re
from abc import abstractmethod

from rxalerts.errors import AlertError
from rxalerts.record import ANY_START, JSON_START, PREFIX, TEXT_START
from rxalerts.wire.days import Days
from rxalerts.wire.jsonline import from_bytes
from rxalerts.wire.prefixes import COLLECTOR, COLORS, HEADER, STAMPED, is_falcos, looks_like, stamp_ns, time_of
from rxalerts.wire.records import Records
from rxalerts.wire.scanner import DONE, Scanner
from rxalerts.wire.textline import fields_of, from_syslog, from_text, is_noise
from rxalerts.wire.wrappers import Content

__all__ = ["MAX_DEPTH", "TORN", "Lines", "end_of"]

MAX_DEPTH = 4
"""How many marks may stand in front of a line, and in how many records it may stand."""
TORN = "torn or broken JSON"
_NO_ALERT = "not an alert: neither a JSON object nor a line '<time>: <Priority> <text>'"

_BLANK = re.compile(rb"(?:\s+|" + COLORS + rb")*")
_LAST_COLORS = re.compile(COLORS + rb"+\r?$")
_PREFIX = re.compile(PREFIX.pattern.encode().replace(b"|$)", rb"|\r*$)"))
_ANY_START = re.compile(ANY_START.pattern.encode())
_JSON_START = re.compile(JSON_START.pattern.encode())
_TEXT_START = re.compile(TEXT_START.pattern.encode())
# How often one line is searched again from just behind a false start: bounds the time that garbage can take.
_MAX_TRIES = 16


class Lines(Records):
    """Reads lines of text; each method returns where the next piece begins, -1 if more input is needed."""

    def __init__(self, max_record: int, days: Days) -> None:
        super().__init__(max_record, days)
        self._depth = 0  # in how many records what is read here stood
        self._tries = (0, 0)  # a line, and how often it was searched again

    @abstractmethod
    def _object(self, buffer: bytes, start: int, end: int) -> int:
        """Read the object that begins at `start`; its line ends at `end` (-1: not yet), and it may on another one."""

    def _text(self, buffer: bytes, pos: int, end: int, depth: int = 0) -> int:
        """Read the line of text from `pos` to `end`, where its newline is."""
        start = end_of(_BLANK, buffer, pos, end)
        if _PREFIX.match(buffer, start, end):
            return self._alert_text(buffer, start, end)
        if buffer.startswith(b"{", start, end):
            return self._object(buffer, start, end)
        behind = self._behind(buffer, start, end) if depth < MAX_DEPTH else -1
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
        reason = f"not an alert: it looks like {looks}" if looks else _NO_ALERT
        if depth or self._depth or STAMPED.match(buffer, start, end):
            # Somebody's whole line: nothing was torn off or glued here, so nothing that it quotes is an alert.
            return self._reject(buffer, start, end, reason, after=end + 1)
        return self._garbage(buffer, start, end, reason, start)

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
            return self._object(buffer, begin, end)
        if _PREFIX.match(buffer, begin, end):
            return self._alert_text(buffer, begin, end)
        # From here on nothing in the line is looked for: what it quotes may have been written to forge an alert.
        if not is_falcos(header):
            reason = "a syslog message of another program, and no alert"
            return self._reject(buffer, start, end, reason, after=end + 1)
        text = buffer[begin:end].rstrip(b"\r").decode("utf-8", "replace")
        try:
            return self._accept(from_syslog(text, header.group(), near), end + 1)
        except AlertError as error:
            if is_noise(text) or not fields_of(text):
                self.skipped += 1
                return end + 1
            return self._reject(buffer, start, end, error.reason, error.key, end + 1)

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
        pattern = _JSON_START if reason is TORN else _ANY_START
        match = pattern.search(buffer, start + 1 if tries <= _MAX_TRIES else max(bad, start + 1), end)
        cut = match.start() if match else end
        return self._reject(buffer, start, cut, reason, key, cut if match else end + 1)


def end_of(pattern: re.Pattern[bytes], buffer: bytes, pos: int, end: int) -> int:
    """Return where what a pattern matches at `pos` ends; `pos` if it does not match."""
    match = pattern.match(buffer, pos, end)
    return match.end() if match else pos
