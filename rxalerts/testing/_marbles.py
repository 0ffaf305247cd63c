"""Marble diagrams in, timed items out: an operator in virtual time, without threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from reactivex import Observable
from reactivex.observable.marbles import parse
from reactivex.testing import Recorded, TestScheduler

Operator = Callable[[Observable[Any]], Observable[Any]]


class _Completed:
    """The end of a stream, as `play` reports it."""

    def __repr__(self) -> str:
        return "COMPLETED"


COMPLETED: Final = _Completed()

# When the diagram begins, in TestScheduler's own seconds.
_BEGIN = 200.0


def play(
    diagram: str,
    operator: Callable[[TestScheduler], Operator],
    *,
    values: Mapping[str, Any] | None = None,
    error: Exception | None = None,
    unit: float = 1.0,
    until: float = 1000.0,
) -> list[tuple[float, Any]]:
    """Send the items of a marble diagram through an operator, in virtual time.

    Arguments:
        diagram: each character takes one `unit` of time: `-` is a pause, a word an item, `(a,b)` items at the same
            moment, `|` the completion and `#` an error (the syntax of `reactivex.from_marbles`).
        operator: gets the scheduler whose clock counts, for operators that measure time, and returns the operator.
        values: what an item that is written as a word stands for; the word itself by default.
        error: what `#` stands for.
        unit: seconds that one character takes.
        until: when to stop looking, in seconds.

    Returns (seconds, item) for each item that comes out, (seconds, COMPLETED) for the completion and (seconds, the
    exception) for an error.

    >>> from rxalerts import operators as ops
    >>> play("a-b---c|", lambda scheduler: ops.buffer(seconds=3, scheduler=scheduler))
    [(3.0, ['a', 'b']), (7.0, ['c']), (7.0, COMPLETED)]
    """
    scheduler = TestScheduler()
    lookup: dict[str | float, Any] = {key: value for key, value in (values or {}).items()}
    messages: list[Any] = parse(
        diagram, timespan=unit, time_shift=_BEGIN, lookup=lookup, error=error, raise_stopped=True
    )
    source = scheduler.create_hot_observable(*[Recorded(time, notification) for time, notification in messages])
    # Subscribed a moment before, so that an item at the very beginning is seen.
    observer = scheduler.start(lambda: operator(scheduler)(source), subscribed=_BEGIN - 0.001, disposed=_BEGIN + until)
    return [(round(message.time - _BEGIN, 6), _plain(message.value)) for message in observer.messages]


def _plain(notification: Any) -> Any:
    if notification.kind == "N":
        return notification.value
    return notification.exception if notification.kind == "E" else COMPLETED
