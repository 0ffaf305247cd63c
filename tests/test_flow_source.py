"""Sources: what they emit, when they wait, how they end."""

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from reactivex import Subject
from reactivex import operators as rx

from rxalerts.flow.source import Emitter, Source
from rxalerts.sources import from_iterable
from rxalerts.testing import RecordingSink, check_source, eventually


class Ticks(Source[int]):
    """A live source: counts until it is stopped."""

    live = True

    def __init__(self) -> None:
        super().__init__("ticks")

    def produce(self, emitter: Emitter[int]) -> None:
        for number in itertools.count():
            self._stats.read += 1
            if not emitter.emit(number):
                return


def test_iterables_keep_the_rules() -> None:
    """from_iterable emits everything, in order, waits under pressure, and ends when told."""
    check_source(lambda: from_iterable(range(200)), expected=range(200))


def test_live_sources_keep_the_rules() -> None:
    """A live source runs on a thread of its own and ends when told."""
    check_source(Ticks)


def test_a_source_reads_no_more_than_it_can_hand_on() -> None:
    """Under pressure at most capacity + 1 items have been taken from the iterable."""
    asked = 0

    def numbers() -> Iterator[int]:
        nonlocal asked
        for number in range(1000):
            asked += 1
            yield number

    sink: RecordingSink[int] = RecordingSink(capacity=16, max_batch=8)
    sink.block()
    source = from_iterable(numbers())
    thread = threading.Thread(target=lambda: source.subscribe(sink), daemon=True)
    thread.start()
    eventually(lambda: sink.mailbox.depth == 17, "the sink to be full")
    assert asked == 17
    sink.release()
    thread.join(10)
    assert sink.close(10)
    assert sink.written == list(range(1000))


def test_nothing_that_was_read_is_lost_when_stopped() -> None:
    """An item that was taken from the input is emitted, even when the source is asked to end at that moment."""
    seen: list[int] = []
    subject: Subject[int] = Subject()
    subject.subscribe(seen.append)
    emitter = Emitter(subject)

    def numbers() -> Iterator[int]:
        yield 1
        emitter.stop()
        yield 2
        yield 3

    emitter.emit_all(numbers())
    assert seen == [1, 2]
    emitter.emit_all([9])
    assert seen == [1, 2]
    assert emitter.emit(4) is False
    assert seen == [1, 2, 4]


def test_what_an_input_raises_becomes_on_error() -> None:
    """A source that fails says so downstream, after what it had read."""

    def numbers() -> Iterator[int]:
        yield 1
        raise OSError("the disk is gone")

    seen: list[Any] = []
    from_iterable(numbers()).subscribe(seen.append, seen.append)
    assert seen[0] == 1
    assert str(seen[1]) == "the disk is gone"


def test_stopping_calls_back_once_and_at_once_afterwards() -> None:
    """on_stop is how a source that waits for input is woken."""
    emitter: Emitter[int] = Emitter(Subject())
    calls: list[str] = []
    emitter.on_stop(lambda: calls.append("early"))
    emitter.stop()
    emitter.on_stop(lambda: calls.append("late"))
    assert calls == ["early", "late"]
    assert emitter.stopped.is_set()


def test_inside_a_running_loop_a_source_takes_a_thread() -> None:
    """Subscribed to on an event loop's thread, a source does not block the loop."""

    async def main() -> list[int]:
        seen: list[int] = []
        done = asyncio.Event()
        loop = asyncio.get_running_loop()

        def end() -> None:
            loop.call_soon_threadsafe(done.set)

        from_iterable(range(5)).subscribe(seen.append, None, end)
        await asyncio.wait_for(done.wait(), 10)
        return seen

    assert asyncio.run(main()) == list(range(5))


def test_disposing_ends_a_live_source() -> None:
    """The subscription's dispose stops the thread."""
    seen: list[int] = []
    subscription = Ticks().subscribe(seen.append)
    eventually(lambda: len(seen) > 10, "some ticks")
    subscription.dispose()
    eventually(lambda: not any(t.name == "rxalerts-ticks" for t in threading.enumerate()), "the thread to end")


def test_emitting_on_a_loop() -> None:
    """An asynchronous source emits without waiting, then awaits room; other tasks run meanwhile."""
    sink: RecordingSink[int] = RecordingSink(capacity=4, max_batch=2)
    emitter: Emitter[int] = Emitter(sink)

    async def main() -> None:
        for number in range(200):
            assert await emitter.offer((number,)).wait_async(10)
            assert sink.mailbox.depth <= 5

    asyncio.run(main())
    assert sink.close(10)
    assert sink.written == list(range(200))


def broken_produce(_: Source[int], emitter: Emitter[int]) -> None:
    """Ignore the request to stop."""
    for number in range(100):
        emitter.emit(number)


def broken_count(source: Source[int], emitter: Emitter[int]) -> None:
    """Count nothing."""
    emitter.emit_all(range(100))


@pytest.mark.parametrize("produce", [broken_produce, broken_count])
def test_check_source_finds_broken_sources(produce: Callable[[Source[int], Emitter[int]], None]) -> None:
    """The kit says which rule a source breaks."""

    class Broken(Source[int]):
        def __init__(self) -> None:
            super().__init__("broken")

        def produce(self, emitter: Emitter[int]) -> None:
            produce(self, emitter)

    with pytest.raises(AssertionError, match="items: it says that it read 0"):
        check_source(Broken, timeout=2)


def tenfold(number: int) -> int:
    """Return ten times the number."""
    return number * 10


def test_operators_on_top_of_a_source() -> None:
    """A source is an Observable as any other: pipe, share, subscribe twice."""
    source = from_iterable([1, 2, 3])
    seen: list[int] = []
    stream = source.pipe(rx.map(tenfold))
    stream.subscribe(seen.append)
    stream.subscribe(seen.append)
    assert seen == [10, 20, 30] * 2
