"""The emission scope: what a source tells the sinks, and what they tell it, while one `on_next` runs.

Rx discards what `on_next` returns, so neither "please wait" nor "which alert was that" can travel with the
item. Both travel with the call stack instead: a source installs a `Scope` in a thread-local around each
emission; whatever unmodified operators stand between, a sink reached by that call finds it, holds the
emission's mark and, when its mailbox is full, registers itself as pressed. The source waits after `on_next`
has returned, when no operator lock is held.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Protocol


class Mark(Protocol):
    """What a source hands along to learn when an emission is finished everywhere.

    `until_delivered` false means: finished when accepted, which a memory mailbox does at once and a durable
    one when the alert is on disk. True means: finished when delivered, rejected or dropped.
    """

    until_delivered: bool

    def hold(self, seq: int) -> None:
        """Note that one more party works on emission `seq`."""
        ...

    def release(self, seq: int) -> None:
        """Note that one party is done with emission `seq`."""
        ...


class Pressed(Protocol):
    """A mailbox that is over its capacity and can say when it is below its low watermark again."""

    @property
    def pressing(self) -> bool:
        """Whether the mailbox still wants its sources to wait (false once its patience is over)."""
        ...

    def when_low(self, callback: Callable[[], None]) -> None:
        """Call `callback` once, from any thread, when the pressure is gone (at once if it is gone already)."""
        ...

    def lose_patience(self) -> None:
        """Let the policy for what cannot wait apply, until the pressure is gone."""
        ...


class Scope:
    """One source's scope: the number of the running emission, its mark, and who feels pressed by it."""

    __slots__ = ("mark", "pressed", "previous", "seq")

    def __init__(self, mark: Mark | None = None, seq: int = 0) -> None:
        self.mark = mark
        self.seq = seq
        self.pressed: list[Pressed] = []
        self.previous: Scope | None = None

    def __enter__(self) -> Scope:
        self.previous = LOCAL.scope
        LOCAL.scope = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        LOCAL.scope = self.previous
        self.previous = None

    def wait(self, stopped: threading.Event | None = None, meanwhile: Callable[[], None] | None = None) -> None:
        """Block until no mailbox asks this source to wait any more, or `stopped` is set.

        `meanwhile` is called from time to time.
        """
        pressed, self.pressed = self.pressed, []
        if stopped is not None and stopped.is_set():
            return
        gate = threading.Event()
        _when_all_low(pressed, gate.set)
        while not gate.wait(_POLL):
            if stopped is not None and stopped.is_set():
                return
            if meanwhile is not None:
                meanwhile()
            if not any(mailbox.pressing for mailbox in pressed):
                return

    async def wait_async(self, timeout: float | None = None) -> bool:
        """Await the same without blocking the loop; false when `timeout` seconds were not enough."""
        pressed, self.pressed = self.pressed, []
        loop = asyncio.get_running_loop()
        gate = asyncio.Event()

        def open_gate() -> None:
            try:
                loop.call_soon_threadsafe(gate.set)
            except RuntimeError:  # the loop is closed: nobody waits any more
                return

        _when_all_low(pressed, open_gate)
        deadline = None if timeout is None else loop.time() + timeout
        while True:
            pause = _POLL if deadline is None else min(_POLL, max(0.0, deadline - loop.time()))
            try:
                await asyncio.wait_for(gate.wait(), pause)
                return True
            except TimeoutError:
                if not any(mailbox.pressing for mailbox in pressed):
                    return True
                if deadline is not None and loop.time() >= deadline:
                    return False


# How often a waiting source looks whether it was stopped or a mailbox lost patience, in seconds.
_POLL = 0.05


class _Local(threading.local):
    scope: Scope | None = None


# The running emission's scope, per thread.
LOCAL = _Local()


def current() -> Scope | None:
    """Return the scope of the emission that runs on this thread, if a source of ours made it."""
    return LOCAL.scope


def _when_all_low(pressed: Sequence[Pressed], done: Callable[[], None]) -> None:
    """Call `done`, from any thread, once every one of `pressed` has been below its low watermark."""
    if not pressed:
        done()
        return
    left = len(pressed)
    lock = threading.Lock()

    def one_less() -> None:
        nonlocal left
        with lock:
            left -= 1
            last = left == 0
        if last:
            done()

    for mailbox in pressed:
        mailbox.when_low(one_less)


class Bundle:
    """The marks of several emissions that travel on as one, as a batch does.

    An operator that holds alerts past their `on_next` keeps a hold on each one's mark. When it lets them go
    together it emits inside `Scope(Bundle(held))`: the emissions are finished when everybody downstream is
    done with the batch.
    """

    __slots__ = ("_count", "_held", "_lock", "until_delivered")

    def __init__(self, held: Iterable[tuple[Mark, int]]) -> None:
        self._held = list(held)
        self._count = 1
        self._lock = threading.Lock()
        self.until_delivered = any(mark.until_delivered for mark, _ in self._held)

    def hold(self, seq: int) -> None:
        """Note one more party that works on the batch."""
        with self._lock:
            self._count += 1

    def release(self, seq: int = 0) -> None:
        """Note that one party is done; the last one releases every emission in the bundle."""
        with self._lock:
            self._count -= 1
            finished = self._count == 0
        if finished:
            for mark, held_seq in self._held:
                mark.release(held_seq)
            self._held.clear()
