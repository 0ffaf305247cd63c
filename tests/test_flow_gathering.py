"""Items of a generator travel in lists, and nobody can tell but by the clock."""

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reactivex import operators as rx

from rxalerts import Pipeline, route, run
from rxalerts.flow import gathering as module
from rxalerts.flow.batching import UNBOUNDED, BatchObserver
from rxalerts.flow.gathering import EAGER, GAP, HOLD, MOST, Gathering
from rxalerts.flow.source import Emitter
from rxalerts.flow.threads import ThreadShortage
from rxalerts.flow.watermark import Watermark
from rxalerts.sinks import CollectSink
from rxalerts.sources import from_iterable
from rxalerts.testing import RecordingSink, eventually

# Mostly short ones, so that there are bursts.
_GAPS = [*[0.0] * 10, *[GAP / 4] * 10, 2 * GAP, 2 * HOLD]


class Lists(BatchObserver[int]):
    """Remembers what came in which list, on which thread; raises on request."""

    def __init__(self, room: int = UNBOUNDED) -> None:
        self.limit = room
        self.lists: list[list[int]] = []
        self.threads: list[str] = []
        self.ends: list[Any] = []
        self.error: BaseException | None = None

    @property
    def room(self) -> int:
        return self.limit

    @property
    def items(self) -> list[int]:
        """Return all that came, in order."""
        return [item for each in self.lists for item in each]

    def on_batch(self, items: Sequence[int]) -> None:
        self.threads.append(threading.current_thread().name)
        if self.error is not None:
            raise self.error
        self.lists.append(list(items))

    def on_next(self, value: int) -> None:
        self.on_batch([value])

    def on_error(self, error: Exception) -> None:
        self.ends.append(error)

    def on_completed(self) -> None:
        self.ends.append("completed")


class Clock:
    """Seconds that pass when the test says so; `reads` counts who asked."""

    def __init__(self) -> None:
        self.now = 1.0
        self.reads = 0

    def __call__(self) -> float:
        self.reads += 1
        return self.now


def watchers() -> list[threading.Thread]:
    """Return the watcher threads that are there."""
    return [thread for thread in threading.enumerate() if thread.name == "rxalerts-gathering"]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """See that every watcher is gone when its source has ended."""
    yield
    assert not watchers()


def begin(gathering: Gathering[int], end: Lists) -> None:
    """Add as many items as go out at once, and forget them: what comes now is gathered."""
    end.lists.clear()
    for number in range(-EAGER, 0):
        assert gathering.add(number)
    assert end.items == list(range(-EAGER, 0))
    end.lists.clear()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(_GAPS), max_size=150), st.integers(1, 20))
def test_order_is_kept_and_nothing_waits_too_long(gaps: list[float], room: int) -> None:
    """Whatever the gaps: all arrive, in order; after a gap at once, and never in a list beyond the room."""
    clock, end = Clock(), Lists(room)
    emitter: Emitter[int] = Emitter(end)
    came: list[float] = []
    with Gathering(emitter, clock) as gathering:
        for number, gap in enumerate(gaps):
            clock.now += gap
            came.append(clock.now)
            if not gathering.add(number):
                emitter.emit(number)
            arrived = len(end.items)
            assert all(clock.now - moment < HOLD for moment in came[arrived:])
            assert arrived == number + 1 or gap < 2 * GAP
    assert end.items == list(range(len(gaps)))
    assert all(len(each) <= room for each in end.lists)


def test_a_full_list_goes_out_on_the_callers_thread() -> None:
    """As many as there is room for, and no more than go in one call."""
    end = Lists()
    with Gathering(Emitter(end), Clock()) as gathering:
        begin(gathering, end)
        for number in range(2 * MOST):
            assert gathering.add(number)
        assert list(map(len, end.lists)) == [MOST, MOST]
        end.limit = 5
        for number in range(7):
            assert gathering.add(number)
        assert list(map(len, end.lists)) == [MOST, MOST, 5]
        assert set(end.threads) == {threading.current_thread().name}
    assert list(map(len, end.lists)) == [MOST, MOST, 5, 2]


