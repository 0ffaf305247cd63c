"""The watermark: up to which emission is everybody done?"""

from __future__ import annotations

import threading
from collections.abc import Callable


class Watermark:
    """Count who still works on which emission of one source, and tell up to where all are done.

    The source numbers its emissions 1, 2, 3 … and calls `emitted(seq)` when `on_next` has returned. Sinks and
    holding operators `hold` and `release` the numbers through the scope. `committed` is then the number below
    the oldest one that is still held. Retries hold it back; dropped and rejected alerts count as finished.

    Arguments:
        until_delivered: true: an alert is finished when it is delivered; false: when it is accepted (on disk
            in every durable mailbox; at once in a memory one).
        on_progress: called, from any thread, for each release, and when nothing is held: the watermark may have moved.

    >>> mark = Watermark()
    >>> mark.hold(1), mark.hold(2), mark.emitted(2)
    (None, None, None)
    >>> mark.release(2); mark.committed
    0
    >>> mark.release(1); mark.committed
    2
    """

    def __init__(self, *, until_delivered: bool = True, on_progress: Callable[[], None] | None = None) -> None:
        self.until_delivered = until_delivered
        self._on_progress = on_progress
        self._lock = threading.Lock()
        self._held: dict[int, int] = {}
        self._emitted = 0

    def hold(self, seq: int) -> None:
        """Note that one more party works on emission `seq`."""
        with self._lock:
            self._held[seq] = self._held.get(seq, 0) + 1

    def release(self, seq: int) -> None:
        """Note that one party is done with emission `seq`."""
        with self._lock:
            left = self._held[seq] - 1
            if left:
                self._held[seq] = left
            else:
                del self._held[seq]
        if self._on_progress is not None:
            self._on_progress()

    def emitted(self, seq: int) -> None:
        """Note that `on_next` has returned for every emission up to `seq`."""
        self._emitted = seq
        # What was filtered out, or delivered before `on_next` returned, is released by nobody afterwards.
        if self._on_progress is not None and not self._held:
            self._on_progress()

    @property
    def committed(self) -> int:
        """The highest number up to which every emission is finished; 0 before the first."""
        # Read before the look at what is held: an emission that starts meanwhile must not count.
        emitted = self._emitted
        with self._lock:
            oldest = min(self._held, default=emitted + 1)
        return min(emitted, oldest - 1)
