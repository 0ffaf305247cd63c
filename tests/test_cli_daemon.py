"""In the background, the file with the process id, and what systemd is told."""

import os
import signal
import socket
import stat
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.run import COMMAND, Run, alerts, config, is_alive, left_alone, numbers, read_all, rxalerts, until

FILE = "file_output: {enabled: true, keep_alive: true, filename: ./events.txt}\nlog_syslog: false\n"


def start_daemon(folder: Path, *arguments: str) -> int:
    """Start in the background, reading alerts from a pipe with a name; returns the process id."""
    os.mkfifo(folder / "pipe")
    with (folder / "err").open("wb") as err, (folder / "out").open("wb") as out:
        done = subprocess.run(
            ["sh", "-c", 'exec "$@" <> pipe', "sh", *COMMAND, "run", "-c", "falco.yaml", "-d", "-P", "pid", *arguments],
            cwd=folder,
            stdout=out,
            stderr=err,
            timeout=30,
            check=False,
        )
    assert done.returncode == 0, read_all(folder / "err")
    return int(read_all(folder / "pid"))


def test_daemon_runs_in_the_background(tmp_path: Path) -> None:
    """-d: own session, files 0640, descriptors on /dev/null, no alert on stdout, relative paths as they were."""
    config(tmp_path, FILE + "stdout_output: {enabled: true}\noutput_timeout: 300\n")
    with left_alone(start_daemon(tmp_path, "-U")) as pid:
        with (tmp_path / "pipe").open("w") as pipe:
            pipe.writelines(alerts(20))
        until(lambda: len(numbers(read_all(tmp_path / "events.txt"))) == 20)
        assert os.getsid(pid) != os.getsid(0) and os.getsid(pid) != pid
        assert [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (0, 1, 2)] == ["/dev/null"] * 3
        assert os.readlink(f"/proc/{pid}/cwd") == str(tmp_path.resolve())
        assert stat.S_IMODE((tmp_path / "events.txt").stat().st_mode) == 0o640
        assert read_all(tmp_path / "out") == ""
        os.kill(pid, signal.SIGTERM)
        until(lambda: not is_alive(pid), "the daemon's end")
        assert not (tmp_path / "pid").exists()
    assert numbers(read_all(tmp_path / "events.txt")) == list(range(20))


def test_a_daemon_drains_and_reloads_like_any_other(tmp_path: Path) -> None:
    """SIGHUP in the background finds the configuration by its relative name."""
    config(tmp_path, FILE + "output_timeout: 300\n")
    with left_alone(start_daemon(tmp_path, "-U")) as pid:
        config(tmp_path, FILE.replace("events", "other") + "output_timeout: 300\n")
        os.kill(pid, signal.SIGHUP)
        with (tmp_path / "pipe").open("w") as pipe:
            pipe.writelines(alerts(2000))
        os.kill(pid, signal.SIGTERM)
        until(lambda: not is_alive(pid), "the daemon's end")
    both = read_all(tmp_path / "events.txt", tmp_path / "other.txt")
    assert numbers(both) == list(range(2000))


def test_errors_are_seen_before_the_terminal_is_left(tmp_path: Path) -> None:
    """A wrong configuration: the command itself fails, with the reason, and nothing stays in the background."""
    config(tmp_path, "file_output: {enabled: true}\n")
    done = rxalerts("run", "-c", "falco.yaml", "-d", "-P", "pid", folder=tmp_path)
    assert done.returncode == 2
    assert "no filename" in done.stderr.decode()
    assert not (tmp_path / "pid").exists()


def test_pidfile_without_daemon(tmp_path: Path) -> None:
    """-P alone writes our own id, and removes the file at the end."""
    config(tmp_path, FILE)
    with Run("run", "-c", "falco.yaml", "--pidfile", "pid", folder=tmp_path) as run:
        run.ready()
        assert (tmp_path / "pid").read_text() == f"{run.process.pid}\n"
        assert run.end() == 0
    assert not (tmp_path / "pid").exists()


