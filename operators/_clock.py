"""The time that operators with a state live in: that of the alerts, unless told to take the clock's."""

from __future__ import annotations

from typing import Final, Literal

Clock = Literal["event", "wall"]

SECOND: Final = 1_000_000_000
FOREVER: Final = 1 << 62
"""Later than every time: nanoseconds since the epoch of an alert fit in 63 bits."""

_SLACK: Final = 60 * SECOND
_PATIENCE: Final = 100


class EventClock:
    """Stands at the latest time that an alert has had, in nanoseconds since the epoch.

    An alert of an earlier time does not move it: alerts of several hosts arrive somewhat out of order. After 100
    alerts in a row that are more than 60 s behind, the clock is put back to the latest of them: either one alert
    had a time from the future, or another log has begun.

    >>> clock = EventClock()
    >>> clock.advance(5), clock.advance(3), clock.now
    (False, False, 5)
    """

    __slots__ = ("_behind", "now")

    def __init__(self) -> None:
        self.now = -FOREVER
        self._behind = 0

    def advance(self, time_ns: int) -> bool:
        """Look at the time of an alert; true when the clock was put back."""
        if time_ns >= self.now:
            self.now = time_ns
            self._behind = 0
            return False
        if self.now - time_ns <= _SLACK:
            self._behind = 0
            return False
        self._behind += 1
        if self._behind < _PATIENCE:
            return False
        self.now = time_ns
        self._behind = 0
        return True


def nanoseconds(name: str, seconds: float, *, least: float = 0.0) -> int:
    """Return `seconds` in nanoseconds, or raise ValueError naming the argument.

    >>> nanoseconds("within", 1.5)
    1500000000
    """
    if not least < seconds < FOREVER / SECOND:
        raise ValueError(f"{name}={seconds}: must be a number of seconds above {least:g}")
    return round(seconds * SECOND)
