"""Time stamps as Falco writes them: nanoseconds since the epoch <-> text.

Nanoseconds are integers throughout: a float loses them, and so does ``datetime``, which ends at microseconds.
"""

from __future__ import annotations

import re
import time
from calendar import timegm
from datetime import date
from functools import lru_cache

__all__ = [
    "MAX_NS",
    "MIN_NS",
    "SECOND",
    "check_ns",
    "format_iso8601",
    "format_local",
    "format_rfc3339",
    "local_ns",
    "parse_rfc3339",
]

SECOND = 1_000_000_000
MIN_NS = -62_135_596_800 * SECOND
"""The year 1, where RFC 3339 (and protobuf's Timestamp) begin."""
MAX_NS = 253_402_300_800 * SECOND - 1
"""The end of the year 9999."""

_RFC3339 = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:[.,]([0-9]{1,9})[0-9]*)?"
    r" ?(?:[Zz]|([+-])([0-9]{2}):?([0-9]{2}))?"
)
# Falco writes thousands of alerts a day, and within the same few seconds: the calendar is worked out once for each.
# Bounded: emptied when full.
_CACHE_LIMIT = 16_384
# Nanoseconds of days that were parsed, by their first 11 characters, such as "2017-10-09T".
_days: dict[str, int] = {}
_texts: dict[int, str] = {}
_locals: dict[tuple[int, int, tuple[str, str]], str] = {}


def parse_rfc3339(text: str) -> int:
    """Return the nanoseconds since the epoch that a RFC 3339 time stamp stands for.

    Arguments:
        text: such as ``2017-10-09T23:31:56.746609046Z``; 0 to 9 digits after the dot (more are cut off),
            ``Z`` or an offset with or without a colon. Without any of these it is taken as UTC.

    Raises:
        ValueError: it is no such time stamp, or its year is not 1 to 9999.

    >>> parse_rfc3339("2017-10-09T23:31:56.746609046Z")
    1507591916746609046
    >>> parse_rfc3339("2017-10-10T01:31:56+02:00")
    1507591916000000000
    """
    midnight = _days.get(text[:11])
    if midnight is not None and len(text) == 30 and text[13::3][:3] == "::." and text[29] == "Z":
        # Falco's own form, on a day that is known.
        digits = text[11:13] + text[14:16] + text[17:19] + text[20:29]
        if digits.isdigit() and digits.isascii():
            clock, nanos = divmod(int(digits), SECOND)
            hours, minutes, seconds = clock // 10_000, clock // 100 % 100, clock % 100
            if hours < 24 and minutes < 60 and seconds < 60:
                return midnight + (hours * 3600 + minutes * 60 + seconds) * SECOND + nanos
    match = _RFC3339.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"not an RFC 3339 time stamp: {text[:64]!r}")
    year, month, day, hour, minute, second, fraction, sign, off_hour, off_minute = match.groups()
    try:
        days = date(int(year), int(month), int(day)).toordinal() - 719_163
    except ValueError as error:
        raise ValueError(f"not an RFC 3339 time stamp: {text[:64]!r} ({error})") from None
    if int(hour) > 23 or int(minute) > 59 or int(second) > 60:
        raise ValueError(f"not an RFC 3339 time stamp: {text[:64]!r} (no such time of day)")
    seconds = days * 86_400 + int(hour) * 3600 + int(minute) * 60 + int(second)
    if sign:
        if int(off_hour) > 23 or int(off_minute) > 59:
            raise ValueError(f"not an RFC 3339 time stamp: {text[:64]!r} (no such offset)")
        offset = int(off_hour) * 3600 + int(off_minute) * 60
        seconds += -offset if sign == "+" else offset
    elif len(text) == 30 and text[10] == "T":
        if len(_days) >= _CACHE_LIMIT:
            _days.clear()
        _days[text[:11]] = days * 86_400 * SECOND
    return check_ns(seconds * SECOND + (int(fraction.ljust(9, "0")) if fraction else 0))


def check_ns(ns: int) -> int:
    """Return the nanoseconds unchanged if they lie in the years 1 to 9999, or raise a ValueError."""
    if not MIN_NS <= ns <= MAX_NS:
        raise ValueError(f"outside of the years 1 to 9999: {ns} ns")
    return ns


def _day_time(seconds: int) -> str:
    text = _texts.get(seconds)
    if text is None:
        days, rest = divmod(seconds, 86_400)
        day = date.fromordinal(days + 719_163).isoformat()
        text = f"{day}T{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
        if len(_texts) >= _CACHE_LIMIT:
            _texts.clear()
        _texts[seconds] = text
    return text


def format_rfc3339(ns: int) -> str:
    """Return nanoseconds since the epoch as Falco's JSON ``time``: UTC, always 9 digits, ``Z``.

    >>> format_rfc3339(1507591916746609046)
    '2017-10-09T23:31:56.746609046Z'
    """
    seconds, rest = divmod(ns, SECOND)
    return f"{_day_time(seconds)}.{rest:09}Z"


def format_iso8601(ns: int) -> str:
    """Return nanoseconds as the prefix of text lines under ``time_format_iso_8601``: UTC, ``+0000``.

    >>> format_iso8601(1507591916746609046)
    '2017-10-09T23:31:56.746609046+0000'
    """
    seconds, rest = divmod(ns, SECOND)
    return f"{_day_time(seconds)}.{rest:09}+0000"


def format_local(ns: int) -> str:
    """Return nanoseconds as the usual prefix of text lines: the machine's local time of day, without a date.

    >>> len(format_local(1507591916746609046)), format_local(1507591916746609046)[-10:]
    (18, '.746609046')
    """
    seconds, rest = divmod(ns, SECOND)
    # The zone is part of the key: programs (and tests) may change it while they run.
    key = (seconds, time.timezone, time.tzname)
    text = _locals.get(key)
    if text is None:
        try:
            text = time.strftime("%H:%M:%S", time.localtime(seconds))
        except (OverflowError, OSError, ValueError):
            # Some C libraries refuse far years: their time of day is then given in UTC.
            text = _day_time(seconds)[11:]
        if len(_locals) >= _CACHE_LIMIT:
            _locals.clear()
        _locals[key] = text
    return f"{text}.{rest:09}"


def local_ns(day: date, hour: int, minute: int, second: int, nanos: int) -> list[int]:
    """Return the nanoseconds since the epoch of a local time of day on a given day, the earlier one first.

    There are two of them in the hour that comes twice when summer time ends.

    Raises:
        ValueError: the day is outside of what the machine's calendar can do.
    """
    minutes = _local_minutes(day, hour, minute, time.timezone, time.tzname)
    return [check_ns((seconds + second) * SECOND + nanos) for seconds in minutes]


@lru_cache(_CACHE_LIMIT)
def _local_minutes(day: date, hour: int, minute: int, *zone: object) -> list[int]:
    """Return when a local minute begins, in seconds since the epoch; the zone is a part of the cache's key."""
    wanted = (day.year, day.month, day.day, hour, minute)
    found: set[int] = set()
    try:
        for summer in (0, 1):
            seconds = int(time.mktime((*wanted, 0, 0, 0, summer)))
            if time.localtime(seconds)[:5] == wanted:
                found.add(seconds)
        # The hour that summer time leaves out is taken as the calendar takes it.
        return sorted(found) or [int(time.mktime((*wanted, 0, 0, 0, -1)))]
    except (OverflowError, ValueError, OSError):
        return [timegm((*wanted, 0, 0, 0, 0))]
