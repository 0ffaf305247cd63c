"""Streams the other way round: `async for` and `for` over what a stream pushes, with backpressure.

Between the two stands a bounded mailbox. The stream is subscribed to on a thread of its own, so that neither an
event loop nor a notebook's cell waits for it; our sources wait there while the mailbox is full.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, TypeVar

import reactivex
from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase
from reactivex.disposable import SingleAssignmentDisposable

from rxalerts.flow.mailbox import Entry, Mailbox
from rxalerts.flow.overflow import Offer, Overflow
from rxalerts.flow.scope import LOCAL

log = logging.getLogger("rxalerts")

T = TypeVar("T")

_BATCH = 256

# How long a foreign stream that has to wait sleeps between two looks, in seconds.
_POLL = 0.05

# How long the caller is kept until the stream is subscribed to, in seconds: mostly it takes a tenth of a millisecond,
# and who emits into a Subject next can rely on it. What takes longer goes on by itself.
_PATIENCE = 0.1


class Subscription(ObserverBase[T]):
    """A subscription on a daemon thread of its own; `dispose` ends it, before the first item too.

    Arguments:
        stream: what to subscribe to.
        name: the thread's name.
    """

    def __init__(self, stream: Observable[T], name: str) -> None:
        self._stream = stream
        self._disposable = SingleAssignmentDisposable()
        self._begun = threading.Event()
        self.ended = False
        self.error: Exception | None = None
        self.thread = threading.Thread(target=self._subscribe, name=name, daemon=True)

    def start(self) -> None:
        """Subscribe; returns when the stream is subscribed to, or has sent something."""
        self.thread.start()
        self._begun.wait(_PATIENCE)

    def _subscribe(self) -> None:
        # Through an observable of ours: a stream that emits before `subscribe` returns, as recorded logs do, runs on
        # the trampoline of the outer subscription, and the inner one is in our hands before its first item.
        def inner(observer: ObserverBase[T], scheduler: SchedulerBase | None = None) -> DisposableBase:
            self._disposable.disposable = self._stream.subscribe(observer, scheduler=scheduler)
            return self._disposable

        try:
            whole: Observable[T] = reactivex.create(inner)
            whole.subscribe(self)
        except Exception as error:
            log.debug("subscribing failed", exc_info=True)
            self.on_error(error)
        self._begun.set()

    def dispose(self) -> None:
        """Let go of the stream."""
        self._disposable.dispose()

    def on_next(self, value: T) -> None:
        """Take an item."""
        self._begun.set()
        self.take(value)

    def on_error(self, error: Exception) -> None:
        """Note the error, which is the end."""
        if not self.ended:
            self.error = error
            self.on_completed()

    def on_completed(self) -> None:
        """Note the end."""
        if not self.ended:
            self.ended = True
            self._begun.set()
            self.over()

    def take(self, value: T) -> None:
        """Do something with an item."""
        raise TypeError(f"{type(self).__name__} has no take(): override it")

    def over(self) -> None:
        """Be told that nothing more comes."""


class _Pull(Subscription[T]):
    """A subscription into a mailbox."""

    def __init__(self, stream: Observable[T], capacity: int) -> None:
        super().__init__(stream, "rxalerts-pull")
        if capacity < 1:
            raise ValueError(f"capacity={capacity}: must be 1 or more")
        self.mailbox = Mailbox(capacity, Overflow.BLOCK, on_drop=self._dropped)
        self._lost = 0

    def take(self, value: T) -> None:
        scope = LOCAL.scope
        if scope is not None:
            if self.mailbox.offer(value, scope.seq, scope.mark) is Offer.PRESSED:
                scope.pressed.append(self.mailbox)
            return
        # A foreign stream: its thread waits here, unless that is an event loop's, which never waits.
        may_wait = asyncio._get_running_loop() is None
        while (outcome := self.mailbox.offer(value, may_wait=may_wait)) is Offer.FULL:
            gate = threading.Event()
            self.mailbox.when_low(gate.set)
            gate.wait(_POLL)
        if outcome is Offer.PRESSED and self.mailbox.depth > 2 * self.mailbox.capacity:
            self.mailbox.lose_patience()

    def over(self) -> None:
        # Wakes a consumer that waits for mail.
        self.mailbox.post(None)

    def _dropped(self, item: Any, reason: str) -> None:
        if reason != "overflow":
            return
        self._lost += 1
        if str(self._lost).strip("0") == "1":  # the 1st, 10th, 100th …
            log.warning(
                "aiter: full, and fed from an event loop's thread by a stream that cannot wait: %d lost so far. "
                "Use a source of rxalerts, which waits, or a larger capacity",
                self._lost,
            )

    def next_batch(self) -> list[Entry]:
        """Return what there is, at most a batch."""
        self.mailbox.control()
        return self.mailbox.take(_BATCH)

    def finished(self) -> bool:
        """Tell whether everything was taken and nothing more comes; raises the stream's error, if that was its end."""
        if not self.ended or not self.mailbox.drained:
            return False
        if self.error is not None:
            raise self.error
        return True

    def close(self) -> None:
        """Let go of the stream and of what was not taken; its marks stay, so a source that commits sends it again."""
        self.mailbox.close("closed")
        self.dispose()
        self.mailbox.discard("shutdown")


