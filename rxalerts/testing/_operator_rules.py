"""What every operator has to keep, as checks from outside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import reactivex
from reactivex import Observable, Subject
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase
from reactivex.disposable import Disposable

from rxalerts.alert import Alert
from rxalerts.testing._recording import SignalLog

Operator = Callable[[Observable[Any]], Observable[Any]]


def check_operator(
    factory: Callable[[], Operator],
    *,
    items: Sequence[Any] | None = None,
    faulty: Callable[[], Operator] | None = None,
    ends_early: bool = False,
) -> None:
    """Check that an operator behaves as one; raise AssertionError naming the rule otherwise.

    Arguments:
        factory: makes the operator; it is called once per rule.
        items: what to send; alerts of every priority by default.
        faulty: makes the operator with a user's function that raises for every item, if it takes one.
        ends_early: whether it may end the stream, or let go of the source, before the source ends.

    Checked are: nothing happens before the subscription; completion and errors are handed on, once, and nothing
    follows them; disposing lets go of the source and silences the operator; a second subscription, one after the
    other or at the same time, gets the same as the first; a user's function that raises ends the stream at most and
    disturbs no other subscription.

    >>> from rxalerts import operators as ops
    >>> check_operator(lambda: ops.at_least("warning"))
    """
    levels = ("emergency", "alert", "critical", "error", "warning", "notice", "informational", "debug")
    alerts = [Alert(f"Rule {n % 3}", levels[n % 8], f"alert {n}", {"n": n}) for n in range(24)]
    everything = list(items or alerts)
    rules: list[tuple[str, Callable[[], None]]] = [
        ("lazy", lambda: _lazy(factory)),
        ("completion", lambda: _completion(factory, everything)),
        ("error", lambda: _error(factory, everything, ends_early)),
        ("dispose", lambda: _dispose(factory, everything)),
        ("again", lambda: _again(factory, everything)),
        ("side by side", lambda: _side_by_side(factory, everything)),
    ]
    if faulty is not None:
        rules.append(("faulty function", lambda: _faulty(faulty, factory, everything)))
    for name, rule in rules:
        try:
            rule()
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error


class _Source:
    """A hot stream that counts its subscriptions."""

    def __init__(self) -> None:
        self.subject: Subject[Any] = Subject()
        self.subscribed = 0
        self.observable = reactivex.create(self._subscribe)

    def _subscribe(self, observer: ObserverBase[Any], scheduler: SchedulerBase | None = None) -> DisposableBase:
        self.subscribed += 1
        subscription = self.subject.subscribe(observer)
        done = False

        def leave() -> None:
            nonlocal done
            if not done:
                done = True
                self.subscribed -= 1
                subscription.dispose()

        return Disposable(leave)

    def send(self, items: Sequence[Any]) -> None:
        for item in items:
            self.subject.on_next(item)


def _attach(stream: Observable[Any]) -> tuple[SignalLog, DisposableBase]:
    log = SignalLog()
    return log, stream.subscribe(log.on_next, log.on_error, log.on_completed)


def _lazy(factory: Callable[[], Operator]) -> None:
    source = _Source()
    factory()(source.observable)
    assert source.subscribed == 0, "it subscribes before anybody has subscribed to it"


def _completion(factory: Callable[[], Operator], items: Sequence[Any]) -> None:
    for sent in (items, ()):
        source = _Source()
        log, _ = _attach(factory()(source.observable))
        source.send(sent)
        source.subject.on_completed()
        assert log.ends == ["completed"], f"the source completed after {len(sent)} items, what came out is {log.ends}"
        assert source.subscribed == 0, "it keeps its subscription after the completion"


def _error(factory: Callable[[], Operator], items: Sequence[Any], ends_early: bool) -> None:
    source, failure = _Source(), ValueError("the source failed")
    log, _ = _attach(factory()(source.observable))
    source.send(items)
    source.subject.on_error(failure)
    ends = [[failure], ["completed"]] if ends_early else [[failure]]
    assert log.ends in ends, f"the source failed, what came out is {log.ends}"


def _dispose(factory: Callable[[], Operator], items: Sequence[Any]) -> None:
    source = _Source()
    log, subscription = _attach(factory()(source.observable))
    half = len(items) // 2
    source.send(items[:half])
    subscription.dispose()
    subscription.dispose()
    assert source.subscribed == 0, "it keeps its subscription after dispose()"
    before = len(log.items)
    source.send(items[half:])
    source.subject.on_completed()
    assert len(log.items) == before and not log.ends, "something comes out after dispose()"


def _again(factory: Callable[[], Operator], items: Sequence[Any]) -> None:
    stream = factory()(reactivex.from_iterable(items))
    first, _ = _attach(stream)
    second, _ = _attach(stream)
    assert second.items == first.items, f"the second subscription got {len(second.items)}, not {len(first.items)} items"
    assert second.ends == first.ends, f"the second subscription ended with {second.ends}, not {first.ends}"


def _side_by_side(factory: Callable[[], Operator], items: Sequence[Any]) -> None:
    alone, _ = _attach(factory()(reactivex.from_iterable(items)))
    operator = factory()
    one, other = _Source(), _Source()
    # One operator, two streams; and a second subscription that comes half-way.
    first, _ = _attach(operator(one.observable))
    second, _ = _attach(operator(other.observable))
    for item in items:
        one.send([item])
        other.send([item])
    one.subject.on_completed()
    other.subject.on_completed()
    for log in (first, second):
        assert log.items == alone.items, f"side by side {len(log.items)} items come out, alone {len(alone.items)}"


def _faulty(faulty: Callable[[], Operator], factory: Callable[[], Operator], items: Sequence[Any]) -> None:
    source = _Source()
    bystander, _ = _attach(factory()(source.observable))
    log, _ = _attach(faulty()(source.observable))
    try:
        source.send(items)
        source.subject.on_completed()
    except Exception as error:
        raise AssertionError(f"what the function raised reached the source: {error!r}") from error
    assert len(log.ends) == 1, f"the stream did not end, or more than once: {log.ends}"
    assert bystander.ends == ["completed"], "another subscription to the same source was disturbed"
