"""The sink as others see it: options, signals from any thread or loop, its end, its statistics."""

import asyncio
import functools
import logging
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

import pytest
from reactivex import Subject
from reactivex.abc import ObserverBase

from rxalerts import Alert
from rxalerts.errors import OptionError, SinkError
from rxalerts.flow.channel import AsyncChannel, Batch, Retryable
from rxalerts.flow.scope import Scope
from rxalerts.flow.sink import AsyncSink, Sink, reserve
from rxalerts.flow.stats import State
from rxalerts.testing import RecordingSink, VirtualClock, VirtualDriver, check_sink, eventually


class _LoopChannel(AsyncChannel):
    def __init__(self, sink: "LoopSink") -> None:
        self._sink = sink

    async def open(self) -> None:
        self._sink.calls.append("open")

    async def write(self, batch: Batch[Any]) -> None:
        sink = self._sink
        sink.calls.append("write")
        while sink.held:
            await asyncio.sleep(0.001)
        if sink.errors:
            raise sink.errors.pop(0)
        sink.written += batch.items

    async def close(self) -> None:
        self._sink.calls.append("close")


@dataclass(eq=False, repr=False)
class LoopSink(AsyncSink[Any]):
    """An asynchronous sink that does as it is told."""

    def __post_init__(self) -> None:
        self.calls: list[str] = []
        self.written: list[Any] = []
        self.errors: list[BaseException] = []
        self.held = False
        super().__post_init__()

    def make_channel(self) -> AsyncChannel:
        return _LoopChannel(self)


def feed(observer: ObserverBase[int], numbers: range) -> None:
    """Send numbers as a foreign stream does."""
    for number in numbers:
        observer.on_next(number)


def test_async_sinks_keep_the_rules() -> None:
    """A sink on the private event loop keeps every rule that one on a thread does."""
    check_sink(LoopSink)


def test_recording_sinks_keep_the_rules() -> None:
    """The kit's own sink keeps the rules, buffered too."""
    check_sink(RecordingSink, items=range(40))
    check_sink(functools.partial(RecordingSink[int], buffered=True), items=range(40))


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"capacity": 0}, "capacity"),
        ({"max_batch": 0}, "max_batch"),
        ({"on_full": "explode"}, "on_full"),
        ({"then": "block"}, "then"),
        ({"then": "never"}, "then"),
        ({"block_timeout": 0}, "block_timeout"),
        ({"output_timeout": -1}, "output_timeout"),
        ({"format": "xml"}, "format"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], key: str) -> None:
    """An option that cannot be is refused when the sink is built, with its name."""
    with pytest.raises(OptionError) as caught:
        RecordingSink(**options)
    assert caught.value.key == key


@pytest.mark.parametrize("key", ["retry", "format"])
def test_a_map_where_an_object_belongs_is_refused(key: str) -> None:
    """As in falco.yaml, where it is right: told at once, and not by the first failure."""
    wrong: dict[str, Any] = {key: {"attempts": 1}}
    with pytest.raises(OptionError, match=rf"^{key}: must be a rxalerts\.[a-z.]+{key.title()}\(…\), got "):
        RecordingSink[int](**wrong)


def test_a_foreign_stream_in_a_thread_waits() -> None:
    """`on_next` of a plain Subject, in a plain thread, waits while the sink is full, and loses nothing."""
    sink: RecordingSink[int] = RecordingSink(capacity=4, max_batch=2)
    sink.block()
    subject: Subject[int] = Subject()
    subject.subscribe(sink)
    thread = threading.Thread(target=lambda: feed(subject, range(100)), daemon=True)
    thread.start()
    assert sink.stuck.wait(10)
    eventually(lambda: sink.mailbox.depth == 4, "the sink to be full")
    assert thread.is_alive()
    sink.release()
    thread.join(10)
    assert sink.close(10)
    assert sink.written == list(range(100))


def test_a_foreign_stream_waits_no_longer_than_block_timeout() -> None:
    """With block_timeout the wait has an end, and `then` applies."""
    sink: RecordingSink[int] = RecordingSink(capacity=2, block_timeout=0.05, then="drop_newest")
    sink.block()
    for number in range(10):
        sink.on_next(number)
    assert sink.stats().dropped == {"overflow": 8}
    sink.release()
    assert sink.close(10)
    assert sink.written == [0, 1]


def test_a_foreign_stream_is_let_go_when_the_sink_fails() -> None:
    """Nobody waits for a sink that has ended."""
    sink: RecordingSink[int] = RecordingSink(capacity=2)
    sink.block()
    thread = threading.Thread(target=lambda: feed(sink, range(10)), daemon=True)
    thread.start()
    assert sink.stuck.wait(10)
    sink.stop(0)
    thread.join(10)
    assert not thread.is_alive()
    sink.release()
    assert sink.wait(10)


