"""Operators with a state in a pipeline: the same at every speed, the watermark, pressure."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Literal

import pytest
import reactivex
from reactivex import Subject

from rxalerts import Alert, Pipeline, route, run, sinks
from rxalerts import operators as ops
from rxalerts.flow.guard import Faults, counted_by
from rxalerts.flow.source import Emitter
from rxalerts.flow.watermark import Watermark
from rxalerts.sources import from_iterable, merge, replay
from rxalerts.testing import eventually
from tests.support.operating import SECOND, at, rules

STATEFUL: dict[str, Callable[[], ops.Stateful]] = {
    "rate_limit": lambda: ops.rate_limit(0.5, 2, "rule", announce=7),
    "suppress_repeats": lambda: ops.suppress_repeats("rule", within=10),
    "tally": lambda: ops.tally(5, allow_late=2),
    "correlate": lambda: ops.correlate("rule = a", "rule = b", within=4),
    "absence": lambda: ops.absence("rule = c", within=3, keep=True),
}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of 40 s with bursts, gaps and a little disorder."""
    path = tmp_path_factory.mktemp("log") / "alerts.jsonl"
    seconds = [n * 0.21 + (1.5 if n % 7 == 0 else 0) + (8 if n > 100 else 0) for n in range(150)]
    alerts = [at(second, "abc"[n * n % 3 if n % 5 else 2], message=f"m{n}") for n, second in enumerate(seconds)]
    path.write_text("".join(alert.to_json() + "\n" for alert in alerts))
    return path


@pytest.mark.parametrize("name", STATEFUL)
def test_a_replay_at_any_speed_gives_the_same(name: str, log: Path) -> None:
    """The same log at max and at 100 times its pace gives the same alerts, byte by byte."""

    def results(speed: str) -> list[str]:
        kept = sinks.CollectSink[Alert]()
        report = run(replay(log, speed=speed), route(STATEFUL[name](), to=kept))
        assert report.lost == 0 and report.read == 150
        return [alert.to_json() for alert in kept.items]

    at_once = results("max")
    assert results("100x") == at_once and len(at_once) > 3


def emitting(operator: ops.Stateful, mark: Watermark) -> tuple[Emitter[Alert], list[Alert]]:
    """Connect an operator behind an emitter with a watermark; the end delivers at once."""
    subject: Subject[Alert] = Subject()
    got: list[Alert] = []
    operator(subject).subscribe(got.append)
    return Emitter(subject, mark), got


def test_withheld_alerts_hold_the_watermark_until_their_summary() -> None:
    """A source that waits for delivery commits a withheld alert when the summary that counts it is delivered."""
    mark = Watermark()
    emitter, got = emitting(ops.suppress_repeats("rule", within=10), mark)
    emitter.emit_all([at(0), at(1), at(2, "x"), at(3)])
    assert mark.committed == 1  # alert 2 is withheld
    emitter.emit(at(20, "y"))
    assert rules(got) == ["r", "x", "repeats", "y"] and mark.committed == 5


def test_a_source_that_waits_for_acceptance_is_not_held() -> None:
    """A count in memory is as accepted as an alert in a mailbox in memory."""
    mark = Watermark(until_delivered=False)
    emitter, _ = emitting(ops.suppress_repeats("rule", within=10), mark)
    emitter.emit_all([at(0), at(1)])
    assert mark.committed == 2


@pytest.mark.parametrize(
    ("operator", "held", "free"),
    [
        (ops.rate_limit(0.001, 1, announce=10), 1, 3),
        (ops.tally(10), 0, 3),
        (ops.correlate("rule = r", "rule = t", within=10), 0, 4),
        (ops.absence("rule = x", 10), 3, 4),
    ],
)
def test_what_waits_holds_the_watermark(operator: ops.Stateful, held: int, free: int) -> None:
    """Counts, windows and remembered alerts hold it back; it is free when they have ended."""
    mark = Watermark()
    emitter, _ = emitting(operator, mark)
    emitter.emit_all([at(0), at(1, "o"), at(2, "o")])
    assert mark.committed == held
    emitter.emit(at(30, "o"))
    assert mark.committed == free


