"""What the tests of operators share: alerts at given seconds, and a way to send them through."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import reactivex
from reactivex import Observable

from rxalerts.alert import Alert
from rxalerts.priority import Priority

SECOND = 1_000_000_000

Operator = Callable[[Observable[Alert]], Observable[Alert]]


def at(
    second: float,
    rule: str = "r",
    priority: str | int | Priority = "notice",
    message: str = "m",
    **fields: Any,
) -> Alert:
    """Make an alert whose event happened `second` seconds after the epoch."""
    time = round(second * SECOND)
    return Alert(rule, priority, message, fields, time=time, hostname="h")


def through(operator: Operator, alerts: Iterable[Alert]) -> list[Alert]:
    """Send alerts through an operator, complete, and return what came out; raise what came as an error."""
    got, errors = list[Alert](), list[Exception]()
    reactivex.from_iterable(list(alerts)).pipe(operator).subscribe(got.append, errors.append)
    if errors:
        raise errors[0]
    return got


def rules(alerts: Iterable[Alert]) -> list[str]:
    """Return the names of the rules, our own without `rxalerts: `."""
    return [alert.rule.removeprefix("rxalerts: ") for alert in alerts]
