"""`rxalerts stats`: counts of a recorded log."""

import gzip
import json
from pathlib import Path

import pytest

from rxalerts import Alert
from rxalerts.cli.summary import Summary, sparkline
from tests.support.pty_run import Terminal
from tests.support.run import rxalerts

MINUTE = 60 * 1_000_000_000


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Ten alerts over an hour: nine of one rule, three of them in one minute."""
    path = tmp_path / "log.jsonl"
    minutes = (0, 5, 10, 30, 30, 30, 40, 50, 55)
    alerts = [Alert("Noisy", "notice", "x", {"pod": f"web-{at % 2}"}, time=at * MINUTE) for at in minutes]
    alerts.append(Alert("Shell", "critical", "x", {"other": 1}, time=60 * MINUTE))
    path.write_text("".join(each.to_json() + "\n" for each in alerts))
    return path


def test_it_counts(tmp_path: Path, log: Path) -> None:
    """How many, when, how fast, by priority, rule and field, with their shares; nothing is coloured in a pipe."""
    done = rxalerts("stats", "--field", "pod", log, folder=tmp_path)
    assert done.returncode == 0
    lines = done.stdout.decode().splitlines()
    assert lines[0] == "10 alerts: 0.2 a minute, 10.0 an hour"
    assert lines[1:4] == [
        "first 1970-01-01T00:00:00.000000000Z",
        "last  1970-01-01T01:00:00.000000000Z",
        "busiest minute 1970-01-01T00:30 UTC with 3",
    ]
    assert "█" in lines[5]
    text = [" ".join(each.split()) for each in lines]
    assert "9 90.0% Noisy" in text
    assert "1 10.0% Critical" in text
    assert "7 77.8% web-0" in text
    assert text.index("1 10.0% Critical") < text.index("9 90.0% Notice")
    assert b"\x1b" not in done.stdout
    assert rxalerts("stats", "-f", "nope", log, folder=tmp_path).stdout.decode().endswith("nope: no alert has it\n")


def test_json_says_the_same(tmp_path: Path, log: Path) -> None:
    """One object, with as many rules as asked for."""
    done = rxalerts("stats", "--json", "-n", "1", "-f", "pod", log, folder=tmp_path)
    data = json.loads(done.stdout)
    assert (data["alerts"], data["rules"], data["fields"]) == (10, {"Noisy": 9}, {"pod": {"web-0": 7}})
    assert data["rule_count"] == 2
    assert data["priorities"] == {"Critical": 1, "Notice": 9}
    assert data["busiest_minute"]["alerts"] == 3


def test_several_and_packed_files_are_one(tmp_path: Path, log: Path) -> None:
    """A pattern, gzip: counted together; what is no alert is told on standard error."""
    packed = tmp_path / "more.jsonl.gz"
    packed.write_bytes(gzip.compress(log.read_bytes() + b"junk\n"))
    done = rxalerts("stats", "*.jsonl*", folder=tmp_path)
    assert done.stdout.startswith(b"20 alerts")
    said = done.stderr.decode()
    assert "more.jsonl.gz: 1 piece is no alert" in said
    assert said.count("no alert") == 1


def test_an_empty_log(tmp_path: Path) -> None:
    """There is nothing to count."""
    (tmp_path / "empty").touch()
    assert rxalerts("stats", "empty", folder=tmp_path).stdout == b"no alerts\n"
    data = json.loads(rxalerts("stats", "--json", "empty", folder=tmp_path).stdout)
    assert (data["alerts"], data["first"], data["busiest_minute"]) == (0, None, None)


def test_control_characters_do_not_reach_the_terminal(tmp_path: Path) -> None:
    """A rule's name with an escape sequence is shown as text."""
    log = tmp_path / "log"
    log.write_text(Alert("\x1b[31mred", "notice").to_json() + "\n")
    done = rxalerts("stats", log, folder=tmp_path)
    assert b"\x1b" not in done.stdout
    assert rb"\x1b[31mred" in done.stdout


@pytest.mark.parametrize(("env", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colours_in_a_terminal_only(tmp_path: Path, log: Path, env: dict[str, str], coloured: bool) -> None:
    """Urgent priorities are coloured there, unless NO_COLOR is set."""
    with Terminal("stats", log, folder=tmp_path, env=env) as terminal:
        assert terminal.end() == 0
        terminal.shows("Shell")
        assert ("\x1b[31mCritical" in terminal.raw) is coloured


def test_wrong_usage(tmp_path: Path, log: Path) -> None:
    """A file that is not there and a count of nothing are told with status 2."""
    done = rxalerts("stats", "nothing", folder=tmp_path)
    assert (done.returncode, b"no such file" in done.stderr) == (2, True)
    assert rxalerts("stats", "-n", "0", log, folder=tmp_path).returncode == 2


def test_rare_values_are_counted_together() -> None:
    """Memory stays bounded however many values a field has; the total stays right."""
    summary = Summary(["n"]).add_all(Alert("r", "notice", "", {"n": number}) for number in range(12_000))
    assert len(summary.values["n"]) == 10_001
    assert summary.values["n"]["(others)"] == 2000
    assert sparkline([]) == ""
