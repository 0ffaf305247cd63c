"""The functions of Falco's language that change a field before it is compared, such as `tolower(proc.name)`."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, Final, cast

from rxalerts.alert import Alert


def _b64(text: str) -> str | None:
    try:
        return base64.b64decode(text, validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return None


# What each makes of a text; None: it counts as missing.
_OF_TEXT: Final[dict[str, Callable[[str], Any]]] = {
    "tolower": str.lower,
    "toupper": str.upper,
    "basename": lambda text: text.rpartition("/")[2],
    "b64": _b64,
    "len": lambda text: len(text.encode("utf-8", "surrogatepass")),
}
FUNCTIONS: Final = tuple(_OF_TEXT)


def changed(name: str, key: str | None, functions: Sequence[str]) -> Callable[[Alert], Any]:
    """Return the function that gives a field's value behind some functions, the outermost first.

    They take texts, and lists text by text, but for `len` of a list: that is how many it has. Anything else, and what
    is no Base64, counts as missing.

    >>> name = changed("fd.name", "fd.name", ["toupper", "basename"])
    >>> name(Alert("r", output_fields={"fd.name": "/etc/shadow"})), name(Alert("r"))
    ('SHADOW', None)
    """
    get: Callable[[Alert], Any] = attrgetter(name) if key is None else lambda alert: alert.output_fields.get(key)

    def value(alert: Alert) -> Any:
        got = get(alert)
        for function in reversed(functions):
            got = _apply(function, got)
        return got

    return value


def _apply(function: str, value: Any) -> Any:
    if isinstance(value, str):
        return _OF_TEXT[function](value)
    if not isinstance(value, list | tuple):
        return None
    items = cast("Sequence[object]", value)
    if function == "len":
        return len(items)
    return [_OF_TEXT[function](item) for item in items if isinstance(item, str)]
