"""buffer(): lists by count and by time, under marks, pressure and errors."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import reactivex
from reactivex import Observable, Subject
from reactivex.abc import ObserverBase, SchedulerBase
from reactivex.disposable import Disposable
from reactivex.scheduler import HistoricalScheduler
from reactivex.testing import TestScheduler

from rxalerts.flow.holding import Held, timer_scheduler
from rxalerts.flow.scope import Scope
from rxalerts.flow.source import Emitter
from rxalerts.flow.watermark import Watermark
from rxalerts.operators import buffer
from rxalerts.sources import from_iterable
from rxalerts.testing import COMPLETED, RecordingSink, check_operator, eventually, play

Made = Callable[[TestScheduler], Callable[[Observable[Any]], Observable[Any]]]


def by(**limits: Any) -> Made:
    """Return what makes a buffer on a test's scheduler."""
    return lambda scheduler: buffer(scheduler=scheduler, **limits)


BOOM = ValueError("boom")


@pytest.mark.parametrize(
    ("diagram", "limits", "expected"),
    [
        ("a-b-c-d-e|", {"count": 2}, [(2, ["a", "b"]), (6, ["c", "d"]), (9, ["e"]), (9, COMPLETED)]),
        ("a-b---c|", {"seconds": 3}, [(3, ["a", "b"]), (7, ["c"]), (7, COMPLETED)]),
        ("a-b-c---d|", {"count": 2, "seconds": 3}, [(2, ["a", "b"]), (7, ["c"]), (9, ["d"]), (9, COMPLETED)]),
        ("(a,b,c)-|", {"count": 2}, [(0, ["a", "b"]), (6, ["c"]), (6, COMPLETED)]),
        ("----|", {"count": 2, "seconds": 1}, [(4, COMPLETED)]),
        ("a-#", {"count": 5}, [(2, ["a"]), (2, BOOM)]),
        ("a----b--|", {"seconds": 3}, [(3, ["a"]), (8, ["b"]), (8, COMPLETED)]),
    ],
)
def test_marbles(diagram: str, limits: dict[str, Any], expected: list[Any]) -> None:
    """A list is let go when it is full, or when its first item is old enough; the rest at the end or the error."""
    found = play(diagram, by(**limits), error=BOOM)
    if diagram.startswith("("):
        # A group takes as much of the diagram as it has characters.
        found = [(0 if at == 0 else 6, value) for at, value in found]
    assert found == expected


def test_it_behaves_as_an_operator() -> None:
    """Completion, error, dispose and subscriptions side by side."""
    check_operator(lambda: buffer(count=5))
    check_operator(lambda: buffer(seconds=3600, scheduler=HistoricalScheduler()))


@pytest.mark.parametrize("limits", [{}, {"count": 0}, {"seconds": 0}, {"seconds": -1}])
def test_impossible_limits_are_named(limits: dict[str, Any]) -> None:
    """Without any limit, or with an impossible one, it says so when it is built."""
    with pytest.raises(ValueError, match="buffer"):
        buffer(**limits)


def test_time_really_passes() -> None:
    """With the shared timer a list is let go without any further item."""
    subject: Subject[int] = Subject()
    seen: list[list[int]] = []
    subject.pipe(buffer(seconds=0.01)).subscribe(seen.append)
    subject.on_next(1)
    eventually(lambda: seen == [[1]], "the list")


def test_a_faulty_observer_does_not_stop_the_shared_timer() -> None:
    """An observer that raises in a timer's call ends its own subscription; the others' timers go on."""
    faulty: Subject[int] = Subject()
    healthy: Subject[int] = Subject()
    seen: list[Any] = []

    def boom(_: object) -> None:
        raise RuntimeError("boom")

    faulty.pipe(buffer(seconds=0.01)).subscribe(boom, lambda error: seen.append(str(error)))
    faulty.on_next(1)
    eventually(lambda: seen == ["boom"], "the error")
    healthy.pipe(buffer(seconds=0.01)).subscribe(seen.append)
    healthy.on_next(2)
    eventually(lambda: seen[1:] == [[2]], "the healthy one")


def test_a_late_timer_does_not_let_go_of_the_next_list() -> None:
    """A timer whose list was full before it got its turn leaves the next list alone."""
    actions: list[Any] = []

    class Late(HistoricalScheduler):
        def schedule_relative(self, duetime: Any, action: Any, state: Any = None) -> Any:
            actions.append(lambda: action(self, state))
            return Disposable()

    subject: Subject[int] = Subject()
    seen: list[list[int]] = []
    subject.pipe(buffer(count=2, seconds=1, scheduler=Late())).subscribe(seen.append)
    for number in (1, 2, 3):
        subject.on_next(number)
    actions[0]()
    assert seen == [[1, 2]]
    actions[1]()
    assert seen == [[1, 2], [3]]


