"""What may be given for an alert's values: each is checked, and returned as the alert keeps it.

A wrong one raises an AlertError that names the key.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping
from functools import cache
from operator import index
from typing import Any, cast

from rxalerts import jsonvalues
from rxalerts.errors import AlertError
from rxalerts.priority import Priority
from rxalerts.record import FIELDS
from rxalerts.timestamps import check_ns, parse_rfc3339

__all__ = ["NAMES", "default_hostname", "extra_keys", "mapping", "priority", "string", "tags", "time_ns"]

NAMES = {*FIELDS, "extra"} - {"uuid"}
"""The names under which an alert's values are given."""


def priority(value: Any) -> Priority:
    """Return the priority that a name in any case, a number or a `Priority` stands for."""
    try:
        return Priority.parse(value)
    except ValueError as error:
        raise AlertError(str(error), key="priority") from None


def time_ns(value: Any) -> int:
    """Return the nanoseconds since the epoch that a number of them, or RFC 3339 text, stands for."""
    try:
        return parse_rfc3339(value) if isinstance(value, str) else check_ns(index(value))
    except (ValueError, TypeError) as error:
        raise AlertError(f"must be nanoseconds or RFC 3339 text: {error}", key="time") from None


def string(key: str, value: Any) -> str:
    """Return a text that can be encoded."""
    if not isinstance(value, str):
        raise AlertError(f"must be a string, not {type(value).__name__}", key=key)
    return jsonvalues.clean_text(value)


def tags(value: Any) -> tuple[str, ...]:
    """Return the tags; a single text is no sequence of them."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise AlertError(f"must be a sequence of strings, not {type(value).__name__}", key="tags")
    return tuple(string("tags", tag) for tag in cast("Iterable[str]", value))


def mapping(key: str, value: Any) -> dict[str, Any]:
    """Return a copy of a mapping as JSON knows it: what is written and read again is equal."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise AlertError(f"must be a mapping, not {type(value).__name__}", key=key)
    try:
        copy: dict[str, Any] = jsonvalues.decode(jsonvalues.encode(dict(cast("Mapping[str, Any]", value))))
        return copy
    except (TypeError, ValueError) as error:
        raise AlertError(f"has no JSON form: {error}", key=key) from None


def extra_keys(value: Any) -> dict[str, Any] | None:
    """Return further top-level keys, none of which has a name of its own; None for no keys."""
    keys = mapping("extra", value)
    known = keys.keys() & (NAMES - {"extra"})
    if known:
        raise AlertError(f"{', '.join(sorted(known))}: give it by its own name", key="extra")
    return keys or None


def default_hostname() -> str:
    """Return the environment's `FALCO_HOSTNAME`, else this machine's name."""
    return os.environ.get("FALCO_HOSTNAME") or _machine()


@cache
def _machine() -> str:
    return socket.gethostname()
