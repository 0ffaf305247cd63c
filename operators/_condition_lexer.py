"""Read the words of a condition, and say where one of them is wrong.

The lexical rules are Falco's (falcosecurity/libs 0.21, userspace/libsinsp/filter/parser.cpp and
escaping.cpp). What a run of characters is depends on where it stands: `a=b` is a field, an operator
and a value, but `/a-b:c*` is one value. So there is no list of tokens made beforehand; the parser asks
a scanner for what it expects next.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Final

from rxalerts.errors import RxAlertsError

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*")
_BLANK: Final = re.compile(r"[\s\x08]*")
_WORD: Final = re.compile(r"[^\s()\"'=,<>!]+")
_SYMBOL: Final = re.compile(r"==|!=|<=|>=|=|<|>")
_BARE: Final = re.compile(r"[^()\"'\s\x08=,]+")
_ARGUMENT: Final = re.compile(r"[^\[\]\"'\s]+")
# `\ ` gives a backslash in Falco too: it keeps old, wrongly escaped rules working.
_ESCAPES: Final = {
    "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t",
    " ": "\\", "\\": "\\", "/": "/", '"': '"', "'": "'",
}  # fmt: skip
_SHOWN: Final = 100  # characters of the line
_LONGEST: Final = 300  # characters of a reason, which may quote the condition


class ConditionError(RxAlertsError):
    """Say what is wrong with a condition, where, and what was expected there.

    `line` and `column` count from 1; `expected` is what would have been right at that place (may be
    empty); `macro` names the macro whose text is meant, or is None for the condition itself.

    >>> from rxalerts.operators.condition import compile_condition
    >>> compile_condition("priority >= eror")
    Traceback (most recent call last):
        ...
    rxalerts.operators._condition_lexer.ConditionError: condition, column 13: unknown priority eror; ...
      priority >= eror
                  ^
    """

    def __init__(self, text: str, offset: int, reason: str, expected: str = "", macro: str | None = None) -> None:
        super().__init__(text, offset, reason, expected, macro)
        self.text = text
        self.offset = offset
        self.reason = reason
        self.expected = expected
        self.macro = macro
        start = text.rfind("\n", 0, offset) + 1
        self.line = text.count("\n", 0, offset) + 1
        self.column = offset - start + 1

    def __str__(self) -> str:
        lines = self.text.split("\n")
        where = "condition" if self.macro is None else f"macro {self.macro}"
        place = f"line {self.line}, column {self.column}" if len(lines) > 1 else f"column {self.column}"
        wanted = f"; expected {self.expected}" if self.expected else ""
        return f"{where}, {place}: {self.reason}{wanted}\n{_point(lines[self.line - 1], self.column)}"


def _point(line: str, column: int) -> str:
    """Show the part of a line around a column, with a caret below it."""
    first = max(0, column - _SHOWN // 2) if len(line) > _SHOWN else 0
    shown = line[first : first + _SHOWN]
    # Whatever would move the caret or the terminal takes one column.
    shown = "".join(c if c.isprintable() else " " for c in shown)
    return f"  {shown}\n  {' ' * (column - 1 - first)}^"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Give `; did you mean X?`, or an empty text when nothing known is near.

    >>> did_you_mean("prio", ["rule", "priority"])
    '; did you mean priority?'
    """
    near = difflib.get_close_matches(word.lower(), list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


class Scanner:
    """Walk over the text of a condition; every reader leaves the position behind what it read."""

    def __init__(self, text: str, macro: str | None = None) -> None:
        self.text = text
        self.macro = macro
        self.pos = 0

    def fail(self, reason: str, expected: str = "", at: int | None = None) -> ConditionError:
        """Make the error for a place (default: here)."""
        if len(reason) > _LONGEST:
            reason = reason[:_LONGEST] + "…"
        return ConditionError(self.text, self.pos if at is None else at, reason, expected, self.macro)

    def skip_blank(self) -> None:
        match = _BLANK.match(self.text, self.pos)
        if match is not None:
            self.pos = match.end()

    @property
    def at_end(self) -> bool:
        return self.pos >= len(self.text)

    def take(self, literal: str) -> bool:
        """Step over a punctuation mark when it stands here."""
        if self.text.startswith(literal, self.pos):
            self.pos += len(literal)
            return True
        return False

    def _take(self, pattern: re.Pattern[str]) -> str | None:
        match = pattern.match(self.text, self.pos)
        if match is None:
            return None
        self.pos = match.end()
        return match.group()

    def peek_word(self) -> str:
        """Give the word that stands here (empty at punctuation), without stepping over it."""
        match = _WORD.match(self.text, self.pos)
        return match.group() if match is not None else ""

    def peek_name(self) -> str:
        match = NAME.match(self.text, self.pos)
        return match.group() if match is not None else ""

    def symbol(self) -> str | None:
        return self._take(_SYMBOL)

    def quoted(self) -> str | None:
        """Read a quoted text with its escapes, or give None when no quote stands here."""
        start = self.pos
        if self.at_end or self.text[start] not in "\"'":
            return None
        quote, parts, i = self.text[start], list[str](), start + 1
        while i < len(self.text):
            char = self.text[i]
            if char == quote:
                self.pos = i + 1
                return "".join(parts)
            if char == "\\":
                i += 1
                parts.append(self._escape(i))
            else:
                parts.append(char)
            i += 1
        raise self.fail(f"the text that begins here has no closing {quote}", f"a closing {quote}", at=start)

    def _escape(self, at: int) -> str:
        letter = self.text[at : at + 1]
        if letter in _ESCAPES:
            return _ESCAPES[letter]
        shown = letter if letter.isprintable() else repr(letter)
        wanted = "one of \\\\ \\\" \\' \\/ \\b \\f \\n \\r \\t (a backslash itself is written \\\\)"
        raise self.fail(f"unknown escape \\{shown}", wanted, at=at - 1)

    def bare(self) -> str | None:
        return self._take(_BARE)

    def argument(self) -> str | None:
        """Read what stands between the brackets of a field, quoted or not."""
        quoted = self.quoted()
        return self._take(_ARGUMENT) if quoted is None else quoted