def test_what_was_gathered_goes_out_while_the_input_blocks() -> None:
    """The watcher sends it on when its time is over, not before, and is quiet afterwards."""
    clock, end = Clock(), Lists()
    with Gathering(Emitter(end), clock) as gathering:
        begin(gathering, end)
        for number in range(4):
            gathering.add(number)
        seen = clock.reads
        eventually(lambda: clock.reads > seen + 2, "the watcher to look")
        assert end.lists == []
        clock.now += 2 * HOLD
        eventually(lambda: end.lists == [[0, 1, 2, 3]], "the watcher to send it on")
        assert end.threads[-1] == "rxalerts-gathering"
        _quiet(clock)
        # It wakes again for the next ones.
        begin(gathering, end)
        gathering.add(4)
        clock.now += 2 * HOLD
        eventually(lambda: end.lists == [[4]], "the watcher to send it on")


def _quiet(clock: Clock) -> None:
    """Wait until nobody has looked at the clock for some time."""
    last, since = -1, time.monotonic()

    def quiet() -> bool:
        nonlocal last, since
        if clock.reads != last:
            last, since = clock.reads, time.monotonic()
        return time.monotonic() - since > 10 * HOLD

    eventually(quiet, "the watcher to sleep")


def test_a_slow_input_costs_no_thread() -> None:
    """Item by item, at once, on its own thread: neither what comes after a gap is gathered nor a short burst."""
    clock, end = Clock(), Lists()
    with Gathering(Emitter(end), clock) as gathering:
        for number in range(10 * EAGER):
            clock.now += 0 if number % EAGER else 2 * GAP
            gathering.add(number)
            assert end.lists[-1] == [number]
        assert not watchers()


def test_a_generator_travels_in_lists() -> None:
    """Through a pipeline's routes it costs few calls, as a list does; each alert is counted."""

    class Noting(CollectSink[Any]):
        def on_batch(self, values: Sequence[Any]) -> None:
            lists.append(len(values))
            super().on_batch(values)

    lists: list[int] = []
    sink = Noting(capacity=100_000)
    report = run(iter(range(1, 10_001)), sink)
    assert sink.items == list(range(1, 10_001)) and report.read == 10_000
    assert len(lists) < 1000


def test_a_generator_that_blocks_delivers_what_it_yielded() -> None:
    """All of it arrives while the generator waits, however fast it came."""
    go_on = threading.Event()

    def numbers() -> Iterator[int]:
        yield from range(50)
        assert go_on.wait(30)
        yield from range(50, 60)

    sink: RecordingSink[int] = RecordingSink()
    pipeline = Pipeline(numbers(), sink).start()
    eventually(lambda: len(sink.written) == 50, "what was yielded to arrive")
    go_on.set()
    assert pipeline.wait().lost == 0
    assert sink.written == list(range(60))


def test_a_generator_that_is_stopped_while_it_blocks_loses_nothing() -> None:
    """What it had yielded when the pipeline was stopped is delivered."""
    yielded, go_on = threading.Event(), threading.Event()

    def numbers() -> Iterator[int]:
        yield from range(50)
        yielded.set()
        assert go_on.wait(30)
        yield 50
        yield 51

    sink: RecordingSink[int] = RecordingSink()
    pipeline = Pipeline(numbers(), sink).start()
    assert yielded.wait(10)
    pipeline.stop()
    eventually(lambda: len(sink.written) == 50, "what was yielded to arrive")
    go_on.set()
    report = pipeline.wait()
    assert report.interrupted and report.read == 51 and sink.written == list(range(51))


def test_a_generator_that_raises_delivers_what_came_before() -> None:
    """First what was gathered, then the error."""

    def numbers() -> Iterator[int]:
        yield from range(50)
        raise OSError("the disk is gone")

    sink: RecordingSink[int] = RecordingSink()
    report = run(numbers(), sink)
    assert sink.written == list(range(50))
    assert report.errors == ("source: OSError: the disk is gone",)


