"""Output fields -> typed columns, a chunk at a time; what a column cannot hold exactly is kept beside it.

A column's type is decided by all of its values together, and those of later chunks are not known yet. So each chunk has
the narrowest type that fits, and the columns are widened in the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Any

from rxalerts import jsonvalues

__all__ = ["Kind", "common", "json_of", "kind_of", "rest_of", "text_of"]

_I64 = range(-(1 << 63), 1 << 63)
_U64 = range(1 << 64)


class Kind(IntEnum):
    """What a column holds; INT and UINT are 64 bits wide, MIXED is text of all that has no common type."""

    NONE = 0
    BOOL = 1
    INT = 2
    UINT = 3
    FLOAT = 4
    TEXT = 5
    MIXED = 6


def kind_of(values: Iterable[Any]) -> Kind:
    """Return the narrowest kind that holds all values; None fits everywhere.

    >>> kind_of([1, None]).name, kind_of([1, 2**63]).name, kind_of([-1, 2**63]).name, kind_of(["a", 1]).name
    ('INT', 'UINT', 'MIXED', 'MIXED')
    """
    present = [value for value in values if value is not None]
    types = set(map(type, present))
    if not types:
        return Kind.NONE
    if len(types) > 1:
        return Kind.MIXED
    only = types.pop()
    if only is int:
        low, high = min(present), max(present)
        return Kind.INT if low in _I64 and high in _I64 else Kind.UINT if low >= 0 and high in _U64 else Kind.MIXED
    return _SIMPLE.get(only, Kind.MIXED)


_SIMPLE: Mapping[type, Kind] = {bool: Kind.BOOL, float: Kind.FLOAT, str: Kind.TEXT}


def common(one: Kind, other: Kind, negative: bool) -> Kind:
    """Return the kind that holds what two columns hold; `negative`: there is an integer below 0 in one of them."""
    if one == other or other is Kind.NONE:
        return one
    if one is Kind.NONE:
        return other
    if {one, other} == {Kind.INT, Kind.UINT} and not negative:
        return Kind.UINT
    return Kind.MIXED


def text_of(value: Any) -> str | None:
    """Return a value as it stands in a MIXED column: text as it is, everything else as JSON."""
    if value is None or isinstance(value, str):
        return value
    return jsonvalues.encode(value).decode()


def rest_of(fields: dict[str, Any], names: frozenset[str], inexact: set[str]) -> str | None:
    """Return as JSON the fields that no column holds, or none exactly."""
    if None not in fields.values() and not inexact and fields.keys() <= names:
        return None
    return json_of(
        {
            name: value
            for name, value in fields.items()
            if value is None or name not in names or (name in inexact and not isinstance(value, str))
        }
    )


def json_of(value: dict[str, Any]) -> str | None:
    """Return an object as JSON, None if it is empty."""
    return jsonvalues.encode(value).decode() if value else None
