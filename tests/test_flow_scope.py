"""The emission scope: pressure and marks travel with the call, through operators that know nothing of them."""

import asyncio
import itertools
import threading
from collections.abc import Callable
from typing import Any

import pytest
import reactivex
from reactivex import Observable, Subject
from reactivex import operators as rx
from reactivex.abc import ObserverBase

from rxalerts.flow.mailbox import Mailbox
from rxalerts.flow.scope import Bundle, Scope, current
from rxalerts.flow.source import Emitter
from rxalerts.flow.watermark import Watermark
from rxalerts.sources import from_iterable
from rxalerts.testing import RecordingSink, eventually

Operator = Callable[[Observable[Any]], Observable[Any]]

THROUGH: dict[str, tuple[Operator, int]] = {
    "map": (rx.map(lambda item: item), 1),
    "filter": (rx.filter(lambda item: item % 2 == 0), 1),
    "flat_map": (rx.flat_map(lambda item: reactivex.of(item, item, item)), 3),
    "scan": (rx.scan(lambda total, item: total + item, 0), 1),
    "publish": (lambda source: source.pipe(rx.publish(), rx.ref_count()), 1),
    "share": (rx.share(), 1),
    "do": (rx.do_action(lambda _: None), 1),
}


@pytest.mark.parametrize("name", list(THROUGH))
def test_a_source_waits_through_operators(name: str) -> None:
    """With a stuck sink no more than the capacity, and what one emission brings beyond it, comes through."""
    operator, most = THROUGH[name]
    sink: RecordingSink[Any] = RecordingSink(capacity=10, max_batch=5)
    sink.block()
    stream = from_iterable(range(1000)).pipe(operator)
    thread = threading.Thread(target=lambda: stream.subscribe(sink), daemon=True)
    thread.start()
    eventually(lambda: sink.mailbox.depth >= sink.capacity + 1, "the sink to be full")
    assert sink.stuck.wait(10)
    assert sink.mailbox.depth <= sink.capacity + most
    sink.release()
    thread.join(30)
    assert sink.close(30)
    expected: list[Any] = []
    operator(reactivex.from_iterable(range(1000))).subscribe(expected.append)
    assert sink.written == expected


def test_the_slowest_of_several_sinks_decides() -> None:
    """A fan-out waits for every sink that is full; each gets everything, in order."""
    quick: RecordingSink[int] = RecordingSink(name="quick", capacity=1000)
    slow: RecordingSink[int] = RecordingSink(name="slow", capacity=8, max_batch=2)
    slow.block()
    source = from_iterable(range(500)).pipe(rx.publish())
    source.subscribe(quick)
    source.subscribe(slow)
    thread = threading.Thread(target=source.connect, daemon=True)
    thread.start()
    eventually(lambda: slow.mailbox.depth == slow.capacity + 1, "the slow sink to be full")
    eventually(lambda: len(quick.written) == slow.capacity + 1, "the quick one to have as many")
    slow.release()
    thread.join(30)
    assert quick.close(30) and slow.close(30)
    assert quick.written == slow.written == list(range(500))


def test_several_sources_into_one_sink() -> None:
    """Each source waits for itself: the sink holds at most one item per source beyond its capacity."""
    sink: RecordingSink[tuple[int, int]] = RecordingSink(capacity=10, max_batch=5)
    sink.block()
    ends = [sink.observer() for _ in range(4)]

    def emit(name: int, end: ObserverBase[tuple[int, int]]) -> None:
        from_iterable([(name, number) for number in range(300)]).subscribe(end)

    threads = [threading.Thread(target=emit, args=(name, end), daemon=True) for name, end in enumerate(ends)]
    for thread in threads:
        thread.start()
    eventually(lambda: sink.mailbox.depth >= sink.capacity + 1, "the sink to be full")
    assert sink.stuck.wait(10)
    assert sink.mailbox.depth <= sink.capacity + 4
    sink.release()
    for thread in threads:
        thread.join(30)
    assert sink.wait(30), "the sink ends when the last of its streams does"
    for name in range(4):
        assert [number for who, number in sink.written if who == name] == list(range(300))


def test_concat_and_repeat_of_a_source_do_not_recurse() -> None:
    """A source that is subscribed to again from its own completion starts on the trampoline, not on the stack."""
    seen: list[int] = []
    from_iterable([1, 2]).pipe(rx.repeat(3000)).subscribe(seen.append)
    assert len(seen) == 6000


def test_take_ends_an_endless_source() -> None:
    """As with `reactivex.from_iterable`, an operator that has had enough ends the source."""
    seen: list[int] = []
    from_iterable(itertools.count()).pipe(rx.take(3)).subscribe(seen.append)
    assert seen == [0, 1, 2]


def test_scopes_nest_and_are_left() -> None:
    """A source that emits inside another's emission has its own scope; afterwards the outer one is back."""
    outer, inner = Scope(), Scope()
    with outer:
        assert current() is outer
        with inner:
            assert current() is inner
        assert current() is outer
    assert current() is None


def test_a_scope_is_left_when_an_observer_raises() -> None:
    """An exception out of `on_next` leaves no scope behind on the thread."""
    subject: Subject[int] = Subject()

    def boom(_: int) -> None:
        raise RuntimeError("boom")

    subject.subscribe(boom)
    with pytest.raises(RuntimeError):
        Emitter(subject).emit(1)
    assert current() is None


def test_waiting_ends_when_patience_does() -> None:
    """A source does not wait for a mailbox whose block_timeout is over."""
    box = Mailbox(1, patience=0.05)
    box.offer(1)
    scope = Scope()
    box.offer(2)
    scope.pressed.append(box)
    scope.wait()
    assert not box.pressing


def test_waiting_ends_when_the_source_is_stopped() -> None:
    """Whoever stops a source does not wait for a stuck sink."""
    box, scope, stopped = Mailbox(1), Scope(), threading.Event()
    box.offer(1)
    box.offer(2)
    scope.pressed.append(box)
    stopped.set()
    scope.wait(stopped)
    assert box.pressing


def test_awaiting_leaves_the_loop_free() -> None:
    """An asynchronous source awaits room; other tasks run meanwhile."""
    box, scope = Mailbox(2), Scope()
    for number in range(3):
        box.offer(number)
    scope.pressed.append(box)

    async def main() -> bool:
        async def make_room() -> None:
            for _ in range(3):
                await asyncio.sleep(0)
                box.settle(box.take(1))

        waited, _ = await asyncio.gather(scope.wait_async(10), make_room())
        return waited

    assert asyncio.run(main())


def test_awaiting_has_a_timeout() -> None:
    """An asynchronous source can stop waiting, to answer its client."""
    box, scope = Mailbox(1), Scope()
    box.offer(1)
    box.offer(2)
    scope.pressed.append(box)
    assert asyncio.run(scope.wait_async(0.01)) is False


def test_a_bundle_releases_when_the_last_one_is_done() -> None:
    """The emissions in a batch are finished when everybody is done with the batch."""
    mark = Watermark()
    for seq in (1, 2):
        mark.hold(seq)
    mark.emitted(2)
    bundle = Bundle([(mark, 1), (mark, 2)])
    bundle.hold(0)
    bundle.release(0)
    assert mark.committed == 0
    bundle.release(0)
    assert mark.committed == 2
