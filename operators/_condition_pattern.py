"""Read the regular expressions of conditions.

Falco's `regex` is RE2 in POSIX mode, anchored at both ends, and never takes more than linear time.
Python's `re` backtracks: `(a+)+` against a command line that an attacker chose would stop the stream
for hours. So patterns are read here, and run as an automaton in `_condition_regex`. The language is
RE2's POSIX syntax with a few Perl shorthands: `. [a-z] [^a] [[:alpha:]] | ( ) (?: ) * + ? {m,n} ^ $`,
`\\d \\w \\s \\D \\W \\S`, `\\x41` and a leading `(?i)`. There are no back-references, no look-around and
no word boundaries, just as in Falco.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

Ranges = tuple[tuple[int, int], ...]

MAX_REPEAT: Final = 1000  # as in RE2
MAX_NESTED: Final = 50

_TOP: Final = 0x10FFFF
_DIGIT: Final[Ranges] = ((48, 57),)
_SPACE: Final[Ranges] = ((9, 10), (12, 13), (32, 32))
_WORD: Final[Ranges] = ((48, 57), (65, 90), (95, 95), (97, 122))
_CONTROL: Final = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13, "a": 7}
_NAMED: Final[dict[str, Ranges]] = {
    "alnum": ((48, 57), (65, 90), (97, 122)), "alpha": ((65, 90), (97, 122)), "ascii": ((0, 127),),
    "blank": ((9, 9), (32, 32)), "cntrl": ((0, 31), (127, 127)), "digit": _DIGIT, "graph": ((33, 126),),
    "lower": ((97, 122),), "print": ((32, 126),), "punct": ((33, 47), (58, 64), (91, 96), (123, 126)),
    "space": ((9, 13), (32, 32)), "upper": ((65, 90),), "word": _WORD,
    "xdigit": ((48, 57), (65, 70), (97, 102)),
}  # fmt: skip
_COUNT: Final = re.compile(r"\{([0-9]{1,6})(,([0-9]{1,6})?)?\}")
_CODE: Final = re.compile(r"x(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]{1,6})\})")


class PatternError(ValueError):
    """Say what is wrong with a pattern, and at which of its characters (from 0)."""

    def __init__(self, reason: str, at: int) -> None:
        super().__init__(reason, at)
        self.reason = reason
        self.at = at


@dataclass(frozen=True, slots=True)
class Chars:
    ranges: Ranges


@dataclass(frozen=True, slots=True)
class Edge:
    end: bool  # `$`, else `^`


@dataclass(frozen=True, slots=True)
class Series:
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    part: Part
    low: int
    high: int | None


Part = Chars | Edge | Series | Choice | Repeat


def _outside(ranges: Ranges) -> Ranges:
    """Give all characters that are in none of the ranges."""
    result, first = list[tuple[int, int]](), 0
    for low, high in sorted(ranges):
        if low > first:
            result.append((first, low - 1))
        first = max(first, high + 1)
    if first <= _TOP:
        result.append((first, _TOP))
    return tuple(result)


def _in_both_cases(ranges: Ranges) -> Ranges:
    """Add the other case of ASCII letters, and of a single letter of any kind."""
    result = list(ranges)
    for low, high in ranges:
        for first, last, shift in ((65, 90, 32), (97, 122, -32)):
            if low <= last and high >= first:
                result.append((max(low, first) + shift, min(high, last) + shift))
        if low == high:
            result.extend((ord(c), ord(c)) for c in (chr(low).lower(), chr(low).upper()) if len(c) == 1)
    return tuple(result)


class _Reader:
    """Read a pattern into its parts."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.fold = text.startswith("(?i)")
        self.pos = 4 if self.fold else 0
        self.nested = 0

    def read(self) -> Part:
        part = self.choice()
        if self.pos < len(self.text):
            raise PatternError("this ) closes no (", self.pos)
        return part

    def peek(self) -> str:
        return self.text[self.pos : self.pos + 1]

    def choice(self) -> Part:
        parts = [self.sequence()]
        while self.peek() == "|":
            self.pos += 1
            parts.append(self.sequence())
        return parts[0] if len(parts) == 1 else Choice(tuple(parts))

    def sequence(self) -> Part:
        parts = list[Part]()
        while self.peek() not in ("", "|", ")"):
            parts.append(self.repeated())
        return Series(tuple(parts))

    def repeated(self) -> Part:
        part = self.atom()
        limits = self.limits()
        if limits is None:
            return part
        if self.peek() == "?":  # "as few as possible": the same texts match as a whole
            self.pos += 1
        start = self.pos
        if self.limits() is not None:
            raise PatternError("a repeat of a repeat; put the inner one in parentheses", start)
        return Repeat(part, *limits)

    def limits(self) -> tuple[int, int | None] | None:
        """Read how often the part before may occur, or give None when nothing says so."""
        simple: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
        sign = self.peek()
        if sign in simple:
            self.pos += 1
            return simple[sign]
        counted = _COUNT.match(self.text, self.pos)
        if counted is None:
            return None
        low = int(counted[1])
        high = low if counted[2] is None else int(counted[3]) if counted[3] else None
        if max(low, high or 0) > MAX_REPEAT or (high is not None and high < low):
            raise PatternError(f"counts must rise and be at most {MAX_REPEAT}", self.pos)
        self.pos = counted.end()
        return low, high

    def atom(self) -> Part:
        start, char = self.pos, self.peek()
        self.pos += 1
        if char == "(":
            return self.group(start)
        if char == "[":
            return Chars(self.bracket(start))
        if char == "\\":
            return self.escaped(start)
        if char in "*+?":
            raise PatternError(f"nothing stands before this {char}", start)
        if char in "^$":
            return Edge(char == "$")
        return Chars(_outside(((10, 10),)) if char == "." else self.cased(((ord(char), ord(char)),)))

    def cased(self, ranges: Ranges) -> Ranges:
        return _in_both_cases(ranges) if self.fold else ranges

    def group(self, start: int) -> Part:
        self.nested += 1
        if self.nested > MAX_NESTED:
            raise PatternError(f"nested more than {MAX_NESTED} deep", start)
        if self.text.startswith("?:", self.pos):
            self.pos += 2
        elif self.peek() == "?":
            raise PatternError("of the (?…) groups only (?:…) and a leading (?i) are known, as in RE2", start)
        part = self.choice()
        if self.peek() != ")":
            raise PatternError("this ( is never closed", start)
        self.pos += 1
        self.nested -= 1
        return part

    def escaped(self, start: int) -> Part:
        if self.peek() in ("A", "z"):
            self.pos += 1
            return Edge(self.text[self.pos - 1] == "z")
        return Chars(self.cased(self.escape(start)))

    def escape(self, start: int) -> Ranges:
        """Read what follows a backslash, in or outside of brackets."""
        char = self.peek()
        self.pos += 1
        if char in ("d", "D", "w", "W", "s", "S") and char:
            ranges = {"d": _DIGIT, "w": _WORD, "s": _SPACE}[char.lower()]
            return ranges if char.islower() else _outside(ranges)
        code = _CODE.match(self.text, start + 1)
        if code is not None:
            self.pos, number = code.end(), int(code[1] or code[2], 16)
            if number <= _TOP:
                return ((number, number),)
        elif char in _CONTROL:
            return ((_CONTROL[char], _CONTROL[char]),)
        elif char and not (char.isascii() and char.isalnum()):
            return ((ord(char), ord(char)),)
        raise PatternError(f"\\{char} is no escape of RE2's POSIX syntax", start)

    def bracket(self, start: int) -> Ranges:
        """Read a character class; its `[` has been read."""
        negated = self.peek() == "^"
        self.pos += negated
        ranges, first = list[tuple[int, int]](), True
        while first or self.peek() != "]":
            if not self.peek():
                raise PatternError("this [ is never closed", start)
            ranges.extend(self.bracket_item())
            first = False
        self.pos += 1
        cased = self.cased(tuple(ranges))
        return _outside(cased) if negated else cased

    def bracket_item(self) -> Ranges:
        start = self.pos
        if self.text.startswith("[:", start):
            end = self.text.find(":]", start)
            name = self.text[start + 2 : end] if end > 0 else ""
            known = _NAMED.get(name.removeprefix("^"))
            if known is None:
                raise PatternError("unknown class; known are " + " ".join(f"[:{n}:]" for n in _NAMED), start)
            self.pos = end + 2
            return _outside(known) if name.startswith("^") else known
        low = self.bracket_char()
        is_range = self.peek() == "-" and self.text[self.pos + 1 : self.pos + 2] not in ("]", "")
        if not is_range:
            return low
        self.pos += 1
        high = self.bracket_char()
        if len(low) != 1 or len(high) != 1 or high[0][0] < low[0][0] or low[0][0] != low[0][1]:
            raise PatternError("a range must rise", start)
        return ((low[0][0], high[0][1]),)

    def bracket_char(self) -> Ranges:
        char = self.peek()
        self.pos += 1
        return self.escape(self.pos - 1) if char == "\\" else ((ord(char), ord(char)),)


def read_pattern(text: str) -> Part:
    """Read a pattern into its parts. Raises PatternError."""
    return _Reader(text).read()
