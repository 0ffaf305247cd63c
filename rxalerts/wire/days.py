"""The day of a text alert: Falco's lines have the time of day only."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date, timedelta

from rxalerts.errors import AlertError
from rxalerts.timestamps import SECOND, local_ns

__all__ = ["Days"]

_HALF_DAY = 12 * 3600 * SECOND
_ONE = timedelta(days=1)


class Days:
    """Finds the day that belongs to a local time of day.

    Args:
        first: the day of the first line; the next day begins when the clock goes back by more than 12 hours.
            None: the lines are being written now, so each has the day that brings it nearest to the present.
            A function is called when the first such line has come.
    """

    def __init__(self, first: date | Callable[[], date | None] | None = None) -> None:
        self._first = first if callable(first) else None
        self._day = None if callable(first) else first
        self._last = 0

    def ns(self, text: str) -> int:
        """Return the nanoseconds since the epoch of a local time of day, such as ``10:20:05.408091526``.

        Raises:
            AlertError: there is no such time of day.
        """
        hour, minute, second = int(text[0:2]), int(text[3:5]), int(text[6:8])
        if hour > 23 or minute > 59 or second > 60:
            raise AlertError(f"no such time of day: {text}", key="time")
        nanos = int(text[9:].ljust(9, "0"))
        if self._first is not None:
            self._day, self._first = self._first(), None
        try:
            if self._day is None:
                return self._nearest(hour, minute, second, nanos)
            since_midnight = (hour * 3600 + minute * 60 + second) * SECOND + nanos
            if self._last - since_midnight > _HALF_DAY:
                self._day += _ONE
            self._last = since_midnight
            return local_ns(self._day, hour, minute, second, nanos)
        except (ValueError, OverflowError) as error:
            raise AlertError(f"no day for {text}: {error}", key="time") from None

    @staticmethod
    def _nearest(hour: int, minute: int, second: int, nanos: int) -> int:
        now = time.time_ns()
        today = date.fromtimestamp(now // SECOND)
        candidates = (local_ns(day, hour, minute, second, nanos) for day in (today - _ONE, today, today + _ONE))
        return min(candidates, key=lambda ns: abs(ns - now))
