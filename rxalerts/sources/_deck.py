"""What a tape deck is, in a terminal and in a notebook: its speeds, how far it winds, what its counter says."""

from __future__ import annotations

from rxalerts.sources._player import Player
from rxalerts.timestamps import MIN_NS, SECOND, format_rfc3339

SPEEDS: tuple[float | None, ...] = (0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 50, 100, 1000, 10_000, None)
"""What the buttons go through; None: as fast as possible."""

# A button winds by this part of the log, and when its end is not known by so many seconds.
_PART, _SECONDS = 50, 60.0


def next_speed(speed: float | None, direction: int) -> float | None:
    """Return the next speed up or down.

    >>> next_speed(1, 1), next_speed(3, -1), next_speed(10_000, 1), next_speed(None, -1)
    (2, 2, None, 10000)
    """
    if speed is None:
        return None if direction > 0 else SPEEDS[-2]
    known = [each for each in SPEEDS if each is not None]
    if direction > 0:
        return next((each for each in known if each > speed), None)
    return max((each for each in known if each < speed), default=known[0])


def wind(player: Player, direction: int) -> None:
    """Wind by a part of the log; nothing before it has begun."""
    position, length = player.position, player.length
    if position is not None:
        seconds = _SECONDS if length is None else max(1.0, length / _PART)
        player.seek(position + direction * int(seconds * SECOND))


def rewind(player: Player) -> None:
    """Wind to the first alert."""
    player.seek(MIN_NS)


def clock(player: Player) -> str:
    """Return the log's own clock."""
    position = player.position
    return "not begun" if position is None else f"{format_rfc3339(position)[:19].replace('T', ' ')} UTC"


def played(player: Player) -> float | None:
    """Return which part of the log is behind, from 0 to 1; None when its end is not known."""
    remaining, length = player.remaining, player.length
    if remaining is None or length is None:
        return None
    return 1.0 if not length else min(1.0, max(0.0, 1 - remaining / length))


def speed_of(speed: float | None) -> str:
    """Return a speed as it is shown.

    >>> speed_of(0.5), speed_of(10_000), speed_of(None)
    ('0.5x', '10000x', 'max')
    """
    return "max" if speed is None else f"{speed:g}x"
