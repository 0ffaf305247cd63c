"""Let some alerts through and keep others back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from reactivex import Observable

from rxalerts.alert import Alert
from rxalerts.flow.chain import chained
from rxalerts.format import Formatted
from rxalerts.priority import Priority

A = TypeVar("A", Alert, Formatted)


def at_least(priority: str | int | Priority) -> Callable[[Observable[A]], Observable[A]]:
    """Let through the alerts that are at least as urgent as `priority`.

    Arguments:
        priority: a name in any case (`info` too), a number 0 (Emergency) to 7 (Debug), or a Priority.

    Raises ValueError, naming the choices, for what is no priority. Order is kept; state: none.

        --W--D--C--N--|
        at_least("warning")
        --W-----C-----|

    >>> import reactivex
    >>> from rxalerts import Alert
    >>> stream = reactivex.of(Alert("a", "warning"), Alert("b", "debug"), Alert("c", "critical"))
    >>> stream.pipe(at_least("warning")).subscribe(lambda alert: print(alert.rule)) and None
    a
    c
    """
    limit = Priority.parse(priority)

    def step(on_next: Callable[[A], None]) -> Callable[[A], None]:
        def each(alert: A) -> None:
            if alert.priority <= limit:
                on_next(alert)

        return each

    return chained(step)
