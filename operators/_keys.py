"""What keyed operators group by: names of fields, or a callable; and how keys look in a snapshot."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, cast

from rxalerts.alert import Alert
from rxalerts.jsonvalues import clean_text
from rxalerts.operators._arguments import texts
from rxalerts.operators._enriching import alert_value

Key = str | Sequence[str] | Callable[[Alert], Hashable] | None


def key_function(key: Key) -> Callable[[Alert], Hashable]:
    """Return the function from an alert to its key; None stands for one key for all.

    A name is `rule`, `priority`, `source`, `hostname`, `output`, `message`, `time` or an output field; an alert that
    lacks it has the key None. Several names make a tuple.

    >>> by = key_function(["rule", "proc.name"])
    >>> by(Alert("a", output_fields={"proc.name": "sh"})), by(Alert("b"))
    (('a', 'sh'), ('b', None))
    """
    if key is None:
        return lambda _: None
    if isinstance(key, str):
        return alert_value(key)
    if callable(key):
        return _hashable(key)
    readers = [alert_value(name) for name in texts("key", key)]
    if not readers:
        raise ValueError("key=[]: give at least one name, or None for one key for all")
    if len(readers) == 1:
        return readers[0]
    if len(readers) == 2:
        first, second = readers
        return lambda alert: (first(alert), second(alert))
    return lambda alert: tuple([read(alert) for read in readers])


def _hashable(key: Callable[[Alert], Hashable]) -> Callable[[Alert], Hashable]:
    """Have a key that cannot be hashed fail where the user's function does."""

    def checked(alert: Alert) -> Hashable:
        found = key(alert)
        hash(found)
        return found

    return checked


def plain_key(key: Hashable) -> Any:
    """Return a key as JSON knows it; raises TypeError for what has no such form.

    >>> plain_key(("a", 1, None))
    ['a', 1, None]
    """
    if key is None or isinstance(key, str | int | float):
        return key
    if isinstance(key, tuple):
        return [plain_key(part) for part in cast("tuple[Hashable, ...]", key)]
    raise TypeError(f"the key {key!r} has no JSON form: let keys be texts, numbers, null, or tuples of these")


def key_of(plain: object) -> Hashable:
    """Return the key that `plain_key` made plain.

    >>> key_of(["a", ["b"]])
    ('a', ('b',))
    """
    value: Any = plain
    return tuple(map(key_of, value)) if isinstance(plain, list) else value


def key_text(key: Hashable) -> str:
    """Return a key for people.

    >>> key_text(("a", None)), key_text(None)
    ('a, -', '-')
    """
    if isinstance(key, tuple):
        return ", ".join(key_text(part) for part in cast("tuple[Hashable, ...]", key))
    return "-" if key is None else clean_text(str(key))
