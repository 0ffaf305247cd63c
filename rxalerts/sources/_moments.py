"""How users write moments and speeds."""

from __future__ import annotations

from datetime import UTC, date, datetime

from rxalerts.timestamps import parse_rfc3339

Moment = str | int | datetime | date


def parse_speed(speed: float | str) -> float | None:
    """Return the factor, None for "max".

    >>> parse_speed("10x"), parse_speed(1), parse_speed("max")
    (10.0, 1.0, None)
    """
    if speed == "max":
        return None
    try:
        factor = float(speed.removesuffix("x") if isinstance(speed, str) else speed)
    except ValueError:
        factor = 0.0
    if not 0 < factor < float("inf"):
        raise ValueError(f'speed {speed!r}: must be "max", or a factor above 0 such as 1, 0.5 or "10x"')
    return factor


def parse_moment(moment: Moment) -> int:
    """Return a moment as epoch nanoseconds; a date is its midnight in UTC, a datetime without zone is local.

    >>> parse_moment("1970-01-01T00:00:01Z"), parse_moment("1970-01-02")
    (1000000000, 86400000000000)
    """
    if isinstance(moment, int):
        return moment
    if isinstance(moment, datetime):
        return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1000
    if isinstance(moment, date):
        return int(datetime(moment.year, moment.month, moment.day, tzinfo=UTC).timestamp()) * 1_000_000_000
    try:
        if len(moment) == len("2026-01-01"):
            return parse_moment(date.fromisoformat(moment))
        return parse_rfc3339(moment)
    except ValueError as error:
        raise ValueError(
            f"{moment!r} is no moment (RFC 3339 such as 2026-01-31T12:00:00Z, or a date): {error}"
        ) from None
