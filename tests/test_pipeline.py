"""run, arun and Pipeline: from a source through routes into sinks, and every way to end."""

import asyncio
import itertools
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import reactivex
from reactivex import Observable, Subject
from reactivex import operators as rx
from reactivex.abc import ObserverBase, SchedulerBase
from reactivex.disposable import Disposable

import rxalerts as rxa
from rxalerts import operators as ops
from rxalerts import sinks, sources
from rxalerts.flow.channel import Fatal
from rxalerts.flow.source import Emitter, Source
from rxalerts.testing import RecordingSink, eventually
from rxalerts.wiring import Wiring

ROOT = Path(__file__).resolve().parent.parent


def one_more(number: int) -> int:
    """Return the next number."""
    return number + 1


def without_three(number: int) -> float:
    """Fail at the number 3."""
    return 1 / (number - 3)


increment: Callable[[Observable[int]], Observable[int]] = rx.map(one_more)
inverse: Callable[[Observable[int]], Observable[float]] = rx.map(without_three)


class Endless(Source[int]):
    """Counts until it is stopped."""

    def __init__(self) -> None:
        super().__init__("endless")

    def produce(self, emitter: Emitter[int]) -> None:
        number = 0
        while not emitter.stopped.is_set():
            self._stats.read += 1
            emitter.emit(number)
            number += 1


def raising(source: Observable[Any]) -> Observable[Any]:
    """Raise in on_next, at the number 3, as a careless operator does."""

    def subscribe(observer: ObserverBase[Any], scheduler: SchedulerBase | None = None) -> Any:
        def on_next(value: Any) -> None:
            if value == 3:
                raise RuntimeError("boom")
            observer.on_next(value)

        return source.subscribe(on_next, observer.on_error, observer.on_completed)

    return reactivex.create(subscribe)


