"""The routes of a pipeline as they are connected: each one's operators, and its sinks under names of their own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import reactivex

from rxalerts.flow.chain import Chain
from rxalerts.flow.guard import Faults, counted_by
from rxalerts.flow.hub import Branch
from rxalerts.flow.sink import Sink
from rxalerts.routes import Route, Tee


class Wiring:
    """Connects routes, starts their sinks, and notes which routes and operators failed.

    Arguments:
        exhausted: called, from any thread, when no sink is left that could deliver anything.

    `sinks` are those of the routes by name, in their order; `retired` those that are in no route any more.
    """

    def __init__(self, exhausted: Callable[[], None]) -> None:
        self.sinks: dict[str, Sink[Any]] = {}
        self.retired: dict[str, Sink[Any]] = {}
        self.errors: list[str] = []
        self.faults = Faults()
        self._failed: list[tuple[Branch, int]] = []
        self._exhausted = exhausted

    def connect(self, routes: Sequence[Route]) -> list[Branch]:
        """Put the routes together, then start what is new in them: an operator that raises leaves all as it was."""
        # What the operators subscribe to here tells its faults to this pipeline's report.
        with counted_by(self.faults):
            return self._joined(routes)

    def _joined(self, routes: Sequence[Route]) -> list[Branch]:
        branches = [Branch() for _ in routes]
        streams = [
            reactivex.compose(*each.operators)(branch) if each.operators else branch
            for each, branch in zip(routes, branches, strict=True)
        ]
        ends = [sink for each in routes for sink in each.sinks]
        sinks, lists = self._named(ends), _take_lists(ends)
        new = [sink for sink in sinks.values() if sink not in self.sinks.values()]
        self.sinks = sinks
        for each, branch, stream in zip(routes, branches, streams, strict=True):
            end = Tee([(sink, sink.observer()) for sink in each.sinks], branch, self._route_failed)
            if stream is branch:
                branch.connect(end, end.on_next, _as_it_is if lists else None)
            elif isinstance(stream, Chain) and stream.root is branch:
                # Nothing but our own stateless steps: no subscription in between.
                branch.connect(end, stream.compiled(end.on_next), stream.batched() if lists else None)
            else:
                stream.subscribe(end.on_next, end.on_error, end.on_completed)
        for sink in new:
            sink.states.subscribe(lambda state: self._sink_ended() if state.ended else None)
            sink.start()
        return branches

    def _named(self, sinks: Iterable[Sink[Any]]) -> dict[str, Sink[Any]]:
        """Return each sink once, under a name of its own, in the order of the routes."""
        names = {sink: name for name, sink in self.sinks.items()}
        kept = {names[sink] for sink in sinks if sink in names}
        named: dict[str, Sink[Any]] = {}
        for sink in sinks:
            if sink in named.values():
                continue
            name = names.get(sink) or _free(sink.name, kept | named.keys())
            named[name] = sink
        return named

    def _sink_ended(self) -> None:
        # In the middle of an exchange of all sinks there may be none at all.
        if self.sinks and all(sink.state.ended for sink in self.sinks.values()):
            self._exhausted()

    def _route_failed(self, branch: Branch, message: str, sinks: int) -> None:
        branch.fail()
        self._failed.append((branch, sinks))
        self.errors.append(message)

    def retire(self, before: dict[str, Sink[Any]]) -> list[Sink[Any]]:
        """Return those of `before` that are in no route any more, and keep them among the retired."""
        gone = {name: sink for name, sink in before.items() if sink not in self.sinks.values()}
        for name, sink in gone.items():
            self.retired[_free(f"{name} (retired)", self.retired)] = sink
        return list(gone.values())

    def everybody(self) -> list[Sink[Any]]:
        """Return all sinks, the retired ones included."""
        return [*self.sinks.values(), *self.retired.values()]

    @property
    def cut(self) -> int:
        """How many alerts did not reach a sink because their route had failed."""
        return sum(branch.missed * sinks for branch, sinks in dict(self._failed).items())


def _take_lists(ends: Sequence[Sink[Any]]) -> bool:
    """Tell whether lists may go to these ends of routes: each sink is there once, and has no `on_next` of its own.

    A sink at several ends would get one route's alerts of a list after those of another, out of their order.
    """
    ours = all(getattr(sink.on_next, "__func__", None) is Sink[Any].on_next for sink in ends)
    return ours and len(set(ends)) == len(ends)


def _as_it_is(items: Sequence[Any]) -> Sequence[Any]:
    if type(None) in set(map(type, items)):
        # One by one the sink says which.
        raise TypeError("None is no alert")
    return items


def _free(name: str, taken: Collection[str]) -> str:
    """Return `name`, with a number if it is taken."""
    candidate, number = name, 2
    while candidate in taken:
        candidate, number = f"{name}-{number}", number + 1
    return candidate
