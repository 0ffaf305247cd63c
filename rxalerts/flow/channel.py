"""The I/O side of a sink: what the author of a channel writes.

    SinkFault
    ├── Retryable   the destination failed: the same alerts are tried again after a pause
    ├── Gone        the reader has gone and wants nothing more: the sink closes, the rest is counted as unread
    ├── Rejected    the destination refuses this alert: it goes to the dead letters, the rest goes on
    └── Fatal       it makes no sense to go on: the sink is FAILED and everything goes to the dead letters

An `OSError` that a hook raises counts as `Retryable`, as does a shortage of memory or threads; any other exception as
`Rejected` when it comes out of `write` (a fault in the code that renders one alert must not stop the others).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Generic, TypeVar, overload

from rxalerts.errors import RxAlertsError

T = TypeVar("T")


class SinkFault(RxAlertsError):
    """Base of what a channel raises to tell its supervisor what to do."""


class Retryable(SinkFault):
    """Raise when the destination failed and may work again.

    Arguments:
        reason: what failed, and where.
        after: seconds that the destination asked to wait (`Retry-After`), 0 if it did not say.
    """

    def __init__(self, reason: str, *, after: float = 0.0) -> None:
        super().__init__(reason)
        self.after = after


class Rejected(SinkFault):
    """Raise when the destination refuses what was written; a batch is then halved until the culprit is found."""


class Gone(SinkFault):
    """Raise when the reader at the other end has left for good, as `head` does: no failure, but the end."""


class Fatal(SinkFault):
    """Raise when no later attempt can succeed (a wrong option, a refused login)."""


class Batch(Sequence[T], Generic[T]):
    """The items of one `write`, oldest first, with a note of which of them are done.

    A write that returns has delivered everything that it did not `reject`. A write that raises, or that returns
    after `keep`, has delivered what it marked with `done` or `confirm`; the rest stays at the head of the mailbox.
    """

    __slots__ = ("_done", "_items", "_marks", "kept", "pause")

    def __init__(self, items: list[T]) -> None:
        self._items = items
        self._done = 0
        self._marks: dict[int, str | None] = {}
        self.kept = False
        self.pause: float | None = None

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    @property
    def items(self) -> list[T]:
        """The items as the list that they are kept in: do not change it."""
        return self._items

    def done(self, count: int) -> None:
        """Mark the first `count` items as delivered."""
        self._done = max(self._done, self._checked(count, len(self._items)))

    def confirm(self, index: int) -> None:
        """Mark one item as delivered, out of order."""
        self._marks[self._checked(index, len(self._items) - 1)] = None

    def keep(self, pause: float | None = None) -> None:
        """Say that this write returns early: what is not marked comes again, first, and with newer items behind it.

        So a channel keeps several requests under way, or waits for a batch to fill. It counts neither as a
        failure nor as delivered.

        Arguments:
            pause: seconds to wait for newer items before the next write; None: call again at once.
        """
        self.kept = True
        self.pause = pause

    def reject(self, index: int, reason: str) -> None:
        """Mark one item as refused by the destination, with the reason."""
        self._marks[self._checked(index, len(self._items) - 1)] = reason

    def _checked(self, number: int, highest: int) -> int:
        if not 0 <= number <= highest:
            raise IndexError(f"a batch of {len(self._items)} items has no {number}")
        return number

    def verdicts(self, *, complete: bool) -> list[str | bool | None]:
        """Return for each item None (delivered), a reason (rejected) or False (still to do)."""
        verdicts: list[str | bool | None] = [None if complete else False] * len(self._items)
        verdicts[: self._done] = [None] * min(self._done, len(verdicts))
        for index, mark in self._marks.items():
            verdicts[index] = mark
        return verdicts

    @property
    def rejections(self) -> bool:
        """Whether any item was rejected (cheap test for the common case)."""
        return any(mark is not None for mark in self._marks.values())


class Channel:
    """Blocking I/O of one destination. Every hook runs on the sink's own thread, never two at a time.

    `write` is the only one that must be written. A channel with a buffer of its own keeps in `pending` how many
    of the items that `write` took last are only there: they count as delivered, and are committed, when it
    sinks. Such a buffer outlives `close` and `open`. `early` true says that the channel is opened when the sink
    starts and not at its first alert.
    """

    pending: int = 0
    early: ClassVar[bool] = False

    def open(self) -> None:
        """Get ready to write; called again after a failure."""

    def write(self, batch: Batch[Any]) -> None:
        """Deliver the items of `batch`, in order."""
        raise TypeError(f"{type(self).__name__} has no write(): override it")

    def flush(self) -> None:
        """Push out what `write` buffered."""

    def reopen(self) -> None:
        """Close and open again (SIGUSR1): by default flush, close, open."""
        self.flush()
        self.close()
        self.open()

    def close(self) -> None:
        """Give everything back; must do no harm when there is nothing to give back (after a failed reopen)."""


class AsyncChannel:
    """The same for non-blocking I/O: every hook is a coroutine on the shared private event loop."""

    pending: int = 0
    early: ClassVar[bool] = False

    async def open(self) -> None:
        """Get ready to write; called again after a failure."""

    async def write(self, batch: Batch[Any]) -> None:
        """Deliver the items of `batch`."""
        raise TypeError(f"{type(self).__name__} has no write(): override it")

    async def flush(self) -> None:
        """Push out what `write` buffered."""

    async def reopen(self) -> None:
        """Close and open again: by default flush, close, open."""
        await self.flush()
        await self.close()
        await self.open()

    async def close(self) -> None:
        """Give everything back; must do no harm when there is nothing to give back (after a failed reopen)."""
