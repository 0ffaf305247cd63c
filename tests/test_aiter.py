"""`async for` over streams: everything in order, no more than fits, and nothing left behind."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import aclosing

import pytest
import reactivex
import reactivex.operators as rx
from reactivex import Observable, Subject

import rxalerts
from rxalerts import operators as ops
from rxalerts import sources
from rxalerts.flow.pulling import pulled
from rxalerts.flow.source import Emitter, Source
from rxalerts.flow.watermark import Watermark
from rxalerts.testing import eventually


class Numbers:
    """Counts up for ever, and remembers how far."""

    def __init__(self) -> None:
        self.last = 0

    def __iter__(self) -> Iterator[int]:
        while True:
            self.last += 1
            yield self.last


class Acked(Source[int]):
    """Emits a few numbers and knows which of them were delivered."""

    def __init__(self) -> None:
        super().__init__("acked")
        self.mark = Watermark(until_delivered=True)

    def watermark(self) -> Watermark | None:
        return self.mark

    def produce(self, emitter: Emitter[int]) -> None:
        emitter.emit_all(range(1, 6))


def pullers() -> list[str]:
    """Return the threads that pull."""
    return [thread.name for thread in threading.enumerate() if thread.name == "rxalerts-pull"]


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition without blocking the loop."""
    deadline = asyncio.get_running_loop().time() + 10
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "not within 10 s"
        await asyncio.sleep(0.001)


def test_everything_comes_in_order() -> None:
    """A recorded log, with operators in between, comes whole."""

    async def main() -> list[str]:
        stream = sources.replay("examples/alerts.jsonl").pipe(ops.at_least("notice"))
        return [alert.time async for alert in rxalerts.aiter(stream, capacity=3)]

    assert asyncio.run(main()) == [a.time for a in rxalerts.read("examples/alerts.jsonl") if a.priority <= 5]
    assert pullers() == []


def test_a_source_waits_for_a_slow_loop() -> None:
    """While nobody asks, a source of ours reads no further than the capacity."""

    async def main() -> int:
        numbers = Numbers()
        async with aclosing(rxalerts.aiter(sources.from_iterable(numbers), capacity=10)) as items:
            assert await anext(items) == 1
            await until(lambda: numbers.last >= 11)
            for _ in range(20):
                await asyncio.sleep(0.001)
            return numbers.last

    assert asyncio.run(main()) == 11
    eventually(lambda: not pullers(), "the thread ends")


def test_a_foreign_stream_waits_too() -> None:
    """The thread of an observable of reactivex is held back as well; nothing is lost."""

    async def main() -> list[int]:
        return [number async for number in rxalerts.aiter(reactivex.range(0, 500), capacity=5)]

    assert asyncio.run(main()) == list(range(500))


def test_break_lets_go() -> None:
    """Leaving the loop early ends subscription and thread."""

    async def main() -> None:
        async for number in rxalerts.aiter(sources.from_iterable(Numbers())):
            if number == 3:
                break
        await until(lambda: not pullers())

    asyncio.run(main())


def test_closing_ends_a_stream_that_waits_for_the_clock() -> None:
    """A replay at the recorded pace, with minutes to the next alert, ends at once."""

    async def main() -> None:
        stream = sources.replay("examples/alerts.jsonl", speed=1)
        async with aclosing(rxalerts.aiter(stream)) as items:
            assert (await anext(items)).rule
        await until(lambda: not pullers())

    asyncio.run(main())


def test_cancelling_lets_go() -> None:
    """A task that is cancelled while it waits for an alert leaves nothing behind."""

    async def main() -> bool:
        subject: Subject[int] = Subject()

        async def consume() -> None:
            async for _ in rxalerts.aiter(subject):
                raise AssertionError("nothing was sent")

        task = asyncio.create_task(consume())
        await until(lambda: subject.observers)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return bool(subject.observers)

    assert asyncio.run(main()) is False
    eventually(lambda: not pullers(), "the thread ends")


def test_the_error_comes_after_the_last_item() -> None:
    """What a stream ends with is raised, behind everything that came before."""

    async def main() -> list[int]:
        seen: list[int] = []
        failing: Observable[int] = reactivex.concat(reactivex.of(1, 2), reactivex.throw(ValueError("broken")))
        with pytest.raises(ValueError, match="broken"):
            async for number in rxalerts.aiter(failing):
                seen.append(number)
        return seen

    assert asyncio.run(main()) == [1, 2]


def test_a_subject_on_the_loop_s_thread_never_blocks_it(caplog: pytest.LogCaptureFixture) -> None:
    """Who cannot wait loses what is beyond twice the capacity, and the log says so."""

    async def main() -> list[int]:
        subject: Subject[int] = Subject()
        items = rxalerts.aiter(subject, capacity=10)
        first = asyncio.create_task(anext(items))
        await until(lambda: subject.observers)
        for number in range(100):
            subject.on_next(number)
        subject.on_completed()
        return [await first, *[number async for number in items]]

    seen = asyncio.run(main())
    assert seen == list(range(len(seen))) and 20 <= len(seen) < 30
    assert "a stream that cannot wait: 1 lost so far" in caplog.text


def test_an_item_is_delivered_when_the_next_one_is_asked_for() -> None:
    """A source that waits for delivery learns which items the loop has dealt with."""

    async def main() -> tuple[int, int]:
        source = Acked()
        async with aclosing(rxalerts.aiter(source)) as items:
            await anext(items)
            await anext(items)
            await anext(items)
            early = source.mark.committed
        whole = Acked()
        assert [number async for number in rxalerts.aiter(whole)] == [1, 2, 3, 4, 5]
        return early, whole.mark.committed

    assert asyncio.run(main()) == (2, 5)


def test_several_iterations_at_once() -> None:
    """Each has its own subscription and its own pace."""

    async def total(stream: Observable[int], pause: bool) -> int:
        result = 0
        async for number in rxalerts.aiter(stream, capacity=4):
            result += number
            if pause:
                await asyncio.sleep(0)
        return result

    async def main() -> list[int]:
        stream = sources.from_iterable(range(100)).pipe(rx.map(int))
        return await asyncio.gather(*(total(stream, pause) for pause in (True, False, True)))

    assert asyncio.run(main()) == [4950] * 3


def test_a_capacity_of_nothing_is_refused() -> None:
    """The error names the option."""

    async def main() -> None:
        await anext(rxalerts.aiter(reactivex.of(1), capacity=0))

    with pytest.raises(ValueError, match="capacity=0"):
        asyncio.run(main())


def test_the_same_without_a_loop() -> None:
    """`pulled` gives the same to a plain thread, waits under pressure, and lets go when closed."""
    assert list(pulled(reactivex.range(0, 300), capacity=3)) == list(range(300))
    numbers = Numbers()
    items = pulled(sources.from_iterable(numbers), capacity=10)
    assert next(items) == 1
    eventually(lambda: numbers.last == 11, "full")
    items.close()
    eventually(lambda: not pullers(), "the thread ends")
    with pytest.raises(ValueError, match="broken"):
        list(pulled(reactivex.throw(ValueError("broken"))))
