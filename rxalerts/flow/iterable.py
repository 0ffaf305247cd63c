"""Alerts from anything that can be iterated over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rxalerts.flow.source import Emitter, Source

T = TypeVar("T")

# How many items of a list are emitted in one go.
_RUN = 256


class IterableSource(Source[T]):
    """Emits the items of an iterable; asks it for the next one only when no sink is pressed."""

    def __init__(self, items: Iterable[T], name: str = "iterable") -> None:
        super().__init__(name)
        self._items = items

    def produce(self, emitter: Emitter[T]) -> None:
        items = self._items
        if not isinstance(items, list | tuple):
            emitter.emit_all(self._counted())
            return
        # All of them are at hand already; a list may grow meanwhile.
        start = 0
        while start < len(items) and not emitter.stopped.is_set():
            emitted = emitter.emit_batch(items[start : start + _RUN])
            self._stats.read += emitted
            start += emitted

    def _counted(self) -> Iterator[T]:
        for item in self._items:
            self._stats.read += 1
            yield item


def from_iterable(items: Iterable[T], *, name: str = "iterable") -> Source[T]:
    """Emit the items of `items` in order, waiting whenever a sink asks for it.

    Arguments:
        items: any iterable; a list can be subscribed to again, a generator only once.
        name: the source's name in reports.

    Use it instead of `reactivex.from_iterable`, which knows no backpressure.

    >>> seen = []
    >>> _ = from_iterable([1, 2, 3]).subscribe(seen.append)
    >>> seen
    [1, 2, 3]
    """
    return IterableSource(items, name)
