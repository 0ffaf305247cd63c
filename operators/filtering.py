"""Let some alerts through and keep others back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from reactivex import Observable

from rxalerts.alert import Alert
from rxalerts.flow.chain import chained
from rxalerts.flow.guard import Guard, OnFault
from rxalerts.format import Formatted
from rxalerts.operators._predicate import Lists, When, predicate
from rxalerts.priority import Priority

A = TypeVar("A", Alert, Formatted)


def at_least(priority: str | int | Priority) -> Callable[[Observable[A]], Observable[A]]:
    """Let through the alerts that are at least as urgent as `priority`.

    Arguments:
        priority: a name in any case (`info` too), a number 0 (Emergency) to 7 (Debug), or a Priority.

    Raises ValueError, naming the choices, for what is no priority. Order is kept; state: none. Completion and
    errors pass through.

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

    def batch(alerts: Sequence[A]) -> Sequence[A]:
        return [alert for alert in alerts if alert.priority <= limit]

    return chained(step, f"at_least {limit}", batch)


def where(
    condition: When,
    *,
    lists: Lists | None = None,
    macros: Mapping[str, str] | None = None,
    on_fault: OnFault | None = None,
) -> Callable[[Observable[A]], Observable[A]]:
    """Let through the alerts that meet a condition, written as in Falco's rules or as a callable.

    Arguments:
        condition: text in Falco's syntax (`rxalerts.operators.condition` describes it), what `compile_condition`
            returns, or a callable from an alert to a bool.
        lists, macros: what the text may name; lists of values, and conditions as texts.
        on_fault: called with the DeadLetter of each alert for which the callable raised.

    Raises ConditionError, pointing at the column and saying what was expected, for a wrong text. A field that an
    alert lacks makes every check of it false. Order is kept; state: none. Completion and errors pass through. An
    alert for which a callable raises goes to `dead_letters` with the traceback; the stream goes on.

        --a--b--c--|
        where("proc.name = bash")
        -----b-----|

    >>> import reactivex
    >>> from rxalerts import Alert
    >>> stream = reactivex.of(Alert("a", "error"), Alert("b", output_fields={"proc.name": "bash"}))
    >>> shells = where("priority >= notice and proc.name in (shells)", lists={"shells": ["sh", "bash"]})
    >>> stream.pipe(shells).subscribe(lambda alert: print(alert.rule)) and None
    b
    """
    test = predicate(condition, lists=lists, macros=macros)

    def step(on_next: Callable[[A], None]) -> Callable[[A], None]:
        guard = Guard("where", on_fault)

        def each(item: A) -> None:
            try:
                fits = test(item if isinstance(item, Alert) else item.alert)
            except Exception as error:
                guard(item, error)
            else:
                if fits:
                    on_next(item)

        return each

    return chained(step, f"where {condition}" if isinstance(condition, str) else "where")
