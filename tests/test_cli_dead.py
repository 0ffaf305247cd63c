"""`rxalerts dead` and `rxalerts spool`: while the program runs and while it does not."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from rxalerts.cli import main
from rxalerts.flow.deadletters import DeadLetters, letter_for
from rxalerts.flow.rows import as_row
from rxalerts.flow.spool import Spool
from tests.support.durably import alert, numbers, wait_for

ROOT = Path(__file__).resolve().parent.parent


class Place:
    """A configuration with one file channel, its output and its stores."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output = folder / "target" / "events.jsonl"
        self.config = folder / "falco.yaml"
        self.store = DeadLetters(str(folder / "spool" / "file.dead"))
        self.write()

    def write(self, *, durable: bool = True) -> None:
        """Write the configuration."""
        self.config.write_text(
            "json_output: true\n"
            f"file_output: {{enabled: true, keep_alive: true, filename: {self.output}}}\n"
            f"rxalerts:\n  spool_dir: {self.folder}/spool\n"
            f"  channels: {{file: {{durable: {str(durable).lower()}, retry: {{initial: 0.01, maximum: 0.05}}}}}}\n"
        )

    def add(self, *numbers: int, last: float = 1000.0) -> None:
        """Put letters into the store."""
        self.store.change(
            added=[letter_for(alert(number), "rejected", f"detail {number}", 1, last, last) for number in numbers]
        )

    def __call__(self, *arguments: str) -> Result:
        """Run a command."""
        command = [*arguments[:2], "-c", str(self.config), *arguments[2:]]
        return CliRunner().invoke(main, command)

    @property
    def written(self) -> list[int]:
        """The numbers in the output."""
        if not self.output.exists():
            return []
        return [json.loads(line)["output_fields"]["n"] for line in self.output.read_bytes().splitlines()]

    @contextmanager
    def running(self) -> Generator[subprocess.Popen[bytes]]:
        """Run the program, reading from a pipe that stays open."""
        child = subprocess.Popen(
            [sys.executable, "-c", "from rxalerts.cli import main; main()", "run", "-c", str(self.config)],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
        )
        assert child.stdin is not None and child.stderr is not None
        try:
            wait_for(lambda: (self.folder / "spool" / "file.lock").exists())
            yield child
        finally:
            child.stdin.close()
            child.send_signal(signal.SIGTERM)
            child.wait(20)
            child.stderr.close()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A configuration whose output can be written."""
    (tmp_path / "target").mkdir()
    return Place(tmp_path)


# -- looking --------------------------------------------------------------------------------------------------


def test_list_shows_the_letters_and_the_counts(place: Place) -> None:
    """One line per letter; the counts on standard error."""
    place.add(1, 2)
    place.store.purge("WHERE id = 1")
    result = place("dead", "list")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["SINK", "ID", "REASON", "ATTEMPTS", "FIRST", "LAST", "RULE", "DETAIL"]
    assert lines[1].split() == ["file", "2", "rejected", "1", *["1970-01-01T00:16:40Z"] * 2, "r", "detail", "2"]
    assert len(lines) == 2
    assert "file: 1 kept" in result.stderr and "removed: 1 by asked" in result.stderr


def test_list_as_json_has_the_whole_alert(place: Place) -> None:
    """For programs: one object per letter."""
    place.add(7)
    (line,) = place("dead", "list", "--json").stdout.splitlines()
    found = json.loads(line)
    assert found["alert"] == json.loads(alert(7).to_json())
    assert (found["sink"], found["id"], found["attempts"], found["again"]) == ("file", 1, 1, False)


def test_what_an_alert_says_cannot_reach_the_terminal(place: Place) -> None:
    """Escape sequences in reasons are shown as question marks."""
    one = letter_for(alert(1), "rejected", "evil\x1b[2J\nline", 1, 1.0, 1.0)
    place.store.change(added=[one])
    result = place("dead", "list")
    assert "\x1b" not in result.stdout and len(result.stdout.splitlines()) == 2


def test_show_prints_letters_by_number(place: Place) -> None:
    """And says which are not there."""
    place.add(1, 2)
    result = place("dead", "show", "2", "9")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["detail"] == "detail 2"
    assert "there is no letter 9" in result.stderr


def test_an_empty_store_is_no_error(place: Place) -> None:
    """Nothing was rejected yet: nothing is shown, nothing is made."""
    result = place("dead", "list")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "file: 0 kept" in result.stderr
    assert not (place.folder / "spool").exists()


# -- removing -------------------------------------------------------------------------------------------------


def test_purge_by_age_and_number(place: Place) -> None:
    """Only what was chosen goes."""
    place.add(1, 2, 3)
    place.add(4, last=4_000_000_000.0)
    assert "1 removed" in place("dead", "purge", "--sink", "file", "--id", "2").stderr
    assert "2 removed" in place("dead", "purge", "--older-than", "7d").stderr
    assert numbers(place.store.select()) == [4]
    assert "1 removed" in place("dead", "purge", "--all").stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["dead", "purge"], "say which: --id NUMBER, --older-than AGE, or --all"),
        (["dead", "replay"], "say which"),
        (["dead", "purge", "--id", "1"], "--id needs --sink"),
        (["dead", "purge", "--older-than", "soon"], "write a number and s, m, h, d or w"),
        (["dead", "list", "--sink", "fiel"], "there is no such channel"),
        (["spool", "status", "--sink", "fiel"], "there is no such channel"),
    ],
)
def test_wrong_usage_is_explained(place: Place, arguments: list[str], words: str) -> None:
    """Exit status 2, and what to write instead."""
    result = place(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr


# -- sending again --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("durable", [True, False])
def test_replay_delivers_when_nothing_runs(place: Place, durable: bool) -> None:
    """The command opens the channel itself, and removes what was delivered; a backlog stays where it is."""
    place.write(durable=durable)
    place.add(1, 2, 3)
    if durable:
        spool = Spool(str(place.folder / "spool" / "file.spool"))
        spool.commit([as_row(1, alert(50), 1.0)], {})
        spool.close()
    result = place("dead", "replay", "--all")
    assert (result.exit_code, place.written) == (0, [1, 2, 3])
    assert "file: 3 delivered" in result.stderr
    assert place.store.select() == []
    if durable:
        assert json.loads(place("spool", "status", "--json").stdout)["backlog"] == 1


def test_replay_that_fails_keeps_the_letters(place: Place) -> None:
    """What could not be delivered in time is still there, and goes out later."""
    place.add(1, 2)
    (place.folder / "target").rmdir()
    result = place("dead", "replay", "--all", "--timeout", "0.5")
    assert result.exit_code == 1
    assert "2 still wait" in result.stderr and "No such file" in result.stderr
    (place.folder / "target").mkdir()
    assert place("dead", "replay", "--all").exit_code == 0
    assert place.written == [1, 2]


def test_replay_is_left_to_the_program_that_runs(place: Place) -> None:
    """It picks up what was marked within a second or two, and removes it when it is delivered."""
    place.add(*range(10))
    with place.running() as child:
        wait_for(lambda: place("spool", "status").exit_code == 0 and "in use" in place("spool", "status").stdout)
        result = place("dead", "replay", "--all")
        assert result.exit_code == 0
        assert f"file: 10 left to process {child.pid}, which runs" in result.stderr
        wait_for(lambda: place.store.counts()["kept"] == 0)
        assert place("dead", "list").exit_code == 0
    assert sorted(place.written) == list(range(10))


# -- the spool ------------------------------------------------------------------------------------------------


def status(place: Place) -> dict[str, Any]:
    """Return the status of the only channel."""
    result = place("spool", "status", "--json")
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_status_when_nothing_runs(place: Place) -> None:
    """Read from the file; one that is not there yet is empty, and is not made."""
    assert status(place) == {
        "sink": "file",
        "backlog": 0,
        "oldest": "-",
        "bytes": 0,
        "on_disk": 0,
        "dead": 0,
        "state": "not running",
    }
    assert not (place.folder / "spool" / "file.spool").exists()
    spool = Spool(str(place.folder / "spool" / "file.spool"))
    spool.commit([as_row(number, alert(number), 86400.0) for number in range(1, 8)], {})
    spool.close()
    found = status(place)
    assert (found["backlog"], found["oldest"], found["state"]) == (7, "1970-01-02T00:00:00Z", "not running")
    assert found["bytes"] > 700 and found["on_disk"] >= 4096
    assert "7" in place("spool", "status").stdout


def test_status_while_the_program_runs(place: Place) -> None:
    """Its own words, without touching its file."""
    (place.folder / "target").rmdir()
    with place.running() as child:
        assert child.stdin is not None
        child.stdin.write(b"".join(alert(number).to_json().encode() + b"\n" for number in range(20)))
        child.stdin.flush()
        wait_for(lambda: status(place)["backlog"] == 20)
        found = status(place)
        assert found["state"] == f"in use by process {child.pid}"
        assert found["oldest"] != "-" and found["bytes"] > 2000
        (place.folder / "target").mkdir()
        wait_for(lambda: status(place)["backlog"] == 0)
    assert place.written == list(range(20))


def test_a_channel_that_is_not_durable_says_so(place: Place) -> None:
    """It has dead letters, and no backlog."""
    place.write(durable=False)
    found = status(place)
    assert (found["state"], found["backlog"], found["dead"]) == ("not durable", None, 0)


def test_a_program_that_cannot_have_its_spool_says_so(place: Place) -> None:
    """A second one of the same configuration ends with a line, not with a traceback."""
    with place.running():
        second = subprocess.run(
            [sys.executable, "-c", "from rxalerts.cli import main; main()", "run", "-c", str(place.config)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={**os.environ},
        )
    assert second.returncode == 2
    assert "in use by another process (pid" in second.stderr and "Traceback" not in second.stderr
