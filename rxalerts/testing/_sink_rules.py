"""The Reactive Streams rules that a sink has to keep, as black-box checks."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from rxalerts.alert import Alert
from rxalerts.flow.backoff import Retry
from rxalerts.flow.channel import Rejected
from rxalerts.flow.scope import Scope
from rxalerts.flow.sink import Sink
from rxalerts.flow.stats import DeadLetter, SinkStats
from rxalerts.testing._probe import Probe
from rxalerts.testing._waiting import eventually


class SinkFactory(Protocol):
    """Makes a new sink, of the options given by name: those that every sink has."""

    def __call__(self, *args: Any, **options: Any) -> Sink[Any]: ...


def check_sink(
    factory: SinkFactory,
    *,
    items: Sequence[Any] | None = None,
    delivers: bool = True,
    timeout: float = 10.0,
) -> None:
    """Check that a sink keeps the rules of Reactive Streams; raise AssertionError naming the rule otherwise.

    Arguments:
        factory: makes a new sink each time that it is called, with a destination that works; it hands the
            keyword arguments it gets (`capacity`, `on_full`, `retry` …) on to the sink: the class itself, or a
            `functools.partial` of it.
        items: what to send; alerts by default.
        delivers: whether what is sent arrives, so that nothing may be lost while the sink is not disturbed.
        timeout: seconds that any one step may take.

    ======== ==================================================================================================
    2.2      on_next returns promptly when the destination is stuck
    2.3 2.13 nothing that a stream calls raises, whatever the channel does; on_next(None) is a TypeError
    2.4 2.9  terminal signals may come at any time, as the first one too, and again
    2.8      an item that comes after the end is counted, appears in dead_letters, and does nothing else
    1.1      what is inside is bounded, under 4 producers
    1.3 1.7  hooks never run at the same time, and never after close() has returned; open() and close() in pairs
    3.5-3.7  close() may be called again, by several threads at once, and from within a write
    3.13     after close() nothing holds the sink any more
    counts   received = delivered + rejected + dropped + depth
    retry    what the channel fails on is tried again, in order
    ======== ==================================================================================================

    >>> from rxalerts import sinks
    >>> check_sink(sinks.CollectSink)
    """
    alerts = [Alert("Rule", "notice", f"alert {n}", {"n": n}) for n in range(40)]
    kit = _Kit(factory, list(items or alerts), delivers, timeout)
    for name, rule in _RULES:
        try:
            rule(kit)
        except AssertionError as error:
            raise AssertionError(f"rule {name}: {error}") from error


class _Kit:
    """What every rule needs."""

    def __init__(self, factory: SinkFactory, items: list[Any], delivers: bool, timeout: float) -> None:
        self._factory = factory
        self.items = items
        self.delivers = delivers
        self.timeout = timeout

    def make(self, **options: Any) -> tuple[Sink[Any], Probe]:
        options.setdefault("retry", Retry(initial=0.001, maximum=0.01))
        sink = self._factory(**options)
        return sink, Probe(sink)

    def end(self, sink: Sink[Any], probe: Probe) -> SinkStats:
        """Close the sink and check what must hold at every end."""
        probe.gate.set()
        assert sink.close(self.timeout), f"close({self.timeout:g}) did not end the sink: {sink!r}"
        probe.over = True
        assert not probe.faults, "; ".join(dict.fromkeys(probe.faults))
        assert sink.state.ended, f"after close() the state is {sink.state}"
        return balanced(sink)

    def together(self, *tasks: Callable[[], object]) -> None:
        """Run `tasks` on a thread each, at the same time."""
        barrier = threading.Barrier(len(tasks))

        def run(task: Callable[[], object]) -> None:
            barrier.wait(self.timeout)
            task()

        with ThreadPoolExecutor(len(tasks)) as pool:
            for future in [pool.submit(run, task) for task in tasks]:
                future.result(self.timeout * 2)


def balanced(sink: Sink[Any]) -> SinkStats:
    """Return the stats of a sink at rest, and check that they add up."""
    stats = sink.stats()
    accounted = stats.delivered + stats.rejected + sum(stats.dropped.values()) + stats.depth
    assert stats.received == accounted, f"the counts do not add up: {stats}"
    return stats


def _send(sink: Sink[Any], items: Sequence[Any]) -> None:
    """Send items as a source of ours does, but without waiting: a sink must not wait for itself to do so."""
    with Scope():
        for item in items:
            sink.on_next(item)


def _everything_arrives(kit: _Kit) -> None:
    sink, probe = kit.make()
    _send(sink, kit.items)
    stats = kit.end(sink, probe)
    assert stats.received == len(kit.items), f"{len(kit.items)} were sent, {stats.received} received"
    assert not kit.delivers or stats.delivered == len(kit.items), f"{len(kit.items)} were sent: {stats}"


def _prompt(kit: _Kit) -> None:
    sink, probe = kit.make(capacity=4, on_full="drop_oldest", max_batch=2)
    probe.gate.clear()
    began = time.monotonic()
    _send(sink, kit.items)
    for item in kit.items:
        sink.on_next(item)
    took = time.monotonic() - began
    assert took < 1.0, f"{2 * len(kit.items)} on_next took {took:.2f} s with a stuck destination"
    assert sink.stats().depth <= sink.capacity + 1, f"{sink.stats().depth} inside, the capacity is {sink.capacity}"
    kit.end(sink, probe)


def _never_raises(kit: _Kit) -> None:
    for failure in (OSError("broken"), RuntimeError("a bug"), Rejected("refused")):
        sink, probe = kit.make(retry=Retry(initial=0.001, maximum=0.001, attempts=3))
        probe.failures = [failure] * 5
        _send(sink, kit.items[:8])
        try:
            sink.on_next(None)
        except TypeError:
            sink.on_next(kit.items[0])
        else:
            raise AssertionError("on_next(None) raised no TypeError")
        sink.on_error(ValueError("the stream failed"))
        sink.on_completed()
        kit.end(sink, probe)


def _terminal_first(kit: _Kit) -> None:
    signals: list[Callable[[Sink[Any]], object]] = [
        lambda sink: sink.on_completed(),
        lambda sink: sink.on_error(ValueError("first")),
        lambda sink: sink.close(kit.timeout),
    ]
    for signal in signals:
        sink, probe = kit.make()
        signal(sink)
        signal(sink)
        sink.on_next(kit.items[0])
        assert kit.end(sink, probe).delivered == 0, "an item was delivered after the end"
        for late in signals:
            late(sink)
        assert sink.flush(kit.timeout) in (True, False)
        sink.reopen()


def _late(kit: _Kit) -> None:
    sink, probe = kit.make()
    letters: list[DeadLetter] = []
    sink.dead_letters.subscribe(letters.append)
    _send(sink, kit.items[:3])
    kit.end(sink, probe)
    before = len(letters)
    sink.on_next(kit.items[3])
    stats = balanced(sink)
    assert stats.dropped.get("closed") == 1, f"the late item is not counted as closed: {stats.dropped}"
    assert [letter.item for letter in letters[before:]] == [kit.items[3]], "the late item is no dead letter"


def _plainly_into(sink: Sink[Any], items: Sequence[Any]) -> Callable[[], None]:
    """Return what sends items to the sink as a foreign stream does, which may have to wait."""

    def send() -> None:
        for item in items:
            sink.on_next(item)

    return send


def _bounded(kit: _Kit) -> None:
    for policy in ("block", "drop_newest", "drop_oldest", "drop_lowest"):
        sink, probe = kit.make(capacity=8, on_full=policy, max_batch=4, block_timeout=0.05)
        probe.gate.clear()
        kit.together(*[_plainly_into(sink, kit.items)] * 4)
        depth, most = sink.stats().depth, sink.capacity + 4
        probe.gate.set()
        assert depth <= most, f"{depth} inside with 4 producers and {policy}; the capacity is {sink.capacity}"
        assert kit.end(sink, probe).received == 4 * len(kit.items)


def _serial(kit: _Kit) -> None:
    sink, probe = kit.make(max_batch=3)

    def produce() -> None:
        _send(sink, kit.items)

    def meddle() -> None:
        for _ in range(5):
            sink.reopen()
            sink.flush(kit.timeout)

    kit.together(produce, produce, produce, meddle)
    stats = kit.end(sink, probe)
    assert not kit.delivers or stats.delivered == 3 * len(kit.items), f"something is missing: {stats}"

    sink, probe = kit.make(max_batch=3)
    kit.together(lambda: _send(sink, kit.items), lambda: _send(sink, kit.items), lambda: sink.close(kit.timeout))
    kit.end(sink, probe)


def _closing(kit: _Kit) -> None:
    sink, probe = kit.make()
    _send(sink, kit.items)
    kit.together(*[lambda: sink.close(kit.timeout) for _ in range(4)])
    kit.end(sink, probe)

    sink, probe = kit.make(max_batch=2)
    probe.inside = sink.close
    _send(sink, kit.items[:6])
    eventually(lambda: sink.state.ended, "close() from within a write ends the sink", timeout=kit.timeout)
    stats = kit.end(sink, probe)
    assert not kit.delivers or stats.delivered + stats.dropped.get("closed", 0) == 6, f"something is missing: {stats}"


def _stuck_close(kit: _Kit) -> None:
    # A sink may give its destination (a program, say) some times its output_timeout to end.
    sink, probe = kit.make(output_timeout=0.2)
    probe.gate.clear()
    _send(sink, kit.items)
    eventually(probe.stuck.is_set, "a write to begin", timeout=kit.timeout)
    began = time.monotonic()
    sink.close(0.05)
    took = time.monotonic() - began
    assert took < 0.05 + 2.0, f"close(0.05) took {took:.2f} s with a stuck destination"
    probe.gate.set()
    eventually(lambda: sink.wait(0.1), "the sink to end when the destination moves again", timeout=kit.timeout)
    balanced(sink)


def _references(kit: _Kit) -> None:
    def live() -> weakref.ref[Sink[Any]]:
        sink, probe = kit.make()
        _send(sink, kit.items[:3])
        kit.end(sink, probe)
        return weakref.ref(sink)

    reference = live()

    def gone() -> bool:
        gc.collect()
        return reference() is None

    eventually(gone, "nothing to hold the sink after close()", timeout=kit.timeout)


def _retries(kit: _Kit) -> None:
    sink, probe = kit.make()
    probe.failures = [OSError("broken"), OSError("still broken")]
    _send(sink, kit.items)
    stats = kit.end(sink, probe)
    assert not kit.delivers or stats.delivered == len(kit.items), f"something is missing after a failure: {stats}"
    assert stats.retried, "the failed attempts are not counted as retried"


_RULES: tuple[tuple[str, Callable[[_Kit], None]], ...] = (
    ("counts", _everything_arrives),
    ("2.2", _prompt),
    ("2.3/2.13", _never_raises),
    ("2.4/2.9/2.10", _terminal_first),
    ("2.8", _late),
    ("1.1", _bounded),
    ("1.3/1.7", _serial),
    ("3.5-3.7", _closing),
    ("3.7, stuck", _stuck_close),
    ("3.13", _references),
    ("retry", _retries),
)
