"""A user's faulty callable costs one alert, never the stream: in every operator that takes one."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any

import pytest
import reactivex
from reactivex import Observable, Subject
from reactivex import operators as rx

from rxalerts import Alert, first_of, route, run, sinks
from rxalerts import operators as ops
from rxalerts.flow.stats import DeadLetter
from rxalerts.testing import check_operator, play
from tests.support.operating import at, rules, through

ALERTS = [at(1, "good"), at(2, "bad"), at(3, "good")]


def fail(alert: Alert) -> Any:
    """Raise for the alerts of the rule bad, else return something true that is no change."""
    if alert.rule == "bad":
        raise ZeroDivisionError("boom")
    return {}


def truly(alert: Alert) -> bool:
    """Raise for the alerts of the rule bad, else be true."""
    return bool(fail(alert) == {})


def key(alert: Alert) -> str:
    """Raise for the alerts of the rule bad, else return one key for all."""
    return str(fail(alert))


Make = Callable[[Callable[[DeadLetter], object]], Callable[[Observable[Alert]], Observable[Any]]]

TAKING_CALLABLES: dict[str, Make] = {
    "where": lambda tell: ops.where(truly, on_fault=tell),
    "enrich": lambda tell: ops.enrich(fail, on_fault=tell),
    "set_priority": lambda tell: ops.set_priority(truly, "error", on_fault=tell),
    "rate_limit": lambda tell: ops.rate_limit(1, key=key, on_fault=tell),
    "suppress_repeats": lambda tell: ops.suppress_repeats(key, on_fault=tell),
    "sample": lambda tell: ops.sample(1, key, on_fault=tell),
    "tally": lambda tell: ops.tally(10, key, on_fault=tell),
    "correlate": lambda tell: ops.correlate(truly, "rule = x", on_fault=tell),
    "absence": lambda tell: ops.absence(truly, 10, on_fault=tell),
    "split": lambda tell: lambda source: ops.split(a=truly, on_fault=tell)(source)["a"],
    "catch": lambda tell: ops.catch(rx.filter(truly), on_fault=tell),
    "tap": lambda tell: ops.tap(fail, on_fault=tell),
}


@pytest.mark.parametrize("name", TAKING_CALLABLES)
def test_a_faulty_callable_costs_one_alert(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """The failing alert is a dead letter with the traceback; the others go on and the stream completes."""
    told: list[DeadLetter] = []
    everywhere: list[DeadLetter] = []
    seen: list[Any] = []
    with ops.dead_letters.subscribe(everywhere.append):
        stream = reactivex.from_iterable(ALERTS).pipe(TAKING_CALLABLES[name](told.append))
        stream.subscribe(seen.append, seen.append, lambda: seen.append("completed"))
    (letter,) = told
    assert everywhere == told
    assert (letter.item, letter.reason, letter.attempts) == (ALERTS[1], name, 1)
    assert "ZeroDivisionError: boom" in letter.detail and "in fail" in letter.detail
    assert seen[-1] == "completed"
    assert f"{name}: its function failed" in caplog.text and "boom" in caplog.text


@pytest.mark.parametrize("name", TAKING_CALLABLES)
def test_the_report_counts_faults(name: str) -> None:
    """A pipeline's report tells which operator failed how often; what that cost is lost."""
    kept = sinks.CollectSink[Any]()
    report = run(ALERTS, route(TAKING_CALLABLES[name](lambda _: None), to=kept))
    assert report.faults == {name: 1} and report.errors == ()
    assert report.lost == (0 if name == "tap" else 1)
    assert f"operator {name}: its function failed for 1 alerts" in str(report)


def test_every_operator_with_a_callable_is_in_this_list() -> None:
    """An operator that takes on_fault is tested here."""
    with_callable = {
        name
        for name, item in vars(ops).items()
        if inspect.isfunction(item) and "on_fault" in inspect.signature(item).parameters
    }
    assert with_callable == set(TAKING_CALLABLES)


def test_tap_passes_the_alert_on_even_then() -> None:
    """A side effect that fails takes nothing away."""
    assert through(ops.tap(fail), ALERTS) == ALERTS
    assert through(ops.tap(lambda alert: alert.replace(rule="other")), ALERTS) == ALERTS


