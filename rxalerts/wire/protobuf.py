"""Alert <-> the message `falco.outputs.response` of Falco's gRPC output (0.24 to 0.43).

Importing this loads google.protobuf: whoever needs it does so when it is needed.
"""

# An alert is put together here without its constructor, whose checks would all be repeated:
# pyright: reportPrivateUsage=false

from __future__ import annotations

from typing import Any

from google.protobuf.message import DecodeError

from rxalerts import jsonvalues
from rxalerts.alert import Alert
from rxalerts.errors import AlertError
from rxalerts.format import TEXT, Format, Formatted
from rxalerts.priority import LABELS, Priority
from rxalerts.record import INTERNAL, PREFIX, Record
from rxalerts.timestamps import SECOND, check_ns, format_iso8601, format_local, format_rfc3339
from rxalerts.wire.proto.outputs_pb2 import response
from rxalerts.wire.reader import parse

__all__ = ["alert_of", "field_texts", "from_message", "to_message"]

_KINDS = {"syscall": 0, "": 0, "k8s_audit": 1, "internal": 2}
_PLUGIN = 3
_SOURCES = {0: "syscall", 1: "k8s_audit", 2: "internal", _PLUGIN: "plugin"}


def to_message(item: Alert | Formatted, form: Format = TEXT) -> bytes:
    """Return an alert as a serialised response, as Falco fills it.

    Arguments:
        item: an alert, or one that is formatted already, whose bytes then are the message's `output`.
        form: how the `output` of an alert that is not formatted yet is rendered (Falco: JSON if `json_output`).

    Both `source` and the older `source_deprecated` are set; there a source that Falco had no number for is PLUGIN.

    Raises:
        ValueError: the alert does not fit, as with a text of more than 2 GiB.

    >>> alert = Alert("Shell", "notice", "A shell", {"proc.pid": 7, "fd.name": None}, source="okta", time=0)
    >>> message = response.FromString(to_message(alert))
    >>> message.priority, message.source_deprecated, message.source, dict(message.output_fields)["fd.name"]
    (5, 3, 'okta', '<NA>')
    """
    alert = item.alert if isinstance(item, Formatted) else item
    seconds, nanos = divmod(alert.time_ns, SECOND)
    message = response(
        priority=int(alert.priority),  # type: ignore[arg-type]
        source_deprecated=_KINDS.get(alert.source, _PLUGIN),  # type: ignore[arg-type]
        rule=alert.rule,
        output=_output(item, form),
        output_fields=field_texts(alert),
        hostname=alert.hostname,
        tags=alert.tags,
        source=alert.source,
    )
    message.time.seconds = seconds
    message.time.nanos = nanos
    return message.SerializeToString()


def _output(item: Alert | Formatted, form: Format) -> str:
    """Return the message's output: a protobuf string has an end, so that nothing in it need be escaped."""
    if isinstance(item, Formatted):
        return item.data.decode("utf-8", "replace")
    if form is TEXT and PREFIX.match(item.output):
        return item.output
    return form.render(item).decode()


def field_texts(alert: Alert) -> dict[str, str]:
    """Return the output fields as the texts that Falco shows for them.

    A field without a value is `<NA>` (`null` where Falco alerts about itself), times are displayed, other values
    are as in JSON.

    >>> field_texts(Alert("r", 5, "m", {"evt.time.iso8601": 1470327477881781397, "a": True}))
    {'a': 'true', 'evt.time.iso8601': '2016-08-04T16:17:57.881781397+0000'}
    """
    unset = "null" if alert.source == INTERNAL else "<NA>"
    texts: dict[str, str] = {}
    for key, value in alert.output_fields.items():
        if isinstance(value, str):
            texts[key] = value
        elif isinstance(value, int) and not isinstance(value, bool):
            texts[key] = _time_text(key, value) if key in _TIMES else str(value)
        else:
            texts[key] = unset if value is None else jsonvalues.encode(value).decode()
    return texts


_TIMES = {"evt.time": format_local, "evt.time.iso8601": format_iso8601}


def _time_text(key: str, ns: int) -> str:
    try:
        return _TIMES[key](ns)
    except (OverflowError, ValueError):  # no time of our calendar
        return str(ns)


def from_message(data: bytes) -> Alert:
    """Return the alert that a serialised response holds; its output fields are strings.

    From a sender with `json_output`, whose messages carry the whole alert as JSON in `output`, it is taken from
    there, with numbers as numbers. The nanoseconds are kept. A sender that is older than Falco 0.31 has a number for
    the source only, which stands for `syscall`, `k8s_audit`, `internal` or `plugin`.

    Raises:
        AlertError: the bytes are no such message, or a value in it is wrong.

    >>> from_message(to_message(Alert("r", "error", "m", {"a": 1}, time=1_000_000_001, tags=["x"]))).time
    '1970-01-01T00:00:01.000000001Z'
    """
    try:
        message = response.FromString(data)
    except DecodeError as error:
        raise AlertError(f"is no falco.outputs.response: {error}", raw=data[:4096]) from None
    return alert_of(message)


def alert_of(message: response) -> Alert:
    """Return the alert that a response holds, see `from_message`."""
    output = message.output
    time_ns = message.time.seconds * SECOND + message.time.nanos
    if output.startswith("{"):
        exact = _from_json(output, message.rule, time_ns)
        if exact is not None:
            return exact
    try:
        priority = Priority(message.priority)
        check_ns(time_ns)
    except ValueError as error:
        raise AlertError(str(error), key="time" if message.priority in LABELS else "priority") from None
    fields: Any = dict(sorted(message.output_fields.items()))
    source: int = message.source_deprecated
    record = Record(
        hostname=message.hostname,
        output=output,
        output_fields=fields,
        priority=LABELS[priority],
        rule=message.rule,
        source=message.source or _SOURCES.get(source, "plugin"),
        tags=tuple(message.tags),
        time=format_rfc3339(time_ns),
    )
    # Without the constructor: protobuf has checked every type and every string already.
    return Alert._make(record, priority, time_ns, None, None)


def _from_json(output: str, rule: str, time_ns: int) -> Alert | None:
    """Return the alert that an output holds as JSON, if it is the one that the message is about."""
    try:
        alert = parse(output)
    except AlertError:
        return None
    return alert if alert.rule == rule and alert.time_ns == time_ns else None
