"""The buttons of a tape, and its counter: what a `Player` shows in a notebook."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable
from importlib import import_module
from typing import Any

from rxalerts.notebook.blocks import Html, escape, page
from rxalerts.notebook.cells import Ongoing
from rxalerts.notebook.jupyter import in_notebook, show, show_html
from rxalerts.sources import Player
from rxalerts.sources._deck import SPEEDS, clock, played, rewind, speed_of, wind

__all__ = ["Deck", "show_player"]

log = logging.getLogger("rxalerts")

_REFRESH = 0.25


def show_player(player: Player) -> None:
    """Show a player in the running cell: with buttons if ipywidgets is there, else only what its counter says."""
    if not in_notebook():
        print(repr(player))
        return
    try:
        widgets: Any = import_module("ipywidgets")
    except ImportError:
        show_html(page(counter(player)))
        return
    deck = Deck(player, widgets)
    _decks.open(deck)
    show(deck.box)
    deck.start()


def counter(player: Player) -> Html:
    """Return the counter: what it does, the log's own clock, what remains."""
    state = ("playing" if player.running else "ready") if player.playing else "paused"
    left = player.remaining
    parts = [clock(player), *([] if left is None else [f"{span(left)} left"]), speed_of(player.speed)]
    return Html(f'<div><b>{state}</b> <span class="faint">{escape(" · ".join(parts))}</span></div>')


def span(seconds: float) -> str:
    """Return so many seconds as people say it.

    >>> span(59.9), span(3600), span(90_061)
    ('0:00:59', '1:00:00', '1 d 1:01:01')
    """
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return f"{f'{days} d ' if days else ''}{hour}:{minute:02}:{second:02}"


class Deck:
    """Buttons that control a player, and a thread that shows where it stands until it has been played.

    Arguments:
        player: what they control; not kept alive by the widgets.
        widgets: the module ipywidgets.
        refresh: seconds between two looks at the player.
    """

    def __init__(self, player: Player, widgets: Any, *, refresh: float = _REFRESH) -> None:
        self._player = player
        self._refresh = refresh
        self._done = threading.Event()
        self._lock = threading.RLock()
        self._showing = 0
        self._remark = ""
        # Of a tape that has been played it waits for the next run.
        self._before = player.runs - player.running
        self.buttons: dict[str, Any] = {
            name: widgets.Button(icon=icon, tooltip=tip, layout=widgets.Layout(width="42px"))
            for name, (icon, tip) in _BUTTONS.items()
        }
        for name, button in self.buttons.items():
            button.on_click(_weakly(self._click, name))
        self.loop = widgets.ToggleButton(icon="repeat", tooltip="Begin again at the end", layout={"width": "42px"})
        self.speed = widgets.Dropdown(options=self._speeds(), tooltip="Speed", layout={"width": "90px"})
        self.moment = widgets.Text(
            placeholder="wind to, e.g. 2025-06-06T23:00Z", continuous_update=False, layout={"width": "240px"}
        )
        for name, widget in (("loop", self.loop), ("speed", self.speed), ("moment", self.moment)):
            widget.observe(_weakly(self._changed, name), "value")
        self.bar = widgets.FloatProgress(min=0.0, max=1.0, layout={"width": "98%", "height": "14px"})
        self.text = widgets.HTML()
        controls = widgets.HBox([*self.buttons.values(), self.loop, self.speed, self.moment])
        self.box = widgets.VBox([controls, self.bar, self.text])
        self._thread = threading.Thread(target=self._repeat, name="rxalerts-deck", daemon=True)

    # -- life -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to look at the player."""
        self._draw()
        self._thread.start()

    def stop(self) -> None:
        """Take the buttons away; the player plays on. May be called any number of times."""
        self._done.set()
        _decks.close(self)
        for widget in (*self.box.children[0].children, *self.box.children, self.box):
            widget.close()

    def _repeat(self) -> None:
        player = self._player
        while not self._done.wait(self._refresh):
            ended = player.runs > self._before and not player.running
            self._remark = "ended" if ended else self._remark
            self._draw()
            if ended:
                for widget in self.box.children[0].children:
                    widget.disabled = True
                break
        _decks.close(self)

    # -- what the buttons do --------------------------------------------------------------------------------

    def _click(self, name: str, _: object) -> None:
        player = self._player
        if name == "play":
            (player.pause if player.playing else player.play)()
        elif name == "step":
            player.step()
        elif name == "start":
            self._try(lambda: rewind(player))
        else:
            self._try(lambda: wind(player, 1 if name == "forward" else -1))
        self._draw()

    def _changed(self, name: str, change: Any) -> None:
        if threading.get_ident() == self._showing:
            # It is us who show what the player says.
            return
        value: Any = change["new"]
        if name == "speed":
            self._player.speed = value
        elif name == "loop":
            self._try(lambda: setattr(self._player, "loop", value))
        elif value:
            self._try(lambda: self._player.seek(value))
            if not self._remark:
                self.moment.value = ""

    def _try(self, act: Callable[[], object]) -> None:
        """Do something that the log may not be fit for; say why."""
        try:
            act()
        except ValueError as error:
            self._remark = str(error)
        else:
            self._remark = ""
        self._draw()

    # -- how it looks ---------------------------------------------------------------------------------------

    def _speeds(self) -> list[tuple[str, float | None]]:
        known = set(SPEEDS) | {self._player.speed}
        ordered = sorted(known, key=lambda speed: float("inf") if speed is None else speed)
        return [(speed_of(speed), speed) for speed in ordered]

    def _draw(self) -> None:
        player = self._player
        with self._lock:
            self._showing = threading.get_ident()
            try:
                if player.speed not in [speed for _, speed in self.speed.options]:
                    self.speed.options = self._speeds()
                self.speed.value, self.loop.value = player.speed, player.loop
                self.buttons["play"].icon = "pause" if player.playing else "play"
                self.bar.value = played(player) or 0.0
                remark = f'<div class="faint">{escape(self._remark)}</div>' if self._remark else ""
                self.text.value = page(counter(player), Html(remark))
            except Exception:
                log.exception("the buttons of a player cannot be shown")
            finally:
                self._showing = 0


_BUTTONS: dict[str, tuple[str, str]] = {
    "start": ("fast-backward", "To the first alert"),
    "back": ("backward", "Wind back by a fiftieth of the log"),
    "play": ("play", "Play, pause"),
    "step": ("step-forward", "The next alert, then pause"),
    "forward": ("forward", "Wind on by a fiftieth of the log"),
}


def _weakly(method: Callable[[str, Any], None], name: str) -> Callable[[Any], None]:
    """Return what calls a method with a name; widgets live as long as the notebook, and must not keep its object."""
    still = weakref.WeakMethod(method)

    def call(event: Any) -> None:
        if (found := still()) is not None:
            found(name, event)

    return call


_decks = Ongoing()
