"""`rxalerts replay --interactive`: the keys of a tape deck, and its counter on standard error."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager

from rxalerts.cli.signals import Signals
from rxalerts.cli.terminal import Keys, StatusLine
from rxalerts.pipeline import Pipeline
from rxalerts.sources import Player
from rxalerts.sources._deck import clock, next_speed, played, rewind, speed_of, wind

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
            line.show(controls.line(pipeline.report().delivered, line.columns))

        def pressed(key: str) -> None:
            controls.press(key)
            draw()

        keys = Keys(pressed)
        signals.at_exit += [keys.restore, line.restore]
        with keys:
            yield draw


HELP = "space pause  ←→ wind  ↑↓ speed  n next  l loop  q quit"
SHORT = "space ←→ ↑↓ n l q"


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
            wind(player, 1 if key == "right" else -1)
        elif key == "home":
            rewind(player)
        elif key in ("up", "down"):
            player.speed = next_speed(player.speed, 1 if key == "up" else -1)
        elif key == "n":
            player.step()
        elif key == "l":
            player.loop = not player.loop
        elif key == "q":
            self._leave()

    def line(self, delivered: int, columns: int) -> str:
        """Return the counter and what the keys do, as much of it as fits."""
        count = f"{delivered:,} delivered"
        lines = (
            f"{self.status()}  {count}  {HELP}",
            f"{self.status(0)}  {count}  {HELP}",
            f"{self.status()}  {count}  {SHORT}",
            f"{self.status(0)}  {SHORT}",
        )
        return next((line for line in lines if len(line) <= columns), self.status(0))

    def status(self, bar: int = _BAR) -> str:
        """Return the counter: the log's own clock, how far it is, the speed."""
        player = self._player
        done, part = played(player), ""
        if done is not None:
            full = round(done * bar)
            part = f"  {'━' * full}{'─' * (bar - full)}{' ' * bool(bar)}{done:4.0%}"
        state = "playing" if player.playing else "paused "
        return f"{state}  {clock(player)}{part}  {speed_of(player.speed)}{'  loop' if player.loop else ''}"
