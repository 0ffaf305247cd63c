"""`rxalerts grep`: the alerts of a log that meet a condition."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.run import COMMAND, alert, numbers, rxalerts


def lines(count: int) -> str:
    """Return so many numbered alerts."""
    return "".join(alert(number, output_fields={"evt.num": number}) for number in range(count))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Twenty numbered alerts."""
    path = tmp_path / "log"
    path.write_text(lines(20))
    return path


def found(log: Path, *arguments: str) -> tuple[int, str]:
    """Return the exit status and what is printed."""
    done = rxalerts("grep", *arguments, log, folder=log.parent)
    assert done.stderr == b""
    return done.returncode, done.stdout.decode()


def test_it_prints_what_matches_byte_for_byte(log: Path) -> None:
    """The lines are those of the log; --invert gives the others."""
    whole = log.read_text().splitlines(keepends=True)
    assert found(log, "evt.num = 3") == (0, whole[3])
    assert found(log, "-v", "evt.num >= 2") == (0, whole[0] + whole[1])


def test_count(log: Path) -> None:
    """Only how many; none is status 1, as with grep."""
    assert found(log, "--count", "evt.num < 5") == (0, "5\n")
    assert found(log, "--count", "evt.num > 50") == (1, "0\n")
    assert found(log, "evt.num > 50") == (1, "")


@pytest.mark.parametrize(
    ("condition", "context", "shown"),
    [
        ("evt.num = 5", 2, "3 4 5 6 7"),
        ("evt.num in (5, 6)", 1, "4 5 6 7"),
        ("evt.num in (5, 8)", 1, "4 5 6 7 8 9"),
        ("evt.num in (5, 9)", 1, "4 5 6 -- 8 9 10"),
        ("evt.num in (0, 19)", 1, "0 1 -- 18 19"),
        ("evt.num in (5, 9)", 0, "5 9"),
    ],
)
def test_context_is_as_greps(log: Path, condition: str, context: int, shown: str) -> None:
    """So many before and after; `--` stands for what is left out between two groups, and nowhere else."""
    _, text = found(log, "--context", str(context), condition)
    assert [line if line == "--" else str(numbers(line)[0]) for line in text.splitlines()] == shown.split()


def test_text(log: Path) -> None:
    """--text prints Falco's line."""
    assert found(log, "--text", "evt.num = 3")[1] == "10:20:05.408091526: Warning Shell opened (number=3)\n"


def test_wrong_conditions_and_files_are_told(tmp_path: Path, log: Path) -> None:
    """Status 2, and the place in the condition or the file's name."""
    done = rxalerts("grep", "evt.num = = 3", log, folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"evt.num = = 3" in done.stderr
    done = rxalerts("grep", "evt.num = 3", "nothing", folder=tmp_path)
    assert (done.returncode, b"nothing: no such file" in done.stderr) == (2, True)


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    """As in `rxalerts grep … | head -1`: quiet, and status 0."""
    log = tmp_path / "log"
    log.write_text(lines(5000))
    with subprocess.Popen(
        [*COMMAND, "grep", "evt.num >= 0", str(log)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert numbers(process.stdout.readline().decode()) == [0]
        process.stdout.close()
        assert (process.stderr.read(), process.wait(30)) == (b"", 0)
    assert sys.executable in COMMAND
