"""Every command, when something is the matter with its standard output; and the helps that help."""

import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.run import COMMAND, alerts, config, until

COMMANDS = [
    ("stats", "log"),
    ("stats", "--json", "log"),
    ("grep", "rule = Shell", "log"),
    ("explain", "rule = Shell", "log"),
    ("check", "falco.yaml"),
    ("--help",),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a log and a configuration."""
    (tmp_path / "log").write_text("".join(alerts(1000)))
    config(tmp_path, "stdout_output: {enabled: true}\n")
    return tmp_path


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_full_disk_is_told_in_a_line(folder: Path, arguments: tuple[str, ...]) -> None:
    """Status 1, and no traceback."""
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*COMMAND, *arguments], cwd=folder, stdout=full, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (1, b"Error: standard output: No space left on device\n")


@pytest.mark.parametrize("arguments", COMMANDS[:5], ids=" ".join)
def test_a_reader_that_has_left_is_no_failure(folder: Path, arguments: tuple[str, ...]) -> None:
    """Quiet, and status 0, as in `rxalerts … | head -1` under `set -o pipefail`."""
    with subprocess.Popen(
        [*COMMAND, *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert (process.stderr.read(), process.wait(30)) == (b"", 0)


def test_a_closed_output_is_told(folder: Path) -> None:
    """Status 2, and no traceback, as with `>&-` in a shell."""
    for arguments in COMMANDS[:5]:
        done = subprocess.run(
            ["sh", "-c", 'exec "$@" >&-', "sh", *COMMAND, *arguments], cwd=folder, stderr=subprocess.PIPE, check=False
        )
        assert done.returncode == 2
        assert b"standard output is closed" in done.stderr and b"Traceback" not in done.stderr


def test_ctrl_c_ends_it(tmp_path: Path) -> None:
    """Quiet, with the status of a program that the signal ended; nothing half-written stays."""
    with subprocess.Popen(
        [*COMMAND, "convert", "-", "--to", "out.jsonl"], cwd=tmp_path, stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None and process.stderr is not None
        until(lambda: list(tmp_path.iterdir()))
        process.send_signal(signal.SIGINT)
        assert (process.wait(30), process.stderr.read()) == (130, b"")
    assert list(tmp_path.iterdir()) == []


def test_a_misspelt_command_is_recognised(tmp_path: Path) -> None:
    """Status 2, with what was probably meant."""
    done = subprocess.run([*COMMAND, "stast"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 2
    assert b"No such command 'stast'. Did you mean 'stats'?" in done.stderr
