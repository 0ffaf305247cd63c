"""The watermark, against a model, and with sinks that retry, drop and buffer."""

import threading
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from reactivex import operators as rx

from rxalerts import operators as ops
from rxalerts.flow.mailbox import Mailbox
from rxalerts.flow.overflow import Overflow
from rxalerts.flow.source import Emitter, Source
from rxalerts.flow.watermark import Watermark
from rxalerts.testing import RecordingSink, eventually


def by_three(number: int) -> bool:
    """Tell whether a number is a multiple of three."""
    return number % 3 == 0


class Numbered(Source[int]):
    """Emits numbers with a mark."""

    def __init__(self, count: int, mark: Watermark) -> None:
        super().__init__("numbered")
        self._count = count
        self._mark = mark

    def watermark(self) -> Watermark:
        return self._mark

    def produce(self, emitter: Emitter[int]) -> None:
        emitter.emit_all(range(1, self._count + 1))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.integers(0, 2), max_size=3), max_size=20), st.randoms(use_true_random=False))
def test_committed_is_below_the_oldest_that_is_held(holders: list[list[int]], random: Any) -> None:
    """Whatever the order of the releases, committed is the number below the oldest emission in somebody's hands."""
    mark = Watermark()
    held: list[int] = []
    for seq, parties in enumerate(holders, 1):
        for _ in parties:
            mark.hold(seq)
            held.append(seq)
        mark.emitted(seq)
    random.shuffle(held)
    while True:
        assert mark.committed == min(held, default=len(holders) + 1) - 1
        if not held:
            break
        mark.release(held.pop())


def test_progress_is_told_also_when_nobody_held_anything() -> None:
    """A source that waits for its commits hears of alerts that were filtered out, too."""
    seen: list[int] = []
    mark = Watermark(on_progress=lambda: seen.append(mark.committed))
    mark.emitted(1)
    mark.hold(2)
    mark.emitted(2)
    mark.release(2)
    assert seen[0] == 1
    assert seen[-1] == 2


def test_several_sinks_and_a_filter() -> None:
    """Everything is committed when every sink has delivered what reached it."""
    mark = Watermark()
    one: RecordingSink[int] = RecordingSink(name="one")
    other: RecordingSink[int] = RecordingSink(name="other")
    stream = Numbered(100, mark).pipe(rx.publish())
    other.block()
    stream.pipe(rx.filter(by_three)).subscribe(one)
    stream.subscribe(other)
    stream.connect()
    eventually(lambda: len(one.written) == 33, "the first sink")
    assert mark.committed == 0
    other.release()
    eventually(lambda: mark.committed == 100, "everything to be committed")


def test_drops_do_not_hold_it_back() -> None:
    """What a policy drops is finished."""
    mark = Watermark()
    sink: RecordingSink[int] = RecordingSink(capacity=4, on_full=Overflow.DROP_OLDEST, max_batch=1)
    sink.block()
    Numbered(100, mark).subscribe(sink)
    assert mark.committed < 100
    sink.release()
    assert sink.close(10)
    assert mark.committed == 100
    assert sum(sink.stats().dropped.values()) > 90


def test_buffer_holds_it_back_until_the_list_is_delivered() -> None:
    """An operator of ours that keeps alerts keeps their emissions unfinished."""
    mark = Watermark()
    sink: RecordingSink[list[int]] = RecordingSink()
    done = threading.Event()

    class Paused(Numbered):
        def produce(self, emitter: Emitter[int]) -> None:
            emitter.emit_all(range(1, 6))
            done.wait(10)
            emitter.emit(6)

    stream = Paused(6, mark).pipe(ops.buffer(count=3))
    thread = threading.Thread(target=lambda: stream.subscribe(sink), daemon=True)
    thread.start()
    eventually(lambda: mark.committed == 3, "the first list")
    assert sink.written == [[1, 2, 3]]
    done.set()
    eventually(lambda: mark.committed == 6, "the second list")
    thread.join(10)
    sink.close(10)


def test_until_accepted_is_finished_in_memory_at_once() -> None:
    """A mark that asks for no more than acceptance is not held by a memory mailbox."""
    mark = Watermark(until_delivered=False)
    sink: RecordingSink[int] = RecordingSink()
    sink.block()
    Numbered(5, mark).subscribe(sink)
    assert mark.committed == 5
    sink.release()
    sink.close(10)


def test_what_a_shutdown_leaves_undone_is_not_finished() -> None:
    """A source that commits gives it again next time; what a sink gave up on by itself is finished."""
    for reason, committed in (("shutdown", 0), ("failed", 1)):
        mark = Watermark()
        box = Mailbox(4)
        box.offer("item", 1, mark)
        mark.emitted(1)
        box.discard(reason)
        assert mark.committed == committed
