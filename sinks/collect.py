"""Keep what arrives in a list: for notebooks and tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from rxalerts.errors import OptionError
from rxalerts.flow.channel import Batch, Channel
from rxalerts.flow.options import option
from rxalerts.flow.sink import ThreadSink

T = TypeVar("T")


@dataclass(eq=False, repr=False)
class CollectSink(ThreadSink[T]):
    """Keep everything that arrives, of whatever type, in `items`.

    Arguments:
        limit: keep only the latest so many; None: all.

    Delivery: in memory; `close()` or `flush()` before looking at `items`.

    >>> import rxalerts
    >>> with CollectSink[int]() as kept:
    ...     kept.on_next(1); kept.on_next(2)
    >>> kept.items
    [1, 2]
    """

    channel_name: ClassVar[str] = "collect"

    limit: int | None = option(None, "keep only the latest so many; none: all")

    def __post_init__(self) -> None:
        self.items: list[T] = []
        super().__post_init__()

    def validate(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise OptionError("limit", f"must be 1 or more, or none for all, got {self.limit}")

    def make_channel(self) -> Channel:
        return _CollectChannel(self)


class _CollectChannel(Channel):
    def __init__(self, sink: CollectSink[Any]) -> None:
        self._sink = sink

    def write(self, batch: Batch[Any]) -> None:
        items = self._sink.items
        items.extend(batch.items)
        if self._sink.limit is not None:
            del items[: -self._sink.limit]
