"""`rxalerts convert`: a log in another form."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from rxalerts import Alert, read
from tests.support.run import alerts, rxalerts


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Three alerts, one with everything that needs care."""
    path = tmp_path / "log"
    fields: dict[str, Any] = {"big": 2**63, "text": 'a "quoted", line\nand another', "none": None}
    odd = Alert("=1+1", "error", "é\r\n", fields, tags=("a", "b"), source="k8s_audit", time=5)
    path.write_text("".join(alerts(2)) + odd.to_json() + "\n")
    return path


def converted(log: Path, target: str) -> Path:
    """Convert and return what was written."""
    done = rxalerts("convert", log, "--to", target, folder=log.parent)
    assert (done.returncode, done.stdout) == (0, b""), done.stderr
    assert f"{target}: 3 alerts" in done.stderr.decode()
    assert not list(log.parent.glob("*.part"))
    return log.parent / target


def test_jsonl(log: Path) -> None:
    """The alerts come back equal."""
    with read(log) as before, read(converted(log, "out.jsonl")) as after:
        assert list(before) == list(after)


def test_text(log: Path) -> None:
    """Falco's lines, one for each alert."""
    lines = converted(log, "out.txt").read_text().splitlines()
    assert lines[0] == "10:20:05.408091526: Warning Shell opened (number=0)"
    assert len(lines) == 3


def test_csv(log: Path) -> None:
    """One row for each alert and nothing changed in it, quotes, newlines and what a spreadsheet calculates too."""
    with converted(log, "out.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["rule"] for row in rows] == ["Shell", "Shell", "=1+1"]
    assert json.loads(rows[2]["output_fields"])["text"] == 'a "quoted", line\nand another'
    assert (rows[2]["tags"], rows[2]["priority"]) == ("a b", "Error")


def test_parquet(log: Path) -> None:
    """One column for each output field, integers exact; the alerts come back equal."""
    polars = pytest.importorskip("polars", reason="needs polars: pip install 'rxalerts[notebook]'")
    from rxalerts.notebook.frame import from_frame

    table = polars.read_parquet(converted(log, "out.parquet"))
    assert table["number"].to_list() == [0, 1, None]
    assert table["big"].to_list() == [None, None, 2**63]
    with read(log) as before:
        assert list(from_frame(table)) == list(before)


@pytest.mark.parametrize("target", ["out.csv", "out.parquet", "out.jsonl"])
def test_back_again(log: Path, target: str) -> None:
    """What was written can be read by every command that reads logs, and gives the same alerts."""
    if target.endswith(".parquet"):
        pytest.importorskip("polars", reason="needs polars: pip install 'rxalerts[notebook]'")
    more = Alert("r", "notice", "m", output="another", tags=("with blank",), extra={"zone": {"z": [1]}})
    with log.open("a") as file:
        file.write(more.to_json(include_message=True) + "\n")
    assert rxalerts("convert", log, "--to", target, folder=log.parent).returncode == 0
    assert rxalerts("convert", target, "--to", "back.jsonl", folder=log.parent).returncode == 0
    with read(log) as before, read(log.parent / "back.jsonl") as after:
        assert list(before) == list(after)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("time,rule\n", "line 1: no column priority"),
        ("time,priority\n2025-01-01T00:00:00Z,Error\nsoon,Error\n", "line 3: time"),
        ("", "line 1: no column priority and none time"),
        ("time,priority,output_fields\n2025-01-01T00:00:00Z,Error,[1]\n", "line 2: output_fields"),
    ],
)
def test_a_csv_of_somebody_else_is_told(tmp_path: Path, text: str, words: str) -> None:
    """Status 2, with the file, the line and what is wrong."""
    (tmp_path / "log.csv").write_text(text)
    done = rxalerts("stats", "log.csv", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, b"")
    assert f"log.csv: {words}" in done.stderr.decode()


@pytest.mark.parametrize("target", ["out.jsonl", "out.csv"])
def test_a_full_disk_is_told(log: Path, target: str) -> None:
    """Status 1, one line, and nothing is left behind."""
    (log.parent / f"{target}.part").symlink_to("/dev/full")
    done = rxalerts("convert", log, "--to", target, folder=log.parent)
    assert done.returncode == 1
    assert done.stderr.decode() == f"Error: {target} cannot be written: No space left on device\n"
    assert [each.name for each in log.parent.iterdir()] == ["log"]


def test_what_was_there_stays_when_it_fails(tmp_path: Path, log: Path) -> None:
    """A target of an unknown kind, a log that is not there: status 2, and nothing is touched."""
    (tmp_path / "out.jsonl").write_text("mine")
    for arguments, words in (
        ((log, "--to", "out.xml"), "must end in .jsonl"),
        (("nothing", "--to", "out.jsonl"), "no such file"),
        ((log, "--to", "no/such/folder.jsonl"), "cannot be written: No such file"),
    ):
        done = rxalerts("convert", *arguments, folder=tmp_path)
        assert done.returncode == 2
        assert words in done.stderr.decode()
    assert (tmp_path / "out.jsonl").read_text() == "mine"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["log", "out.jsonl"]


def test_a_log_can_be_converted_into_itself(tmp_path: Path) -> None:
    """The result takes its place when it is complete."""
    log = tmp_path / "log.jsonl"
    log.write_text("".join(alerts(3)))
    before = log.read_bytes()
    assert converted(log, "log.jsonl").read_bytes() == before


def test_formulas_are_documented(tmp_path: Path) -> None:
    """The help says what a spreadsheet makes of a value that begins with =."""
    assert b"formula" in rxalerts("convert", "--help", folder=tmp_path).stdout