def test_what_on_fault_raises_is_harmless_too(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and the stream goes on."""

    def worse(_: DeadLetter) -> None:
        raise RuntimeError("worse")

    assert rules(through(ops.where(truly, on_fault=worse), ALERTS)) == ["good", "good"]
    assert "on_fault raised" in caplog.text and "worse" in caplog.text


def test_a_fault_for_every_alert_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """The first one with its traceback, then the 10th, the 100th, the 1000th."""
    caplog.set_level(logging.ERROR, "rxalerts")
    through(ops.where(truly), [ALERTS[1]] * 1500)
    assert len(caplog.records) == 4


def test_an_unhashable_key_costs_one_alert() -> None:
    """What a key callable returns is not trusted either."""
    told: list[DeadLetter] = []

    def unhashable(alert: Alert) -> Any:
        return [alert.rule] if alert.rule == "bad" else alert.rule

    got = through(ops.suppress_repeats(unhashable, on_fault=told.append), ALERTS)
    assert [letter.item.rule for letter in told] == ["bad"] and rules(got) == ["good", "repeats"]


def test_catch_begins_the_operator_anew() -> None:
    """What a foreign operator remembered is gone after a failure; its own items are not lost."""

    def add(total: int, number: int) -> int:
        return total + 10 // number

    got: list[int] = []
    reactivex.of(1, 2, 0, 5).pipe(ops.catch(rx.scan(add, 0))).subscribe(got.append)
    assert got == [10, 15, 2]


def test_catch_lets_completion_and_the_sources_errors_through() -> None:
    """The operator may end the stream, and hears when the source ends."""
    got: list[Any] = []
    reactivex.of(1, 2, 3).pipe(ops.catch(rx.take(2))).subscribe(got.append, on_completed=lambda: got.append("end"))
    reactivex.of(4, 5).pipe(ops.catch(rx.to_list())).subscribe(got.append)
    error = ValueError("source")
    reactivex.throw(error).pipe(ops.catch(rx.map(str))).subscribe(on_error=got.append)
    assert got == [1, 2, "end", [4, 5], error]


def test_catch_does_not_take_the_subscribers_errors_for_the_operators() -> None:
    """An observer that raises is not the operator's fault: it reaches the source, as without catch."""
    told: list[DeadLetter] = []
    subject: Subject[int] = Subject()

    def observe(_: str) -> None:
        raise KeyError("observer")

    subject.pipe(ops.catch(rx.map(str), on_fault=told.append)).subscribe(observe)
    with pytest.raises(KeyError, match="observer"):
        subject.on_next(1)
    assert told == []


def test_catch_of_an_operator_that_cannot_be_subscribed_to_ends_the_stream() -> None:
    """There is nothing to begin anew with."""

    def broken(source: Observable[int]) -> Observable[int]:
        raise TypeError("no stream")

    errors: list[Exception] = []
    reactivex.of(1).pipe(ops.catch(broken)).subscribe(on_error=errors.append)
    assert isinstance(errors[0], TypeError)


def test_catch_survives_a_timer_that_fails() -> None:
    """A failure without an alert under way is told with None, and the stream goes on."""
    told: list[DeadLetter] = []

    def boom(items: list[str]) -> str:
        if "b" in items:
            raise ValueError("timer")
        return "".join(items)

    got = play(
        "a---b---c---|",
        lambda scheduler: ops.catch(
            lambda source: source.pipe(ops.buffer(seconds=2, scheduler=scheduler), rx.map(boom)), on_fault=told.append
        ),
    )
    assert [item for _, item in got][:2] == ["a", "c"] and [letter.item for letter in told] == [None]


def test_routes_enter_by_condition() -> None:
    """Each route whose condition is met gets the alert; with first_of, the first one only."""

    def names(*routes: Any) -> list[list[str]]:
        run([at(1, "a", "error"), at(2, "b", "debug"), at(3, "c", "error")], *routes)
        return [rules(kept.items) for kept in kepts]

    kepts = [sinks.CollectSink[Alert]() for _ in range(3)]
    routes = [route(when="rule = a", to=kepts[0]), route(when="priority >= error", to=kepts[1]), route(to=kepts[2])]
    assert names(*routes) == [["a"], ["a", "c"], ["a", "b", "c"]]
    kepts = [sinks.CollectSink[Alert]() for _ in range(3)]
    routes = [route(when="rule = a", to=kepts[0]), route(when="priority >= error", to=kepts[1]), route(to=kepts[2])]
    assert names(*first_of(*routes)) == [["a"], ["c"], ["b"]]


def test_a_faulty_condition_of_a_route_is_one_fault() -> None:
    """With first_of, the alert goes to the next route; the fault is told once, by the condition's own route."""
    first, other = sinks.CollectSink[Alert](), sinks.CollectSink[Alert]()
    report = run(ALERTS, *first_of(route(when=truly, to=first), route(to=other)))
    assert rules(first.items) == ["good", "good"] and rules(other.items) == ["bad"]
    assert report.faults == {"where": 1}


def test_split_into_the_first_or_every_branch() -> None:
    """What meets nothing is in rest; the names are a mapping in the given order."""
    alerts = [at(1, "a", "error"), at(2, "b", "debug"), at(3, "c", "error")]

    def split(every: bool) -> dict[str, list[str]]:
        branches = ops.split({"rule a": "rule = a"}, urgent="priority >= error", every=every)(
            reactivex.from_iterable(alerts)
        )
        got: dict[str, list[Alert]] = {name: [] for name in branches}
        for name, branch in branches.items():
            branch.subscribe(got[name].append)
        assert branches.rest is branches["rest"] and len(branches) == 3
        return {name: rules(items) for name, items in got.items()}

    assert split(every=False) == {"rule a": ["a"], "urgent": ["c"], "rest": ["b"]}
    assert split(every=True) == {"rule a": ["a"], "urgent": ["a", "c"], "rest": ["b"]}
    with pytest.raises(ValueError, match="rest"):
        ops.split(rest="rule = a")
    with pytest.raises(ValueError, match="at least one"):
        ops.split()


def test_where_takes_conditions_in_every_form() -> None:
    """Text with lists and macros, compiled, callable; a wrong one points at the column."""
    alerts = [at(1, "a", proc="sh"), at(2, "b")]
    listed = ops.where("shell", lists={"names": ["sh"]}, macros={"shell": "output_fields[proc] in (names)"})
    assert rules(through(listed, alerts)) == ["a"]
    assert rules(through(ops.where(ops.compile_condition("rule = b")), alerts)) == ["b"]
    assert rules(through(ops.where(lambda alert: alert.rule == "b"), alerts)) == ["b"]
    formatted: list[Any] = []
    reactivex.from_iterable(alerts).pipe(ops.to_json(), ops.where("rule = b")).subscribe(formatted.append)
    assert [item.alert.rule for item in formatted] == ["b"]
    with pytest.raises(ops.ConditionError, match="column 13"):
        ops.where("priority >= eror")
    with pytest.raises(TypeError, match="lists and macros"):
        ops.where(truly, lists={"a": []})
    with pytest.raises(TypeError, match="not int"):
        ops.where(3)  # type: ignore[arg-type]


def test_conformance() -> None:
    """Completion, error, dispose, a second subscription and several at once."""
    check_operator(lambda: ops.where("priority >= error"))
    check_operator(lambda: ops.at_least("error"))
    check_operator(lambda: ops.tap(lambda _: None))
    check_operator(lambda: ops.catch(rx.map(lambda alert: alert.rule)))
    check_operator(lambda: lambda source: ops.split(a="priority = error")(source)["a"])
    check_operator(lambda: lambda source: ops.split(a="priority = error")(source).rest)
    check_operator(lambda: ops.enrich(cluster="prod"))
    check_operator(lambda: ops.rename({"n": "m"}))
    check_operator(lambda: ops.drop_fields("n"))
    check_operator(lambda: ops.redact(pattern="alert"))
    check_operator(lambda: ops.retag(add=["x"]))
    check_operator(lambda: ops.set_priority("priority = error", "debug"))
    check_operator(lambda: ops.to_json())
    check_operator(lambda: ops.to_text(iso8601=True))
    check_operator(lambda: ops.buffer(5))