def test_a_foreign_stream_on_a_loop_never_waits(caplog: pytest.LogCaptureFixture) -> None:
    """On an event loop's thread on_next returns at once: reserve, then the policy, and one warning."""
    sink: RecordingSink[int] = RecordingSink(capacity=8)
    sink.block()
    count = 8 + reserve(8) + 100

    async def main() -> float:
        began = time.monotonic()
        for number in range(count):
            sink.on_next(number)
        return time.monotonic() - began

    with caplog.at_level(logging.WARNING, "rxalerts"):
        took = asyncio.run(main())
    assert took < 5
    assert sink.mailbox.depth <= 8 + reserve(8) + 1
    warnings = [record.getMessage() for record in caplog.records if "cannot wait" in record.getMessage()]
    assert len(warnings) == 1
    assert "rxalerts.run/arun" in warnings[0]
    sink.release()
    assert sink.close(10)
    stats = sink.stats()
    assert stats.received == count == stats.delivered + stats.dropped["overflow"]


def test_a_sink_that_feeds_itself_does_not_wait_for_itself() -> None:
    """on_next from the sink's own thread never blocks it."""
    sink: RecordingSink[int] = RecordingSink(capacity=1, max_batch=1)
    sink.refuse(lambda item: item < 20)
    sink.dead_letters.subscribe(lambda letter: sink.on_next(letter.item + 1))
    sink.on_next(0)
    eventually(lambda: sink.written == [20], "the last one")
    assert sink.close(10)


def test_the_end_of_the_last_of_several_streams_ends_the_sink() -> None:
    """A sink that is fed through several observers closes when all of them have ended, however they end."""
    sink: RecordingSink[int] = RecordingSink()
    ends = [sink.observer() for _ in range(3)]
    ends[0].on_next(1)
    ends[0].on_completed()
    ends[0].on_completed()
    ends[1].on_error(ValueError("one of them fails"))
    assert not sink.mailbox.received == 0
    ends[2].on_next(2)
    assert not sink.wait(0)
    ends[2].on_completed()
    assert sink.wait(10)
    assert sink.written == [1, 2]


def test_flush_tells_whether_everything_was_delivered() -> None:
    """flush() waits, and is true when what was taken before has been delivered."""
    sink: RecordingSink[int] = RecordingSink(buffered=True)
    assert sink.flush()
    sink.on_next(1)
    assert sink.flush(10)
    assert sink.written == [1]
    sink.block()
    sink.on_next(2)
    assert not sink.flush(0.01)
    sink.release()
    assert sink.flush(10)
    assert sink.close(10)
    assert sink.flush()


def test_flush_is_false_when_the_sink_gave_up() -> None:
    """What was dropped at the end was not delivered."""
    sink: RecordingSink[int] = RecordingSink()
    sink.fail(Retryable("away", after=1000))
    sink.on_next(1)
    eventually(lambda: sink.state is State.BACKOFF, "the failure")
    sink.stop(0)
    assert sink.wait(10)
    assert not sink.flush()


def test_reopen_can_be_waited_for() -> None:
    """reopen(timeout) returns true when it is done."""
    sink: RecordingSink[int] = RecordingSink()
    assert sink.reopen(10)
    assert sink.calls == ["open"]
    assert sink.reopen(10)
    assert sink.calls == ["open", "reopen"]
    sink.close(10)


@pytest.mark.parametrize("make", [RecordingSink, LoopSink])
def test_close_gives_up_on_a_stuck_channel_in_time(make: type[Any]) -> None:
    """close(timeout) returns although the destination is stuck, and what waits is counted as lost."""
    sink: Any = make(max_batch=1)
    if isinstance(sink, LoopSink):
        sink.held = True
    else:
        sink.block()
    for number in range(5):
        sink.on_next(number)
    eventually(lambda: "write" in " ".join(sink.calls), "the write to begin")
    began = time.monotonic()
    assert not sink.close(0.05)
    assert time.monotonic() - began < 2
    stats = sink.stats()
    # What is in hand follows when the task has been cancelled, which may be now.
    assert stats.dropped["shutdown"] >= 4
    assert stats.dropped["shutdown"] + stats.depth == 5
    if isinstance(sink, LoopSink):
        assert sink.wait(10)
        assert sink.calls[-1] == "close"
        assert sink.stats().dropped == {"shutdown": 5}, "what was in hand is a dead letter, too"
    else:
        sink.release()
        assert sink.wait(10)
        assert sink.written == [0]


def test_something_cancelled_inside_a_hook_does_not_end_the_sink() -> None:
    """A CancelledError that is not meant for the sink counts as a failure to try again."""
    sink = LoopSink()
    sink.errors = [asyncio.CancelledError()]
    sink.on_next(1)
    eventually(lambda: sink.written == [1], "the second attempt")
    assert sink.close(10)
    assert sink.state is State.CLOSED


def test_aclose_leaves_the_loop_free() -> None:
    """In a coroutine, `await sink.aclose()` lets other tasks run."""
    sink: RecordingSink[int] = RecordingSink()
    sink.block()
    sink.on_next(1)

    async def main() -> bool:
        async def release() -> None:
            sink.release()

        closed, _ = await asyncio.gather(sink.aclose(10), release())
        return closed

    assert asyncio.run(main())
    assert sink.written == [1]


