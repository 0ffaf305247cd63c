"""Sources: observables that emit in a scope, wait under pressure, and count what they read."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, ClassVar, Generic, TypeVar

from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase
from reactivex.disposable import Disposable
from reactivex.scheduler import CurrentThreadScheduler
from reactivex.scheduler.currentthreadscheduler import CurrentThreadSchedulerSingleton
from reactivex.scheduler.trampoline import Trampoline

from rxalerts.flow.batching import BatchObserver
from rxalerts.flow.scope import Mark, Scope
from rxalerts.flow.stages import Stream
from rxalerts.flow.watermark import Watermark

log = logging.getLogger("rxalerts")

T = TypeVar("T")


@dataclass(slots=True)
class SourceStats:
    """A source's counts: alerts read and emitted, pieces that were no alert, and the first of those, in words."""

    name: str
    read: int = 0
    rejected: int = 0
    skipped: int = 0
    first_rejects: list[str] = field(default_factory=list[str])


class Emitter(Generic[T]):
    """What a source calls for each item: installs the scope, calls `on_next`, then waits while a sink is full.

    Arguments:
        observer: where the items go.
        mark: who wants to know when an emission is finished; None when nobody does.
    """

    def __init__(self, observer: ObserverBase[T], mark: Watermark | None = None) -> None:
        self._observer = observer
        self._many: BatchObserver[T] | None = observer if isinstance(observer, BatchObserver) else None
        self._mark = mark
        self._scope = Scope(mark)
        self.stopped = threading.Event()
        self.meanwhile: Callable[[], None] | None = None
        """What a source does from time to time while it waits under pressure, as saving where it is."""
        self._stopping = False
        self._on_stop: list[Any] = []

    def stop(self) -> None:
        """Ask the source to end before its next emission; wakes it when it waits."""
        self._stopping = True
        self.stopped.set()
        for callback in list(self._on_stop):
            callback()

    def on_stop(self, callback: Any) -> None:
        """Call `callback`, from any thread, when the source is asked to end (at once if it was already)."""
        self._on_stop.append(callback)
        if self._stopping:
            callback()

    @property
    def seq(self) -> int:
        """The number of the latest emission; the first one is 1."""
        return self._scope.seq

    @property
    def plain(self) -> bool:
        """Whether the observer never takes a list, however much room there is."""
        return self._many is None

    @property
    def room(self) -> int:
        """How many items may go on in one list now, without pressing; 0: they have to go one by one."""
        return 0 if self._many is None else self._many.room

    @property
    def takes_lists(self) -> bool:
        """Whether `emit_batch` hands on several items in one call, as things are now."""
        return self.room > 1

    def emit(self, item: T) -> bool:
        """Emit one item and wait under pressure; false when the source should end.

        What was read is emitted, even when the source has just been asked to end.
        """
        self._emit((item,))
        return not self._stopping

    def emit_all(self, items: Iterable[T]) -> None:
        """Emit items until they end or the source is asked to; no item is taken that is not emitted."""
        if not self._stopping:
            self._emit(items)

    def emit_batch(self, items: Sequence[T], *, taken: bool = False) -> int:
        """Emit items that are at hand together, with as few calls as the observer and the room in the mailboxes allow.

        Arguments:
            taken: they are nowhere else any more: all of them are emitted, also when the source is asked to end.

        Returns how many were emitted: all of them, unless the source is asked to end.
        """
        many, scope, mark = self._many, self._scope, self._mark
        before = scope.seq
        start = 0
        while start < len(items) and (taken or not self._stopping):
            room = self.room
            if many is None or room < 2:
                self._emit(items[start : start + 1] if room else items[start:], taken=taken)
                start += 1 if room else len(items)
                continue
            part = items[start : start + room]
            with scope:
                # The first one's number stands for all: the earliest is what holds back a watermark.
                scope.seq += 1
                many.on_batch(part)
                scope.seq += len(part) - 1
            if mark is not None:
                mark.emitted(scope.seq)
            start += len(part)
            if scope.pressed:
                scope.wait(self.stopped, self.meanwhile)
        return scope.seq - before

    def _emit(self, items: Iterable[T], *, taken: bool = False) -> None:
        scope, mark = self._scope, self._mark
        on_next = self._observer.on_next
        with scope:
            for item in items:
                scope.seq += 1
                on_next(item)
                if mark is not None:
                    mark.emitted(scope.seq)
                if scope.pressed:
                    scope.wait(self.stopped, self.meanwhile)
                if self._stopping and not taken:
                    return

    def offer(self, items: Sequence[T], mark: Mark | None = None, *, start: int = 0) -> Scope:
        """Emit items without waiting, until a sink asks to be waited for.

        Arguments:
            items: what to emit; a single mark stands for all of them.
            start: index of the first one.

        Returns the scope: `seq` is the index behind the last item that was emitted, `pressed` tells whom to wait for,
        on an event loop with `await scope.wait_async()`.
        """
        scope = Scope(mark or self._mark, start)
        on_next, many = self._observer.on_next, self._many
        pressed = scope.pressed
        with scope:
            if many is not None and many.room >= len(items) - start > 1:
                many.on_batch(items[start:])
                scope.seq = len(items)
                return scope
            for item in islice(items, start, None):
                scope.seq += 1
                on_next(item)
                if pressed:
                    break
        return scope


