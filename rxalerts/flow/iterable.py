"""Alerts from anything that can be iterated over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from rxalerts.flow.gathering import MOST, Gathering
from rxalerts.flow.source import Emitter, Source

T = TypeVar("T")

# How many items go one by one until the room for lists is looked at again.
_ALONE = 64


class IterableSource(Source[T]):
    """Emits the items of an iterable; asks it for more only when no sink is pressed, and for no more than has room."""

    def __init__(self, items: Iterable[T], name: str = "iterable") -> None:
        super().__init__(name)
        self._items = items

    def produce(self, emitter: Emitter[T]) -> None:
        if isinstance(self._items, list | tuple):
            self._emit_list(emitter, self._items)
        elif emitter.plain:
            emitter.emit_all(self._counted())
        else:
            self._gather(emitter, self._counted())

    def _emit_list(self, emitter: Emitter[T], items: Sequence[T]) -> None:
        # All of them are at hand already; a list may grow meanwhile.
        start = 0
        while start < len(items) and not emitter.stopped.is_set():
            emitted = emitter.emit_batch(items[start : start + MOST])
            self._stats.read += emitted
            start += emitted

    def _gather(self, emitter: Emitter[T], items: Iterator[T]) -> None:
        stopped = emitter.stopped.is_set
        if stopped():
            return
        with Gathering(emitter) as gathering:
            for item in items:
                if not gathering.add(item) and emitter.emit(item):
                    emitter.emit_all(islice(items, _ALONE))
                if stopped():
                    return

    def _counted(self) -> Iterator[T]:
        for item in self._items:
            self._stats.read += 1
            yield item


def from_iterable(items: Iterable[T], *, name: str = "iterable") -> Source[T]:
    """Emit the items of `items` in order, waiting whenever a sink asks for it.

    Arguments:
        items: any iterable; a list can be subscribed to again, a generator only once.
        name: the source's name in reports.

    Use it instead of `reactivex.from_iterable`, which knows no backpressure. Into the routes of a pipeline items travel
    in lists, where no function of yours could tell (see `rxalerts.flow.batching`): what `items` gives in quick
    succession reaches the sinks up to about 2 ms later, and meanwhile `items` is asked for more, 256 at most and no
    more than the sinks have room for. All that it has given is emitted, also when it then blocks, raises or is stopped.

    >>> seen = []
    >>> _ = from_iterable([1, 2, 3]).subscribe(seen.append)
    >>> seen
    [1, 2, 3]
    """
    return IterableSource(items, name)
