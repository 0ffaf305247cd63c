"""A small hot observable for what a sink tells about itself: serialised, and safe from faulty observers."""

from __future__ import annotations

import logging
import threading
from typing import Generic, TypeVar

import reactivex
from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase
from reactivex.disposable import Disposable

log = logging.getLogger("rxalerts")

T = TypeVar("T")


class Feed(Generic[T]):
    """Send values to whoever has subscribed; an observer that raises is reported and disturbs nobody."""

    def __init__(self) -> None:
        self.observed = False
        """Whether anybody has subscribed, or values are kept."""
        self._kept = False
        self._observers: list[ObserverBase[T]] = []
        self._lock = threading.RLock()
        self.observable: Observable[T] = reactivex.create(self._subscribe)

    def emit(self, value: T) -> None:
        """Send `value` to everybody, one value at a time."""
        if not self._observers:
            return
        with self._lock:
            for observer in list(self._observers):
                try:
                    observer.on_next(value)
                except Exception:
                    log.exception("an observer of a sink's states or dead letters raised")

    def keep(self) -> None:
        """Note that each value is wanted, even when nobody has subscribed."""
        self.observed = self._kept = True

    def _subscribe(self, observer: ObserverBase[T], _: SchedulerBase | None = None) -> DisposableBase:
        with self._lock:
            self._observers.append(observer)
            self.observed = True

        def leave() -> None:
            with self._lock:
                if observer in self._observers:
                    self._observers.remove(observer)
                    self.observed = self._kept or bool(self._observers)

        return Disposable(leave)
