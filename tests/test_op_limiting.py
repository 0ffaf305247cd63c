"""rate_limit, suppress_repeats and sample."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reactivex import Subject
from reactivex.testing import TestScheduler

from rxalerts import operators as ops
from rxalerts.alert import Alert
from rxalerts.operators.limiting import TokenBucket
from rxalerts.testing import COMPLETED, check_operator, play
from tests.support.operating import SECOND, at, rules, through


def test_the_token_bucket_gives_falcos_vectors() -> None:
    """Falco's test_token_bucket.cpp: capped at the burst; a failed claim keeps what was gained and the time."""
    bucket = TokenBucket(2, 10, 1)
    assert bucket.claim(5, 1_000_000_001) and bucket.tokens == 5
    assert bucket.claim(7, 2_000_000_001) and bucket.tokens == 0
    assert not bucket.claim(3, 3_000_000_001) and bucket.tokens == 2
    assert bucket.last_seen == 3_000_000_001


def test_rate_limit_follows_the_vectors_alert_by_alert() -> None:
    """Through the operator: a burst of 10 at rate 2, then 2 more for each second."""
    alerts = [at(0)] * 12 + [at(1)] * 3 + [at(2)] * 3
    got = through(ops.rate_limit(2, burst=10), alerts)
    assert [alert.time_ns // SECOND for alert in got if alert.rule == "r"] == [0] * 10 + [1] * 2 + [2] * 2
    (told,) = [alert for alert in got if alert.rule != "r"]
    assert told.output_fields["rxalerts.count"] == 4


def test_rate_limit_tells_what_it_withheld_once_per_spell() -> None:
    """One internal alert with count, first and last time when the spell is over, before the alert that shows it."""
    alerts = [at(0), at(1, "s", "error"), at(2), at(100), at(101)]
    got = through(ops.rate_limit(0.001, burst=1, announce=60, spare="critical"), alerts)
    assert rules(got) == ["r", "rate limit", "rate limit"]
    first, second = got[1:]
    assert (first.source, first.priority.label, first.time_ns, first.tags) == ("internal", "Error", 2 * SECOND, ())
    assert first.output_fields == {
        "rxalerts.rule": "s",
        "rxalerts.key": "-",
        "rxalerts.count": 2,
        "rxalerts.first": "1970-01-01T00:00:01.000000000Z",
        "rxalerts.last": "1970-01-01T00:00:02.000000000Z",
        "rxalerts.example": "m",
    }
    assert second.output_fields["rxalerts.count"] == 2


def test_rate_limit_has_a_bucket_for_each_key() -> None:
    """Keys do not take each other's tokens; missing fields share a bucket."""
    alerts = [at(0, user="a"), at(0, user="a"), at(0, user="b"), at(0), at(0)]
    got = through(ops.rate_limit(1, burst=1, key="user"), alerts)
    assert [alert.output_fields.get("user") for alert in got if alert.rule == "r"] == ["a", "b", None]
    assert [alert.output_fields["rxalerts.key"] for alert in got if alert.rule != "r"] == ["a", "-"]


def test_rate_limit_forgets_the_bucket_unused_for_longest() -> None:
    """The stated eviction: a forgotten bucket starts full again."""
    alerts = [at(0, user=name) for name in ("a", "b", "a", "c", "a", "b")]
    got = through(ops.rate_limit(0.001, burst=1, key="user", max_keys=2), alerts)
    assert [a.output_fields["user"] for a in got if a.rule == "r"] == ["a", "b", "c", "b"]


def test_rate_limit_lets_internal_and_spared_alerts_pass() -> None:
    """As in Falco, internal alerts take no token; nor do those of a spared priority."""
    internal = Alert("Falco internal: syscall event drop", "debug", source="internal", time=0)
    alerts = [at(0), at(0, "c", "critical"), internal, at(0)]
    assert rules(through(ops.rate_limit(1, 1, spare="critical"), alerts)) == ["r", "c", internal.rule, "rate limit"]
    assert rules(through(ops.rate_limit(1, 1), alerts)) == ["r", internal.rule, "rate limit"]


def test_time_that_goes_back_breaks_nothing() -> None:
    """Late alerts gain nothing and take nothing back; after 100 of them in a row the clock follows."""
    alerts = [at(1000)] * 2 + [at(990)] * 2 + [at(1001)]
    assert [a.time_ns // SECOND for a in through(ops.rate_limit(1, 1), alerts) if a.rule == "r"] == [1000, 1001]
    again = [at(10_000)] + [at(second) for second in range(200)]
    passed = [a for a in through(ops.rate_limit(1, 1), again) if a.rule == "r"]
    assert len(passed) > 90


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"rate": 0}, "rate"),
        ({"rate": float("nan")}, "rate"),
        ({"rate": 1, "burst": 0}, "burst"),
        ({"rate": 1, "max_keys": 0}, "max_keys"),
        ({"rate": 1, "announce": 0}, "announce"),
        ({"rate": 1, "clock": "sun"}, "clock"),
        ({"rate": 1, "spare": "very"}, "spare"),
        ({"rate": 1, "key": []}, "key"),
    ],
)
def test_rate_limit_refuses_wrong_arguments(arguments: dict[str, Any], word: str) -> None:
    """The message names the argument."""
    with pytest.raises(ValueError, match=word):
        ops.rate_limit(**arguments)