def test_a_stop_between_two_items_loses_neither() -> None:
    """What was taken is emitted, also when the stop comes from within the generator; no more is asked for."""
    end = Lists()
    emitter: Emitter[int] = Emitter(end)

    def numbers() -> Iterator[int]:
        yield from range(10)
        emitter.stop()
        yield from range(10, 20)

    source = from_iterable(numbers())
    source.feed(end, emitter)
    assert end.items == list(range(11)) and source.stats().read == 11 and end.ends == ["completed"]


def test_a_source_that_was_stopped_before_it_began_asks_for_nothing() -> None:
    """Not even for one item."""
    end = Lists()
    emitter: Emitter[int] = Emitter(end)
    emitter.stop()
    source = from_iterable(iter(range(5)))
    source.feed(end, emitter)
    assert end.items == [] and source.stats().read == 0


@pytest.mark.parametrize("capacity", [1, 2, 16, 400])
def test_a_generator_is_not_asked_for_what_has_no_room(capacity: int) -> None:
    """With a sink that is stuck it has been asked for one item beyond the capacity, and waits."""
    asked = 0

    def numbers() -> Iterator[int]:
        nonlocal asked
        for number in range(2000):
            asked += 1
            yield number

    sink: RecordingSink[int] = RecordingSink(capacity=capacity, max_batch=8)
    sink.block()
    pipeline = Pipeline(numbers(), sink, CollectSink()).start()
    eventually(lambda: sink.mailbox.depth > capacity, "the sink to be full")
    assert asked == capacity + 1
    sink.release()
    assert pipeline.wait().lost == 0
    assert sink.written == list(range(2000))


def test_stopped_under_pressure_nothing_that_was_taken_is_lost() -> None:
    """It is emitted beyond the capacity, and nobody waits for a sink that is stuck."""
    sink: RecordingSink[int] = RecordingSink(capacity=4, max_batch=2)
    sink.block()
    mark = Watermark()
    emitter: Emitter[int] = Emitter(sink, mark)
    emitter.stop()
    began = time.monotonic()
    assert emitter.emit_batch(range(200)) == 0
    assert emitter.emit_batch(range(200), taken=True) == 200
    assert time.monotonic() - began < 5 and emitter.seq == 200
    sink.release()
    assert sink.close(10)
    assert sink.written == list(range(200)) and mark.committed == 200


@pytest.mark.parametrize("then", ["another item", "the end", "an error"])
def test_what_an_emission_raises_on_the_watcher_reaches_the_source(then: str) -> None:
    """As if it had happened on its own thread: nothing more is emitted, the stream fails with it."""
    clock, end = Clock(), Lists()
    with pytest.raises(ValueError, match="a fault") as caught, Gathering(Emitter(end), clock) as gathering:
        begin(gathering, end)
        gathering.add(0)
        end.error = ValueError("a fault")
        clock.now += 2 * HOLD
        eventually(lambda: "rxalerts-gathering" in end.threads, "the watcher to emit")
        end.error = None
        if then == "another item":
            gathering.add(1)
        if then == "an error":
            raise OSError("the input")
    assert end.lists == []
    assert isinstance(caught.value.__context__, OSError) == (then == "an error")


def test_without_a_thread_items_go_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread for the watcher, no lists: nothing could send on what was gathered; it is tried once."""
    tried: list[str] = []

    def refuse(thread: threading.Thread) -> threading.Thread:
        tried.append(thread.name)
        raise ThreadShortage("no thread can be started")

    monkeypatch.setattr(module, "start", refuse)
    end = Lists()
    source = from_iterable(iter(range(1000)))
    source.feed(end, Emitter(end))
    assert end.lists == [[number] for number in range(1000)] and end.ends == ["completed"]
    assert tried == ["rxalerts-gathering"] and source.stats().read == 1000


def test_functions_of_the_users_see_each_item_before_the_next_is_asked_for() -> None:
    """Subscribed to plainly, or through a route with a foreign operator, nothing is gathered."""
    seen: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(300):
            assert len(seen) == number
            assert not watchers()
            yield number

    from_iterable(numbers()).subscribe(seen.append)
    assert seen == list(range(300))
    seen.clear()
    report = run(numbers(), route(rx.do_action(seen.append), to=CollectSink()))
    assert seen == list(range(300)) and report.errors == ()
