"""How an alert is written: text or JSON, as Falco writes them.

The default forms are byte for byte those of Falco 0.39 and later. ``style="classic"`` is the JSON of Falco
0.8 to 0.38: the same keys sorted, then ``, "output_fields": {…}`` with its blanks at the end.
"""

# An alert lends its slots to the module that writes it:
# pyright: reportPrivateUsage=false

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, cast

import msgspec
from msgspec import UNSET

from rxalerts import jsonvalues
from rxalerts.escapes import escape_one, is_escaped
from rxalerts.priority import LABELS, Priority
from rxalerts.record import FIELDS, INTERNAL, JSON_START, PREFIX, TEXT_START, Record
from rxalerts.shapes import LINES, STRUCTS, learn_line, learn_struct
from rxalerts.timestamps import format_iso8601, format_local

if TYPE_CHECKING:
    from rxalerts.alert import Alert

__all__ = ["JSON", "TEXT", "Format", "Formatted"]

_copy: Callable[[Record], Record] = Record.__copy__  # type: ignore[attr-defined]  # pyright: ignore
_encode = msgspec.json.Encoder().encode
_BACKSLASH = ord("\\")
# C0, DEL and C1 controls, and what some programs take for the end of a line.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_ESCAPED = re.compile('["\\\\\x00-\x1f\x7f-\x9f\u2028\u2029]')

# The same beyond ASCII, in UTF-8: in JSON they stand only within strings, where an escape means the same.
_BREAKS = re.compile(b"\xc2[\x80-\x9f]|\xe2\x80[\xa8\xa9]")


@dataclass(frozen=True)
class Format:
    """Says how alerts are written.

    Arguments:
        json: one JSON object instead of a line of text.
        style: ``falco`` (0.39 and later) or ``classic`` (0.8 to 0.38), for JSON.
        include_output: write the key ``output``.
        include_tags: write the key ``tags``.
        include_message: write the key ``message``, the text without time and priority. An alert that was
            read with this key keeps it in any case.
        include_output_fields: write the key ``output_fields``.
        include_id: write the key ``id``, the same as `Alert.id`, so that whoever reads can drop doubles.
        iso8601: the text begins with UTC in ISO 8601, such as ``2017-10-09T23:31:56.746609046+0000``,
            instead of what the alert has there (Falco: the local time of day). JSON's ``time`` is the same.

    Falco's own internal alerts ignore all of these but `json` and `style`, as in Falco.

    >>> from rxalerts.alert import Alert
    >>> alert = Alert("r", "error", "m", time=0, hostname="h", tags=["t"])
    >>> Format(json=True, include_output=False).render(alert).decode()[:60]
    '{"hostname":"h","output_fields":{},"priority":"Error","rule"'
    >>> Format(iso8601=True).render(alert)
    b'1970-01-01T00:00:00.000000000+0000: Error m'
    """

    json: bool = False
    style: Literal["falco", "classic"] = "falco"
    include_output: bool = True
    include_tags: bool = True
    include_message: bool = False
    include_output_fields: bool = True
    iso8601: bool = False
    include_id: bool = False
    # What an alert remembers its rendering by; equal formats have equal keys.
    _key: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.style not in ("falco", "classic"):
            raise ValueError(f"style: must be falco or classic, not {self.style!r}")
        switches = (
            self.json,
            self.style == "classic",
            not self.include_output,
            not self.include_tags,
            self.include_message,
            not self.include_output_fields,
            self.iso8601,
            self.include_id,
        )
        object.__setattr__(self, "_key", sum(1 << place for place, on in enumerate(switches) if on))

    @property
    def content_type(self) -> str:
        """Return the media type of what `render` returns."""
        return "application/json" if self.json else "text/plain"

    def render(self, alert: Alert) -> bytes:
        """Return the alert as one line of UTF-8 without a newline; the alert remembers the last one."""
        try:
            memo = alert._memo
        except AttributeError:
            raise TypeError(f"a {type(alert).__name__} is no alert and cannot be rendered: {alert!r:.100}") from None
        if memo is not None and memo[0] == self._key:
            return memo[1] or cast("bytes", alert._line)
        if self._key == _PLAIN_JSON and alert._extra is None:
            data = _plain_json(alert)
        elif self.json:
            data = _json(alert, self)
        else:
            data = _text(alert, self.iso8601).encode("utf-8", "replace")
        if self.json and not data.isascii():
            data = _BREAKS.sub(_escape_bytes, data)
        alert._memo = AS_READ if data is alert._line else (self._key, data)
        return data

    def render_all(self, alerts: Sequence[Alert]) -> list[bytes]:
        """Return the same for several alerts."""
        key, result = self._key, list[bytes]()
        for alert in alerts:
            memo = alert._memo
            if memo is not None and memo[0] == key:
                result.append(memo[1] or cast("bytes", alert._line))
                continue
            # Most of what is read is in Falco's form already: `_plain_json` and what is behind it, written out.
            line, shape = alert._line, alert._shape
            if line is not None and shape is not None and key == _PLAIN_JSON and alert._extra is None:
                if _BACKSLASH not in line and shape(line) is not None and line.isascii():
                    alert._memo = AS_READ
                    result.append(line)
                    continue
            result.append(self.render(alert))
        return result


_PLAIN_JSON = 1
"""The key of JSON with no switch touched."""

AS_READ = (_PLAIN_JSON, None)
"""What an alert remembers when its line is that JSON already: one for all, instead of one each."""

TEXT = Format()
"""Falco's default: a line of text."""
JSON = Format(json=True)
"""Falco's ``json_output: true``."""


