"""What happens when a mailbox is full: the policies, the answers to an offer, and the count of what was dropped."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class Overflow(enum.StrEnum):
    """What a full mailbox does with the next alert.

    BLOCK makes the source wait; nothing is lost. DROP_NEWEST refuses the new one, DROP_OLDEST makes room by
    dropping the oldest, DROP_LOWEST by dropping the oldest of the least urgent priority (the new one itself
    if everything waiting is more urgent), LATEST keeps only the newest, FAIL ends the sink.
    """

    BLOCK = "block"
    DROP_NEWEST = "drop_newest"
    DROP_OLDEST = "drop_oldest"
    DROP_LOWEST = "drop_lowest"
    LATEST = "latest"
    FAIL = "fail"


class Offer(enum.Enum):
    """What became of an offered item.

    ACCEPTED and PRESSED mean that it is in the mailbox, PRESSED that its source should wait. REPLACED: it is
    in, and another one was dropped for it. DROPPED, CLOSED, OVERFLOW: it was dropped and counted. FULL: nothing
    was done, the producer may wait and offer again.
    """

    ACCEPTED = "accepted"
    PRESSED = "pressed"
    REPLACED = "replaced"
    DROPPED = "dropped"
    CLOSED = "closed"
    OVERFLOW = "overflow"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Loss:
    """One spell of overflow: how many were lost between two moments (epoch seconds)."""

    count: int
    first: float
    last: float


class Audience(Protocol):
    """Whoever may want to hear of dropped items."""

    @property
    def observed(self) -> bool:
        """Whether anybody does; asked at each drop."""
        ...


@dataclass(frozen=True, slots=True)
class _Always:
    observed: bool = True


EVERYBODY: Audience = _Always()
"""An audience that always listens."""


class Losses:
    """Counts what was dropped, by reason, and keeps the spell of losses that is going on.

    Not locked: for its mailbox, which is.

    >>> losses = Losses(clock=lambda: 5.0)
    >>> losses.overflow(2); losses.add("closed")
    >>> losses.counts, losses.spell, losses.end().count, losses.spell
    ({'overflow': 2, 'closed': 1}, 3, 3, 0)
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._others: dict[str, int] = {}
        self._told = 0
        # Kept on the monotonic clock, told as the time of day.
        self._first = self._shift = 0.0
        self.going = False
        """Whether a spell is going on."""
        self.overflowed = 0
        """How many a policy dropped."""
        self.last = 0.0
        """When the latest was lost."""

    def begin(self, now: float) -> None:
        """Begin a spell."""
        self.going = True
        self._first = now
        self._shift = time.time() - now

    def overflow(self, count: int = 1) -> None:
        """Count what a policy dropped."""
        self.overflowed += count
        self._lose()

    def _lose(self) -> None:
        self.last = self._clock()
        if not self.going:
            self.begin(self.last)

    def add(self, reason: str, count: int = 1) -> None:
        """Count what was dropped for any reason; what a reader left `unread` is no loss, and begins no spell."""
        if not count:
            return
        if reason == "overflow":
            self.overflow(count)
            return
        self._others[reason] = self._others.get(reason, 0) + count
        if reason != "unread":
            self._lose()

    @property
    def _lost(self) -> int:
        return self.overflowed + sum(self._others.values()) - self._others.get("unread", 0)

    @property
    def spell(self) -> int:
        """How many were lost in the spell that is going on; 0: none is."""
        return self._lost - self._told

    def end(self) -> Loss:
        """End the spell and return it."""
        loss = Loss(self.spell, self._first + self._shift, self.last + self._shift)
        self._told = self._lost
        self.going = False
        return loss

    @property
    def since(self) -> float | None:
        """When the spell began (epoch seconds)."""
        # Asked for at every drop: no more than two numbers are added.
        return self._first + self._shift if self.going else None

    @property
    def counts(self) -> dict[str, int]:
        """How many were dropped, by reason."""
        return ({"overflow": self.overflowed} if self.overflowed else {}) | self._others