def test_marks_stay_few_however_much_is_counted() -> None:
    """A spell of 100,000 alerts holds one emission, the earliest."""
    mark = Watermark()
    emitter, got = emitting(ops.suppress_repeats("rule", within=1e6), mark)
    emitter.emit_all(at(0) for _ in range(20_000))
    assert mark.committed == 1 and len(got) == 1
    assert len(mark._held) == 1  # pyright: ignore[reportPrivateUsage]


def test_memory_is_bounded_for_endlessly_many_keys() -> None:
    """A hundred times more keys than max_keys: no operator keeps more than it says."""
    operators = [
        ops.rate_limit(1, 1, "rule", max_keys=50),
        ops.suppress_repeats("rule", 1e6, max_keys=50),
        ops.tally(1e6, max_keys=50),
        ops.correlate("rule exists", "rule = t", by="rule", within=1e6, max_keys=50),
        ops.absence("rule exists", 1e6, by="rule", max_keys=50),
    ]
    for operator in operators:
        emitter, _ = emitting(operator, Watermark())
        emitter.emit_all(at(n, f"r{n}") for n in range(5000))
        assert len(str(operator.snapshot())) < 50 * 200


@pytest.mark.parametrize("clock", ["event", "wall"])
def test_a_foreign_stream_waits_for_a_full_mailbox(clock: Literal["event", "wall"]) -> None:
    """Behind an operator with a state, too: nothing is lost, in order, and no lock is held meanwhile."""
    subject: Subject[Alert] = Subject()
    alerts = [at(n, f"r{n}") for n in range(300)]
    with sinks.CollectSink[Alert](capacity=2) as kept:
        subject.pipe(ops.suppress_repeats("rule", clock=clock)).subscribe(kept)
        for alert in alerts:
            subject.on_next(alert)
    assert kept.items == alerts and kept.stats().lost == 0


def test_merge_keeps_the_order_of_each_source() -> None:
    """Several sources at once, one thread each, into one slow mailbox: nothing lost, each in order."""
    parts = [[at(n, f"s{number}", message=str(n)) for n in range(300)] for number in range(4)]
    threads: set[str] = set()

    def note(_: Alert) -> None:
        threads.add(threading.current_thread().name)

    kept = sinks.CollectSink[Alert](capacity=3)
    source = merge(*(from_iterable(part, name=f"part{number}") for number, part in enumerate(parts)))
    report = run(source, route(ops.tap(note), to=kept))
    assert report.lost == 0 and len(kept.items) == 1200 and len(threads) == 4
    for number, part in enumerate(parts):
        assert [alert for alert in kept.items if alert.rule == f"s{number}"] == part
    assert [(stats.name, stats.read) for stats in report.sources] == [(f"part{n}", 300) for n in range(4)]
    assert report.read == 1200


def test_merge_takes_lists_and_foreign_streams() -> None:
    """Iterables and any Observable can be merged too; subscribed to plainly it emits on the caller's thread."""
    got: list[int] = []
    ended: list[bool] = []
    merge([1, 2], reactivex.of(3, 4)).subscribe(got.append, on_completed=lambda: ended.append(True))
    assert sorted(got) == [1, 2, 3, 4] and ended == [True]
    with pytest.raises(ValueError, match="at least one"):
        merge()


def test_a_source_that_fails_does_not_end_the_others() -> None:
    """The others go on to their end; then the merged stream ends with the error."""
    kept = sinks.CollectSink[Alert]()
    failing: reactivex.Observable[Alert] = reactivex.throw(OSError("unplugged"))
    report = run(merge(failing, [at(1), at(2)]), kept)
    assert len(kept.items) == 2 and "unplugged" in report.errors[0]


def test_a_merge_is_stopped_with_all_its_sources() -> None:
    """Stopping ends endless sources, also one that waits under pressure."""
    kept = sinks.CollectSink[int](limit=10)
    pipeline = Pipeline(merge(count(0), count(0)), route(to=kept), timeout=5).start()
    eventually(lambda: pipeline.report().delivered > 100)
    pipeline.stop()
    report = pipeline.wait()
    assert report.interrupted and report.lost == 0


def test_faults_of_other_pipelines_are_not_counted() -> None:
    """Each pipeline counts its own; a stream outside of any pipeline counts nowhere."""
    faults = Faults()
    with counted_by(faults):
        assert run([at(0)], route(ops.where(lambda _: 1 / 0), to=sinks.CollectSink())).lost == 1
    assert faults.counts == {} and SECOND == 10**9
