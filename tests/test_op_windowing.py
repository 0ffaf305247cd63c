"""tally, correlate and absence."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import reactivex
from hypothesis import given
from hypothesis import strategies as st
from reactivex.testing import TestScheduler

from rxalerts import operators as ops
from rxalerts.alert import Alert
from rxalerts.testing import COMPLETED, check_operator, play
from tests.support.operating import SECOND, at, rules, through


def counts(alerts: list[Alert]) -> list[tuple[str, int, str]]:
    """Return key, count and start (seconds of its minute) of tallies; the late ones as ("late", n, "")."""
    return [
        ("late", fields["rxalerts.late"], "")
        if "rxalerts.late" in (fields := alert.output_fields)
        else (fields["rxalerts.key"], fields["rxalerts.count"], fields["rxalerts.start"][17:19])
        for alert in alerts
    ]


def test_tally_counts_by_window_and_key() -> None:
    """Windows are aligned to the epoch; the largest count comes first, equal ones by key."""
    alerts = [at(1, "b"), at(9, "a"), at(3, "b"), at(4, "c"), at(11, "a"), at(35, "a")]
    got = through(ops.tally(10), alerts)
    assert counts(got) == [("b", 2, "00"), ("a", 1, "00"), ("c", 1, "00"), ("a", 1, "10"), ("a", 1, "30")]
    assert got[0].output_fields == {
        "rxalerts.key": "b",
        "rxalerts.count": 2,
        "rxalerts.start": "1970-01-01T00:00:00.000000000Z",
        "rxalerts.end": "1970-01-01T00:00:10.000000000Z",
    }
    assert (got[0].rule, got[0].source, got[0].time_ns) == ("rxalerts: tally", "internal", 10 * SECOND)


def test_tally_counts_late_alerts_within_allow_late() -> None:
    """A late alert goes into its own window as long as that is open; later ones are told as late."""
    alerts = [at(9), at(12), at(8), at(16), at(7), at(25)]
    assert counts(through(ops.tally(10, allow_late=5), alerts)) == [
        ("r", 2, "00"),
        ("r", 2, "10"),
        ("late", 1, ""),
        ("r", 1, "20"),
    ]
    assert counts(through(ops.tally(10), alerts))[-1] == ("r", 1, "20")


def test_counts_can_be_asked_for_in_conditions() -> None:
    """What a tally tells is in output fields with a dot: tally, then where, is a threshold."""
    alerts = [at(n / 10, "many") for n in range(20)] + [at(3, "few")]
    got: list[Alert] = []
    stream = reactivex.from_iterable(alerts).pipe(ops.tally(10), ops.where("rxalerts.count > 10"))
    stream.subscribe(got.append)
    assert counts(got) == [("many", 20, "00")]


def test_tally_keeps_so_many_counts_and_adds_up_the_others() -> None:
    """Bounded by max_keys; no alert is missing from the sum."""
    alerts = [at(1, name) for name in "abcdeab"]
    assert counts(through(ops.tally(10, max_keys=2), alerts)) == [
        ("(others)", 3, "00"),
        ("a", 2, "00"),
        ("b", 2, "00"),
    ]
    assert len(through(ops.tally(10, keep=True), alerts)) == 7 + 5


def test_a_time_from_the_future_does_not_end_counting() -> None:
    """One alert with a wrong time costs late ones for a while; then the clock is put back."""
    alerts = [at(1), at(10_000)] + [at(second / 10) for second in range(1000)]
    got = counts(through(ops.tally(10), alerts))
    assert sum(count for _, count, _ in got) == 1002
    assert [count for _, count, _ in got].count(100) == 9


@given(
    st.lists(st.tuples(st.integers(0, 100), st.sampled_from("abc")), max_size=80),
    st.integers(1, 30),
    st.integers(0, 100),
)
def test_every_alert_is_counted_once(came: list[tuple[int, str]], seconds: int, late: int) -> None:
    """In whatever order alerts come, the counts and the late ones add up; with enough patience none is late."""
    alerts = [at(second, rule) for second, rule in came]
    got = counts(through(ops.tally(seconds, allow_late=late), alerts))
    assert sum(count for _, count, _ in got) == len(alerts)
    if late == 100:
        expected = Counter((rule, second - second % seconds) for second, rule in came)
        assert sorted(count for _, count, _ in got) == sorted(expected.values())


def test_by_the_walls_clock_a_timer_closes_the_window() -> None:
    """clock="wall": counts of what arrived, on time, without another alert."""

    def operator(scheduler: TestScheduler) -> ops.Stateful:
        return ops.tally(5, clock="wall", scheduler=scheduler)

    got = play("a--b----------|", operator, values={"a": at(900, "a"), "b": at(0, "a")})
    assert [time for time, _ in got] == [5.0, 14.0]
    assert counts([got[0][1]])[0][:2] == ("a", 2)


def correlated(*alerts: Alert, **options: Any) -> list[Alert]:
    """Send alerts through a correlation of f, then t, by user, within 10 s."""
    return through(ops.correlate("rule = f", "rule = t", by="user", within=10, **options), alerts)


def test_correlate_raises_when_one_follows_the_other() -> None:
    """The alert names both, has the more urgent priority, the time and host of the second."""
    (got,) = correlated(at(1, "f", "error", "one", user="u"), at(3, "t", "notice", "two", user="u"))
    assert (got.rule, got.priority.label, got.time_ns) == ("rxalerts: correlation", "Error", 3 * SECOND)
    assert got.message == "f, then t 2 s later" and got.hostname == "h"
    assert got.output_fields == {
        "rxalerts.key": "u",
        "rxalerts.first": "1970-01-01T00:00:01.000000000Z",
        "rxalerts.first.rule": "f",
        "rxalerts.first.example": "one",
        "rxalerts.last": "1970-01-01T00:00:03.000000000Z",
        "rxalerts.last.rule": "t",
        "rxalerts.last.example": "two",
    }


def test_correlate_wants_the_same_key_the_order_and_the_time() -> None:
    """Another key, the other order, too late, or no key at all: nothing."""
    assert not correlated(at(1, "f", user="u"), at(2, "t", user="v"))
    assert not correlated(at(1, "t", user="u"), at(2, "f", user="u"))
    assert not correlated(at(2, "f", user="u"), at(1, "t", user="u"))
    assert not correlated(at(1, "f", user="u"), at(11.5, "t", user="u"))
    assert correlated(at(1, "f", user="u"), at(11, "t", user="u"))
    assert not correlated(at(1, "f"), at(2, "t"))


def test_correlate_uses_each_first_once_and_the_latest() -> None:
    """After an alert was raised another first is needed; a newer first replaces the older one."""
    f, t = "f", "t"
    assert len(correlated(at(1, f, user="u"), at(2, t, user="u"), at(3, t, user="u"))) == 1
    (got,) = correlated(at(1, f, user="u"), at(9, f, user="u"), at(15, t, user="u"))
    assert got.output_fields["rxalerts.first"].endswith(":09.000000000Z")


def test_one_alert_can_be_the_end_of_one_and_the_beginning_of_another() -> None:
    """With equal conditions, a chain of three is two pairs."""
    assert len(through(ops.correlate("rule = x", "rule = x"), [at(n, "x") for n in range(3)])) == 2


def test_correlate_keeps_and_bounds() -> None:
    """keep=True lets all through; beyond max_keys the oldest first is forgotten; rule and priority can be given."""
    alerts = [at(1, "f", user="u"), at(2, "f", user="v"), at(3, "t", user="u"), at(3, "t", user="v")]
    assert rules(correlated(*alerts, keep=True)) == ["f", "f", "t", "correlation", "t", "correlation"]
    assert [a.output_fields["rxalerts.key"] for a in correlated(*alerts, max_keys=1)] == ["v"]
    named = correlated(*alerts, rule="Dropper", priority="critical")
    assert [(a.rule, a.priority.label) for a in named] == [("Dropper", "Critical")] * 2


def test_absence_raises_once_for_each_silence() -> None:
    """At the first alert that shows it, with the moment at which it became too long as its time."""
    alerts = [at(0, "h"), at(30), at(65), at(90), at(100, "h"), at(130), at(170)]
    got = through(ops.absence("rule = h", within=60), alerts)
    assert [alert.time_ns // SECOND for alert in got] == [60, 160]
    assert got[0].output_fields == {
        "rxalerts.key": "-",
        "rxalerts.last": "1970-01-01T00:00:00.000000000Z",
        "rxalerts.seconds": 60.0,
    }
    assert got[0].message == "nothing for 60 s that meets: rule = h"


def test_absence_watches_from_the_first_alert_of_any_kind() -> None:
    """A stream in which none ever comes is silent too; the end of a stream is no silence."""
    (got,) = through(ops.absence("rule = h", within=60), [at(0), at(61)])
    assert got.output_fields["rxalerts.last"] is None
    assert through(ops.absence("rule = h", within=60), [at(0, "h"), at(59)]) == []
    assert rules(through(ops.absence("rule = h", within=60, keep=True), [at(0), at(61)])) == ["r", "absence", "r"]


def test_absence_of_each_key() -> None:
    """Each key is watched from its first alert on; the quietest is forgotten beyond max_keys."""
    alerts = [at(0, "h", host="a"), at(1, "h", host="b"), at(50, "h", host="b"), at(70), at(120)]
    got = through(ops.absence("rule = h", 60, by="host"), alerts)
    assert [(a.output_fields["rxalerts.key"], a.time_ns // SECOND) for a in got] == [("a", 60), ("b", 110)]
    assert rules(through(ops.absence("rule = h", 60, by="host", max_keys=1), alerts)) == ["absence"]
    assert through(ops.absence("rule = h", 60, by="host"), [at(0), at(100)]) == []


def test_by_the_walls_clock_absence_needs_no_alert_at_all() -> None:
    """clock="wall": a timer notices silence from the subscription on, once each time."""

    def operator(scheduler: TestScheduler) -> ops.Stateful:
        return ops.absence("rule = h", 5, clock="wall", scheduler=scheduler)

    got = play("--x-------h-x------|", operator, values={"h": at(0, "h"), "x": at(0)})
    assert [round(time, 2) for time, item in got if item is not COMPLETED] == [5.0, 15.0]


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: ops.tally(0), "seconds"),
        (lambda: ops.tally(1, allow_late=-1), "allow_late"),
        (lambda: ops.tally(1, priority="x"), "x"),
        (lambda: ops.correlate("rule = a", "rule = b", within=0), "within"),
        (lambda: ops.absence("rule = a", within=float("inf")), "within"),
    ],
)
def test_wrong_arguments_are_named(make: Any, word: str) -> None:
    """The message names the argument or the value."""
    with pytest.raises(ValueError, match=word):
        make()


def test_conformance() -> None:
    """Completion, error, dispose, a second subscription and several at once."""
    check_operator(lambda: ops.tally(3600, "priority"))
    check_operator(lambda: ops.tally(86400 * 365, clock="wall", keep=True))
    check_operator(lambda: ops.correlate("priority = critical", "priority = error"))
    check_operator(lambda: ops.absence("priority = critical", 60, keep=True))
