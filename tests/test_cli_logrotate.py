"""Debian's logrotate rotates the file of a running stream: not one alert lost or doubled."""

import shutil
import subprocess
from functools import partial
from pathlib import Path

import pytest

from tests.support.run import Run, Stream, alerts, config, has, numbers, read_all, until

ROTATIONS = 10

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(shutil.which("logrotate") is None, reason="logrotate is missing: apt-get install logrotate"),
]

FILE = "file_output: {enabled: true, keep_alive: true, filename: ./events.txt}\n"


def rotate(folder: Path, directives: str) -> None:
    """Run logrotate once, with the directives of the file."""
    conf = folder / "logrotate.conf"
    # As root it insists on saying who the files belong to.
    conf.write_text(f"{folder}/events.txt {{\n  su root root\n  rotate 99\n  ifempty\n{directives}}}\n")
    conf.chmod(0o600)
    folder.chmod(0o755)
    done = subprocess.run(
        ["logrotate", "--force", "--state", str(folder / "state"), str(conf)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def everything(folder: Path) -> list[int]:
    """Return the numbers of all alerts, the oldest file first."""
    rotated = sorted(folder.glob("events.txt.*"), key=lambda path: -int(path.suffix[1:]))
    return numbers(read_all(*rotated, folder / "events.txt"))


@pytest.mark.parametrize("flag", ["-U", "--strict"], ids=["unbuffered", "buffered"])
def test_postrotate_sigusr1(tmp_path: Path, flag: str) -> None:
    """The document's way: the file is moved, then SIGUSR1; what was buffered or in flight stays in the old one."""
    config(tmp_path, FILE)
    with Run("run", "-c", "falco.yaml", "-P", "pid", flag, folder=tmp_path) as run:
        run.ready()
        kill = f"  nocreate\n  postrotate\n    kill -USR1 $(cat {tmp_path}/pid)\n  endscript\n"
        with Stream(run) as writer:
            for number in range(ROTATIONS):
                until((tmp_path / "events.txt").exists)
                rotate(tmp_path, kill)
                run.said("SIGUSR1 received", number + 1)
        assert run.end() == 0
    assert everything(tmp_path) == list(range(writer.written))
    assert len(list(tmp_path.glob("events.txt.*"))) == ROTATIONS


@pytest.mark.parametrize("keep_alive", ["true", "false"])
def test_copytruncate(tmp_path: Path, keep_alive: str) -> None:
    """The file is copied, then cut to nothing under our hands: we go on at its new end, without a hole or a tear.

    What is written between logrotate's copy and its cut is lost by logrotate itself (its manual says so): its hooks
    hold the input here, in the moments between.
    """
    config(tmp_path, FILE.replace("true, filename", f"{keep_alive}, filename"))
    with Run("run", "-c", "falco.yaml", "-U", folder=tmp_path) as run:
        run.ready()
        for number in range(ROTATIONS):
            run.write(alerts(500, number * 500))
            # Beginning with the cut, the file has only what came since.
            until(partial(has, tmp_path / "events.txt", 500))
            rotate(tmp_path, "  copytruncate\n")
        run.write(alerts(500, ROTATIONS * 500))
        assert run.end() == 0
    assert b"\0" not in (tmp_path / "events.txt").read_bytes()
    assert everything(tmp_path) == list(range(ROTATIONS * 500 + 500))


def test_copytruncate_with_the_process_stopped_between(tmp_path: Path) -> None:
    """Stopped by logrotate's own hooks (SIGSTOP, SIGCONT) while the stream runs on: nothing is lost either."""
    config(tmp_path, FILE)
    with Run("run", "-c", "falco.yaml", "-U", "-P", "pid", folder=tmp_path) as run:
        run.ready()
        run.write(alerts(1, -1))
        until((tmp_path / "events.txt").exists)
        halt = f"pid=$(cat {tmp_path}/pid); kill -STOP $pid; until grep -q 'State:.T' /proc/$pid/status; do :; done"
        hooks = (
            f"  prerotate\n    {halt}\n  endscript\n  postrotate\n    kill -CONT $(cat {tmp_path}/pid)\n  endscript\n"
        )
        with Stream(run) as writer:
            for _ in range(ROTATIONS):
                rotate(tmp_path, "  copytruncate\n" + hooks)
        assert run.end() == 0
    assert everything(tmp_path) == list(range(-1, writer.written))
