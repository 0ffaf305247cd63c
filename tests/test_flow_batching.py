"""Lists of alerts that go through a pipeline in one call: nobody can tell them from one alert after the other."""

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reactivex import Observable
from reactivex import operators as rx

from rxalerts import Alert, Formatted, Pipeline, Priority, route, run, sources
from rxalerts import operators as ops
from rxalerts.flow.source import Emitter, Source
from rxalerts.flow.watermark import Watermark
from rxalerts.record import Demand
from rxalerts.sinks import CollectSink
from rxalerts.testing import RecordingSink, eventually

Feed = Callable[[list[Any]], Iterable[Any] | Source[Any]]


class _Singly(Source[Any]):
    """Emits one item after the other."""

    def __init__(self, items: list[Any]) -> None:
        super().__init__("singly")
        self._items = items

    def produce(self, emitter: Emitter[Any]) -> None:
        for item in self._items:
            self._stats.read += 1
            emitter.emit(item)


def alert(number: int, priority: Priority = Priority.NOTICE) -> Alert:
    """Return an alert that carries its number."""
    return Alert("r", priority, f"number {number}", {"n": number}, time=number)


def outcome(items: list[Any], feed: Feed) -> tuple[list[Any], list[Any], list[str], int, int]:
    """Return what two routes got, what was reported, and how many alerts were read and lost."""
    urgent: CollectSink[Any] = CollectSink(name="urgent")
    everything: CollectSink[Any] = CollectSink(name="everything")
    report = run(feed(items), route(ops.at_least("warning"), ops.to_json(), to=urgent), route(to=everything))
    lines = [item.data for item in urgent.items]
    return lines, everything.items, list(report.errors), report.read, report.lost


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(Priority), max_size=600))
def test_a_list_is_the_same_as_its_alerts(priorities: list[Priority]) -> None:
    """Given as a list or by a generator, which go through in lists, or one by one: the same comes out, in order."""
    items = [alert(number, priority) for number, priority in enumerate(priorities)]
    assert outcome(items, list) == outcome(items, iter) == outcome(items, _Singly)


@pytest.mark.parametrize("place", [0, 3, 299])
def test_what_is_no_alert_costs_its_route_the_same(place: int, caplog: pytest.LogCaptureFixture) -> None:
    """In the middle of a list too: what came before is delivered, the route ends there, the others go on."""
    items: list[Any] = [alert(number, Priority.ERROR) for number in range(300)]
    items[place] = "no alert"
    together = outcome(items, list)
    assert together == outcome(items, iter) == outcome(items, _Singly)
    assert len(together[0]) == place and len(together[1]) == 300 and together[2]


def test_pressure_holds_a_list_back() -> None:
    """No more than one alert beyond the capacity is inside of a sink that is stuck; all arrive, in order."""
    sink: RecordingSink[Any] = RecordingSink(capacity=16, max_batch=8)
    sink.block()
    pipeline = Pipeline([alert(number) for number in range(1000)], sink)
    pipeline.start()
    eventually(lambda: sink.mailbox.depth >= 16, "the sink to be full")
    assert sink.stuck.wait(10) and sink.mailbox.depth <= 17
    sink.release()
    report = pipeline.wait()
    assert [item.output_fields["n"] for item in sink.written] == list(range(1000)) and report.lost == 0


def test_a_foreign_operator_gets_one_alert_after_the_other() -> None:
    """Where a route has functions of the user's, every route sees the alerts in the one order in which they came."""
    seen: list[tuple[str, int]] = []

    def note(name: str) -> Callable[[Observable[Any]], Observable[Any]]:
        def see(item: Any) -> None:
            seen.append((name, item.output_fields["n"]))

        return rx.do_action(see)

    run([alert(number) for number in range(3)], route(note("a"), to=CollectSink()), route(note("b"), to=CollectSink()))
    assert seen == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 2)]


def numbers(sink: CollectSink[Any]) -> list[int]:
    """Return which alerts a sink got."""
    return [item.output_fields["n"] for item in sink.items]


