"""`rxalerts replay --interactive`: the keys of a tape deck, and its counter on standard error."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager

from rxalerts.cli.signals import Signals
from rxalerts.cli.terminal import Keys, StatusLine
from rxalerts.pipeline import Pipeline
from rxalerts.sources import Player
from rxalerts.timestamps import format_rfc3339

SPEEDS: tuple[float | None, ...] = (0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 50, 100, 1000, 10_000, None)
"""What the arrows go through; None: as fast as possible."""

# An arrow winds by this part of the log, and when its end is not known by so many seconds.
_PART, _SECONDS = 50, 60.0

_SECOND = 1_000_000_000
_BAR = 20


@contextmanager
def deck(player: Player, pipeline: Pipeline, signals: Signals) -> Generator[Callable[[], None]]:
    """Let keys control a player; gives what draws the counter.

    Raises ConfigError when standard input is no terminal.
    """
    with StatusLine() as line:
        # As Ctrl-C does: what was read is delivered, within the time that there is for that.
        controls = Deck(player, lambda: signals.put(signal.SIGINT))

        def draw() -> None:
            report = pipeline.report()
            line.show(f"{controls.status()}  {report.delivered:,} delivered  {HELP}")

        def pressed(key: str) -> None:
            controls.press(key)
            draw()

        keys = Keys(pressed)
        signals.at_exit += [keys.restore, line.restore]
        with keys:
            yield draw


HELP = "space pause  ←→ wind  ↑↓ speed  n next  l loop  q quit"


class Deck:
    """What the keys do.

    Arguments:
        player: what they control.
        leave: what `q` does.
    """

    def __init__(self, player: Player, leave: Callable[[], object]) -> None:
        self._player = player
        self._leave = leave

    def press(self, key: str) -> None:
        """Do what a key stands for; others do nothing."""
        player = self._player
        if key == " ":
            (player.pause if player.playing else player.play)()
        elif key in ("left", "right"):
            self._wind(1 if key == "right" else -1)
        elif key == "home":
            player.seek(0)
        elif key in ("up", "down"):
            player.speed = next_speed(player.speed, 1 if key == "up" else -1)
        elif key == "n":
            player.step()
        elif key == "l":
            player.loop = not player.loop
        elif key == "q":
            self._leave()

    def _wind(self, direction: int) -> None:
        position, length = self._player.position, self._player.length
        if position is not None:
            seconds = _SECONDS if length is None else max(1.0, length / _PART)
            self._player.seek(position + direction * int(seconds * _SECOND))

    def status(self) -> str:
        """Return the counter: the log's own clock, how far it is, the speed."""
        player = self._player
        position, remaining, length = player.position, player.remaining, player.length
        clock = "not begun" if position is None else f"{format_rfc3339(position)[:19].replace('T', ' ')} UTC"
        part = ""
        if remaining is not None and length is not None:
            done = 1.0 if not length else min(1.0, max(0.0, 1 - remaining / length))
            full = round(done * _BAR)
            part = f"  {'━' * full}{'─' * (_BAR - full)} {done:4.0%}"
        speed = "max" if player.speed is None else f"{player.speed:g}x"
        return f"{'playing' if player.playing else 'paused '}  {clock}{part}  {speed}{'  loop' if player.loop else ''}"


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
