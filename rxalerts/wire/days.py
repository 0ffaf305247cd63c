"""The day of a text alert: Falco's lines have the time of day only."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date, timedelta

from rxalerts.errors import AlertError
from rxalerts.timestamps import MIN_NS, SECOND, local_ns

__all__ = ["OUT_OF_ORDER", "Days"]

_HALF_DAY = 12 * 3600 * SECOND
_DAY = 2 * _HALF_DAY
_ONE = timedelta(days=1)
OUT_OF_ORDER = 10 * 60
"""How far lines of several threads may be out of order, in seconds."""


class Days:
    """Finds the day that belongs to a local time of day.

    Arguments:
        first: the day of the first line; the next day begins when the clock goes back by more than 12 hours.
            None: the lines are being written now, so each has the day that brings it nearest to the present.
            A function is called when the first such line has come.
    """

    def __init__(self, first: date | Callable[[], date | None] | None = None) -> None:
        self._first = first if callable(first) else None
        self._day = None if callable(first) else first
        self._last = 0
        self._last_ns = MIN_NS
        self._again: date | None = None
        self._rolled = False
        self.near: int | None = None
        """Nanoseconds of another time stamp of what is being read now: of the record that it stood in."""

    def ns(self, text: str, near: int | None = None) -> int:
        """Return the nanoseconds since the epoch of a local time of day, such as ``10:20:05.408091526``.

        Arguments:
            text: the time of day.
            near: nanoseconds of another time stamp of the same event, if there is one (default: `Days.near`): the day
                is nearest to it.

        Raises:
            AlertError: there is no such time of day.
        """
        hour, minute, second = int(text[0:2]), int(text[3:5]), int(text[6:8])
        if hour > 23 or minute > 59 or second > 60:
            raise AlertError(f"no such time of day: {text}", key="time")
        nanos = int(text[9:].ljust(9, "0"))
        self._resolve()
        near = self.near if near is None else near
        try:
            if self._day is None or near is not None:
                return _nearest(time.time_ns() if near is None else near, hour, minute, second, nanos)
            since_midnight = (hour * 3600 + minute * 60 + second) * SECOND + nanos
            day = self._day
            if self._rolled and since_midnight - self._last > _DAY - OUT_OF_ORDER * SECOND:
                # From before midnight, though it comes behind the first of the new day.
                day -= _ONE
            else:
                if self._last - since_midnight > _HALF_DAY:
                    self._day = day = day + _ONE
                    self._rolled = True
                self._last = since_midnight
            times = local_ns(day, hour, minute, second, nanos)
            # When summer time ends an hour comes twice: it is the second time once the clock has gone back.
            if len(times) > 1 and times[0] < self._last_ns - OUT_OF_ORDER * SECOND:
                self._again = day
            self._last_ns = times[-1] if self._again == day else times[0]
            return self._last_ns
        except (ValueError, OverflowError, OSError) as error:
            raise AlertError(f"no day for {text}: {error}", key="time") from None

    def ns_of_year(self, month: int, day: int, text: str, year: int | None = None) -> int:
        """Return the nanoseconds of a local time, ``HH:MM:SS``; without a year it is the nearest one's that has begun.

        Raises:
            ValueError: there is no such time.
        """
        self._resolve()
        today = date.today()
        base = date.fromtimestamp(self.near // SECOND) if self.near is not None else self._day or today
        hour, minute, second = (int(part) for part in text.split(":"))
        years = (base.year - 1, base.year, base.year + 1) if year is None else (year,)
        days = [found for one in years if (found := _day(one, month, day)) is not None]
        if not days or hour > 23 or minute > 59 or second > 60:
            raise ValueError(f"no such time: {month}-{day} {text}")
        # Nothing was logged in the future, but for a clock that is fast.
        past = [found for found in days if found <= max(today, base) + _ONE] or days
        return local_ns(min(past, key=lambda found: abs(found - base)), hour, minute, second, 0)[0]

    def _resolve(self) -> None:
        if self._first is not None:
            self._day, self._first = self._first(), None


def _nearest(near: int, hour: int, minute: int, second: int, nanos: int) -> int:
    today = date.fromtimestamp(near // SECOND)
    days = (today - _ONE, today, today + _ONE)
    times = (ns for day in days for ns in local_ns(day, hour, minute, second, nanos))
    return min(times, key=lambda ns: abs(ns - near))


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:  # 29 February is not in every year
        return None
