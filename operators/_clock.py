"""The time that operators with a state live in: that of the alerts, unless told to take the clock's."""

from __future__ import annotations

from typing import Final, Literal

from rxalerts.operators._arguments import number

Clock = Literal["event", "wall"]

SECOND: Final = 1_000_000_000
FOREVER: Final = 1 << 62
"""Later than every time: nanoseconds since the epoch of an alert fit in 63 bits."""

_SLACK: Final = 60 * SECOND
_PATIENCE: Final = 100


class Lateness:
    """Tells when alerts that are late mean that the clock has to be put back.

    The time of an operator is the latest that an alert has had. An alert of an earlier time does not move it: those
    of several hosts arrive somewhat out of order. But 100 alerts in a row that are more than 60 s behind mean that
    one had a time from the future, or that another log has begun.

    >>> lateness = Lateness()
    >>> [lateness.lasts(61 * SECOND) for _ in range(100)].index(True)
    99
    """

    __slots__ = ("streak",)

    def __init__(self) -> None:
        self.streak = 0

    def lasts(self, behind: int) -> bool:
        """Count an alert that is so many nanoseconds late; true when it is the last straw."""
        self.streak = self.streak + 1 if behind > _SLACK else 0
        if self.streak < _PATIENCE:
            return False
        self.streak = 0
        return True


def nanoseconds(name: str, seconds: float, *, least: float = 0.0) -> int:
    """Return `seconds` in nanoseconds, or raise ValueError naming the argument.

    >>> nanoseconds("within", 1.5)
    1500000000
    """
    number(name, seconds, "seconds")
    if not least < seconds < FOREVER / SECOND:
        raise ValueError(f"{name}={seconds}: must be a number of seconds above {least:g}")
    return round(seconds * SECOND)
