"""What operators can be told, looked at when they are made: the error names the argument and what it must be."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from math import isfinite
from typing import Any


def number(name: str, value: Any, wanted: str) -> float:
    """Return a finite number as it is; raise TypeError or ValueError for anything else.

    >>> number("rate_limit(rate)", float("nan"), "alerts a second")
    Traceback (most recent call last):
      ...
    ValueError: rate_limit(rate)=nan: must be a finite number (alerts a second)
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        hint = "; write .total_seconds() behind it" if isinstance(value, timedelta) else ""
        raise TypeError(f"{name}={value!r}: must be a number ({wanted}), not {type(value).__name__}{hint}")
    if isinstance(value, float) and not isfinite(value):
        raise ValueError(f"{name}={value}: must be a finite number ({wanted})")
    return value


def positive(name: str, value: Any) -> int:
    """Return a count that must be 1 or more, or raise naming the argument.

    >>> positive("max_keys", 1.5)
    Traceback (most recent call last):
      ...
    TypeError: max_keys=1.5: must be a whole number of 1 or more, not float
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}={value!r}: must be a whole number of 1 or more, not {type(value).__name__}")
    if value < 1:
        raise ValueError(f"{name}={value}: must be a whole number of 1 or more")
    return value


def must_call(name: str, value: Any) -> None:
    """Raise TypeError for what cannot be called.

    >>> must_call("tap(function)", None)
    Traceback (most recent call last):
      ...
    TypeError: tap(function)=None: must be a callable, not NoneType
    """
    if not callable(value):
        raise TypeError(f"{name}={value!r}: must be a callable, not {type(value).__name__}")


def texts(name: str, value: Any) -> list[str]:
    """Return several names or tags as a list; raise TypeError for a single text, and for what is none.

    >>> texts("retag(add)", "prod")
    Traceback (most recent call last):
      ...
    TypeError: retag(add)='prod': must be a sequence of texts, not str
    """
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise TypeError(f"{name}={value!r}: must be a sequence of texts, not {type(value).__name__}")
    listed: list[Any] = list(value)  # pyright: ignore[reportUnknownArgumentType]
    for item in listed:
        if not isinstance(item, str):
            raise TypeError(f"{name}: holds {item!r}: must be a sequence of texts")
    return listed
