"""Sinks without a destination, so that only the road is measured: one that counts, one that is stuck."""

import threading
import time
from dataclasses import dataclass
from typing import Any, ClassVar

from rxalerts.flow.channel import Batch, Channel
from rxalerts.flow.sink import ThreadSink
from rxalerts.format import Formatted


@dataclass(eq=False, repr=False, kw_only=True)
class CountingSink(ThreadSink[Any]):
    """Counts what it is given; a plain alert is rendered first, as every real sink does."""

    channel_name: ClassVar[str] = "counting"

    def __post_init__(self) -> None:
        self.count = 0
        self.last = 0.0
        super().__post_init__()

    def make_channel(self) -> Channel:
        """Return the channel that counts."""
        return _Counting(self)


class _Counting(Channel):
    def __init__(self, sink: CountingSink) -> None:
        self._sink = sink

    def write(self, batch: Batch[Any]) -> None:
        """Render what is not rendered yet and count."""
        for item in batch:
            if type(item) is not Formatted:
                self._sink.render(item)
        self._sink.count += len(batch)
        self._sink.last = time.perf_counter()


@dataclass(eq=False, repr=False, kw_only=True)
class StuckSink(ThreadSink[Any]):
    """Never returns from its first write until `released` is set."""

    channel_name: ClassVar[str] = "stuck"

    def __post_init__(self) -> None:
        self.released = threading.Event()
        super().__post_init__()

    def make_channel(self) -> Channel:
        """Return the channel that blocks."""
        return _Stuck(self.released)


class _Stuck(Channel):
    def __init__(self, released: threading.Event) -> None:
        self._released = released

    def write(self, batch: Batch[Any]) -> None:
        """Wait, as for a destination that takes nothing."""
        self._released.wait()