class Source(Stream[T]):
    """An observable that knows about pressure.

    A subclass overrides `produce`, which emits through the emitter until its input ends or `emitter.stopped`.
    Subscribed to plainly, a source that ends by itself (`live` false) emits on the caller's thread, as
    `reactivex.from_iterable` does, unless that thread runs an event loop; a live one on a thread of its own.
    """

    live: ClassVar[bool] = False
    # The files that are read, so that no sink is made to write to them.
    files: Sequence[str] = ()

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self._stats = SourceStats(name)

    def produce(self, emitter: Emitter[T]) -> None:
        """Emit everything; runs on one thread, returns when the input ends or the emitter is stopped."""
        raise TypeError(f"{type(self).__name__} has no produce(): override it")

    def watermark(self) -> Watermark | None:
        """Return the mark for one subscription, if this source commits what is finished."""
        return None

    def stats(self) -> SourceStats:
        """Return the counts as they are now."""
        return self._stats

    def all_stats(self) -> tuple[SourceStats, ...]:
        """Return the counts of every source in this one."""
        return (self.stats(),)

    def finished(self) -> None:
        """Commit what can be committed: called by a pipeline when its sinks have ended."""

    def emitter(self, observer: ObserverBase[T]) -> Emitter[T]:
        """Return an emitter into `observer`, with this source's mark."""
        return Emitter(observer, self.watermark())

    def feed(self, observer: ObserverBase[T], emitter: Emitter[T]) -> None:
        """Produce, then complete; what `produce` raises becomes `on_error`."""
        try:
            with _own_trampoline():
                self.produce(emitter)
        except Exception as error:
            log.debug("%s: failed", self.name, exc_info=True)
            observer.on_error(error)
        else:
            observer.on_completed()

    def _subscribe_core(self, observer: ObserverBase[T], scheduler: SchedulerBase | None = None) -> DisposableBase:
        emitter = self.emitter(observer)
        if self.live or asyncio._get_running_loop() is not None:
            thread = threading.Thread(
                target=self.feed, args=(observer, emitter), name=f"rxalerts-{self.name}", daemon=True
            )
            thread.start()
        else:
            # On the trampoline, as `reactivex.from_iterable`: the subscription is there before the first item, so
            # that `take` and others can end it.
            def feed(_: SchedulerBase, state: object = None) -> None:
                self.feed(observer, emitter)

            CurrentThreadScheduler.singleton().schedule(feed)
        return Disposable(emitter.stop)


@contextmanager
def _own_trampoline() -> Generator[None]:
    """Let what operators subscribe to during an emission, as `flat_map` does, run within that emission.

    Subscribed to plainly we run on reactivex's trampoline, which would put it off until the last emission is over:
    all of it would queue up, out of reach of pressure and marks.
    """
    local = CurrentThreadSchedulerSingleton._local  # pyright: ignore[reportPrivateUsage]
    outer, local.tramp = local.tramp, Trampoline()
    try:
        yield
    finally:
        local.tramp = outer
