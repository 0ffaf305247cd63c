"""What an alert is made of: its JSON keys, and the time and priority in front of its text."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec
from msgspec import UNSET, UnsetType

from rxalerts.priority import LABELS
from rxalerts.timestamps import format_iso8601, format_local

__all__ = [
    "ANY_START",
    "DEMAND",
    "FIELDS",
    "INTERNAL",
    "JSON_START",
    "PREFIX",
    "TEXT_START",
    "Demand",
    "Record",
    "decode_record",
    "edit_output",
    "make_output",
    "strip_prefix",
]

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


decode_record: Callable[[bytes], Record] = msgspec.json.Decoder(Record).decode
"""Decodes a line of JSON with known keys only, or raises a MsgspecError; the ``output_fields`` stay raw."""


class Demand:
    """Tells readers whether alerts are asked for more than their line and their priority.

    An alert that was read as a line can be made of that line again. Where nothing but its priority is looked at, it
    is best not to keep its record: ten strings per alert that wait in mailboxes until they have left the processor's
    cache. Where everybody asks for fields, decoding twice would cost more. What was asked for lately decides.
    """

    def __init__(self) -> None:
        self.asked = 0
        """How many records were made again since the last decision."""
        self._without = 0
        self._keep = 0

    @property
    def keeps(self) -> bool:
        """Whether the records of what is read next are to be kept."""
        return self._keep > 0

    def read(self, count: int) -> None:
        """Note that so many alerts were read, and decide about the next ones."""
        if self._keep > 0:
            self._keep -= count
            return
        self._without += count
        if self._without >= _ENOUGH:
            if 2 * self.asked > self._without:
                # Once in a while it is tried without again: who keeps everything is asked nothing.
                self._keep = 16 * self._without
            self.asked = self._without = 0


_ENOUGH = 64

DEMAND = Demand()
"""That of this process: it decides about speed, never about what comes out."""

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


def make_output(source: object, time_ns: int, label: str, body: str) -> str:
    """Return the output of an alert that has none: the local time and the priority in front, as Falco writes it."""
    return body if source == INTERNAL else f"{format_local(time_ns)}: {label} {body}"


def edit_output(output: str, time_ns: int | None, label: str, message: str | None) -> str:
    """Return an output with another time, priority and message, in the form that it has; None: they stay.

    >>> edit_output("12:00:00.000000001: Error old", None, "Debug", "new")
    '12:00:00.000000001: Debug new'
    """
    match = PREFIX.match(output)
    if match is None:
        return output if message is None else message
    body = output[match.end() :] if message is None else message
    stamp = match.group(1) or match.group(2)
    if time_ns is not None:
        stamp = (format_iso8601 if match.group(1) else format_local)(time_ns)
    return f"{stamp}: {label} {body}"
