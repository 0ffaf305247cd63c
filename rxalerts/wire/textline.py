"""One line of text -> one alert, and what else stands in Falco's text output."""

# Alerts are put together here without their constructor, whose checks would all be repeated:
# pyright: reportPrivateUsage=false

from __future__ import annotations

import re
from typing import Any, cast

import msgspec

from rxalerts import jsonvalues
from rxalerts.alert import Alert
from rxalerts.errors import AlertError
from rxalerts.escapes import is_escaped, unescape
from rxalerts.format import TEXT
from rxalerts.priority import BY_LABEL, LABELS, Priority
from rxalerts.record import INTERNAL, PREFIX, Record
from rxalerts.timestamps import format_rfc3339, parse_rfc3339
from rxalerts.wire.days import Days

__all__ = ["fields_of", "from_syslog", "from_text", "is_noise"]

# The key must be followed by "=" and look like a field's name: %fd.name, %proc.aname[2], user, ka.req.pod
_KEY = r"[A-Za-z_][\w.-]*(?:\[[^\]\s]*\])?="
_GROUP = re.compile(rf"\((?={_KEY})")
_PAIR = re.compile(rf"(?:^|\s)({_KEY})")

_INTERNAL = re.compile(
    r"(Falco internal: (?:syscall event drop|timeouts notification|hot restart failure"
    r"|capture size limit reached))|Falco metrics snapshot(?: \(|$)"
)

_HEADER_PRIORITY = re.compile(rb"(?:[0-9]{1,6} )?<([0-9]{1,3})>")

_NOISE = re.compile(
    # Falco's own log: asctime or strftime with a year, or ISO 8601 without a fraction
    r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}: "
    r"|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:?\d\d): "
    # end-of-run statistics
    r"|Events detected: \d+\s*$|Rule counts by severity:|Triggered rules by rule name:"
    r"|Syscall event drop monitoring:|   - (?:event drop detected|num times actions taken): \d+"
    r"|   \S.*: \d+\s*$|Driver Events: ?\d+|Driver Drops: ?\d+|Elapsed time: .*eps$"
    # what older versions and the container image print without a time
    r"|\* [A-Z][a-z]+ |SIG(?:INT|TERM|HUP|USR1) received, |Falco (?:version|initialized)\b|Loading rules from file "
    r"|Runtime error: |Error: |Warning: |Fatal error: |Starting (?:internal webserver|gRPC server|health webserver)",
    re.ASCII,
)


def is_noise(line: str) -> bool:
    """Tell whether a line that is no alert is something else that Falco itself prints."""
    return _NOISE.match(line) is not None


def from_text(line: str, days: Days) -> Alert:
    """Return the alert in a line of text, ``<time>: <Priority> <message>``.

    The line becomes the alert's output; if Falco after 0.44 has escaped it, what it stands for does. Its fields come
    from the brackets ``(key=value key=value)``, all of them as strings (in the text, a number and a string look
    alike) and None for ``<NA>``. The rule is unknown (``""``), except that of Falco's internal alerts.

    Arguments:
        line: the line, without its end.
        days: finds the day of a time without a date.

    Raises:
        AlertError: it is no such line.
    """
    match = PREFIX.match(line)
    if match is None:
        raise AlertError("not an alert: a JSON object or a line '<time>: <Priority> <text>' is needed")
    if match.group(1):
        try:
            ns = parse_rfc3339(match.group(1))
        except ValueError as error:
            raise AlertError(str(error), key="time") from None
    else:
        ns = days.ns(match.group(2))
    return _alert(line, line[match.end() :], BY_LABEL[match.group(3)], ns)


def _alert(line: str, message: str, priority: Priority, ns: int) -> Alert:
    record = Record(priority=LABELS[priority], time=format_rfc3339(ns), output=line, rule="")
    internal = _INTERNAL.match(message)
    if internal:
        record.source = INTERNAL
        record.rule = internal.group(1) or "Falco internal: metrics snapshot"
    escaped = is_escaped(line)
    if escaped:
        record.output = unescape(line)
    if internal:
        fields = fields_of(unescape(message) if escaped else message, typed=True)
    else:
        # Before they are unescaped: what is a newline in a value does not separate fields.
        fields = {key: unescape(value) if escaped and value else value for key, value in fields_of(message).items()}
    record.output_fields = cast("msgspec.Raw", fields)
    alert = Alert._make(record, priority, ns, None, None)
    if escaped:
        # Written again as it was read, whether all of its escapes are needed or not.
        alert._memo = (TEXT._key, line.encode())
    return alert


def from_syslog(line: str, header: bytes, ns: int | None) -> Alert:
    """Return the alert in a syslog message that has neither time nor priority in its text.

    Old Falco versions sent such messages. The time and the priority are those of the syslog header.

    Raises:
        AlertError: the text has no fields in brackets, so it may be anything that Falco logs; or the header has no
            priority, as in the files of most syslog daemons.
    """
    if not fields_of(line):
        raise AlertError("a syslog message without time, priority and fields is no alert")
    number = _HEADER_PRIORITY.match(header)
    if number is None:
        raise AlertError("missing, in the syslog header too", key="priority")
    if ns is None:
        raise AlertError("missing, in the syslog header too", key="time")
    return _alert(line, line, Priority(int(number.group(1)) & 7), ns)


def fields_of(message: str, typed: bool = False) -> dict[str, Any]:
    """Return the fields in the last brackets of a message, as well as can be done.

    Values may hold blanks. What looks like a second value of the same key belongs to the value before it.

    Arguments:
        message: such as ``Shell opened (user=root command=bash -c id tty=<NA>)``.
        typed: the values are JSON, as in Falco's internal alerts.

    >>> fields_of("Shell opened (user=root command=bash -c id tty=<NA>)")
    {'user': 'root', 'command': 'bash -c id', 'tty': None}
    """
    start = _GROUP.search(message)
    if start is None:
        return {}
    end = len(message) - 1 if message.endswith(")") else len(message)
    body = message[start.end() : end]
    fields: dict[str, Any] = {}
    key, begin = "", 0
    for pair in _PAIR.finditer(body):
        name = pair.group(1)[:-1]
        if name in fields or name == key:
            continue
        if key:
            fields[key] = _value(body[begin : pair.start()], typed)
        key, begin = name, pair.end()
    if key:
        fields[key] = _value(body[begin:], typed)
    return fields


def _value(text: str, typed: bool) -> Any:
    if text == "<NA>":
        return None
    if typed:
        try:
            return jsonvalues.decode(text.encode())
        except ValueError:
            pass
    return text
