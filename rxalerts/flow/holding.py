"""For operators that keep items beyond the call that brought them: what they hold takes part in the watermark."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import Generic, TypeVar

from reactivex.scheduler import EventLoopScheduler

from rxalerts.flow.scope import Bundle, Mark, Scope, current

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

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: T) -> None:
        """Keep an item of the emission that is running."""
        self._items.append(item)
        self.hold_only()

    def hold_only(self) -> None:
        """Keep the running emission unfinished, without an item: its item lives on in some other form."""
        scope = current()
        if scope is not None and scope.mark is not None:
            scope.mark.hold(scope.seq)
            self._marks.append((scope.mark, scope.seq))

    @contextmanager
    def released(self) -> Generator[list[T]]:
        """Let everything go: inside the block, emissions carry the marks of all that was held.

        Pressure that arises inside is handed on to the emission that is running, if there is one; a timer's
        thread never waits (a mailbox has room for it beyond its capacity).
        """
        items, self._items = self._items, []
        marks, self._marks = self._marks, []
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

    def abandon(self) -> None:
        """Forget what is held, when the subscription ends; its emissions stay unfinished and come again."""
        self._items.clear()
        self._marks.clear()


_scheduler: EventLoopScheduler | None = None


def timer_scheduler() -> EventLoopScheduler:
    """Return the scheduler that all timers share: one thread, made when first needed.

    Without it every timer of reactivex starts a thread of its own (some 600 µs).
    """
    global _scheduler
    if _scheduler is None:
        _scheduler = EventLoopScheduler()
    return _scheduler


def _forget() -> None:
    global _scheduler
    _scheduler = None


os.register_at_fork(after_in_child=_forget)
