"""What a sink tells about itself, as plain data."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any


class State(enum.StrEnum):
    """Where a sink is in its life.

    CREATED → STARTING (open) → RUNNING ⇄ BACKOFF (pause, then open again) → DRAINING → CLOSED; FAILED: it gave up.
    """

    CREATED = "created"
    STARTING = "starting"
    RUNNING = "running"
    BACKOFF = "backoff"
    DRAINING = "draining"
    CLOSED = "closed"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether nothing will be delivered any more."""
        return self in (State.CLOSED, State.FAILED)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An item that a sink did not deliver.

    `reason` is what it is counted under (`overflow`, `rejected`, `closed`, `failed`, `shutdown`), `detail` says
    more, `attempts` how often it was tried, `at` when it was given up, `first` when it was tried first (epoch
    seconds; 0: at the same time).
    """

    item: Any
    reason: str
    detail: str
    attempts: int
    at: float
    first: float = 0.0


@dataclass(frozen=True, slots=True)
class SinkStats:
    """A sink's counts. At rest: received = delivered + rejected + all of dropped + depth.

    While alerts move the counts are read one after the other, and what moves meanwhile may be in two or in none.

    `retried` counts the alerts of failed attempts, `failures` the failed attempts in a row, `blocked` the writes
    that took longer than `output_timeout`; `spooled` of the depth are safe on disk; `oldest_waiting` is in seconds.
    """

    name: str
    state: State
    received: int = 0
    delivered: int = 0
    rejected: int = 0
    dropped: dict[str, int] = field(default_factory=dict[str, int])
    retried: int = 0
    failures: int = 0
    blocked: int = 0
    depth: int = 0
    spooled: int = 0
    oldest_waiting: float = 0.0
    last_error: str | None = None

    @property
    def lost(self) -> int:
        """How many alerts this sink received and will never deliver.

        What is `unread` because the reader of a pipe left is not lost: nobody wanted it.
        """
        return self.rejected + sum(self.dropped.values()) - self.dropped.get("unread", 0)
