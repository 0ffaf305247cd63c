"""Collect alerts into lists."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

import reactivex
from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase
from reactivex.disposable import CompositeDisposable, Disposable, SerialDisposable

from rxalerts.flow.holding import Held, timer_scheduler
from rxalerts.operators._arguments import positive
from rxalerts.operators._clock import nanoseconds

log = logging.getLogger("rxalerts")

T = TypeVar("T")


def buffer(
    count: int | None = None, seconds: float | None = None, *, scheduler: SchedulerBase | None = None
) -> Callable[[Observable[T]], Observable[list[T]]]:
    """Collect items into lists of `count`, or of what has come within `seconds`, whichever is first.

    Arguments:
        count: how many items make a list; None: no limit.
        seconds: how long after its first item a list is let go, in seconds; None: never because of time.
        scheduler: whose clock counts the seconds; by default a thread shared by all timers.

    What is held is let go on completion and, before the error, on error; a source's watermark stays before it
    until then. Raises ValueError when neither limit is given. No list is empty.

        --a--b--c--d--|
        buffer(count=3)
        --------[a,b,c]--[d]|

    >>> reactivex.of(1, 2, 3).pipe(buffer(count=2)).subscribe(print) and None
    [1, 2]
    [3]
    """
    if count is None and seconds is None:
        raise ValueError("buffer() needs a limit: count=, seconds= or both")
    if count is not None:
        positive("buffer(count)", count)
    if seconds is not None:
        nanoseconds("buffer(seconds)", seconds)

    def collect(source: Observable[T]) -> Observable[list[T]]:
        def subscribe(observer: ObserverBase[list[T]], _: SchedulerBase | None = None) -> DisposableBase:
            return _Buffer(observer, count, seconds, scheduler).attach(source)

        return reactivex.create(subscribe)

    return collect


class _Buffer(ObserverBase[T]):
    """One subscription: the list being filled, and the timer that empties it."""

    def __init__(
        self,
        observer: ObserverBase[list[T]],
        count: int | None,
        seconds: float | None,
        scheduler: SchedulerBase | None,
    ) -> None:
        self._observer = observer
        self._count = count
        self._seconds = seconds
        self._scheduler = scheduler
        self._lock = threading.RLock()
        self._held: Held[T] = Held()
        self._timer = SerialDisposable()
        self._lists = 0

    def attach(self, source: Observable[T]) -> DisposableBase:
        subscription = source.subscribe(self.on_next, self.on_error, self.on_completed)
        return CompositeDisposable(subscription, self._timer, Disposable(self._abandon))

    def on_next(self, value: T) -> None:
        with self._lock:
            self._held.add(value)
            if len(self._held) == self._count:
                self._let_go()
            elif len(self._held) == 1 and self._seconds is not None:
                scheduler = self._scheduler or timer_scheduler()
                self._timer.disposable = scheduler.schedule_relative(self._seconds, self._time_is_up, self._lists)
        self._held.wait()

    def on_error(self, error: Exception) -> None:
        with self._lock:
            self._let_go()
            self._observer.on_error(error)

    def on_completed(self) -> None:
        with self._lock:
            self._let_go()
            self._observer.on_completed()

    def _time_is_up(self, _: object, number: int | None = None) -> None:
        with self._lock:
            if number != self._lists:
                return  # that list was let go while this timer waited for the lock
            try:
                self._let_go()
            except Exception as error:
                # Whoever subscribed has raised. There is no caller to tell, and the timer's thread serves others.
                log.exception("buffer(): an observer raised")
                self._observer.on_error(error)

    def _let_go(self) -> None:
        self._timer.disposable = Disposable()
        self._lists += 1
        if len(self._held):
            with self._held.released() as items:
                self._observer.on_next(items)

    def _abandon(self) -> None:
        with self._lock:
            self._held.abandon()
