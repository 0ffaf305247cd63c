"""Send alerts different ways: `split`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from reactivex import Observable

from rxalerts.alert import Alert
from rxalerts.flow.chain import filtered
from rxalerts.flow.guard import OnFault
from rxalerts.operators._predicate import When, predicate

REST = "rest"


class Branches(Mapping[str, Observable[Alert]]):
    """The streams that `split` makes of one, by name, in the order of the conditions, with `rest` at the end.

    Each of them subscribes to the source by itself.
    """

    def __init__(self, streams: Mapping[str, Observable[Alert]]) -> None:
        self._streams = dict(streams)

    def __getitem__(self, name: str) -> Observable[Alert]:
        return self._streams[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._streams)

    def __len__(self) -> int:
        return len(self._streams)

    @property
    def rest(self) -> Observable[Alert]:
        """The alerts that meet none of the conditions."""
        return self._streams[REST]


def split(
    conditions: Mapping[str, When] | None = None,
    /,
    *,
    every: bool = False,
    on_fault: OnFault | None = None,
    **named: When,
) -> Callable[[Observable[Alert]], Branches]:
    """Divide a stream into several, by conditions.

    Arguments:
        conditions, named: conditions by the name of their branch, in order: Falco's syntax or callables. The
            mapping is for names that are no Python names or taken here.
        every: an alert goes into every branch whose condition it meets; otherwise into the first one only.
        on_fault: called with the DeadLetter of each alert for which a callable raised.

    What meets no condition is in the branch `rest`. Each branch subscribes to the source by itself: share a source
    that can be read only once with `reactivex.operators.publish()`, and connect it when all have subscribed; in a
    pipeline, use `route(…, when=…)` and `first_of` instead. In each branch order is kept, completion and errors pass
    through, and an alert for which a condition raises is a dead letter.

        --a--b--c--|
        split(x="rule = a", y="rule = b")
        --a--------|        x
        -----b-----|        y
        --------c--|        rest

    >>> import reactivex
    >>> from rxalerts import Alert
    >>> stream = reactivex.of(Alert("Shell", "notice"), Alert("Read", "error"), Alert("Ping", "debug"))
    >>> branches = split(shells="rule = Shell", urgent="priority >= error")(stream)
    >>> for name, branch in branches.items():
    ...     _ = branch.subscribe(lambda alert: print(name, alert.rule))
    shells Shell
    urgent Read
    rest Ping
    """
    given: dict[str, When] = {**(conditions or {}), **named}
    if not given:
        raise ValueError("split(): give at least one condition")
    if REST in given:
        raise ValueError("split(rest=…): that name is for what meets no condition")
    tests = {name: predicate(condition) for name, condition in given.items()}

    def divide(source: Observable[Alert]) -> Branches:
        streams: dict[str, Observable[Alert]] = {}
        earlier: tuple[Callable[[Alert], object], ...] = ()
        for name, test in tests.items():
            chosen = test if every else _only(earlier, test)
            streams[name] = source.pipe(filtered(chosen, "split", on_fault))
            earlier = (*earlier, test)
        streams[REST] = source.pipe(filtered(_only(earlier, lambda _: True), "split", on_fault))
        return Branches(streams)

    return divide


def _only(earlier: tuple[Callable[[Alert], object], ...], test: Callable[[Alert], object]) -> Callable[[Alert], bool]:
    def chosen(alert: Alert) -> bool:
        for other in earlier:
            if other(alert):
                return False
        return bool(test(alert))

    return chosen