@cache
def cached_format(
    json: bool,
    style: Literal["falco", "classic"] = "falco",
    include_output: bool = True,
    include_tags: bool = True,
    include_message: bool = False,
    include_output_fields: bool = True,
    iso8601: bool = False,
) -> Format:
    """Return the format with these switches, the same object each time."""
    return Format(json, style, include_output, include_tags, include_message, include_output_fields, iso8601)


class Formatted(msgspec.Struct, frozen=True, eq=False, gc=False):
    """Holds an alert together with the bytes that sinks write for it.

    Arguments:
        alert: the alert, for sinks that need its priority or its fields.
        data: its rendering, without a newline.
        content_type: the media type of the data.
    """

    alert: Alert
    data: bytes
    content_type: str

    @property
    def priority(self) -> Priority:
        """Return the alert's priority."""
        return self.alert._priority

    def __repr__(self) -> str:
        return f"Formatted({self.data[:60]!r}, {self.content_type!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Formatted):
            return NotImplemented
        return (self.data, self.content_type, self.alert) == (other.data, other.content_type, other.alert)

    def __hash__(self) -> int:
        return hash(self.data)


def _plain_json(alert: Alert) -> bytes:
    line = alert._line
    if line is not None and _BACKSLASH not in line:
        shape = alert._shape or LINES.get(alert._record.rule)
        if shape is not None and shape(line) is not None:
            return line
    record = alert._record
    raw = alert._fields
    rule = record.rule if isinstance(record.rule, str) else ""
    data = _by_struct(record, rule, raw) if raw is not None else jsonvalues.encode(record)
    if data is None:
        fields = alert.output_fields
        learn_struct(rule, fields)
        data = jsonvalues.encode(alert._loaded())
    if line is not None and data == line and _BACKSLASH not in line:
        learn_line(rule, record, alert.output_fields)
    return data


def _by_struct(record: Record, rule: str, raw: bytes | msgspec.Raw) -> bytes | None:
    """Return the alert's JSON, if its fields are those that the rule is known to have."""
    decode = STRUCTS.get(rule)
    if decode is None:
        return None
    try:
        fields = decode(raw)
    except (msgspec.MsgspecError, RecursionError):
        return None
    # The alert itself stays as it is: other threads may be reading it.
    copy = _copy(record)
    copy.output_fields = fields
    return _encode(copy)


def _json(alert: Alert, form: Format) -> bytes:
    record = alert._loaded()
    body: dict[str, Any] = {key: value for key in FIELDS if (value := getattr(record, key)) is not UNSET}
    if alert._extra:
        body.update(alert._extra)
    if body.get("source") != INTERNAL:
        _switch(body, alert, form)
    if form.include_id:
        body = dict(sorted({**body, "id": alert.id}.items()))
    if form.style == "falco" or "output_fields" not in body:
        return jsonvalues.encode(body)
    fields = jsonvalues.encode(body.pop("output_fields"))
    return jsonvalues.encode(body)[:-1] + b', "output_fields": ' + fields + b"}"


def _switch(body: dict[str, Any], alert: Alert, form: Format) -> None:
    if form.include_message:
        body["message"] = alert.message
    if form.iso8601 and "output" in body:
        body["output"] = _with_stamp(alert, iso8601=True)
    for key, wanted in (
        ("output", form.include_output),
        ("tags", form.include_tags),
        ("output_fields", form.include_output_fields),
    ):
        if not wanted:
            body.pop(key, None)


def _with_stamp(alert: Alert, iso8601: bool) -> str:
    """Return the alert's output with a time and a priority in front, whether it had them or not."""
    output = alert.output
    match = PREFIX.match(output)
    if match and not iso8601:
        return output
    stamp = format_iso8601(alert.time_ns) if iso8601 else format_local(alert.time_ns)
    return f"{stamp}: {LABELS[alert._priority]} {output[match.end() :] if match else output}"


def _text(alert: Alert, iso8601: bool) -> str:
    if alert._record.source == INTERNAL and not PREFIX.match(alert.output):
        # Falco 0.35 and later: always local time, and the fields as JSON behind the message.
        pairs = (f"{key}={jsonvalues.encode(value).decode()}" for key, value in sorted(alert.output_fields.items()))
        line = f"{_with_stamp(alert, iso8601=False)} ({' '.join(pairs)})"
    else:
        line = _with_stamp(alert, iso8601)
    return line if line.isprintable() and not _has_second_alert(line) and not is_escaped(line) else escape(line)


def escape(line: str) -> str:
    r"""Return a line of text that nobody can take for two.

    Falco after 0.44 writes text alerts as the inside of a JSON string: ``"``, ``\`` and control characters
    are escaped. We do that only to lines that need it, so that all others look as they always have, and as
    Falco's documents show them. Those are lines with control characters, DEL, C1 controls (U+0085 is one),
    U+2028 or U+2029 in them, lines in which a reader of glued alerts, such as ours, would see a second alert
    beginning, and those that a reader would take for escaped already.

    >>> escape('a "b"'), escape('a "b"\x1b[2K')
    ('a "b"', 'a \\"b\\"\\u001b[2K')
    """
    second = _has_second_alert(line)
    if not second and not is_escaped(line) and _CONTROL.search(line) is None:
        return line
    line = _ESCAPED.sub(escape_one, line)
    return TEXT_START.sub(r"\1\\u003a ", line) if second else line


def _has_second_alert(line: str) -> bool:
    return (line.count(": ") > 1 and TEXT_START.search(line) is not None) or (
        '"priority"' in line and JSON_START.search(line) is not None
    )


def _escape_bytes(match: re.Match[bytes]) -> bytes:
    return f"\\u{ord(match.group().decode()):04x}".encode()