def test_a_pidfile_of_a_running_process_is_refused(tmp_path: Path) -> None:
    """A second instance is refused and leaves the first one's file alone."""
    config(tmp_path, FILE)
    with Run("run", "-c", "falco.yaml", "-P", "pid", folder=tmp_path) as run:
        run.ready()
        second = rxalerts("run", "-c", "falco.yaml", "-P", "pid", folder=tmp_path)
        assert second.returncode == 2
        assert f"process {run.process.pid} holds it" in second.stderr.decode()
        assert (tmp_path / "pid").exists()
        assert run.end() == 0


def test_a_pidfile_of_another_program_that_runs_is_refused(tmp_path: Path) -> None:
    """A live process that was there when the file was written may be its owner, lock or not."""
    config(tmp_path, FILE)
    (tmp_path / "pid").write_text(str(os.getpid()))
    done = rxalerts("run", "-c", "falco.yaml", "-P", "pid", folder=tmp_path)
    assert done.returncode == 2 and "stop it first" in done.stderr.decode()
    assert (tmp_path / "pid").read_text() == str(os.getpid())


def test_a_stale_pidfile_is_replaced(tmp_path: Path) -> None:
    """A dead process's file is taken over; so is one whose number has gone to a process that began later."""
    config(tmp_path, FILE)
    gone = subprocess.Popen(["true"])
    gone.wait()
    for pid, written in ((gone.pid, time.time()), (os.getpid(), 1000)):
        (tmp_path / "pid").write_text(f"{pid}\n")
        os.utime(tmp_path / "pid", (written, written))
        assert rxalerts("run", "-c", "falco.yaml", "-P", "pid", folder=tmp_path).returncode == 0
        assert not (tmp_path / "pid").exists()


def test_a_pidfile_that_is_a_link_or_holds_something_else_is_refused(tmp_path: Path) -> None:
    """A link is not followed, and a file with other contents is not overwritten."""
    config(tmp_path, FILE)
    (tmp_path / "target").write_text("precious")
    (tmp_path / "link").symlink_to("target")
    for name, words in (("link", "symbolic link"), ("target", "no process id"), (".", "--pidfile .")):
        done = rxalerts("run", "-c", "falco.yaml", "-P", name, folder=tmp_path)
        assert done.returncode == 2 and words in done.stderr.decode()
    assert (tmp_path / "target").read_text() == "precious"


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_systemd_is_told(tmp_path: Path, abstract: bool) -> None:
    """READY once everything is started, RELOADING with its moment and READY on SIGHUP, STOPPING at the end."""
    name = f"@rxalerts-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    config(
        tmp_path,
        FILE + "program_output: {enabled: true, program: 'echo ${NOTIFY_SOCKET:-none} >> env'}\n".replace("$", "$$"),
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name[1:] if abstract else name)
        manager.settimeout(30)
        with Run("run", "-c", "falco.yaml", folder=tmp_path, env={"NOTIFY_SOCKET": name}) as run:
            assert manager.recv(4096).decode().split("\n") == ["READY=1", f"MAINPID={run.process.pid}"]
            before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            run.signal(signal.SIGHUP)
            reloading, moment = manager.recv(4096).decode().split("\n")
            after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            assert reloading == "RELOADING=1"
            assert before <= int(moment.removeprefix("MONOTONIC_USEC=")) <= after
            assert manager.recv(4096).decode().startswith("READY=1\n")
            run.write(alerts(1))
            assert run.end() == 0
            assert manager.recv(4096).decode() == "STOPPING=1"
    assert read_all(tmp_path / "env") == "none\n"


def test_the_unit_file_is_what_systemd_accepts(root: Path) -> None:
    """examples/rxalerts.service starts our command, with Type=notify and a reload by SIGHUP."""
    unit = (root / "examples" / "rxalerts.service").read_text()
    for line in ("Type=notify", "ExecReload=/bin/kill -HUP $MAINPID", "UMask=0077"):
        assert f"\n{line}\n" in unit
    try:
        checked = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", str(root / "examples" / "rxalerts.service")],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("systemd-analyze (Debian: systemd) is missing")
    complaints = [line for line in checked.stderr.splitlines() if "rxalerts.service" in line]
    # The program is not installed where the unit expects it: that is the one thing that may be said.
    assert [line for line in complaints if "is not executable" not in line] == []
