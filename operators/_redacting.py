"""What `redact` applies: finds secrets in fields and texts, and hides them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, cast

from rxalerts.alert import Alert
from rxalerts.jsonvalues import encode
from rxalerts.operators._arguments import texts
from rxalerts.operators._condition_regex import Regex
from rxalerts.operators._editing import Change, field_chooser

REDACTED: Final = "[redacted]"


# A shorter value is hidden in the text only where it stands as a word: "1" is part of too much.
_ANYWHERE: Final = 4


_DEEPEST: Final = 100  # levels of lists and objects that are searched


Substitute = Callable[[str, Callable[[str], str]], str]


def redacting(fields: Iterable[str], pattern: str | re.Pattern[str] | None, with_: str) -> Change:
    """Give the function that `redact` applies."""
    names = [fields] if isinstance(fields, str) else texts("redact(fields)", fields)
    substitute = None if pattern is None else _substitute(pattern)
    if names:
        return _InFields(field_chooser(names), substitute, with_)
    if substitute is None:
        raise ValueError("redact: give fields, a pattern, or both")
    return _everywhere(substitute, with_)


def _substitute(pattern: str | re.Pattern[str]) -> Substitute:
    if isinstance(pattern, str):
        return Regex(pattern).replace
    if not isinstance(pattern, re.Pattern):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"redact(pattern)={pattern!r}: must be a text or a compiled pattern")
    return lambda text, replacement: pattern.sub(lambda match: replacement(match.group()), text)


def _everywhere(substitute: Substitute, with_: str) -> Change:
    def hide(text: str) -> str:
        return substitute(text, lambda _: with_)

    def change(alert: Alert) -> Alert:
        fields, extra = map_texts(alert.output_fields, hide), map_texts(alert.extra, hide)
        return _with_texts(alert, hide, output_fields=fields, extra=extra)

    return change


def map_texts(value: Any, change: Callable[[str], str], depth: int = 0) -> Any:
    """Put every text within a JSON value through a function; keys stay.

    What is nested too deeply to be searched is replaced: it could hide what is looked for.

    >>> map_texts({"a": ["b", 1]}, str.upper)
    {'a': ['B', 1]}
    """
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list | dict) and depth >= _DEEPEST:
        return f"{REDACTED[:-1]}: nested too deeply]"
    if isinstance(value, list):
        return [map_texts(item, change, depth + 1) for item in cast("list[object]", value)]
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {key: map_texts(item, change, depth + 1) for key, item in items}
    return value


class _InFields:
    """Hide the values of some fields, and then what was hidden there in the text of the alert."""

    def __init__(
        self,
        chosen: Callable[[str], bool],
        substitute: Substitute | None,
        with_: str,
    ) -> None:
        self.chosen = chosen
        self.substitute = substitute
        self.with_ = with_

    def __call__(self, alert: Alert) -> Alert:
        secrets = set[str]()
        fields = {
            key: self.hidden(value, secrets) if value is not None and self.chosen(key) else value
            for key, value in alert.output_fields.items()
        }
        return _with_texts(alert, _hider(secrets, self.with_), output_fields=fields)

    def hidden(self, value: Any, secrets: set[str]) -> Any:
        """Hide a value, or what matches within it, and note what was hidden."""

        def note(found: str) -> str:
            secrets.add(found)
            return self.with_

        substitute = self.substitute
        if substitute is not None:
            return map_texts(value, lambda text: substitute(text, note))
        secrets.update(_leaves(value))
        return self.with_


def _leaves(value: Any) -> Iterator[str]:
    """Give the texts and numbers in a value as they stand in an alert's text."""
    waiting: list[Any] = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting.extend(cast("dict[str, Any]", item).values())
        elif isinstance(item, list):
            waiting.extend(cast("list[object]", item))
        elif item is not None and not isinstance(item, bool):
            yield str(item)


def _hider(secrets: set[str], with_: str) -> Callable[[str], str]:
    """Replace secrets wherever they stand in a text, the longest first, as they are or escaped."""
    forms = {form for secret in secrets for form in (secret, encode(secret).decode()[1:-1]) if form}
    ordered = sorted(forms, key=len, reverse=True)

    def hide(text: str) -> str:
        for form in ordered:
            if form not in text:
                continue
            if len(form) >= _ANYWHERE and not form.lstrip("-").isdigit():
                text = text.replace(form, with_)
            else:
                text = re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", lambda _: with_, text)
        return text

    return hide


def _with_texts(alert: Alert, hide: Callable[[str], str], **values: Any) -> Alert:
    """Make the alert with changed values and hidden texts, or give the same one when nothing changed."""
    output, message = alert.output, alert.message
    hidden = hide(message)
    # The time and priority in front are no secret, and a pattern such as [0-9]+ would take them.
    front = output.removesuffix(message) if message else output
    texts = {"output": hide(output) if front == output else front + hidden, "message": hidden}
    changes = {key: value for key, value in values.items() if value != getattr(alert, key)}
    if texts["output"] != output or hidden != message:
        changes |= texts  # both: a new output alone would become the message too
    return alert.replace(**changes) if changes else alert