def script(code: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Start Python with `code`."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_the_example(tmp_path: Path) -> None:
    """The code that the README shows runs as it is written."""
    code = """
import os, sys
example = os.path.abspath("examples/alerts.jsonl")
os.chdir(sys.argv[1])
os.mkdir("examples")
os.symlink(example, "examples/alerts.jsonl")

import rxalerts as rxa
from rxalerts import operators as ops, sinks, sources

report = rxa.run(
    sources.replay("examples/alerts.jsonl"),
    rxa.route(ops.at_least("warning"), ops.to_json(), to=sinks.FileSink("warnings.jsonl", keep_alive=True)),
    rxa.route(ops.at_least("error"), to=sinks.StdoutSink()),
)
assert report.lost == 0
assert report.sinks["file"].delivered > report.sinks["stdout"].delivered > 0
"""
    with script(code, str(tmp_path)) as process:
        out, errors = process.communicate(timeout=60)
    assert (process.returncode, errors.decode()) == (0, "")
    assert out.count(b"\n") > 0
    priorities = {rxa.Priority.parse(alert["priority"]) for alert in _json_lines(tmp_path / "warnings.jsonl")}
    assert max(priorities) <= rxa.Priority.WARNING


def _json_lines(path: Path) -> Iterator[Any]:
    import json

    for line in path.read_text().splitlines():
        yield json.loads(line)


def test_the_report_tells_about_everything() -> None:
    """Per sink, per source, and over all; and it can be printed."""
    good: RecordingSink[int] = RecordingSink(name="good")
    picky: RecordingSink[int] = RecordingSink(name="picky")
    picky.refuse(lambda number: number == 7)
    report = rxa.run(range(10), good, picky)
    assert report.read == 10
    assert report.delivered == 19
    assert report.lost == 1
    assert not report.interrupted
    assert report.sinks["picky"].rejected == 1
    assert "picky" in str(report)
    assert "lost: 1" in str(report)


def test_a_route_that_raises_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """The failure is in the report, the other routes get everything."""
    for broken in (raising, inverse, ops.at_least("warning")):
        one: RecordingSink[int] = RecordingSink(name="one")
        other: RecordingSink[int] = RecordingSink(name="other")
        with caplog.at_level(logging.CRITICAL, "rxalerts"):
            report = rxa.run(range(10), rxa.route(broken, to=one), other)
        assert other.written == list(range(10))
        assert len(report.errors) == 1
        assert report.errors[0].startswith("route to one: ")


def test_one_sink_in_two_routes() -> None:
    """It gets what either brings, is opened once, and closes when both have ended."""
    sink: RecordingSink[int] = RecordingSink()
    report = rxa.run(
        range(10),
        rxa.route(rx.filter(lambda n: n % 2 == 0), to=sink),
        rxa.route(rx.filter(lambda n: n > 7), to=sink),
    )
    assert sorted(sink.written) == [0, 2, 4, 6, 8, 8, 9]
    assert list(report.sinks) == ["recording"]
    assert sink.calls.count("open") == 1


def test_several_sinks_at_the_end_of_one_route() -> None:
    """Each gets everything; equal names get numbers."""
    kept: list[RecordingSink[int]] = [RecordingSink() for _ in range(3)]
    report = rxa.run(range(5), rxa.route(to=kept))
    assert list(report.sinks) == ["recording", "recording-2", "recording-3"]
    assert all(sink.written == list(range(5)) for sink in kept)


def test_more_than_seven_operators() -> None:
    """`pipe` is typed for seven; a route takes any number."""
    sink: RecordingSink[int] = RecordingSink()
    rxa.run([0], rxa.route(*[increment] * 12, to=sink))
    assert sink.written == [12]


def test_operators_let_go_at_the_end() -> None:
    """What a buffer holds when the source ends is delivered."""
    sink: RecordingSink[list[int]] = RecordingSink()
    rxa.run(range(5), rxa.route(ops.buffer(count=3), to=sink))
    assert sink.written == [[0, 1, 2], [3, 4]]


def test_nothing_to_run_is_an_error() -> None:
    """A run without routes, and a route without sinks, say what is missing."""
    with pytest.raises(ValueError, match="at least one route"):
        rxa.run([1])
    with pytest.raises(ValueError, match="at least one sink"):
        rxa.route(to=[])


FOREIGN: dict[str, Callable[[], Observable[int]]] = {
    "of": lambda: reactivex.of(*range(20)),
    "from_iterable": lambda: reactivex.from_iterable(range(20)),
    "piped source": lambda: sources.from_iterable(range(40)).pipe(rx.take(20)),
    "timer": lambda: reactivex.timer(0.0, 0.001).pipe(rx.take(20)),
    "merge": lambda: reactivex.merge(reactivex.range(0, 10), reactivex.range(10, 20)),
}


@pytest.mark.parametrize("name", list(FOREIGN))
def test_any_observable_is_a_source(name: str) -> None:
    """What reactivex makes runs as well, and ends by itself."""
    sink: RecordingSink[int] = RecordingSink()
    report = rxa.run(FOREIGN[name](), sink)
    assert sorted(sink.written) == list(range(20))
    assert report.lost == 0
    assert report.errors == ()


def test_a_source_that_fails_is_reported() -> None:
    """What came before the failure is delivered, and the report says what happened."""
    for source in (
        reactivex.concat(reactivex.of(1, 2), reactivex.throw(OSError("the disk is gone"))),
        sources.from_iterable(n if n < 3 else 1 // 0 for n in (1, 2, 3)),
    ):
        sink: RecordingSink[int] = RecordingSink()
        report = rxa.run(source, sink)
        assert sink.written == [1, 2]
        assert len(report.errors) == 1
        assert report.errors[0].startswith("source: ")


def test_a_subscription_that_raises_ends_the_run() -> None:
    """A stream that cannot even be subscribed to does not leave the run hanging."""

    class Broken(Observable[int]):
        def _subscribe_core(self, observer: Any, scheduler: Any = None) -> Any:
            raise RuntimeError("no")

    report = rxa.run(Broken(), RecordingSink())
    assert report.errors
    assert "no" in report.errors[0]


def test_what_comes_to_a_route_that_failed_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    """The alert at which it failed, and every later one, once for each sink of the route."""
    for broken in (raising, inverse, ops.at_least("warning")):
        one: RecordingSink[int] = RecordingSink(name="one")
        two: RecordingSink[int] = RecordingSink(name="two")
        other: RecordingSink[int] = RecordingSink(name="other")
        with caplog.at_level(logging.CRITICAL, "rxalerts"):
            report = rxa.run(range(10), rxa.route(broken, to=[one, two]), other)
        assert report.cut == report.lost == 20 - len(one.written) - len(two.written) > 0
        assert f"routes that failed: {report.cut} alerts" in str(report)


def test_what_comes_after_the_end_of_a_route_is_not_lost() -> None:
    """A route that has what it wanted has not failed."""
    sink: RecordingSink[int] = RecordingSink()
    report = rxa.run(range(10), rxa.route(rx.take(3), to=sink), RecordingSink[int]())
    assert sink.written == [0, 1, 2]
    assert report.lost == 0


def leaving(_: Any) -> bool:
    """Do what ends a program."""
    sys.exit(3)


def exiting() -> Iterator[int]:
    """Yield two numbers, then do what ends a program."""
    yield from (1, 2)
    sys.exit(3)


def interrupted(number: int) -> None:
    """Have Ctrl-C fall in the middle of an operator, at the number 1."""
    if number == 1:
        raise KeyboardInterrupt


def test_ctrl_c_reaches_whoever_feeds_a_stream() -> None:
    """It is no fault of a route: it goes up to the caller of `on_next`, and the route works on."""
    subject: Subject[int] = Subject()
    sink: RecordingSink[int] = RecordingSink()
    pipeline = rxa.Pipeline(subject, rxa.route(rx.do_action(interrupted), to=sink)).start()
    eventually(lambda: subject.observers, "the subscription")
    with pytest.raises(KeyboardInterrupt):
        subject.on_next(1)
    subject.on_next(2)
    subject.on_completed()
    assert pipeline.wait().errors == ()
    assert sink.written == [2]


def test_sys_exit_ends_what_called_it_and_nobody_waits(caplog: pytest.LogCaptureFixture) -> None:
    """In a source it ends the source, in an operator its route; the run comes to its end and tells."""
    sink: RecordingSink[int] = RecordingSink(name="one")
    other: RecordingSink[int] = RecordingSink(name="other")
    leave: Callable[[Observable[int]], Observable[int]] = rx.filter(leaving)
    with caplog.at_level(logging.CRITICAL, "rxalerts"):
        ended = rxa.run(exiting(), sink)
        cut = rxa.run(range(10), rxa.route(leave, to=RecordingSink[int](name="left")), other)
    assert sink.written == [1, 2]
    assert ended.errors == ("source: RuntimeError: SystemExit: 3",)
    assert other.written == list(range(10))
    assert cut.errors == ("route to left: RuntimeError: SystemExit: 3",)
    assert cut.lost == 10


async def endless_async() -> AsyncIterator[int]:
    """Yield what nobody takes."""
    while True:
        yield 1


@pytest.mark.parametrize(
    "wrong",
    ["alerts.jsonl", b"{}", Path("alerts.jsonl"), endless_async(), None, 7],
    ids=lambda each: type(each).__name__,
)
def test_what_is_no_source_is_refused(wrong: Any) -> None:
    """A path's letters are not taken for alerts."""
    with pytest.raises(TypeError, match="is no source: give"):
        rxa.run(wrong, RecordingSink[int]())


# -- every way to end -----------------------------------------------------------------------------------------


def test_keyboard_interrupt_delivers_what_was_read(tmp_path: Path) -> None:
    """Ctrl-C: the source stops, what was read is delivered, and the report says so."""
    path = tmp_path / "out"
    code = """
import sys, itertools, time
import rxalerts as rxa
from rxalerts import sinks

def alerts():
    for n in itertools.count():
        yield rxa.Alert("Rule", "notice", output=f"alert {n}")
        if n == 100: print("running", flush=True)

report = rxa.run(alerts(), sinks.FileSink(sys.argv[1], keep_alive=True))
assert report.interrupted
assert report.lost == 0, report
print(report.read, report.delivered)
"""
    with script(code, str(path)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"running\n"
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=30)
    assert (process.returncode, errors.decode()) == (0, "")
    read, delivered = map(int, out.split())
    assert read == delivered == path.read_bytes().count(b"\n")


def test_a_second_interrupt_gives_up() -> None:
    """Ctrl-C twice, with a stuck sink: the run ends, and what is lost is counted."""
    code = """
import rxalerts as rxa
from rxalerts.testing import RecordingSink
import threading

sink = RecordingSink(capacity=10, max_batch=2)
sink.block()
threading.Thread(target=lambda: (sink.stuck.wait(), print("running", flush=True))).start()
report = rxa.run(range(1000), sink)
assert report.interrupted
assert report.lost == report.read > 0, report
print("over", flush=True)
"""
    with script(code) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"running\n"
        deadline = time.monotonic() + 20
        while process.poll() is None and time.monotonic() < deadline:
            # Until it ends: the first may come before, the second must not come after the end of the first.
            process.send_signal(signal.SIGINT)
            try:
                process.wait(1.0)
            except subprocess.TimeoutExpired:
                continue
        out, _ = process.communicate(timeout=30)
    assert b"over" in out


@pytest.mark.parametrize("source", ["source", "observable", "plain loop"])
def test_stop_ends_any_source(source: str) -> None:
    """stop() ends our sources, reactivex's, and those that loop without looking up."""

    def loop(observer: ObserverBase[int], scheduler: SchedulerBase | None = None) -> Any:
        while not over.is_set():
            observer.on_next(1)
        return Disposable()

    over = threading.Event()
    made: dict[str, Callable[[], Any]] = {
        "source": Endless,
        "observable": lambda: reactivex.from_iterable(itertools.count()),
        "plain loop": lambda: reactivex.create(loop),
    }
    sink: RecordingSink[int] = RecordingSink(max_batch=100)
    pipeline = rxa.Pipeline(made[source](), sink, timeout=10).start()
    eventually(lambda: len(sink.written) > 100, "some alerts")
    pipeline.stop()
    report = pipeline.wait()
    over.set()
    assert report.interrupted
    assert report.lost == 0
    assert report.sinks["recording"].state == "closed"


def test_timeout_with_a_stuck_sink_returns_in_time() -> None:
    """The other sinks deliver, the stuck one is given up, and what it held is counted as lost."""
    stuck: list[RecordingSink[int]] = [RecordingSink(name=f"stuck {n}", max_batch=5) for n in range(3)]
    good: RecordingSink[int] = RecordingSink(name="good")
    for sink in stuck:
        sink.block()
    began = time.monotonic()
    report = rxa.run(range(100), good, rxa.route(to=stuck), timeout=0.2)
    assert time.monotonic() - began < 5
    assert good.written == list(range(100))
    assert report.lost == 300
    for sink in stuck:
        sink.release()
        assert sink.wait(10)


def test_a_stuck_sink_holds_the_source_back_until_the_timeout() -> None:
    """stop() wakes a source that waits for a full sink."""
    sink: RecordingSink[int] = RecordingSink(capacity=10, max_batch=2)
    sink.block()
    pipeline = rxa.Pipeline(Endless(), sink, timeout=0.2).start()
    eventually(lambda: sink.mailbox.depth == 11, "the sink to be full")
    pipeline.stop()
    report = pipeline.wait()
    assert report.read == 11
    assert report.lost == 11
    sink.release()


def test_when_every_sink_has_ended_the_source_is_stopped() -> None:
    """There is no reason to read on for nobody."""
    for source in (Endless(), reactivex.from_iterable(itertools.count())):
        sink: RecordingSink[int] = RecordingSink()
        sink.fail(Fatal("refused"))
        report = rxa.run(source, sink, timeout=10)
        assert report.sinks["recording"].state == "failed"
        assert report.lost > 0


def test_a_failed_sink_does_not_stop_the_others() -> None:
    """As long as one sink is left the run goes on."""
    bad: RecordingSink[int] = RecordingSink(name="bad")
    good: RecordingSink[int] = RecordingSink(name="good")
    bad.fail(Fatal("refused"), on="open")
    report = rxa.run(range(1000), bad, good)
    assert good.written == list(range(1000))
    assert report.lost == 1000


def test_when_finished_is_called_once() -> None:
    """Whoever waits elsewhere hears of the source's end."""
    calls: list[int] = []
    pipeline = rxa.Pipeline(reactivex.never(), RecordingSink())
    pipeline.when_finished(lambda: calls.append(1))
    pipeline.start()
    pipeline.stop()
    pipeline.stop()
    pipeline.wait()
    assert calls == [1]


# -- swap -----------------------------------------------------------------------------------------------------


def send(subject: Subject[int], numbers: range) -> None:
    """Emit numbers."""
    for number in numbers:
        subject.on_next(number)


@pytest.mark.parametrize("producers", [1, 3])
def test_swap_under_load_loses_nothing(producers: int) -> None:
    """While alerts flow, from one or several threads: each goes through the old or the new routes, none is lost."""
    subject: Subject[int] = Subject()
    total = 3000
    first: RecordingSink[list[int]] = RecordingSink(name="first")
    kept: RecordingSink[int] = RecordingSink(name="kept")
    others: list[RecordingSink[list[int]]] = [RecordingSink(name="other") for _ in range(10)]
    pipeline = rxa.Pipeline(subject, rxa.route(ops.buffer(count=7), to=first), kept, timeout=10).start()
    eventually(lambda: subject.observers, "the subscription")
    threads = [
        threading.Thread(target=send, args=(subject, range(p * total, p * total + total))) for p in range(producers)
    ]
    for thread in threads:
        thread.start()
    for other in others:
        pipeline.swap(rxa.route(ops.buffer(count=7), to=other), kept)
    for thread in threads:
        thread.join(30)
    subject.on_completed()
    report = pipeline.wait()
    everything = sorted(range(producers * total))
    assert sorted(kept.written) == everything
    assert sorted(n for sink in [first, *others] for numbers in sink.written for n in numbers) == everything
    assert report.lost == 0
    assert len(report.sinks) == 12, "sinks that were swapped out are in the report, each under its own name"
    assert all(stats.state == "closed" for stats in report.sinks.values())


def test_swap_that_fails_leaves_everything_as_it_was() -> None:
    """An operator that raises when it is put together does not cost a running route."""

    def broken(_: Any) -> Any:
        raise ValueError("not like this")

    subject: Subject[int] = Subject()
    sink: RecordingSink[int] = RecordingSink()
    pipeline = rxa.Pipeline(subject, sink).start()
    eventually(lambda: subject.observers, "the subscription")
    subject.on_next(1)
    with pytest.raises(ValueError, match="not like this"):
        pipeline.swap(rxa.route(broken, to=RecordingSink(name="new")))
    subject.on_next(2)
    subject.on_completed()
    report = pipeline.wait()
    assert sink.written == [1, 2]
    assert list(report.sinks) == ["recording"]


def test_swap_from_within_an_emission_is_refused() -> None:
    """It would have to wait for itself: it says so instead."""
    subject: Subject[int] = Subject()
    errors: list[str] = []

    def swap(_: int) -> None:
        try:
            pipeline.swap(RecordingSink(name="new"))
        except RuntimeError as error:
            errors.append(str(error))

    pipeline = rxa.Pipeline(subject, rxa.route(rx.do_action(swap), to=RecordingSink())).start()
    eventually(lambda: subject.observers, "the subscription")
    subject.on_next(1)
    subject.on_completed()
    pipeline.wait()
    assert len(errors) == 1
    assert "on another thread" in errors[0]


def test_reopen_reaches_every_sink() -> None:
    """As SIGUSR1 does."""
    subject: Subject[int] = Subject()
    kept: list[RecordingSink[int]] = [RecordingSink(), RecordingSink()]
    pipeline = rxa.Pipeline(subject, *kept).start()
    eventually(lambda: subject.observers, "the subscription")
    subject.on_next(1)
    eventually(lambda: all(sink.written for sink in kept), "the alert")
    pipeline.reopen()
    eventually(lambda: all("reopen" in sink.calls for sink in kept), "the reopen")
    subject.on_completed()
    pipeline.wait()


# -- loops and scripts ----------------------------------------------------------------------------------------


def test_arun_leaves_the_loop_free() -> None:
    """While it runs, other tasks do."""
    sink: RecordingSink[int] = RecordingSink()
    sink.block()

    async def main() -> rxa.Report:
        async def release() -> None:
            while not sink.stuck.is_set():
                await asyncio.sleep(0.001)
            sink.release()

        report, _ = await asyncio.gather(rxa.arun(range(100), sink), release())
        return report

    assert asyncio.run(main()).delivered == 100


def test_cancelling_arun_drains_the_sinks() -> None:
    """A cancelled arun stops the source, delivers what was read, then lets the cancellation go on."""
    sink: RecordingSink[int] = RecordingSink()
    source = Endless()

    async def main() -> None:
        task = asyncio.create_task(rxa.arun(source, sink))
        while not sink.written:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert sink.state == "closed"
    assert sink.written == list(range(source.stats().read))


def test_run_inside_a_running_loop() -> None:
    """In a notebook's cell `run` works as everywhere else."""
    sink: RecordingSink[int] = RecordingSink()

    async def main() -> rxa.Report:
        return rxa.run(range(10), sink)

    assert asyncio.run(main()).delivered == 10


def test_a_plain_subscription_in_a_script_that_ends_right_after(tmp_path: Path) -> None:
    """`observable.pipe(...).subscribe(sink)`, and nothing else: what was sent is delivered at the exit."""
    path = tmp_path / "out"
    code = """
import sys, reactivex
import rxalerts as rxa
from rxalerts import operators as ops, sinks
alerts = [rxa.Alert("Rule", "warning", output=f"alert {n}") for n in range(2000)]
reactivex.from_iterable(alerts).pipe(ops.at_least("warning"), ops.to_json()).subscribe(
    sinks.FileSink(sys.argv[1], keep_alive=True)
)
unended = sinks.FileSink(sys.argv[1] + "2")
unended.on_next(alerts[0])
"""
    with script(code, str(path)) as process:
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors.decode()) == (0, "")
    assert path.read_bytes().count(b"\n") == 2000
    assert Path(f"{path}2").read_bytes().count(b"\n") == 1


def test_a_stuck_sink_does_not_keep_a_script_from_ending(tmp_path: Path) -> None:
    """At the exit all sinks together get some seconds, and a stuck one costs the others nothing."""
    path = tmp_path / "out"
    code = """
import sys
import rxalerts as rxa
from rxalerts import sinks
from rxalerts.flow import sink as flow
from rxalerts.testing import RecordingSink
flow._EXIT_TIMEOUT = 0.5
stuck = [RecordingSink(name=f"stuck {n}") for n in range(4)]
for each in stuck:
    each.block()
    each.on_next(1)
good = sinks.FileSink(sys.argv[1])
good.on_next(rxa.Alert("Rule", "warning", output="alert"))
"""
    began = time.monotonic()
    with script(code, str(path)) as process:
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert time.monotonic() - began < 15
    assert path.read_bytes().count(b"\n") == 1


def test_a_source_subscribed_to_plainly_obeys_pressure() -> None:
    """Without run, in a plain pipe, a small sink gets everything."""
    sink: RecordingSink[int] = RecordingSink(capacity=8, max_batch=3)
    sources.from_iterable(range(1000)).pipe(rx.map(lambda n: n)).subscribe(sink)
    assert sink.wait(10)
    assert sink.written == list(range(1000))


def test_collecting_in_a_plain_pipe() -> None:
    """CollectSink is an observer as any other."""
    with sinks.CollectSink[int]() as kept:
        reactivex.of(1, 2, 3).subscribe(kept)
    assert kept.items == [1, 2, 3]


@pytest.mark.parametrize("where", ["connect", "everybody"])
def test_an_interrupt_at_an_awkward_moment_is_no_different(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while the pipeline is being put together, or while it is being closed: a report, and closed sinks."""
    sink: RecordingSink[int] = RecordingSink()
    original = getattr(Wiring, where)
    interrupts = [KeyboardInterrupt()]

    def interrupted(self: Wiring, *arguments: Any) -> Any:
        result = original(self, *arguments)
        if interrupts:
            raise interrupts.pop()
        return result

    monkeypatch.setattr(Wiring, where, interrupted)
    report = rxa.run(range(10), sink)
    assert report.interrupted
    assert report.lost == 0
    assert sink.state in ("closed", "created")
    assert len(sink.written) == report.read
