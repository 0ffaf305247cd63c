"""The buttons of a player in a notebook: what they do, what they show, and that nothing of them is left behind."""

import gc
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ipywidgets  # type: ignore[import-untyped]
import pytest

from rxalerts import Alert
from rxalerts.notebook.cells import Ongoing
from rxalerts.notebook.deck import Deck
from rxalerts.pipeline import Pipeline
from rxalerts.sinks import CollectSink
from rxalerts.sources import replay
from rxalerts.sources._replay import ReplaySource
from rxalerts.testing import eventually

SECOND = 1_000_000_000


def threads() -> list[str]:
    """Return the threads of decks."""
    return [thread.name for thread in threading.enumerate() if thread.name == "rxalerts-deck"]


@pytest.fixture
def source(tmp_path: Path) -> ReplaySource:
    """A log of 200 alerts, one a minute from 1970 on, played at its own pace."""
    path = tmp_path / "log"
    alerts = (Alert(f"{number}", "notice", time=number * 60 * SECOND) for number in range(200))
    path.write_text("".join(alert.to_json() + "\n" for alert in alerts))
    return replay(path, speed=1)


class Shown:
    """A deck on the screen, and the tape that it controls."""

    def __init__(self, source: ReplaySource) -> None:
        self.source = source
        self.kept: CollectSink[Alert] = CollectSink()
        self.pipeline = Pipeline(source, self.kept)
        untyped: Any = ipywidgets
        self.deck = Deck(source.player, untyped, refresh=0.01)
        self.deck.start()

    def rules(self) -> list[str]:
        """Return what has been played."""
        return [alert.rule for alert in self.kept.items]

    def shows(self, text: str) -> None:
        """Wait until the counter says something."""
        eventually(lambda: text in self.deck.text.value, f"{text!r}, not {self.deck.text.value}")

    def plays(self, *rules: str) -> None:
        """Wait until exactly these have been played."""
        eventually(lambda: self.rules() == list(rules), f"{rules}, not {self.rules()}")


@pytest.fixture
def shown(source: ReplaySource) -> Iterator[Shown]:
    """The deck of a tape that runs."""
    shown = Shown(source)
    shown.pipeline.start()
    yield shown
    shown.pipeline.stop()
    shown.deck.stop()
    eventually(lambda: not threads(), "the thread ends")


def test_buttons_control_the_tape(shown: Shown) -> None:
    """Pause, the next alert, winding on and back, to the beginning, to a moment; the button shows what it does."""
    deck, buttons = shown.deck, shown.deck.buttons
    shown.plays("0")
    assert buttons["play"].icon == "pause"
    buttons["play"].click()
    assert buttons["play"].icon == "play"
    shown.shows("paused")
    buttons["step"].click()
    shown.plays("0", "1")
    shown.shows("1970-01-01 00:01:00 UTC")
    shown.shows("3:18:00 left")
    buttons["forward"].click()
    buttons["forward"].click()
    buttons["step"].click()
    shown.plays("0", "1", "9")
    eventually(lambda: deck.bar.value == pytest.approx(9 / 199))
    buttons["back"].click()
    buttons["step"].click()
    shown.plays("0", "1", "9", "6")
    deck.moment.value = "1970-01-01T03:00:00Z"
    buttons["step"].click()
    shown.plays("0", "1", "9", "6", "180")
    assert deck.moment.value == ""
    buttons["start"].click()
    buttons["step"].click()
    shown.plays("0", "1", "9", "6", "180", "0")
    buttons["play"].click()
    assert shown.source.player.playing


def test_speed_and_loop_go_both_ways(shown: Shown) -> None:
    """What is chosen is set, and what code sets is shown, a speed that is in no list too."""
    player, deck = shown.source.player, shown.deck
    deck.speed.value = 20
    assert player.speed == 20
    deck.loop.value = True
    assert player.loop
    player.speed, player.loop = 33, False
    eventually(lambda: (deck.speed.value, deck.loop.value) == (33, False))
    shown.shows("33x")
    deck.speed.value = None
    assert player.speed is None


def test_at_the_end_the_thread_ends_and_the_buttons_rest(shown: Shown) -> None:
    """What was shown stays; nothing can be pressed any more."""
    shown.deck.speed.value = None
    shown.shows("ended")
    eventually(lambda: not threads(), "the thread ends")
    assert shown.deck.bar.value == 1 and shown.deck.buttons["play"].disabled
    shown.shows("0:00:00 left")
    assert len(shown.rules()) == 200


def test_what_is_no_moment_is_said_and_escaped(shown: Shown) -> None:
    """The tape goes on as before; the remark leaves with the next thing that works."""
    shown.deck.moment.value = "<b>tomorrow</b>"
    shown.shows("&lt;b&gt;tomorrow&lt;/b&gt;&#x27; is no moment")
    shown.deck.moment.value = "1970-01-01T00:30:00Z"
    assert "no moment" not in shown.deck.text.value
    shown.shows("1970-01-01 00:30:0")


def test_what_cannot_be_wound_says_so() -> None:
    """Standard input has no beginning to go back to; nothing raises in the kernel."""
    untyped: Any = ipywidgets
    deck = Deck(replay("-").player, untyped)
    deck.buttons["start"].click()
    assert "cannot be wound" in deck.text.value and "not begun" in deck.text.value and "ready" in deck.text.value
    deck.loop.value = True
    assert deck.loop.value is False
    deck.stop()


def test_a_stopped_deck_leaves_nothing(source: ReplaySource) -> None:
    """Its thread ends, its widgets are closed, and neither they nor the player keep it in memory."""
    shown = Shown(source)
    widgets = [shown.deck.box, shown.deck.text, shown.deck.bar, *shown.deck.buttons.values()]
    assert all(widget.comm is not None for widget in widgets)
    shown.deck.stop()
    shown.deck.stop()
    assert all(widget.comm is None for widget in widgets)
    eventually(lambda: not threads(), "the thread ends")
    gone = weakref.ref(shown.deck)
    del shown, widgets
    gc.collect()
    assert gone() is None
    assert source.player.playing


def test_a_ninth_stops_the_first() -> None:
    """However often a cell shows something, few of them go on."""

    class Thing:
        stopped = False

        def stop(self) -> None:
            self.stopped = True

    ongoing, things = Ongoing(), [Thing() for _ in range(9)]
    for thing in things:
        ongoing.open(thing)
    assert [thing.stopped for thing in things] == [True] + [False] * 8


def test_outside_of_a_notebook_it_is_printed(source: ReplaySource, capsys: pytest.CaptureFixture[str]) -> None:
    """In a plain IPython there are no buttons."""
    source.player._ipython_display_()  # pyright: ignore[reportPrivateUsage]
    assert capsys.readouterr().out == "<player: ready, not begun>\n"
    assert not threads()
