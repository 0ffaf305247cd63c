"""What every source has to keep, as checks from outside."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from reactivex import operators
from reactivex.abc import ObserverBase

from rxalerts.flow.source import Emitter, Source
from rxalerts.testing._recording import RecordingSink, SignalLog
from rxalerts.testing._waiting import eventually


def check_source(
    factory: Callable[[], Source[Any]], *, expected: Sequence[Any] | None = None, timeout: float = 10.0
) -> None:
    """Check that a source behaves as one; raise AssertionError naming the rule otherwise.

    Arguments:
        factory: makes the source, with an input of at least 20 items that is there from the beginning; called once
            per rule.
        expected: the items, in order, if they are known.
        timeout: seconds that any one step may take.

    Checked are: it emits what is expected, in order, completes once (unless it is `live`) and counts what it read;
    it waits while a sink is full, holding no more than one item beyond the sink's capacity, and loses nothing; it
    ends when it is told to, also while it waits; `take` ends it.

    >>> from rxalerts import sources
    >>> check_source(lambda: sources.from_iterable(range(100)), expected=range(100))
    """
    wanted = None if expected is None else list(expected)
    rules: list[tuple[str, Callable[[], None]]] = [
        ("items", lambda: _items(factory(), wanted, timeout)),
        ("pressure", lambda: _pressure(factory(), wanted, timeout)),
        ("stop under pressure", lambda: _stop(factory(), timeout)),
        ("take", lambda: _take(factory(), timeout)),
    ]
    for name, rule in rules:
        try:
            rule()
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error


class _Run:
    """A source that runs on a thread of its own, into an observer."""

    def __init__(self, source: Source[Any], observer: ObserverBase[Any]) -> None:
        self.emitter: Emitter[Any] = source.emitter(observer)
        self.thread = threading.Thread(target=source.feed, args=(observer, self.emitter), daemon=True)
        self.thread.start()

    def stop(self, timeout: float) -> None:
        self.emitter.stop()
        self.thread.join(timeout)
        assert not self.thread.is_alive(), "it does not end when it is told to"


def _items(source: Source[Any], wanted: list[Any] | None, timeout: float) -> None:
    log = SignalLog()
    run = _Run(source, log)
    if source.live:
        eventually(lambda: len(log.items) >= len(wanted or [0] * 20), "the items of a live source", timeout=timeout)
        run.stop(timeout)
    else:
        run.thread.join(timeout)
        assert not run.thread.is_alive(), f"it has not come to its end within {timeout:g} s"
    assert log.ends == ["completed"], f"it ended with {log.ends}"
    assert wanted is None or log.items == wanted, f"it emitted {len(log.items)} items, not the {len(wanted)} expected"
    assert len(log.items) >= 20, f"the input has {len(log.items)} items only, and says nothing about pressure"
    read = source.stats().read
    assert read == len(log.items), f"it says that it read {read} items and emitted {len(log.items)}"


def _pressure(source: Source[Any], wanted: list[Any] | None, timeout: float) -> None:
    sink: RecordingSink[Any] = RecordingSink(capacity=4, max_batch=2)
    sink.block()
    run = _Run(source, sink)
    eventually(lambda: sink.mailbox.depth > sink.capacity, "the sink to be full", timeout=timeout)
    assert sink.stuck.wait(timeout), "the sink was not written to"
    depth = sink.mailbox.depth
    assert depth <= sink.capacity + 1, f"{depth} items are inside of a sink with a capacity of {sink.capacity}"
    sink.release()
    if source.live:
        eventually(lambda: len(sink.written) >= len(wanted or [0] * 20), "the items of a live source", timeout=timeout)
        run.stop(timeout)
    run.thread.join(timeout)
    assert not run.thread.is_alive(), "it does not go on when the sink has room again"
    sink.close(timeout)
    assert wanted is None or sink.written == wanted, f"{len(sink.written)} of {len(wanted or [])} items arrived"


def _stop(source: Source[Any], timeout: float) -> None:
    sink: RecordingSink[Any] = RecordingSink(capacity=4, max_batch=2)
    sink.block()
    run = _Run(source, sink)
    eventually(lambda: sink.mailbox.depth > sink.capacity, "the sink to be full", timeout=timeout)
    run.stop(timeout)
    emitted = sink.stats().received
    read = source.stats().read
    sink.release()
    sink.close(timeout)
    assert read == emitted, f"it says that it read {read} items and emitted {emitted} before it was stopped"


def _take(source: Source[Any], timeout: float) -> None:
    log = SignalLog()
    done = threading.Event()
    stream = source.pipe(operators.take(3), operators.finally_action(done.set))
    thread = threading.Thread(target=lambda: stream.subscribe(log), daemon=True)
    thread.start()
    assert done.wait(timeout), "take(3) does not end it"
    thread.join(timeout)
    assert not thread.is_alive(), "it goes on after take(3) has ended it"
    assert len(log.items) == 3, f"take(3) got {len(log.items)} items"
