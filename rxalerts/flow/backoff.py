"""Exponential backoff with full jitter, as plain numbers: no clock, no thread."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how long a sink tries again after a retryable failure.

    Arguments:
        initial: upper bound of the first pause, in seconds; doubled after each failure in a row.
        maximum: upper bound of any pause, in seconds.
        attempts: give up (FAILED) after so many failures in a row; None: never.
        elapsed: give up when so many seconds have passed since the first failure in a row; None: never.

    The pause is drawn evenly between 0 and the bound ("full jitter"), so that many senders that lost the same
    destination do not come back at the same moment.

    >>> Retry(initial=1, maximum=4).bound(1), Retry(initial=1, maximum=4).bound(7)
    (1.0, 4)
    """

    initial: float = 0.5
    maximum: float = 30.0
    attempts: int | None = None
    elapsed: float | None = None

    def __post_init__(self) -> None:
        if self.initial <= 0 or self.maximum < self.initial:
            raise ValueError(f"retry needs 0 < initial <= maximum, got initial={self.initial}, maximum={self.maximum}")
        if self.attempts is not None and self.attempts < 1:
            raise ValueError(f"retry.attempts must be 1 or more, or none for no limit, got {self.attempts}")

    def bound(self, failures: int) -> float:
        """Return the longest pause after `failures` failures in a row, in seconds."""
        return min(self.maximum, self.initial * 2.0 ** min(failures - 1, 60))

    def pause(self, failures: int, *, at_least: float = 0.0) -> float:
        """Draw the pause after `failures` failures in a row; `at_least` is what the destination asked for."""
        return max(at_least, random.uniform(0, self.bound(failures)))

    def exhausted(self, failures: int, elapsed: float) -> bool:
        """Tell whether it is time to give up."""
        return (self.attempts is not None and failures >= self.attempts) or (
            self.elapsed is not None and elapsed >= self.elapsed
        )
