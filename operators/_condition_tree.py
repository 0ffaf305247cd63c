"""What a condition consists of once it has been read: checks joined by and, or, not."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from rxalerts.alert import Alert

Fields = dict[str, Any]
Test = Callable[[Alert], bool]
FieldsTest = Callable[[Fields], bool]
Item = str | int | float | bool
Lists = Mapping[str, Sequence[Item]]

KEYWORDS: Final = ("and", "or", "not")
BUILTINS: Final = ("rule", "priority", "source", "hostname", "tags", "output", "message", "evt.time")
ORDERINGS: Final = ("<", "<=", ">", ">=")
TEXT_OPERATORS: Final = ("contains", "icontains", "startswith", "endswith", "glob", "iglob", "regex")
LIST_OPERATORS: Final = ("in", "intersects", "pmatch")
OPERATORS: Final = ("=", "==", "!=", *ORDERINGS, *TEXT_OPERATORS, *LIST_OPERATORS, "exists")

_HEX: Final = re.compile(r"0[xX][0-9a-fA-F]+")
_INTEGER: Final = re.compile(r"[+-]?[0-9]+")
_FLOAT: Final = re.compile(r"[+-]?[0-9]+\.?[0-9]*(?:[eE][+-]?[0-9]+)?")
_DIGITS: Final = 400  # longer ones are no number that an alert could carry


@dataclass(frozen=True, slots=True)
class Field:
    """What is compared: a built-in name, or the key of an output field."""

    name: str
    key: str | None  # None for a built-in
    functions: tuple[str, ...] = ()  # what changes it before it is compared, the outermost first

    def __str__(self) -> str:
        name = self.name if self.key is None else f"output field {self.key}"
        return f"{'('.join(self.functions)}({name}{')' * len(self.functions)}" if self.functions else name


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a check, as text, and where it stands in the condition."""

    text: str
    offset: int

    @property
    def number(self) -> int | float | None:
        return number_of(self.text)


@dataclass(frozen=True, slots=True)
class OfAlert:
    """A compiled test of an alert; of several tests the cheapest runs first."""

    test: Test
    cost: int


@dataclass(frozen=True, slots=True)
class OfFields:
    """A compiled test of output fields alone, so that several share one look at the alert."""

    test: FieldsTest
    cost: int


Compiled = OfAlert | OfFields


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison: field, operator (never `==`, which is read as `=`) and values."""

    subject: Field
    operator: str
    values: tuple[Value, ...]
    lists: tuple[str, ...]  # the named lists that the values came from
    compiled: Compiled = field(compare=False)
    size: int = 1
    height: int = 1


@dataclass(frozen=True, slots=True)
class Junction:
    """Two or more parts joined by `and` or by `or`."""

    word: str
    parts: tuple[Node, ...]
    size: int  # checks in it
    height: int  # levels in it


@dataclass(frozen=True, slots=True)
class Not:
    part: Node
    size: int  # checks in it
    height: int  # levels in it


@dataclass(frozen=True, slots=True)
class Macro:
    """A part that came from a macro; kept apart so that it can be shown by its name."""

    name: str
    part: Node
    size: int  # checks in it
    height: int  # levels in it


Node = Check | Junction | Not | Macro


def number_of(text: str) -> int | float | None:
    """Read a number as Falco writes it: decimal, hexadecimal, with a fraction or an exponent.

    >>> number_of("0x1F"), number_of("-1"), number_of("1.5e3"), number_of("1.2.3.4")
    (31, -1, 1500.0, None)
    """
    if len(text) > _DIGITS:
        return None
    if _INTEGER.fullmatch(text):
        return int(text)
    if _HEX.fullmatch(text):
        return int(text, 16)
    return float(text) if _FLOAT.fullmatch(text) else None


def expand_list(lists: Lists, name: str, at: int) -> list[Value]:
    """Give the values of a named list, and of the lists that it names, each list once.

    >>> [v.text for v in expand_list({"shells": ["bash", "small"], "small": ["sh", 1]}, "shells", 0)]
    ['bash', 'sh', '1']
    """
    values, done, waiting = list[Value](), {name}, [name]
    for current in waiting:  # grows while it is read
        for item in lists[current]:
            text = ("true" if item else "false") if isinstance(item, bool) else str(item)
            if text not in lists or text == current:
                values.append(Value(text, at))
            elif text not in done:
                done.add(text)
                waiting.append(text)
    return values


def explain_tree(node: Node, depth: int = 0) -> list[str]:
    """Describe a tree in words, one line per check, indented by two blanks per level."""
    pad = "  " * depth
    if isinstance(node, Check):
        return [pad + explain_check(node)]
    if isinstance(node, Junction):
        head = "all of:" if node.word == "and" else "any of:"
        return [pad + head, *(line for part in node.parts for line in explain_tree(part, depth + 1))]
    head = "not:" if isinstance(node, Not) else f"macro {node.name}:"
    return [pad + head, *explain_tree(node.part, depth + 1)]


_WORDS: Final = {
    "=": "is", "!=": "is present and is not", "<": "is less than", "<=": "is at most",
    ">": "is more than", ">=": "is at least", "contains": "contains",
    "icontains": "contains, in any case,", "startswith": "starts with", "endswith": "ends with",
    "glob": "matches the glob", "iglob": "matches, in any case, the glob",
    "regex": "as a whole matches the regular expression", "in": "is one of",
    "intersects": "shares a value with", "pmatch": "is, or lies below, one of the paths",
}  # fmt: skip
_SEVERITY: Final = {
    "=": "is", "!=": "is not", "<": "is less severe than", "<=": "is, or is less severe than,",
    ">": "is more severe than", ">=": "is, or is more severe than,",
}  # fmt: skip
_TIME: Final = {
    "<": "is before", "<=": "is not after", ">": "is after", ">=": "is not before",
}  # fmt: skip


def explain_check(check: Check) -> str:
    """Describe one check in words."""
    if check.operator == "exists":
        return f"{check.subject} exists"
    special = {"priority": _SEVERITY, "evt.time": _TIME}
    own = special.get(check.subject.name, _WORDS)
    words = own.get(check.operator, _WORDS[check.operator])
    if check.subject.name == "tags" and check.operator == "in":
        words = "are all in"
    bare = check.subject.name in ("priority", "evt.time")
    values = [v.text if bare or v.number is not None else _quote(v.text) for v in check.values]
    if check.lists:
        return f"{check.subject} {words} {_joined(values)} (list {', '.join(check.lists)})"
    return f"{check.subject} {words} {_joined(values)}"


def _joined(values: list[str]) -> str:
    if len(values) > 20:
        return f"{', '.join(values[:20])} and {len(values) - 20} more"
    return ", ".join(values) if values else "nothing (an empty list)"


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
