"""No command writes to the file that it reads."""

import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from rxalerts import Alert, run, sources
from rxalerts.errors import ConfigError
from rxalerts.flow.source import Source
from rxalerts.sinks import FileSink
from tests.support.run import COMMAND, alerts, config, rxalerts

FILE = "file_output: {enabled: true, keep_alive: true, filename: ./events.txt}\n"


@pytest.mark.parametrize(
    "command",
    [
        "replay log --to ./log",
        "replay 'lo*' --to log",
        "replay log --to link",
        "replay log --rejects log",
        "replay log -c falco.yaml -o file_output.filename=./log",
        "run -c falco.yaml --from log -o file_output.filename=link",
        "run -c falco.yaml --from log --rejects ./log",
        "run -c falco.yaml --from tail:log?state=s -o file_output.filename=log",
        "run -c falco.yaml --from tail:later -o file_output.filename=./later",
        "check falco.yaml -o rxalerts.source=tail:log -o file_output.filename=./log",
    ],
)
def test_a_file_is_not_read_and_written(command: str, tmp_path: Path) -> None:
    """By whatever name, wherever it is said: the command refuses, and the file is as it was."""
    config(tmp_path, FILE)
    log = tmp_path / "log"
    log.write_text("".join(alerts(3)))
    os.link(log, tmp_path / "link")
    done = rxalerts(*shlex.split(command), folder=tmp_path)
    assert done.returncode == 2
    assert "is the file that is read: " in done.stderr.decode()
    assert log.read_text() == "".join(alerts(3))


@pytest.mark.parametrize("source", ["log", "-"])
def test_standard_output_is_not_the_log(source: str, tmp_path: Path) -> None:
    """`>> log` is refused too, as cat and grep do."""
    log = tmp_path / "log"
    log.write_text("".join(alerts(3)))
    with log.open("rb") as out_of, log.open("ab") as into:
        done = subprocess.run(
            [*COMMAND, "replay", source], cwd=tmp_path, stdin=out_of, stdout=into, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 2
    assert b"standard output is the file that is read" in done.stderr
    assert log.read_text() == "".join(alerts(3))


def test_another_file_beside_it_is_none_of_its_business(tmp_path: Path) -> None:
    """What only looks alike is read and written."""
    (tmp_path / "log").write_text("".join(alerts(3)))
    done = rxalerts("replay", "log", "--to", "log.txt", folder=tmp_path)
    assert done.returncode == 0
    assert len((tmp_path / "log.txt").read_text().splitlines()) == 3


def test_standard_input_that_is_closed_is_told(tmp_path: Path) -> None:
    """`<&-` is named, and ends with 1."""
    config(tmp_path, FILE)
    line = f"exec {shlex.join(map(str, COMMAND))} run -c falco.yaml <&-"
    done = subprocess.run(["/bin/sh", "-c", line], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 1
    assert b"standard input is closed" in done.stderr


def merged(path: Path) -> Source[Alert]:
    """Return one source of several."""
    return sources.merge(sources.replay(path))


@pytest.mark.parametrize("name", ["log", "link"])
@pytest.mark.parametrize("source", [sources.replay, sources.tail, merged])
def test_a_pipeline_does_not_either(source: Callable[[Path], Source[Alert]], name: str, tmp_path: Path) -> None:
    """In code too: the error names the file, before anything is read or written."""
    log = tmp_path / "log"
    log.write_text("".join(alerts(3)))
    os.link(log, tmp_path / "link")
    with pytest.raises(ConfigError, match=f"{name} is the file that is read: "):
        run(source(log), FileSink(tmp_path / name))
    assert log.read_text() == "".join(alerts(3))
