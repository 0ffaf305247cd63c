"""One JSON object -> one alert.

`take_lines` is the fast road: an object with known keys only, spelled as Falco spells them. Whatever it does
not take goes through `from_object`, which knows every era's forms and names the key that is wrong.
"""

# Alerts are put together here without their constructor, whose checks would all be repeated:
# pyright: reportPrivateUsage=false

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, cast

import msgspec
from msgspec import UNSET, UnsetType

from rxalerts import jsonvalues
from rxalerts.alert import Alert
from rxalerts.errors import AlertError
from rxalerts.priority import BY_LABEL, LABELS, Priority
from rxalerts.record import DEMAND, FIELDS, PREFIX, Record, decode_record
from rxalerts.shapes import LINES
from rxalerts.timestamps import SECOND, check_ns, format_rfc3339, parse_rfc3339
from rxalerts.wire.days import Days

__all__ = ["from_bytes", "from_object", "take_lines", "take_one", "to_object"]

# What is raised for a line that must take the slower road.
_BAD = (msgspec.MsgspecError, ValueError, KeyError, RecursionError)


class _Object(msgspec.Struct, gc=False):
    """Any JSON object: what is in it is checked and passed over."""


class _Checked(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, gc=False):
    """A `Record` of which only the checks are wanted, and what an alert keeps besides its line."""

    hostname: str | UnsetType | None = UNSET
    message: str | UnsetType | None = UNSET
    output: str | UnsetType | None = UNSET
    output_fields: _Object | UnsetType = UNSET
    priority: str
    rule: str
    source: str | UnsetType | None = UNSET
    tags: tuple[str, ...] | UnsetType | None = UNSET
    time: str
    uuid: str | UnsetType | None = UNSET


_check: Callable[[bytes], _Checked] = msgspec.json.Decoder(_Checked).decode
_new = Alert.__new__
_BRACE = ord("{")
_TEXTS = ("hostname", "message", "output", "rule", "source")


def take_lines(buffer: bytes, pos: int, longest: int, out: list[Alert]) -> int:
    """Append to `out` the alerts in lines of one JSON object with known keys each.

    Arguments:
        buffer: the lines.
        pos: where the first one begins.
        longest: longer ones are not taken, in bytes.
        out: where the alerts go.

    Returns:
        where the first line begins that is anything else, or has not ended; the buffer's end if all were taken.
    """
    append, find, shape_of, known = out.append, buffer.find, LINES.get, len(out)
    keeps = DEMAND.keeps
    decode: Callable[[bytes], Record | _Checked] = decode_record if keeps else _check
    second = ""
    while 0 <= (newline := find(b"\n", pos)) <= pos + longest:
        line = buffer[pos:newline]
        try:
            record = decode(line)
            priority = BY_LABEL[record.priority]
            rule = record.rule
            # msgspec has checked all of it but the encoding of what it passes over.
            if rule.__class__ is not str or not (line.isascii() or line.decode()):
                break
            # Alert._make, written out: a call is a tenth of the cost of reading an alert.
            alert = _new(Alert)
            alert._line = line
            alert._shape = shape_of(rule)
            alert._priority = priority
            alert._extra = alert._memo = alert._fields = alert._kept = alert._ns = None
            text = record.time
            digits = text[20:29]
            if not (text.startswith(second) and text[29:] == "Z" and digits.isdigit() and digits.isascii() and second):
                second = _set_time(alert, text)
            if keeps and alert._kept is None:
                _keep(alert, cast("Record", record))
        except _BAD:
            break
        append(alert)
        pos = newline + 1
    DEMAND.read(len(out) - known)
    return pos


def _set_time(alert: Alert, text: str) -> str:
    """Check an alert's time, and make it Falco's form if it is another one; return its second, with the dot, if not."""
    ns = parse_rfc3339(text)
    if len(text) == 30 and text[10] == "T" and text[19] == "." and text[29] == "Z" and text[17] != "6":
        # What could be parsed and looks like this is Falco's form, but for a leap second.
        return text[:20]
    _keep(alert, decode_record(cast("bytes", alert._line)))
    alert._ns = ns
    alert._record.time = format_rfc3339(ns)
    alert._line = alert._shape = None
    return ""


def _keep(alert: Alert, record: Record) -> None:
    """Keep a record that was decoded from the alert's line; ValueError if its output_fields are no object."""
    fields = record.output_fields
    if fields is not UNSET:
        if bytes(fields)[0] != _BRACE:
            raise ValueError
        alert._fields = fields
        record.output_fields = UNSET
    alert._kept = record


