"""`rxalerts explain`."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rxalerts.cli import main
from tests.support.operating import at


def explain(*arguments: str | Path) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(main, ["explain", *map(str, arguments)])


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of ten alerts, two of them of a shell, and a line that is none."""
    path = tmp_path / "events.jsonl"
    alerts = [at(n, "Shell" if n % 5 == 0 else "Ping", message=f"number {n}") for n in range(10)]
    path.write_text("no alert\n" + "".join(alert.to_json() + "\n" for alert in alerts))
    return path


def test_it_shows_how_a_condition_is_read() -> None:
    """The tree in words, on standard output."""
    done = explain("priority >= error and not proc.name in (sh, bash)")
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "all of:",
        "  priority is, or is more severe than, error",
        "  not:",
        '    output field proc.name is one of "sh", "bash"',
    ]


def test_it_counts_the_matches_in_a_log_and_shows_the_first(log: Path) -> None:
    """How many match of how many, the first few as text in UTC, and how many more there are."""
    done = explain("rule = Shell", log, "-n", "1")
    assert done.exit_code == 0
    assert done.stdout.splitlines()[2:] == [
        "2 of 10 alerts match",
        "  1970-01-01T00:00:00.000000000+0000: Notice number 0",
        "  … and 1 more",
    ]
    assert "1 piece is no alert" in done.stderr
    assert "0 of 10 alerts match" in explain("rule = Other", log).stdout


def test_lists_and_macros_can_be_given(log: Path) -> None:
    """As in a rules file, by name."""
    done = explain("shell", log, "--macro", "shell=rule in (names)", "--list", "names=Shell,Terminal")
    assert "2 of 10 alerts match" in done.stdout
    assert explain("shell", "--macro", "shell").exit_code == 2


def test_a_wrong_condition_points_at_its_column() -> None:
    """Status 2, and what was expected there."""
    done = explain("priority >= eror")
    assert done.exit_code == 2 and done.stdout == ""
    assert "column 13" in done.stderr and "            ^" in done.stderr


def test_a_missing_file_is_wrong_usage(tmp_path: Path) -> None:
    """Status 2, and the name of the file."""
    done = explain("rule = x", tmp_path / "missing.jsonl")
    assert done.exit_code == 2 and "missing.jsonl" in done.stderr
