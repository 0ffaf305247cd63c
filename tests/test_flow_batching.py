"""Lists of alerts that go through a pipeline in one call: nobody can tell them from one alert after the other."""

import threading
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reactivex import Observable
from reactivex import operators as rx

from rxalerts import Alert, Formatted, Pipeline, Priority, route, run
from rxalerts import operators as ops
from rxalerts.flow.source import Emitter, Source
from rxalerts.flow.watermark import Watermark
from rxalerts.record import Demand
from rxalerts.sinks import CollectSink
from rxalerts.testing import RecordingSink, eventually

Feed = Callable[[list[Any]], Iterable[Any]]


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
    """Given as a list, which goes through as one, or by a generator, one by one: the same comes out, in order."""
    items = [alert(number, priority) for number, priority in enumerate(priorities)]
    assert outcome(items, list) == outcome(items, iter)


@pytest.mark.parametrize("place", [0, 3, 299])
def test_what_is_no_alert_costs_its_route_the_same(place: int, caplog: pytest.LogCaptureFixture) -> None:
    """In the middle of a list too: what came before is delivered, the route ends there, the others go on."""
    items: list[Any] = [alert(number, Priority.ERROR) for number in range(300)]
    items[place] = "no alert"
    together = outcome(items, list)
    assert together == outcome(items, iter)
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
