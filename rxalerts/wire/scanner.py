"""Finds the end of a JSON object in a stream that comes in pieces.

It follows JSON's grammar just closely enough to see, as early as possible, that an object was torn off: an
unfinished line followed by the next alert must not swallow that alert. Values are not checked; that is the
decoder's work.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["BAD", "DONE", "MORE", "Scanner"]

DONE: Final = 0
MORE: Final = 1
BAD: Final = 2

# What may come next.
_VALUE, _VALUE_OR_END, _KEY, _KEY_OR_END, _COLON, _COMMA_OR_END = range(6)
# What the scanner stands in the middle of.
_NOTHING, _STRING, _SCALAR = range(3)

_SPACE = re.compile(rb"[ \t\r\n]*")
# Every backslash takes the next byte with it. A raw newline ends the search: JSON strings have none.
_STRING_BODY = re.compile(rb'(?:[^"\\\n]+|\\[^\n])*')
_SCALAR_BODY = re.compile(rb"[-+.0-9A-Za-z]*")
_MAX_DEPTH = 10_000

_QUOTE, _COLON_BYTE, _COMMA = b'":,'
_OPEN_OBJECT, _CLOSE_OBJECT, _OPEN_LIST, _CLOSE_LIST = b"{}[]"
_NEWLINE = ord("\n")
_CLOSERS = {_OPEN_OBJECT: _CLOSE_OBJECT, _OPEN_LIST: _CLOSE_LIST}
_SCALAR_STARTS = frozenset(b"-0123456789tfn")


class Scanner:
    """Scans one object.

    `pos` is where it stands in the buffer of the last call, `previous` the byte before.
    """

    __slots__ = ("_expect", "_inside", "_stack", "pos", "previous")

    def __init__(self) -> None:
        self.pos = 0
        self._stack = bytearray()
        self._expect = _VALUE
        self._inside = _NOTHING
        self.previous = 0

    def scan(self, buffer: bytes | bytearray, pos: int) -> int:
        """Scan on from a position.

        Returns:
            DONE: the object ends at `pos`. MORE: it goes on behind the buffer; give `pos` and what follows
            again. BAD: at `pos` stands what no object has there.
        """
        end = len(buffer)
        while pos < end:
            if self._inside == _STRING:
                pos = self._end_of(_STRING_BODY, buffer, pos)
                if pos == end or (buffer[pos] == 0x5C and pos == end - 1):
                    break
                if buffer[pos] != _QUOTE:
                    return self._stop(BAD, buffer, pos)
                self._inside = _NOTHING
                pos += 1
                continue
            if self._inside == _SCALAR:
                pos = self._end_of(_SCALAR_BODY, buffer, pos)
                if pos == end:
                    break
                self._inside = _NOTHING
            pos = self._end_of(_SPACE, buffer, pos)
            if pos == end:
                break
            if not self._take(buffer[pos], buffer[pos - 1] if pos else self.previous):
                return self._stop(BAD, buffer, pos)
            pos += 1
            if not self._stack:
                return self._stop(DONE, buffer, pos)
        return self._stop(MORE, buffer, pos)

    @staticmethod
    def _end_of(pattern: re.Pattern[bytes], buffer: bytes | bytearray, pos: int) -> int:
        match = pattern.match(buffer, pos)
        return match.end() if match else pos

    def _stop(self, result: int, buffer: bytes | bytearray, pos: int) -> int:
        self.pos = pos
        if pos:
            self.previous = buffer[pos - 1]
        return result

    def _take(self, byte: int, previous: int) -> bool:
        """Take one byte outside of strings and scalars; tell whether it may stand here."""
        expect = self._expect
        if byte == _QUOTE:
            if expect in (_KEY, _KEY_OR_END):
                self._expect = _COLON
            elif expect in (_VALUE, _VALUE_OR_END):
                self._expect = _COMMA_OR_END
            else:
                return False
            self._inside = _STRING
        elif byte == _COMMA:
            if expect != _COMMA_OR_END:
                return False
            self._expect = _KEY if self._stack[-1] == _OPEN_OBJECT else _VALUE
        elif byte == _COLON_BYTE:
            if expect != _COLON:
                return False
            self._expect = _VALUE
        elif byte in (_CLOSE_OBJECT, _CLOSE_LIST):
            if expect not in (_COMMA_OR_END, _KEY_OR_END, _VALUE_OR_END) or _CLOSERS[self._stack[-1]] != byte:
                return False
            self._stack.pop()
            self._expect = _COMMA_OR_END
        else:
            return expect in (_VALUE, _VALUE_OR_END) and self._value(byte, previous)
        return True

    def _value(self, byte: int, previous: int) -> bool:
        if byte in _CLOSERS:
            # However an object is spread over lines, a brace in the first column begins the next one.
            if len(self._stack) >= _MAX_DEPTH or (self._stack and byte == _OPEN_OBJECT and previous == _NEWLINE):
                return False
            self._stack.append(byte)
            self._expect = _KEY_OR_END if byte == _OPEN_OBJECT else _VALUE_OR_END
            return True
        self._inside = _SCALAR
        self._expect = _COMMA_OR_END
        return byte in _SCALAR_STARTS