@pytest.mark.parametrize("feed", [list, iter, _Singly])
def test_a_sink_at_two_ends_gets_its_alerts_in_order(feed: Feed) -> None:
    """Of two routes into one sink, neither is ahead of the other by a list; the same holds within one route."""
    items = [alert(number, Priority.ERROR if number % 2 else Priority.DEBUG) for number in range(4)]
    joined: CollectSink[Any] = CollectSink()
    run(feed(items), route(ops.at_least("error"), to=joined), route(to=joined))
    assert numbers(joined) == [0, 1, 1, 2, 3, 3]
    twice: CollectSink[Any] = CollectSink()
    run(feed(items), route(to=[twice, twice]))
    assert numbers(twice) == [0, 0, 1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize("feed", [list, iter, _Singly])
def test_a_sink_with_its_own_on_next_is_called_for_each_alert(feed: Feed) -> None:
    """Whoever overrides `on_next` sees every alert there."""

    class Odd(CollectSink[Any]):
        def on_next(self, value: Any) -> None:
            if value.output_fields["n"] % 2:
                super().on_next(value)

    sink = Odd()
    run(feed([alert(number) for number in range(5)]), sink)
    assert numbers(sink) == [1, 3]


def test_none_in_a_list_ends_its_route() -> None:
    """As it does when it comes alone: what came before is delivered, the report says why the rest is not."""
    items: list[Any] = [alert(0), None, alert(1)]
    results: list[tuple[list[int], tuple[str, ...], int]] = []
    feeds: list[Feed] = [list, iter, _Singly]
    for feed in feeds:
        sink: CollectSink[Any] = CollectSink()
        report = run(feed(items), sink)
        results.append((numbers(sink), report.errors, report.lost))
    assert results[0] == results[1] == results[2]
    assert results[0][0] == [0] and "None is no alert" in results[0][1][0]


def test_a_sink_that_raises_costs_only_its_own_route(caplog: pytest.LogCaptureFixture) -> None:
    """Given a list, too: the other routes get all of it, and the source goes on."""

    class Faulty(CollectSink[Any]):
        def on_batch(self, values: Sequence[Any]) -> None:
            raise OSError("a fault of its own")

    other: CollectSink[Any] = CollectSink()
    report = run([alert(number) for number in range(1000)], Faulty(), other)
    assert len(other.items) == 1000
    assert report.errors == ("route to collect: OSError: a fault of its own",)


@pytest.mark.parametrize("feed", [list, iter, _Singly])
def test_a_full_sink_that_is_to_fail_does_so_at_the_same_alert(feed: Feed) -> None:
    """One alert overflows; what comes behind it finds a sink that has failed."""
    sink: RecordingSink[Any] = RecordingSink(capacity=4, max_batch=2, on_full="fail")
    sink.block()
    # The other sink keeps the source from being stopped when this one has failed.
    pipeline = Pipeline(feed([alert(number) for number in range(20)]), sink, CollectSink()).start()
    eventually(lambda: sink.mailbox.received == 20, "all to have been offered")
    sink.release()
    pipeline.wait()
    assert sink.stats().dropped["overflow"] == 1 and sum(sink.stats().dropped.values()) + len(sink.written) == 20


@pytest.mark.parametrize("ended", ["failed route", "closed sink"])
def test_what_has_ended_does_not_make_the_others_go_one_by_one(ended: str, caplog: pytest.LogCaptureFixture) -> None:
    """Neither a route that has failed nor a sink that has ended keeps lists from the other routes."""
    lists: list[int] = []

    class Noting(CollectSink[Any]):
        def on_batch(self, values: Sequence[Any]) -> None:
            lists.append(len(values))
            super().on_batch(values)

    gone: CollectSink[Any] = CollectSink()
    items: list[Any] = [alert(number) for number in range(1000)]
    if ended == "failed route":
        items[0] = "no alert"
        first = route(ops.to_json(), to=gone)
    else:
        gone.close()
        first = route(to=gone)
    run(items, first, Noting(capacity=10_000))
    assert sum(lists) == 1000 and len(lists) < 10


class _Listed(Source[Any]):
    """Emits lists, and keeps a watermark."""

    def __init__(self, lists: list[list[Any]]) -> None:
        super().__init__("listed")
        self.mark = Watermark()
        self._lists = lists
        self.emitted = threading.Event()

    def watermark(self) -> Watermark:
        return self.mark

    def produce(self, emitter: Emitter[Any]) -> None:
        for each in self._lists:
            assert emitter.emit_batch(each) == len(each)
        self.emitted.set()


def test_a_list_holds_the_watermark_until_all_of_it_is_delivered() -> None:
    """Nothing is committed before; afterwards everything is, what was filtered out included."""
    sink: RecordingSink[Any] = RecordingSink(capacity=100, max_batch=4)
    sink.block()
    numbers = [alert(number, Priority.ERROR if number % 2 else Priority.DEBUG) for number in range(30)]
    source = _Listed([numbers[:20], numbers[20:]])
    pipeline = Pipeline(source, route(ops.at_least("error"), ops.to_json(), to=sink)).start()
    assert source.emitted.wait(10) and sink.stuck.wait(10)
    assert source.mark.committed == 0
    sink.release()
    assert pipeline.wait().lost == 0
    assert source.mark.committed == 30 and len(sink.written) == 15
    assert all(isinstance(item, Formatted) for item in sink.written)


def test_demand_decides_by_what_was_asked_for() -> None:
    """Records are kept where most are asked for, are tried without once in a while, and are not kept otherwise."""
    demand = Demand()
    demand.read(100)
    assert not demand.keeps
    demand.asked += 60
    demand.read(100)
    assert demand.keeps
    for _ in range(16):
        assert demand.keeps
        demand.read(100)
    assert not demand.keeps
    demand.read(100)
    assert not demand.keeps


def lists_of(pipeline: Pipeline) -> list[int]:
    """Return what notes the sizes of the lists that go through a pipeline."""
    hub = pipeline._hub  # pyright: ignore[reportPrivateUsage]
    sizes: list[int] = []
    take = hub.on_batch

    def note(items: Sequence[Any]) -> None:
        sizes.append(len(items))
        take(items)

    hub.on_batch = note  # type: ignore[method-assign]
    return sizes


def test_merged_sources_keep_their_lists_and_their_order() -> None:
    """What several sources have at hand goes through in lists, one at a time, each source's in its order."""
    sink: CollectSink[Any] = CollectSink()
    parts = [[alert(number) for number in range(first, first + 1000)] for first in (0, 1000)]
    pipeline = Pipeline(sources.merge(*parts), route(ops.at_least("debug"), to=sink))
    sizes = lists_of(pipeline)
    report = pipeline.start().wait()
    assert report.lost == 0 and max(sizes) > 1
    numbers = [item.output_fields["n"] for item in sink.items]
    for first in (0, 1000):
        assert [number for number in numbers if first <= number < first + 1000] == list(range(first, first + 1000))


def test_a_followed_log_goes_through_in_lists_around_what_is_no_alert(tmp_path: Path) -> None:
    """Alerts, what is rejected and more alerts: all is counted, in order, and the position is that of the last one."""
    log, state = tmp_path / "log", tmp_path / "state"
    lines = [alert(number).to_json() if number % 100 != 50 else "no alert" for number in range(1000)]
    log.write_text("\n".join(lines) + "\n")
    sink: CollectSink[Any] = CollectSink()
    source = sources.tail(log, state=state, poll=0.01)
    pipeline = Pipeline(source, sink)
    sizes = lists_of(pipeline)
    pipeline.start()
    eventually(lambda: len(sink.items) == 990, "all alerts")
    pipeline.stop()
    pipeline.wait()
    assert [item.output_fields["n"] for item in sink.items] == [number for number in range(1000) if number % 100 != 50]
    assert (source.stats().read, source.stats().rejected) == (990, 10)
    assert 1 < max(sizes) <= 50
    assert json.loads(state.read_text())["offset"] == log.stat().st_size


def is_full(sink: RecordingSink[Any]) -> bool:
    """Tell whether a sink of 70 alerts has them."""
    return sink.mailbox.depth >= 70


def test_a_followed_log_that_is_stopped_under_pressure_goes_on_where_it_was(tmp_path: Path) -> None:
    """What was read is emitted wholly: after an orderly stop nothing is missing, and nothing comes twice."""
    log, state = tmp_path / "log", tmp_path / "state"
    log.write_text("".join(alert(number).to_json() + "\n" for number in range(400)))
    got: list[int] = []
    for _ in range(3):
        sink: RecordingSink[Any] = RecordingSink(capacity=70, max_batch=4)
        sink.block()
        pipeline = Pipeline(sources.tail(log, state=state, poll=0.01), sink, timeout=5).start()
        eventually(partial(is_full, sink), "the sink to be full")
        pipeline.stop()
        sink.release()
        pipeline.wait()
        got += [item.output_fields["n"] for item in sink.written]
    assert got == list(range(len(got))) and len(got) < 400
