"""Items that come one by one travel on in lists, where lists are taken; none is held back for long."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Generic, TypeVar

from rxalerts.flow.source import Emitter
from rxalerts.flow.threads import ThreadShortage, start

log = logging.getLogger("rxalerts")

T = TypeVar("T")

MOST = 256
"""How many items are emitted in one go."""
HOLD = 0.002
"""Seconds that an item may wait for others."""
GAP = 0.0001
"""Seconds without an item that end a burst: slower than that, lists gain nothing."""
EAGER = 8
"""How many items of a burst go out at once, before lists are made: for so few, waiting gains nothing."""


class Gathering(Generic[T]):
    """Gathers what is added into lists, and emits a list when it is full, or its time is over.

    Arguments:
        emitter: where the lists go.
        clock: monotonic seconds, for tests.

    What comes after a gap goes out at once, and so do the first few of a burst. The caller's thread emits, except
    while its input blocks: a watcher thread, which sleeps unless items come fast, then emits what was left. What an
    emission raises there is raised by the next `add`, or at the end. The end, which is that of the `with` block,
    emits what was added, whatever has happened.
    """

    def __init__(self, emitter: Emitter[T], clock: Callable[[], float] = time.monotonic) -> None:
        self._emitter = emitter
        self._clock = clock
        # Held by whoever emits a list: the order is that of the calls of `add`.
        self._lock = threading.Lock()
        self._items: list[T] = []
        self._most = MOST
        self._limit = 0
        self._due = 0.0
        # When the caller went for its next item, and how many have come since the last gap.
        self._left = -HOLD
        self._burst = 0
        self._wake = threading.Event()
        self._watcher: threading.Thread | None = None
        self._ended = False
        self._error: BaseException | None = None

    def __enter__(self) -> Gathering[T]:
        return self

    def add(self, item: T) -> bool:
        """Take an item, which goes out soon; false when lists have no room now: then it is the caller's to emit."""
        with self._lock:
            if self._error is not None:
                raise self._error
            now, items = self._clock(), self._items
            self._burst = 1 if now - self._left > GAP else self._burst + 1
            self._left = now
            early = self._burst <= EAGER
            if not items:
                if early:
                    self._emitter.emit(item)
                    self._left = self._clock()
                    return True
                if not self._open(now):
                    return False
            items.append(item)
            if early or len(items) >= self._limit or now >= self._due:
                self._flush()
                # The time that the emission took is no gap.
                self._left = self._clock()
        return True

    def _open(self, now: float) -> bool:
        """Begin a list, if one may be emitted later without pressing."""
        self._limit = min(self._emitter.room, self._most)
        if self._limit < 2:
            return False
        self._due = now + HOLD
        if self._watcher is None:
            watcher = threading.Thread(target=self._watch, name="rxalerts-gathering", daemon=True)
            try:
                self._watcher = start(watcher)
            except ThreadShortage as error:
                log.debug("items go one by one: %s", error)
                self._most = 0
                return False
        if not self._wake.is_set():
            self._wake.set()
        return True

    def _flush(self) -> None:
        items, self._items = self._items, []
        self._emitter.emit_batch(items, taken=True)

    def _watch(self) -> None:
        while True:
            self._wake.wait()
            with self._lock:
                if self._ended:
                    return
                now = self._clock()
                pause = self._due - now if self._items else HOLD
                if pause <= 0:
                    try:
                        self._flush()
                    except BaseException as error:
                        self._error = error
                        return
                elif not self._items and now - self._left > HOLD:
                    # Nothing comes any more, or it comes slowly: sleep until a list is begun.
                    self._wake.clear()
            if pause > 0:
                time.sleep(pause)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with self._lock:
                if self._items:
                    self._flush()
        finally:
            with self._lock:
                self._ended = True
                self._wake.set()
            if self._watcher is not None:
                self._watcher.join()
        if self._error is not None and self._error is not error:
            raise self._error