async def aiter(stream: Observable[T], *, capacity: int = 1000) -> AsyncGenerator[T, None]:
    """Iterate over a stream with `async for`, in asyncio programs and in notebooks.

    Arguments:
        stream: a source of rxalerts, or any Observable.
        capacity: how many items may wait between the stream and the loop.

    Raises what the stream ends with, behind its last item.

    The stream is subscribed to when the iteration begins, and disposed of when it ends: at its end, with `break` once
    the generator is collected, or with `aclose()` at once (`contextlib.aclosing`). While the mailbox is full, a source
    of ours waits; so does the thread of a foreign stream; only a foreign stream that emits on an event loop's thread
    cannot: what is beyond twice the capacity is lost, with a warning in the log. An item counts as delivered when the
    next one is asked for, so a source that commits sends again what was not.

    >>> import asyncio
    >>> from rxalerts import sources
    >>> async def main():
    ...     return [number async for number in aiter(sources.from_iterable([1, 2, 3]))]
    >>> asyncio.run(main())
    [1, 2, 3]
    """
    loop = asyncio.get_running_loop()
    news = asyncio.Event()

    def wake() -> None:
        try:
            loop.call_soon_threadsafe(news.set)
        except RuntimeError:
            log.debug("the event loop closed before the stream ended")

    pull = _Pull(stream, capacity)
    try:
        pull.start()
        while True:
            entries = pull.next_batch()
            if entries:
                for entry in entries:
                    yield entry[0]
                    pull.mailbox.confirm((entry,))
                pull.mailbox.settle(entries)
                # Others on this loop get their turn, however fast the stream is.
                await asyncio.sleep(0)
            elif pull.finished():
                return
            elif pull.mailbox.arm(wake):
                await news.wait()
                news.clear()
    finally:
        pull.close()


def pulled(stream: Observable[T], *, capacity: int = 1000) -> Generator[T, None, None]:
    """Iterate over a stream with `for`: the same as `aiter`, for a thread that may wait.

    >>> from rxalerts import sources
    >>> list(pulled(sources.from_iterable([1, 2, 3])))
    [1, 2, 3]
    """
    news = threading.Event()
    wake: Callable[[], None] = news.set
    pull = _Pull(stream, capacity)
    try:
        pull.start()
        while True:
            entries = pull.next_batch()
            if entries:
                for entry in entries:
                    yield entry[0]
                    pull.mailbox.confirm((entry,))
                pull.mailbox.settle(entries)
            elif pull.finished():
                return
            elif pull.mailbox.arm(wake):
                news.wait()
                news.clear()
    finally:
        pull.close()