def take_one(data: bytes) -> Alert | None:
    """Return the alert in one JSON object with known keys; None if it is anything else."""
    found: list[Alert] = []
    size = len(data)
    return found[0] if take_lines(data + b"\n", 0, size, found) == size + 1 and len(found) == 1 else None


def from_bytes(data: bytes, days: Days) -> Alert:
    """Return the alert in one JSON object.

    Arguments:
        data: the object and nothing else.
        days: finds the day when there is no ``time``, from the time in front of ``output``.

    Raises:
        AlertError: it is no JSON object, or no alert.
    """
    alert = take_one(data)
    return from_object(to_object(data), days) if alert is None else alert


def to_object(data: bytes) -> dict[str, Any]:
    """Return a decoded JSON object.

    Raises:
        AlertError: it is none.
    """
    try:
        value = jsonvalues.decode(data)
    except ValueError as error:
        raise AlertError(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise AlertError(f"a JSON object is needed, not {type(value).__name__}")
    return cast("dict[str, Any]", value)


def from_object(value: dict[str, Any], days: Days) -> Alert:
    """Return the alert that a decoded JSON object stands for; it takes over the object's values.

    Needed are a priority and at least one of ``rule``, ``output`` and ``message``; a key that is null counts as
    missing, and stays null when it is written again.

    Raises:
        AlertError: a key is missing or has the wrong type; it is named.
    """
    level = _priority(value.get("priority"))
    known: dict[str, Any] = {key: _string(key, value[key]) for key in _TEXTS if key in value}
    if not any(isinstance(known.get(key), str) for key in ("rule", "output", "message")):
        raise AlertError("missing, and so are output and message", key="rule")
    if "tags" in value:
        known["tags"] = _tags(value["tags"])
    if "output_fields" in value:
        fields = known["output_fields"] = value["output_fields"]
        if not isinstance(fields, dict | None):
            raise AlertError(f"must be an object, not {_kind(fields)}", key="output_fields")
    if isinstance(value.get("uuid"), str):
        known["uuid"] = value["uuid"]
    ns = _time(value.get("time"), known.get("output"), days)
    record = Record(priority=LABELS[level], time=format_rfc3339(ns), **known)
    extra = {key: item for key, item in value.items() if key not in FIELDS}
    if "uuid" in value and "uuid" not in known:
        extra["uuid"] = value["uuid"]
    return Alert._make(record, level, ns, None, extra or None)


def _priority(value: Any) -> Priority:
    if value is None:
        raise AlertError("missing", key="priority")
    if not isinstance(value, str | int):
        found = value if isinstance(value, float) else _kind(value)
        raise AlertError(f"must be a name or a whole number, not {found}", key="priority")
    try:
        return Priority.parse(value)
    except ValueError as error:
        raise AlertError(str(error), key="priority") from None


def _string(key: str, value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise AlertError(f"must be a string, not {_kind(value)}", key=key)


def _tags(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(tag, str) for tag in cast("list[object]", value)):
        raise AlertError("must be a list of strings", key="tags")
    return tuple(cast("list[str]", value))


def _time(value: Any, output: Any, days: Days) -> int:
    try:
        if isinstance(value, str):
            return parse_rfc3339(value)
        if isinstance(value, dict):
            parts = cast("dict[str, Any]", value)
            # protobuf's JSON gives 64-bit integers as strings
            return check_ns(int(parts["seconds"]) * SECOND + int(parts.get("nanos") or 0))
        if value is not None:
            raise AlertError(f"must be RFC 3339 text or seconds and nanos, not {_kind(value)}", key="time")
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        if isinstance(error, AlertError):
            raise
        raise AlertError(str(error) if isinstance(error, ValueError) else "seconds are missing", key="time") from None
    return _time_of_text(output, days)


def _time_of_text(output: Any, days: Days) -> int:
    """Return the time in front of an output; without any, the present."""
    match = PREFIX.match(output) if isinstance(output, str) else None
    if match is None:
        return time.time_ns()
    try:
        return parse_rfc3339(match.group(1)) if match.group(1) else days.ns(match.group(2))
    except ValueError:
        return time.time_ns()


def _kind(value: object) -> str:
    """Return what JSON calls the type of a value."""
    if isinstance(value, bool):
        return "true or false"
    names = {"dict": "an object", "list": "a list", "str": "a string", "NoneType": "null"}
    return names.get(type(value).__name__, "a number")
