"""For operators that keep items beyond the call that brought them: what they hold takes part in the watermark."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Generic, TypeVar

from reactivex.scheduler import EventLoopScheduler

from rxalerts.flow.scope import Bundle, Mark, Pressed, Scope, current

T = TypeVar("T")


class Held(Generic[T]):
    """Items that an operator keeps, with a hold on the mark of each one's emission.

    >>> held = Held()
    >>> held.add("a"); held.add("b")
    >>> with held.released() as items:
    ...     print(items)
    ['a', 'b']
    >>> len(held)
    0
    """

    def __init__(self) -> None:
        self._items: list[T] = []
        self._marks: list[tuple[Mark, int]] = []
        self._pressed: list[Pressed] = []
        self._once: set[int] = set()

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: T) -> None:
        """Keep an item of the emission that is running."""
        self._items.append(item)
        self.hold_only()

    def hold_only(self) -> None:
        """Keep the running emission unfinished, without an item: its item lives on in some other form."""
        scope = current()
        if scope is None:
            return
        if scope.mark is not None:
            scope.mark.hold(scope.seq)
            self._marks.append((scope.mark, scope.seq))
        self.hand_on(scope)

    def hand_on(self, scope: Scope) -> None:
        """Let the running emission wait for what earlier releases by a timer could not wait for."""
        if self._pressed:
            # What a timer let go found no room: the source that feeds us has to wait for it.
            pressed, self._pressed = self._pressed, []
            scope.pressed += [mailbox for mailbox in pressed if mailbox.pressing]

    def wait(self) -> None:
        """Wait, under pressure, on behalf of a stream that no source of ours feeds; call it without any lock.

        On an event loop's thread it does not wait: the mailbox applies its `then` policy instead.
        """
        if not self._pressed or current() is not None:
            return
        pressed, self._pressed = self._pressed, []
        if asyncio._get_running_loop() is not None:
            for mailbox in pressed:
                mailbox.lose_patience()
            return
        scope = Scope()
        scope.pressed = pressed
        scope.wait()

    def hold_once(self) -> None:
        """Keep the running emission unfinished if its source waits for delivery: its item is only counted.

        One hold per mark is enough, since the earliest emission holds back all later ones; so this stays small
        however much is counted. A source that waits for acceptance only does not wait for memory.
        """
        scope = current()
        if scope is not None and scope.mark is not None and scope.mark.until_delivered:
            if id(scope.mark) not in self._once:
                self._once.add(id(scope.mark))
                self.hold_only()

    @contextmanager
    def released(self) -> Generator[list[T]]:
        """Let everything go: inside the block, emissions carry the marks of all that was held.

        Pressure that arises inside is handed on to the emission that is running or, when a timer's thread lets
        go, which must not wait, to the next one; a mailbox has room for as much beyond its capacity.
        """
        items, self._items = self._items, []
        marks, self._marks = self._marks, []
        self._once.clear()
        bundle = Bundle(marks) if marks else None
        outer = current()
        scope = Scope(bundle)
        try:
            with scope:
                yield items
        finally:
            if bundle is not None:
                bundle.release()
            if outer is not None:
                outer.pressed += scope.pressed
            else:
                self._pressed += scope.pressed

    def abandon(self) -> None:
        """Forget what is held, when the subscription ends; its emissions stay unfinished and come again."""
        self._items.clear()
        self._marks.clear()
        self._once.clear()


_lock = threading.Lock()
_scheduler: EventLoopScheduler | None = None


def timer_scheduler() -> EventLoopScheduler:
    """Return the scheduler that all timers share: one thread, made when first needed.

    Without it every timer of reactivex starts a thread of its own (some 600 µs).
    """
    global _scheduler
    with _lock:
        if _scheduler is None:
            _scheduler = EventLoopScheduler()
        return _scheduler


def _forget() -> None:
    global _scheduler, _lock
    _scheduler = None
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_forget)
