"""The hub: hands each alert of a source to every route, and keeps one route's failure from the others."""

from __future__ import annotations

import inspect
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from itertools import count
from types import FrameType
from typing import Any

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase
from reactivex.disposable import Disposable

from rxalerts.flow.batching import UNBOUNDED, BatchObserver
from rxalerts.flow.chain import Batch

log = logging.getLogger("rxalerts")

# How long an emission of a foreign stream that was disposed of may take to come to its end, in seconds.
_REST = 1.0


class Branch(Observable[Any]):
    """The head of one route: hands on what the hub gives it, and keeps its own failure to itself."""

    def __init__(self) -> None:
        super().__init__()
        self.observer: ObserverBase[Any] | None = None
        self.on_next: Callable[[Any], None] = _nobody
        self.batch: Batch | None = None
        self.many: BatchObserver[Any] | None = None
        self._missed = count()
        self._failed = False

    @property
    def missed(self) -> int:
        """How many alerts came to this route when it had failed, that at which it failed included."""
        return next(copy(self._missed))

    def _subscribe_core(self, observer: ObserverBase[Any], scheduler: SchedulerBase | None = None) -> DisposableBase:
        self.connect(observer, observer.on_next)
        return Disposable(self.leave)

    def connect(
        self,
        observer: ObserverBase[Any],
        on_next: Callable[[Any], None],
        batch: Batch | None = None,
    ) -> None:
        """Send each item to `on_next`, and lists, if `batch` is given and `observer` takes them, through it to that."""
        self.observer = observer
        self.on_next = on_next
        self.batch = batch
        self.many = observer if batch is not None and isinstance(observer, BatchObserver) else None
        self._failed = False

    def leave(self) -> None:
        self.observer = self.batch = self.many = None
        self.on_next = self._miss if self._failed else _nobody

    def fail(self) -> None:
        """Count from now on what comes, and what is under way."""
        if not self._failed:
            self._failed = True
            self.on_next = self._miss
            if emitting():
                self._miss(None)

    def _miss(self, _: Any) -> None:
        next(self._missed)


def _nobody(_: Any) -> None:
    """Take what goes into a route that has ended."""


def emitting() -> bool:
    """Tell whether the caller runs in the middle of an emission of a hub."""
    # Looked up on the stack, so that emissions need not note who they are.
    frame: FrameType | None = inspect.currentframe()
    while frame is not None and frame.f_code not in _EMISSIONS:
        frame = frame.f_back
    return frame is not None


class Generation:
    """The branches of one time, and whether any alert is on its way through them.

    Two counters, because the step of a counter is atomic and costs next to nothing.
    """

    __slots__ = ("_entered", "_left", "branches", "enter", "leave")

    def __init__(self, branches: Iterable[Branch] = ()) -> None:
        self.branches = tuple(branches)
        self._entered, self._left = count(), count()
        self.enter, self.leave = self._entered.__next__, self._left.__next__

    @property
    def running(self) -> bool:
        # In this order: what leaves in between makes it look busy for a moment longer, never at rest too soon.
        left = next(copy(self._left))
        return next(copy(self._entered)) != left


class Hub(BatchObserver[Any]):
    """Hands each alert to every branch; a branch that raises is cut off and reported, the others go on.

    The branches can be changed while alerts flow, from any number of threads: `swap` returns when no emission
    into the old ones runs.
    """

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._generation = Generation()
        self.finished = threading.Event()
        self.when_finished: Callable[[], None] | None = None

    def swap(self, branches: Sequence[Branch], timeout: float | None = None) -> tuple[Branch, ...]:
        """Send everything to `branches` from now on; returns the old ones, which are at rest.

        Arguments:
            timeout: seconds to wait for emissions that are under way; None: as long as it takes.

        Raises RuntimeError when called by an operator or an observer in the middle of an emission.
        """
        self.refuse_own_emission()
        old, self._generation = self._generation, Generation(branches)
        deadline = None if timeout is None else time.monotonic() + timeout
        while old.running and (deadline is None or time.monotonic() < deadline):
            time.sleep(0.001)
        return old.branches

    def refuse_own_emission(self) -> None:
        """Raise RuntimeError when the caller runs in the middle of an emission."""
        if emitting():
            raise RuntimeError("the routes cannot be swapped from within an emission: do it on another thread")

    def on_next(self, value: Any) -> None:
        generation = self._enter()
        try:
            for branch in generation.branches:
                self._give(branch, branch.on_next, value)
        finally:
            generation.leave()

    def _enter(self) -> Generation:
        generation = self._generation
        generation.enter()
        while generation is not self._generation:
            # Swapped in between: the old ones may be at rest already.
            generation.leave()
            generation = self._generation
            generation.enter()
        return generation

    def _give(self, branch: Branch, take: Callable[[Any], None], value: Any) -> None:
        try:
            take(value)
        except Exception as error:
            self._cut(branch, error)
        except KeyboardInterrupt:
            # Ctrl-C in the thread of whoever feeds a stream of their own is theirs.
            raise
        except BaseException as error:
            # `sys.exit()` in an operator must not end the source's thread, and with it every route.
            self._cut(branch, RuntimeError(f"{type(error).__name__}: {error}"))

    @property
    def room(self) -> int:
        room = UNBOUNDED
        for branch in self._generation.branches:
            if branch.many is not None:
                room = min(room, branch.many.room)
            elif branch.observer is not None:
                # All or none: the routes see the alerts in one order.
                return 0
        return room

    def on_batch(self, items: Sequence[Any]) -> None:
        generation = self._enter()
        try:
            for branch in generation.branches:
                self._hand(branch, items)
        finally:
            generation.leave()

    def _hand(self, branch: Branch, items: Sequence[Any]) -> None:
        """Give one route its items, all at once if that works."""
        batch, many = branch.batch, branch.many
        if batch is not None and many is not None:
            try:
                results = batch(items)
            except Exception:
                # One by one it will be told, once, by the one that it is about.
                log.debug("a list of alerts goes through one by one", exc_info=True)
            else:
                if results:
                    self._give(branch, many.on_batch, results)
                return
        for item in items:
            self._give(branch, branch.on_next, item)

    def _cut(self, branch: Branch, error: Exception) -> None:
        log.exception("a route failed; the other routes go on")
        observer = branch.observer
        branch.leave()
        if observer is not None:
            observer.on_error(error)

    def on_error(self, error: Exception) -> None:
        self._report(f"source: {type(error).__name__}: {error}")
        self.on_completed()

    def on_completed(self) -> None:
        if self.finished.is_set():
            return
        self.finished.set()
        if self.when_finished is not None:
            self.when_finished()

    def complete(self) -> None:
        """Tell every branch that there is nothing more, so that operators let go of what they hold."""
        complete_branches(self.swap((), _REST))


_EMISSIONS = (Hub.on_next.__code__, Hub.on_batch.__code__)


def complete_branches(branches: Iterable[Branch]) -> None:
    """End routes that get nothing any more."""
    for branch in branches:
        if branch.observer is not None:
            branch.observer.on_completed()
