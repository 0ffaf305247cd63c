"""Conditions in each of their forms, as bare functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rxalerts.alert import Alert
from rxalerts.operators.condition import Condition, compile_condition

When = str | Condition | Callable[[Alert], object]
Lists = Mapping[str, Sequence[str | int | float | bool]]


def predicate(
    condition: When, *, lists: Lists | None = None, macros: Mapping[str, str] | None = None
) -> Callable[[Alert], object]:
    """Return the bare function that tells whether an alert meets `condition`; raises ConditionError, TypeError.

    >>> predicate("rule = a")(Alert("a"))
    True
    """
    if isinstance(condition, str):
        return compile_condition(condition, lists=lists or {}, macros=macros or {}).test
    if lists or macros:
        raise TypeError("lists and macros belong to a condition given as text")
    if isinstance(condition, Condition):
        return condition.test
    if not callable(condition):
        raise TypeError(f"a condition is a text or a callable, not {type(condition).__name__}")
    return condition