def test_suppress_repeats_lets_the_first_through_and_sums_up_the_rest() -> None:
    """First alert, then nothing, then one summary when a later alert shows that the spell is over."""
    alerts = [at(n, "shell", "notice", f"shell {n}") for n in range(5)] + [at(60, "other")]
    got = through(ops.suppress_repeats(key="rule", within=60), alerts)
    assert rules(got) == ["shell", "repeats", "other"]
    assert got[1].message == "repeated 4 times within 4 s: shell 1"
    assert got[1].output_fields == {
        "rxalerts.rule": "shell",
        "rxalerts.key": "shell",
        "rxalerts.count": 4,
        "rxalerts.first": "1970-01-01T00:00:00.000000000Z",
        "rxalerts.last": "1970-01-01T00:00:04.000000000Z",
        "rxalerts.example": "shell 1",
    }
    assert (got[1].source, got[1].hostname, got[1].priority.label) == ("internal", "h", "Notice")


def test_a_spell_has_an_end_however_often_the_alert_comes() -> None:
    """An alert that never stops surfaces again after each spell."""
    got = through(ops.suppress_repeats("rule", within=10), [at(n) for n in range(25)])
    assert rules(got) == ["r", "repeats", "r", "repeats", "r", "repeats"]
    assert [a.output_fields["rxalerts.count"] for a in got[1::2]] == [9, 9, 4]


def test_without_repeats_there_is_no_summary() -> None:
    """Alerts that come once pass and leave nothing behind."""
    alerts = [at(n, f"r{n}") for n in range(5)]
    assert through(ops.suppress_repeats("rule", within=2), alerts) == alerts


def test_critical_alerts_are_never_silenced_unless_told() -> None:
    """Critical and above pass by default, also as repeats; spare=None silences them too."""
    alerts = [at(0, "x", level) for level in ("critical", "critical", "emergency", "error", "error")]
    assert rules(through(ops.suppress_repeats(), alerts)) == ["x", "x", "x", "x", "repeats"]
    assert rules(through(ops.suppress_repeats(spare=None), alerts)) == ["x", "repeats"]


def test_text_alerts_without_a_rule_are_told_apart_by_their_message() -> None:
    """The default key must not take all alerts of a text log for one."""
    alerts = [at(0).replace(rule="", message=text, output=text) for text in ("one", "two", "one")]
    got = through(ops.suppress_repeats(), alerts)
    assert [a.message for a in got] == ["one", "two", "repeated 1 time: one"]


def test_suppress_repeats_evicts_the_oldest_spell_with_its_summary() -> None:
    """Bounded by max_keys; nothing is lost, the summary only comes earlier."""
    alerts = [at(0, user="a"), at(1, user="a"), at(2, user="b"), at(3, user="c"), at(4, user="a")]
    got = through(ops.suppress_repeats(key="user", within=100, max_keys=2), alerts)
    assert [(a.rule == "r", a.output_fields.get("user", a.output_fields.get("rxalerts.key"))) for a in got] == [
        (True, "a"),
        (True, "b"),
        (False, "a"),
        (True, "c"),
        (True, "a"),
    ]


def test_by_the_walls_clock_a_timer_ends_the_spell() -> None:
    """clock="wall": the summary comes on time without another alert; the alerts' own times do not matter."""
    values = {"a": at(5000), "b": at(0)}

    def operator(scheduler: TestScheduler) -> ops.Stateful:
        return ops.suppress_repeats("rule", within=5, clock="wall", scheduler=scheduler)

    got = play("a-b--------|", operator, values=values)
    assert [(time, item if item is COMPLETED else item.rule) for time, item in got] == [
        (0.0, "r"),
        (5.0, "rxalerts: repeats"),
        (11.0, COMPLETED),
    ]


def test_by_the_walls_clock_tokens_come_with_it() -> None:
    """clock="wall": the rate is that of arrival."""
    values = {letter: at(0, letter) for letter in "abcd"}

    def operator(scheduler: TestScheduler) -> ops.Stateful:
        return ops.rate_limit(1, 1, announce=3, clock="wall", scheduler=scheduler)

    got = play("(a,b)--c-d--|", operator, values=values)
    names = [(time, item if item is COMPLETED else item.rule.removeprefix("rxalerts: ")) for time, item in got]
    assert names == [(0.0, "a"), (3.0, "rate limit"), (7.0, "c"), (9.0, "d"), (12.0, COMPLETED)]


