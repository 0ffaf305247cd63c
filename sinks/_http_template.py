"""The body template of the HTTP sink: JSON with placeholders, checked when the sink is made."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from rxalerts import jsonvalues
from rxalerts.alert import Alert
from rxalerts.errors import OptionError

# $$, $name, ${name}; a field's name may hold what Falco's field names do: dots, brackets, digits.
_PLACE = re.compile(r"\$(?:(?P<dollar>\$)|(?P<plain>[a-z_]+)|\{(?P<braced>[^{}\s]+)\})")

_KEYS: dict[str, Callable[[Alert], Any]] = {
    "rule": lambda alert: alert.rule,
    "priority": lambda alert: alert.priority.label,
    "priority_number": lambda alert: int(alert.priority),
    "time": lambda alert: alert.time,
    "output": lambda alert: alert.output,
    "message": lambda alert: alert.message,
    "source": lambda alert: alert.source,
    "hostname": lambda alert: alert.hostname,
    "tags": lambda alert: list(alert.tags),
    "output_fields": lambda alert: alert.output_fields,
    "id": lambda alert: alert.id,
}

Part = bytes | tuple[Callable[[Alert], Any], bool]


class Template:
    """Fills alerts into a JSON text.

    `$output`, `$rule`, `$priority`, `$priority_number`, `$time`, `$message`, `$source`, `$hostname`, `$tags`,
    `$output_fields` and `$id` stand for the alert's values, `$alert` for the whole alert, `${proc.name}` for one
    of its output fields (null if it has none of that name); `$$` is a dollar sign. Outside of quotes a
    placeholder becomes a JSON value, its quotes included; inside of a string it becomes text, escaped.

    >>> from rxalerts import Alert
    >>> alert = Alert("Shell", "error", 'said "hi"', {"proc.name": "sh"})
    >>> print(Template('{"text": $message, "title": "$priority: $rule in ${proc.name}"}').fill(alert).decode())
    {"text": "said \\"hi\\"", "title": "Error: Shell in sh"}
    """

    def __init__(self, text: str) -> None:
        self._parts = _compile(text)
        try:
            json.loads(self.fill(_SAMPLE))
        except ValueError as error:
            raise OptionError("template", f"is no JSON when it is filled in: {error}") from None

    def fill(self, alert: Alert) -> bytes:
        """Return the body for one alert, on one line."""
        return b"".join(part if isinstance(part, bytes) else _value(part[0](alert), part[1]) for part in self._parts)


_SAMPLE = Alert("Rule", "notice", "A message", {"a.field": "value"}, time=0, hostname="host")


def _compile(text: str) -> list[Part]:
    parts: list[Part] = []
    quoted, begin = False, 0
    for match in _PLACE.finditer(text):
        quoted = _literal(text[begin : match.start()], quoted, parts)
        begin = match.end()
        if match["dollar"]:
            parts.append(b"$")
        else:
            parts.append((_getter(match["plain"], match["braced"]), quoted))
    _literal(text[begin:], quoted, parts)
    return parts


def _literal(text: str, quoted: bool, parts: list[Part]) -> bool:
    """Add a piece of the template's own text; returns whether it ends inside of a JSON string."""
    made: list[str] = []
    escaped = False
    for char in text:
        if char == '"' and not escaped:
            quoted = not quoted
        escaped = quoted and char == "\\" and not escaped
        # Outside of strings a line break is only layout; NDJSON has no room for it.
        made.append(" " if char in "\r\n" and not quoted else char)
    if made:
        parts.append("".join(made).encode())
    return quoted


def _getter(plain: str | None, braced: str | None) -> Callable[[Alert], Any]:
    name = plain or braced or ""
    if name == "alert":
        return lambda alert: jsonvalues.decode(alert.to_json().encode())
    if name in _KEYS:
        return _KEYS[name]
    if plain:
        known = ", ".join(f"${key}" for key in [*_KEYS, "alert"])
        raise OptionError(
            "template", f"has no ${name}: there are {known}, and ${{field}} for an output field such as ${{proc.name}}"
        )
    return lambda alert: alert.output_fields.get(name)


def _value(value: Any, quoted: bool) -> bytes:
    if not quoted:
        return jsonvalues.encode(value)
    if value is None:
        return b""
    text = value if isinstance(value, str) else jsonvalues.encode(value).decode()
    return jsonvalues.encode(text)[1:-1]