def test_marks_are_kept_until_the_list_is_finished() -> None:
    """What is held is unfinished; a list is finished when its sink has delivered it."""
    mark = Watermark()
    sink: RecordingSink[list[int]] = RecordingSink()
    sink.block()
    subject: Subject[int] = Subject()
    subject.pipe(buffer(count=2)).subscribe(sink)
    emitter = Emitter(subject, mark)
    for number in (1, 2, 3):
        emitter.emit(number)
    assert sink.stuck.wait(10)
    assert mark.committed == 0
    sink.release()
    eventually(lambda: mark.committed == 2, "the first list")
    subject.on_completed()
    assert sink.wait(10)
    assert mark.committed == 3


def test_disposing_leaves_what_is_held_unfinished() -> None:
    """What was never let go comes again after a restart."""
    mark = Watermark()
    subject: Subject[int] = Subject()
    subscription = subject.pipe(buffer(count=5)).subscribe(lambda _: None)
    Emitter(subject, mark).emit(1)
    subscription.dispose()
    assert mark.committed == 0


def test_a_source_waits_for_full_lists() -> None:
    """Pressure reaches the source through the operator."""
    sink: RecordingSink[list[int]] = RecordingSink(capacity=4, max_batch=2)
    sink.block()
    read = 0

    def numbers() -> Any:
        nonlocal read
        for number in range(1000):
            read += 1
            yield number

    thread = threading.Thread(
        target=lambda: from_iterable(numbers()).pipe(buffer(count=10)).subscribe(sink), daemon=True
    )
    thread.start()
    eventually(lambda: sink.mailbox.depth == 5, "the sink to be full")
    assert read == 50
    sink.release()
    thread.join(10)
    assert sink.close(10)
    assert [number for numbers in sink.written for number in numbers] == list(range(1000))


def test_a_foreign_stream_waits_for_full_lists() -> None:
    """Also a stream that no source of ours feeds waits, in a plain thread."""
    sink: RecordingSink[list[int]] = RecordingSink(capacity=4, max_batch=2)
    sink.block()
    subject: Subject[int] = Subject()
    subject.pipe(buffer(count=1)).subscribe(sink)
    thread = threading.Thread(target=lambda: reactivex.range(0, 100).subscribe(subject.on_next), daemon=True)
    thread.start()
    eventually(lambda: sink.mailbox.depth >= 5, "the sink to be full")
    assert sink.stuck.wait(10)
    assert sink.mailbox.depth == 5
    sink.release()
    thread.join(10)
    assert sink.close(10)
    assert len(sink.written) == 100


def test_what_a_timer_lets_go_makes_the_source_wait_later() -> None:
    """A timer's thread never waits; the source does, at its next item."""
    sink: RecordingSink[list[int]] = RecordingSink(capacity=1)
    sink.block()
    scheduler = HistoricalScheduler()
    subject: Subject[int] = Subject()
    subject.pipe(buffer(seconds=1, scheduler=scheduler)).subscribe(sink)
    emitter = Emitter(subject)
    done: list[int] = []

    def produce() -> None:
        for number in range(6):
            emitter.emit(number)
            scheduler.advance_by(1)
            done.append(number)

    thread = threading.Thread(target=produce, daemon=True)
    thread.start()
    eventually(lambda: sink.mailbox.depth == 2, "two lists")
    assert sink.stuck.wait(10)
    assert sink.mailbox.depth == 2
    assert len(done) <= 2
    sink.release()
    thread.join(10)
    subject.on_completed()
    assert sink.wait(10)
    assert sink.written == [[n] for n in range(6)]


def test_held_hands_pressure_to_the_running_emission() -> None:
    """Pressure inside a release belongs to the emission that caused it."""
    sink: RecordingSink[str] = RecordingSink(capacity=1)
    sink.block()
    held: Held[str] = Held()
    with Scope() as outer:
        held.add("a")
        held.add("b")
        with held.released() as items:
            for item in items:
                sink.on_next(item)
        assert outer.pressed == [sink.mailbox]
    sink.release()
    assert sink.close(10)


def test_the_timer_is_shared() -> None:
    """All timers run on one thread."""
    assert timer_scheduler() is timer_scheduler()


def test_subscribing_on_a_scheduler_is_handed_on() -> None:
    """A foreign operator around it works as around any other."""

    def subscribe(observer: ObserverBase[int], _: SchedulerBase | None = None) -> Any:
        observer.on_next(1)
        observer.on_completed()
        return Disposable()

    seen: list[Any] = []
    reactivex.create(subscribe).pipe(buffer(count=3)).subscribe(seen.append, None, lambda: seen.append("end"))
    assert seen == [[1], "end"]