@given(st.integers(1, 60), st.lists(st.tuples(st.integers(0, 5), st.sampled_from("abc")), max_size=60))
def test_no_alert_is_lost_in_silence(within: int, steps: list[tuple[int, str]]) -> None:
    """What passes and what the summaries count is all that came; the same for the rate limit."""
    now, alerts = 0, list[Alert]()
    for step, name in steps:
        now += step
        alerts.append(at(now, name))
    for operator in (ops.suppress_repeats("rule", within), ops.rate_limit(0.1, 2, "rule", announce=within)):
        got = through(operator, alerts)
        passed = [alert for alert in got if alert.source == "syscall"]
        counted = sum(a.output_fields["rxalerts.count"] for a in got if a.source == "internal")
        assert len(passed) + counted == len(alerts)
        assert all(alert in alerts for alert in passed)


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from("abc")), max_size=40), st.integers(0, 40))
def test_a_restored_state_goes_on_as_if_nothing_had_happened(steps: list[tuple[int, str]], cut: int) -> None:
    """Two halves with a snapshot through JSON in between give what the whole gives."""
    now, alerts = 0, list[Alert]()
    for step, name in steps:
        now += step
        alerts.append(at(now, name))

    def make() -> list[ops.Stateful]:
        return [
            ops.suppress_repeats("rule", 7),
            ops.rate_limit(0.2, 2, ("rule", "hostname"), announce=5),
            ops.tally(10, allow_late=2),
            ops.correlate("rule = a", "rule = b", by="hostname", within=6),
            ops.absence("rule = c", within=4),
        ]

    for whole, first, second in zip(make(), make(), make(), strict=True):
        got: list[Alert] = []
        _feed_without_end(first, alerts[:cut], got)
        second.restore(json.loads(json.dumps(first.snapshot())))
        got += through(second, alerts[cut:])
        assert _texts(got) == _texts(through(whole, alerts))


def _feed_without_end(operator: ops.Stateful, alerts: list[Alert], got: list[Alert]) -> None:
    subject: Subject[Alert] = Subject()
    operator(subject).subscribe(got.append)
    for alert in alerts:
        subject.on_next(alert)


def _texts(alerts: list[Alert]) -> list[str]:
    return [alert.to_json() for alert in alerts]


def test_restore_refuses_the_state_of_another_operator() -> None:
    """A wrong or broken state is an error at once, not in the middle of a stream."""
    saved = ops.rate_limit(1, 1).snapshot()
    with pytest.raises(ValueError, match="rate_limit"):
        ops.suppress_repeats().restore(saved)
    with pytest.raises(ValueError, match="no state"):
        ops.rate_limit(1, 1).restore({**saved, "state": {}})


def test_keys_without_a_json_form_are_named_by_snapshot() -> None:
    """Keys of a callable can be anything hashable, until a snapshot is asked for."""
    operator = ops.suppress_repeats(lambda alert: frozenset([alert.rule]), 10)
    _feed_without_end(operator, [at(0)], [])
    with pytest.raises(TypeError, match="frozenset"):
        operator.snapshot()


def test_sample_is_stable_and_nested() -> None:
    """The same alerts are chosen every time, and a smaller share is part of a larger one."""
    alerts = [at(n, user=f"u{n}") for n in range(2000)]
    shuffled = random.Random(1).sample(alerts, len(alerts))
    tenth, fifth = set(through(ops.sample(10), alerts)), set(through(ops.sample(0.2), alerts))
    assert set(through(ops.sample(0.1), shuffled)) == tenth < fifth
    assert 150 < len(tenth) < 250 and 330 < len(fifth) < 470
    assert through(ops.sample(1), alerts) == through(ops.sample(1.0), alerts) == alerts


def test_sample_chooses_whole_keys() -> None:
    """All alerts of a key are chosen, or none."""
    alerts = [at(n, user=f"u{n % 40}") for n in range(400)]
    got = through(ops.sample(4, key="user"), alerts)
    users = {alert.output_fields["user"] for alert in got}
    assert 0 < len(users) < 40 and len(got) == 10 * len(users)
    assert len(through(ops.sample(0.0001, spare="notice"), alerts)) == 400


@pytest.mark.parametrize("share", [0, -1, 0.0, 1.5, True, float("nan")])
def test_sample_refuses_what_is_no_share(share: float) -> None:
    """One in so many, or a fraction."""
    with pytest.raises(ValueError, match="sample"):
        ops.sample(share)


def test_conformance() -> None:
    """Completion, error, dispose, a second subscription and several at once."""
    check_operator(lambda: ops.rate_limit(1, 2, "rule"))
    check_operator(lambda: ops.suppress_repeats())
    check_operator(lambda: ops.suppress_repeats("priority", within=3600, clock="wall"))
    check_operator(lambda: ops.sample(2))
