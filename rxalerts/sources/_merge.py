"""Several sources as one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

from reactivex import Observable
from reactivex.abc import ObserverBase

from rxalerts.flow.batching import BatchObserver
from rxalerts.flow.iterable import from_iterable
from rxalerts.flow.source import Emitter, Source, SourceStats

T = TypeVar("T")


class MergeSource(Source[T]):
    """Feeds from all its sources at once, each on a thread of its own; see `merge`."""

    def __init__(self, sources: Sequence[Source[T]], name: str = "merge") -> None:
        super().__init__(name)
        self.files = [path for source in sources for path in source.files]
        self._sources = sources

    def feed(self, observer: ObserverBase[T], emitter: Emitter[T]) -> None:
        joined = _Joined(observer, len(self._sources))
        for source in self._sources:
            inner = joined.input()
            part = source.emitter(inner)
            emitter.on_stop(part.stop)
            threading.Thread(
                target=source.feed, args=(inner, part), name=f"rxalerts-{source.name}", daemon=True
            ).start()
        joined.wait()

    def stats(self) -> SourceStats:
        total = SourceStats(self.name)
        for part in self.all_stats():
            total.read += part.read
            total.rejected += part.rejected
            total.skipped += part.skipped
            total.first_rejects += part.first_rejects
        return total

    def all_stats(self) -> tuple[SourceStats, ...]:
        return tuple(stats for source in self._sources for stats in source.all_stats())

    def finished(self) -> None:
        for source in self._sources:
            source.finished()


class _EndlessMerge(MergeSource[T]):
    live = True


class _Joined(Generic[T]):
    """The common end of the sources: lets one item at a time through, and ends when all have ended."""

    def __init__(self, observer: ObserverBase[T], count: int) -> None:
        self._observer: ObserverBase[T] = observer
        self._left = count
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._error: Exception | None = None

    def input(self) -> ObserverBase[T]:
        """Return what one of the sources feeds."""
        if isinstance(self._observer, BatchObserver):
            return _BatchInput(self._observer, self._lock, self._one_less)
        return _Input(self._observer, self._lock, self._one_less)

    def _one_less(self, error: Exception | None) -> None:
        with self._lock:
            self._left -= 1
            self._error = self._error or error
            if self._left == 0:
                self._ended.set()

    def wait(self) -> None:
        """Wait until every source has ended, then end."""
        self._ended.wait()
        if self._error is not None:
            self._observer.on_error(self._error)
        else:
            self._observer.on_completed()


class _Input(ObserverBase[T]):
    """Takes what one source emits. The lock is not held while that source waits under pressure."""

    def __init__(
        self, observer: ObserverBase[T], lock: threading.RLock, ended: Callable[[Exception | None], None]
    ) -> None:
        self._on_next = observer.on_next
        self._lock = lock
        self._ended = ended

    def on_next(self, value: T) -> None:
        with self._lock:
            self._on_next(value)

    def on_error(self, error: Exception) -> None:
        self._ended(error)

    def on_completed(self) -> None:
        self._ended(None)


class _BatchInput(_Input[T], BatchObserver[T]):
    """Takes lists as well, where what is behind does."""

    def __init__(
        self, observer: BatchObserver[T], lock: threading.RLock, ended: Callable[[Exception | None], None]
    ) -> None:
        super().__init__(observer, lock, ended)
        self._many = observer

    @property
    def room(self) -> int:
        return self._many.room

    def on_batch(self, items: Sequence[T]) -> None:
        with self._lock:
            self._many.on_batch(items)


class _Foreign(Source[T]):
    """Any other stream as a source: what it emits waits under pressure on the stream's own thread."""

    def __init__(self, stream: Observable[T], name: str) -> None:
        super().__init__(name)
        self._stream = stream

    def produce(self, emitter: Emitter[T]) -> None:
        errors: list[Exception] = []

        def emit(item: T) -> None:
            self._stats.read += 1
            emitter.emit(item)

        def fail(error: Exception) -> None:
            errors.append(error)
            emitter.stopped.set()

        with self._stream.subscribe(emit, fail, emitter.stopped.set):
            emitter.stopped.wait()
        if errors:
            raise errors[0]


def merge(*sources: Source[T] | Observable[T] | Iterable[T], name: str = "merge") -> Source[T]:
    """Emit what several sources emit, as it comes; the order of each source is kept.

    Arguments:
        sources: sources of this package, other Observables, or iterables.
        name: its name in reports; the sources are counted under their own names.

    Each source runs on a thread of its own and waits under pressure by itself; operators and sinks see one item at a
    time. The merged stream completes when all sources have ended, and with an error if one failed: the others go on
    to their end first. Commits stay with each source. Logs that should be merged by their alerts' times are better
    given to one `replay`.

        --a-----b---|
        ----x-y-------|
        merge
        --a-x-y-b-----|

    >>> items = []
    >>> _ = merge([1, 2], [3]).subscribe(items.append)
    >>> sorted(items)
    [1, 2, 3]
    """
    if not sources:
        raise ValueError("merge(): give at least one source")
    parts: list[Source[T]] = []
    for number, source in enumerate(sources, start=1):
        if isinstance(source, Source):
            parts.append(source)
        elif isinstance(source, Observable):
            parts.append(_Foreign(source, f"{name}-{number}"))
        else:
            parts.append(from_iterable(source, name=f"{name}-{number}"))
    return (_EndlessMerge if any(part.live for part in parts) else MergeSource)(parts, name)