def test_a_thread_that_cannot_be_started_fails_the_sink(monkeypatch: pytest.MonkeyPatch) -> None:
    """on_next does not raise when the interpreter is ending: the alert is a dead letter."""
    sink: RecordingSink[int] = RecordingSink()

    def refuse() -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(sink, "_launch", refuse)
    sink.on_next(1)
    assert sink.state is State.FAILED
    assert sink.stats().dropped == {"failed": 1}
    assert sink.close(1)


def test_a_start_without_a_thread_names_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Started on purpose, a sink for which there is no thread says so, and what to allow more of."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    sink: RecordingSink[int] = RecordingSink(name="pager")
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(SinkError, match=r"pager: .*no thread can be started: allow more address space \(ulimit -v"):
        sink.start()


def test_overflow_with_fail_ends_the_sink() -> None:
    """on_full=fail: what came before the overflow is not delivered late, and everything is counted."""
    sink: RecordingSink[int] = RecordingSink(capacity=2, on_full="fail", max_batch=1)
    sink.block()
    for number in range(5):
        sink.on_next(number)
    sink.release()
    assert sink.wait(10)
    stats = sink.stats()
    assert stats.received == 5 == stats.delivered + sum(stats.dropped.values())
    assert set(stats.dropped) <= {"overflow", "failed"}
    assert stats.state == "failed"
    assert "on_full is fail" in str(stats.last_error)


def test_the_watchdog_reports_a_stuck_write_once(caplog: pytest.LogCaptureFixture) -> None:
    """A write beyond output_timeout is logged once and counted; the next one anew."""
    clock = VirtualClock()
    sink: RecordingSink[int] = RecordingSink(output_timeout=2)
    VirtualDriver(sink, clock)
    with caplog.at_level(logging.CRITICAL, "rxalerts"):
        for began, count in ((10.0, 1), (20.0, 2)):
            sink.supervisor.busy_since = began
            sink.check_blocked(began + 1.9)
            assert sink.stats().blocked == count - 1
            sink.check_blocked(began + 2.1)
            sink.check_blocked(began + 9)
            assert sink.stats().blocked == count
        sink.supervisor.busy_since = None
        sink.check_blocked(100)
    assert sink.stats().blocked == 2
    assert len(caplog.records) == 2
    assert '"recording" output timeout' in caplog.text


@pytest.mark.parametrize("hook", ["open", "write", "flush", "reopen"])
def test_the_watchdog_looks_at_every_hook(hook: str) -> None:
    """A stuck open, flush or reopen is reported as well as a stuck write."""
    sink: RecordingSink[int] = RecordingSink(buffered=True, output_timeout=0.01)
    if hook != "open":
        sink.reopen(10)
    if hook == "flush":
        sink.on_next(1)
        eventually(lambda: sink.stats().depth == 1 and len(sink.batches) == 1, "the write")
    sink.block(on=hook)
    if hook in ("open", "write"):
        sink.on_next(1)
    elif hook == "flush":
        sink.flush(0.0)
    else:
        sink.reopen()
    eventually(lambda: sink.stats().blocked == 1, "the watchdog")
    sink.release()
    assert sink.close(10)
    assert sink.stats().blocked == 1


def test_a_renderer_that_fails_costs_one_alert() -> None:
    """An alert that cannot be written is rejected; the others arrive."""
    kept: list[Alert] = []
    sink: Sink[Any] = RecordingSink()
    sink.dead_letters.subscribe(lambda letter: kept.append(letter.item))
    assert isinstance(sink, RecordingSink)
    sink.refuse(lambda item: item.rule == "bad")
    with Scope():
        for rule in ("good", "bad", "good"):
            sink.on_next(Alert(rule, "notice"))
    assert sink.close(10)
    assert [alert.rule for alert in sink.written] == ["good", "good"]
    assert [alert.rule for alert in kept] == ["bad"]


def test_a_forked_child_has_no_sinks() -> None:
    """In a forked child a sink has ended: its thread and its alerts are the parent's, and nothing waits for it."""
    sink: RecordingSink[int] = RecordingSink(capacity=2)
    sink.block()
    sink.on_next(1)
    assert sink.stuck.wait(10)
    child = subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore",
            "-c",
            "import os, sys\n"
            "from rxalerts.testing import RecordingSink\n"
            "sink = RecordingSink(capacity=1)\n"
            "sink.on_next(1)\n"
            "pid = os.fork()\n"
            "if pid == 0:\n"
            "    for n in range(5): sink.on_next(n)\n"
            "    ended = sink.close(1) and sink.stats().dropped == {'forked': 5}\n"
            "    sys.exit(0 if ended else 1)\n"
            "_, status = os.waitpid(pid, 0)\n"
            "sink.close()\n"
            "sys.exit(os.waitstatus_to_exitcode(status) or (0 if sink.written == [1] else 2))\n",
        ],
        timeout=30,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert child.returncode == 0
    sink.release()
    assert sink.close(10)
