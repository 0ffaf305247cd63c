"""What an alert is made of: its JSON keys, and the time and priority in front of its text."""

from __future__ import annotations

import re

import msgspec
from msgspec import UNSET, UnsetType

from rxalerts.priority import LABELS

__all__ = ["ANY_START", "FIELDS", "INTERNAL", "JSON_START", "PREFIX", "TEXT_START", "Record", "strip_prefix"]

INTERNAL = "internal"
"""The source of the alerts that Falco raises about itself; their output has no time and priority in front."""

_STAMP = r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?)|(\d\d:\d\d:\d\d\.\d{1,9})"
_LABELS = "|".join(LABELS.values())

PREFIX = re.compile(rf"(?:{_STAMP}): ({_LABELS})(?: |$)", re.ASCII)
"""What stands before a text alert: a time (group 1 with a date, group 2 without), a priority (group 3)."""

TEXT_START = re.compile(rf"(?<=\))((?:{_STAMP})): (?=(?:{_LABELS}) )", re.ASCII)
"""A text alert glued to the one before it: the reader splits there (our own text never has it)."""


class Record(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Holds an alert's JSON keys in alphabetical order; a key that was not read stays unset.

    Encoding it gives Falco's own line (0.39 and later), without the unset keys. It refers to nothing that
    could refer back to it, so the garbage collector need not watch it. ``output_fields`` is raw bytes only
    while it is being read, and a decoded dict as soon as somebody has asked for it. ``uuid`` is
    falcosidekick's.
    """

    hostname: str | UnsetType | None = UNSET
    message: str | UnsetType | None = UNSET
    output: str | UnsetType | None = UNSET
    output_fields: msgspec.Raw | UnsetType = UNSET
    priority: str
    rule: str | UnsetType | None = UNSET
    source: str | UnsetType | None = UNSET
    tags: tuple[str, ...] | UnsetType | None = UNSET
    time: str
    uuid: str | UnsetType | None = UNSET


FIELDS: tuple[str, ...] = Record.__struct_fields__
"""The keys that a record has; every other one is an alert's `extra`."""

JSON_START = re.compile(rf'\{{[ \t]*"(?:{"|".join(FIELDS)})"[ \t]*:')
"""Where a JSON alert may begin in the middle of a line."""

ANY_START = re.compile(rf"{JSON_START.pattern}|(?<!\")(?:{_STAMP}): (?:{_LABELS}) ", re.ASCII)
"""Where an alert of either kind may begin; behind a quote stands the output of a JSON alert, no line of text."""


def strip_prefix(output: str) -> str:
    """Return an alert's text without the time and the priority in front, if they are there."""
    match = PREFIX.match(output)
    return output[match.end() :] if match else output
