"""Writes alerts that were read as JSON again, quickly.

All alerts of a rule have the same few fields, and most come from a Falco that wrote them just as we do. So two things
are learned for each rule, both of them exact:

* a pattern that matches only lines which are already what encoding would give: then the line is the answer;
* a struct with one attribute per field, in sorted order. Decoding the raw ``output_fields`` into it and encoding it
  again costs half of what the general way over a dict with a sort does, and the result is the same by construction,
  whatever the order, the blanks and the escapes were.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from rxalerts.record import FIELDS, Record

__all__ = ["LINES", "STRUCTS", "forget", "learn_line", "learn_struct"]

LINES: dict[object, Callable[[bytes], object]] = {}
"""By rule: matches lines of valid JSON without backslashes that are in Falco's form already."""
STRUCTS: dict[object, Callable[[bytes | msgspec.Raw], Any]] = {}
"""By rule: decodes raw output_fields into a struct; raises a MsgspecError if they have another shape."""

# Bounds: never more than these many rules are known, with these many fields each; and a rule whose alerts keep
# changing their shape is left to the general way.
_MAX_RULES = 1024
_MAX_FIELDS = 128
_MAX_CHANGES = 8
_keys: dict[str, tuple[frozenset[str], int]] = {}
_misses: dict[str, int] = {}
_RELEARN = frozenset((1, 8, 64))

_Scalar = str | int | float | bool | None
_Value = str | int | float | bool | list[_Scalar] | UnsetType | None

_STRING = rb'"[^"]*+"'
_TOKENS: dict[type, bytes] = {
    str: _STRING,
    int: rb"(?:0|-?[1-9][0-9]*+)",
    bool: rb"(?:true|false)",
    type(None): rb'(?:null|"[^"]*+")',
}


def learn_struct(rule: str, fields: dict[str, Any]) -> None:
    """Make the rule's struct fit these fields too, if that is possible within the bounds."""
    keys, changes = _keys.get(rule, (frozenset[str](), 0))
    if changes >= _MAX_CHANGES or (not changes and len(_keys) >= _MAX_RULES):
        return
    wider = keys | fields.keys()
    _keys[rule] = (wider, changes + 1)
    STRUCTS.pop(rule, None)
    if len(wider) <= _MAX_FIELDS and changes + 1 < _MAX_CHANGES and all(map(_fits, wider)):
        STRUCTS[rule] = msgspec.json.Decoder(_struct(sorted(wider))).decode


def learn_line(rule: str, record: Record, fields: dict[str, Any]) -> None:
    """Learn the form of a line that turned out to be what encoding gives, if the rule's pattern did not match it."""
    misses = _misses.get(rule, 0) + 1
    if misses == 1 and len(_misses) >= _MAX_RULES:
        return
    _misses[rule] = misses
    if misses in _RELEARN:
        pattern = _pattern(record, fields)
        if pattern is not None:
            LINES[rule] = re.compile(pattern).fullmatch
    elif misses > 2 * max(_RELEARN):
        LINES.pop(rule, None)  # it costs more than it gives


def forget() -> None:
    """Forget all rules."""
    for table in (LINES, STRUCTS, _keys, _misses):
        table.clear()


def _fits(key: str) -> bool:
    """Tell whether a struct can have such a key: no quotes, backslashes and control characters."""
    return key.isprintable() and '"' not in key and "\\" not in key


def _struct(keys: list[str]) -> type[msgspec.Struct]:
    names = {f"f{number}": key for number, key in enumerate(keys)}
    return msgspec.defstruct(
        "OutputFields",
        [(name, _Value, UNSET) for name in names],
        rename=names,
        forbid_unknown_fields=True,
        gc=False,
    )


def _pattern(record: Record, fields: dict[str, Any]) -> bytes | None:
    """Return a pattern of lines like this one, or None if it has anything but strings, integers, null and bool."""
    if len(fields) > _MAX_FIELDS or not all(type(value) in _TOKENS for value in fields.values()):
        return None
    parts = {
        "output_fields": rb"\{" + b",".join(_pair(key, _TOKENS[type(fields[key])]) for key in sorted(fields)) + rb"\}",
        # A line that the decoder took has its commas and quotes in the right places.
        "tags": rb'\[(?:"[^"]*+",?)*+\]',
    }
    values = {key: getattr(record, key) for key in FIELDS if key != "output_fields"}
    if not all(isinstance(value, str | tuple | UnsetType) for value in values.values()):
        return None
    keys = [key for key in FIELDS if key == "output_fields" or values[key] is not UNSET]
    return rb"\{" + b",".join(_pair(key, parts.get(key, _STRING)) for key in keys) + rb"\}"


def _pair(key: str, token: bytes) -> bytes:
    return b'"' + re.escape(key.encode()) + b'":' + token
