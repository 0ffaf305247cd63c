"""`rxalerts replay --interactive` in a terminal: its keys, its counter, and the terminal afterwards."""

import os
import signal
from pathlib import Path

import pytest

from rxalerts import Alert
from rxalerts.cli.deck import Deck
from rxalerts.sources import replay
from tests.support.pty_run import Terminal
from tests.support.run import rxalerts

SECOND = 1_000_000_000


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of 200 alerts, one a minute."""
    path = tmp_path / "log"
    alerts = (Alert(f"rule {number}", "notice", f"<{number}>", time=number * 60 * SECOND) for number in range(200))
    path.write_text("".join(alert.to_json() + "\n" for alert in alerts))
    return path


def test_keys_control_the_replay(tmp_path: Path, log: Path) -> None:
    """Space pauses, n steps, arrows wind and change the speed, l loops, q leaves; the terminal is as it was."""
    with Terminal("replay", "-i", log, folder=tmp_path) as terminal:
        terminal.shows("<0>")
        terminal.shows("playing  1970-01-01 00:00:0")
        assert terminal.settings != terminal.before
        terminal.press(" ")
        terminal.shows("paused   1970-01-01 00:00")
        terminal.press("n")
        terminal.shows("<1>")
        terminal.press("\x1b[C\x1b[Cn")
        terminal.shows("<9>")
        terminal.shows("1970-01-01 00:09:00 UTC")
        terminal.press("\x1b[D\x1b[Dn")
        terminal.shows("<2>")
        terminal.press("\x1b[A")
        terminal.shows("  2x")
        terminal.press("\x1bOB\x1b[B")
        terminal.shows("  0.5x")
        terminal.press("l")
        terminal.shows("  loop")
        terminal.press("?\x1b[5~é")
        terminal.press("q")
        assert terminal.end() == 0
        terminal.shows("delivered 4 of 4")
        assert terminal.settings == terminal.before
        assert "\x1b[r" in terminal.raw


def test_the_end_of_the_log_is_the_end(tmp_path: Path, log: Path) -> None:
    """At full speed it plays through; standard output holds the alerts and nothing else."""
    out = tmp_path / "out"
    with Terminal("replay", "-i", "--speed", "max", "--json", log, folder=tmp_path, stdout=out) as terminal:
        assert terminal.end() == 0
        assert terminal.settings == terminal.before
    assert out.read_bytes() == log.read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_restores_the_terminal(tmp_path: Path, log: Path, number: signal.Signals) -> None:
    """Ctrl-C and kill end it as ever, and the terminal is as it was."""
    with Terminal("replay", "--interactive", log, folder=tmp_path) as terminal:
        terminal.shows("playing")
        terminal.process.send_signal(number)
        assert terminal.end() == 0
        assert terminal.settings == terminal.before
        assert "\x1b[r" in terminal.raw


def test_an_error_restores_the_terminal(tmp_path: Path, log: Path) -> None:
    """A log that cannot be read on: the error is told, and the terminal is as it was."""
    with Terminal("replay", "-i", log, "--to", "/nowhere/at/all", folder=tmp_path) as terminal:
        terminal.shows("playing")
        terminal.press("q")
        terminal.end()
        assert terminal.settings == terminal.before


def test_without_a_terminal_it_says_so(tmp_path: Path, log: Path) -> None:
    """Keys come from standard input: no terminal, or the log itself, is wrong usage."""
    done = rxalerts("replay", "-i", log, folder=tmp_path)
    assert done.returncode == 2
    assert b"no terminal" in done.stderr
    done = rxalerts("replay", "-i", "-", folder=tmp_path)
    assert done.returncode == 2
    assert b"name a file" in done.stderr


def test_a_dumb_terminal_gets_no_control_characters(tmp_path: Path, log: Path) -> None:
    """With TERM=dumb the keys work, and no counter is drawn."""
    with Terminal("replay", "-i", log, folder=tmp_path, env={"TERM": "dumb"}) as terminal:
        terminal.shows("<0>")
        terminal.press("n")
        terminal.shows("<1>")
        terminal.press("q")
        assert terminal.end() == 0
        assert "\x1b" not in terminal.raw


def test_before_the_beginning_an_arrow_does_nothing() -> None:
    """The counter says so, even of what cannot be wound and whose end is not known."""
    read, write = os.pipe()
    os.close(write)
    player = replay(f"/dev/fd/{read}").player
    left: list[bool] = []
    deck = Deck(player, lambda: left.append(True))
    deck.press("right")
    assert deck.status() == "playing  not begun  max"
    deck.press("q")
    assert left == [True]
    os.close(read)


def test_what_is_played_is_in_the_file_at_once(tmp_path: Path, log: Path) -> None:
    """At a pace nothing waits in a buffer, neither the alert nor its count."""
    out = tmp_path / "out"
    with Terminal("replay", "-i", log, "--to", out, folder=tmp_path) as terminal:
        terminal.shows("  1 delivered")
        assert "<0>" in out.read_text()
        terminal.press("q")
        assert terminal.end() == 0


def test_the_line_fits_the_terminal(log: Path) -> None:
    """What matters most is there at every width: the clock, the speed, then the keys; a bar when there is room."""
    deck = Deck(replay(log, speed=1).player, lambda: None)
    widths = (200, 110, 80, 50, 20)
    wide, middle, narrow, small, least = (deck.line(1234, width) for width in widths)
    assert "1,234 delivered  space pause  ←→ wind" in wide
    assert "1,234 delivered  space pause" in middle and len(middle) <= 110
    assert narrow.endswith("1x  1,234 delivered  space ←→ ↑↓ n l q") and len(narrow) <= 80
    assert small.endswith("space ←→ ↑↓ n l q") and len(small) <= 50
    assert least == deck.status(0) == "playing  not begun  1x"
