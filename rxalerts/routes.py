"""Describe ways from a source to sinks: `route`, `first_of`, and what stands at the end of one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reactivex import Observable
from reactivex.abc import ObserverBase

from rxalerts.display import html_of
from rxalerts.flow.batching import BatchObserver
from rxalerts.flow.hub import Branch
from rxalerts.flow.sink import Sink

if TYPE_CHECKING:
    from rxalerts.operators._predicate import When

log = logging.getLogger("rxalerts")

Operator = Callable[[Observable[Any]], Observable[Any]]


@dataclass(frozen=True, eq=False)
class Route:
    """Operators, and the sinks that get what comes out of them; `when` is the condition for entering, if any."""

    operators: tuple[Operator, ...]
    sinks: tuple[Sink[Any], ...]
    when: When | None = None
    _repr_html_ = html_of


def route(*operators: Operator, to: Sink[Any] | Sequence[Sink[Any]], when: When | None = None) -> Route:
    """Describe one way from the source to one or several sinks.

    Arguments:
        operators: applied in order, as in `Observable.pipe`, of which there is no limit of seven here.
        to: one sink or several; a sink may be the end of several routes.
        when: only alerts that meet this condition enter, in Falco's syntax or as a callable (see `operators.where`).

    An alert enters every route whose condition it meets; see `first_of` for only the first.

    >>> from rxalerts import operators as ops, sinks
    >>> route(ops.at_least("warning"), to=sinks.CollectSink()).operators.__len__()
    1
    """
    sinks = (to,) if isinstance(to, Sink) else tuple(to)
    if not sinks:
        raise ValueError("route(to=[]): name at least one sink")
    entrance: tuple[Operator, ...] = () if when is None else (_where(when),)
    return Route((*entrance, *operators), sinks, when)


def first_of(*routes: Route) -> list[Route]:
    """Let each alert enter only the first of `routes` whose condition it meets.

    Arguments:
        routes: made with `route(…, when=…)`; one without a condition takes all that come so far.

    A condition that raises for an alert counts as not met here; its own route reports the fault.

    >>> from rxalerts import Alert, run, sinks
    >>> shells, others = sinks.CollectSink(), sinks.CollectSink()
    >>> routes = first_of(route(when="proc.name = sh", to=shells), route(to=others))
    >>> report = run([Alert("a", output_fields={"proc.name": "sh"}), Alert("b")], *routes)
    >>> [alert.rule for alert in shells.items], [alert.rule for alert in others.items]
    (['a'], ['b'])
    """
    from rxalerts.operators._predicate import predicate

    earlier: list[Callable[[Any], object]] = []
    result: list[Route] = []
    for each in routes:
        entrance: Operator = _where(_none_of(tuple(earlier)))
        result.append(Route((entrance, *each.operators), each.sinks, each.when) if earlier else each)
        earlier.append((lambda _: True) if each.when is None else predicate(each.when))
    return result


def _where(condition: When) -> Operator:
    # Loaded when a route has a condition: the language of conditions is a third of what all imports cost.
    from rxalerts.operators.filtering import where

    return where(condition)


def _none_of(tests: tuple[Callable[[Any], object], ...]) -> Callable[[Any], bool]:
    def none(alert: Any) -> bool:
        for test in tests:
            try:
                if test(alert):
                    return False
            except Exception:
                log.debug("a condition failed; its own route reports it", exc_info=True)
        return True

    return none


def as_route(each: Route | Sink[Any]) -> Route:
    """Return a bare sink as a route without operators."""
    return route(to=each) if isinstance(each, Sink) else each


class Tee(BatchObserver[Any]):
    """The end of a route: gives each alert to every one of its sinks."""

    def __init__(
        self,
        ends: list[tuple[Sink[Any], ObserverBase[Any]]],
        branch: Branch,
        failed: Callable[[Branch, str, int], None],
    ) -> None:
        self.ends = ends
        self.branch = branch
        self.failed = failed
        if len(ends) == 1:
            # One call less per alert in the common case of a single sink.
            self.on_next = ends[0][0].on_next  # type: ignore[method-assign]

    def on_next(self, value: Any) -> None:
        for sink, _ in self.ends:
            sink.on_next(value)

    @property
    def room(self) -> int:
        return min(sink.room for sink, _ in self.ends)

    def on_batch(self, items: Sequence[Any]) -> None:
        for sink, _ in self.ends:
            sink.on_batch(items)

    def on_error(self, error: Exception) -> None:
        names = ", ".join(sink.name for sink, _ in self.ends)
        self.failed(self.branch, f"route to {names}: {type(error).__name__}: {error}", len(self.ends))
        for _, observer in self.ends:
            observer.on_error(error)

    def on_completed(self) -> None:
        for _, observer in self.ends:
            observer.on_completed()
