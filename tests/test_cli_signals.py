"""Signals at any moment, under load and with full mailboxes: nothing is lost, nothing comes twice."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.support.run import Run, Stream, alerts, config, numbers, read_all, until

COUNT = 12_000


@pytest.mark.parametrize(
    "options",
    ["keep_alive: true", "keep_alive: false", "keep_alive: true}\noutputs_queue: {capacity: 3"],
    ids=["kept", "not-kept", "full-mailbox"],
)
@pytest.mark.parametrize("seed", [1, 2])
def test_sigusr1_under_load_loses_and_doubles_nothing(tmp_path: Path, options: str, seed: int) -> None:
    """Files that are moved away, at random, with SIGUSR1 after each: every alert is in one of them, once, in order."""
    config(tmp_path, f"file_output: {{enabled: true, filename: ./events.txt, {options}}}\n")
    chance = random.Random(seed)
    path, moved = tmp_path / "events.txt", list[Path]()
    with Run("run", "-c", "falco.yaml", folder=tmp_path) as run:
        run.ready()
        ends = time.monotonic() + 5
        with Stream(run) as writer:
            while len(moved) < 25 and time.monotonic() < ends:
                time.sleep(chance.uniform(0, 0.02))
                if path.exists():
                    moved.append(path.rename(tmp_path / f"events.{len(moved)}"))
                run.signal(signal.SIGUSR1)
        assert run.end() == 0
        assert "SIGUSR1 received, reopening outputs..." in run.err
    assert len(moved) > 1
    assert numbers(read_all(*moved, path)) == list(range(writer.written))


def test_sigusr1_reopens_a_program_that_is_kept(tmp_path: Path) -> None:
    """The program gets its end of input and is started anew; each alert reaches one of the two."""
    program = "cat > got.$$"
    config(tmp_path, f"program_output: {{enabled: true, keep_alive: true, program: '{program}'}}\n")
    with Run("run", "-c", "falco.yaml", "-U", folder=tmp_path) as run:
        run.write(alerts(100))
        until(lambda: len(numbers(read_all(*tmp_path.glob("got.*")))) == 100)
        run.signal(signal.SIGUSR1)
        until(lambda: len(list(tmp_path.glob("got.*"))) == 2, "a second program")
        run.write(alerts(100, 100))
        assert run.end() == 0
    assert sorted(numbers(read_all(*tmp_path.glob("got.*")))) == list(range(200))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("seed", range(3))
def test_a_signal_at_a_random_moment_loses_nothing_that_was_written(
    tmp_path: Path, number: signal.Signals, seed: int
) -> None:
    """Whenever the end comes, what the writer had written before it closed the pipe is delivered."""
    config(tmp_path, "file_output: {enabled: true, keep_alive: true, filename: ./events.txt}\noutput_timeout: 20000\n")
    with Run("run", "-c", "falco.yaml", folder=tmp_path) as run:
        written = 0
        run.ready()
        for written in range(100, random.Random(seed).randrange(200, COUNT, 100), 100):
            run.write(alerts(100, written - 100))
        run.signal(number)
        run.write(alerts(100, written))
        written += 100
        assert run.end() == 0
        assert f"{number.name} received, exiting..." in run.err
    assert numbers(read_all(tmp_path / "events.txt")) == list(range(written))


def test_signals_before_everything_is_started_are_kept(tmp_path: Path) -> None:
    """SIGUSR1 while the program is still being loaded does not kill it."""
    config(tmp_path, "file_output: {enabled: true, filename: ./events.txt}\n")
    with Run("run", "-c", "falco.yaml", folder=tmp_path) as run:
        # The handlers are there before the slow imports.
        until(lambda: _catches(run.process.pid, signal.SIGUSR1), "a handler of SIGUSR1")
        run.signal(signal.SIGUSR1)
        run.signal(signal.SIGHUP)
        run.write(alerts(5))
        run.said("SIGUSR1 received")
        run.said("SIGHUP received")
        assert run.end() == 0
    assert numbers(read_all(tmp_path / "events.txt")) == list(range(5))


def _catches(pid: int, number: signal.Signals) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) & 1 << (number - 1))


STUCK = "program_output: {enabled: true, keep_alive: true, program: sleep 1000}\n"


def test_sigterm_drains_within_output_timeout_and_tells_what_is_left(tmp_path: Path) -> None:
    """A channel that takes nothing holds up the end for output_timeout, and what it had is reported, with status 1."""
    config(tmp_path, STUCK + "file_output: {enabled: true, filename: ./events.txt}\noutput_timeout: 700\n")
    with Run("run", "-c", "falco.yaml", "-U", folder=tmp_path) as run:
        run.ready()
        run.write(alerts(3000))
        until(lambda: len(numbers(read_all(tmp_path / "events.txt"))) == 3000)
        began = time.monotonic()
        run.signal(signal.SIGTERM)
        assert run.end(15) == 1
        assert time.monotonic() - began < 6
        assert "file: delivered 3000 of 3000" in run.err
        assert "program: delivered" in run.err and ", lost " in run.err


def test_the_input_s_end_waits_for_a_channel_that_gets_on_and_a_signal_limits_that(tmp_path: Path) -> None:
    """After the end of the input a stuck channel is waited for, until a signal sets output_timeout as the limit."""
    config(tmp_path, "file_output: {enabled: true, filename: ./not/yet/there.txt}\noutput_timeout: 300\n")
    with Run("run", "-c", "falco.yaml", folder=tmp_path) as run:
        run.write(alerts(300))
        assert run.process.stdin is not None
        run.process.stdin.close()
        run.said("next attempt", 3)
        assert run.process.poll() is None
        run.signal(signal.SIGTERM)
        assert run.end(15) == 1
        assert "file: delivered 0 of 300, lost 300" in run.err


def test_a_second_signal_exits_at_once(tmp_path: Path) -> None:
    """While a stuck channel is drained, another SIGTERM or SIGINT ends the program on the spot."""
    config(tmp_path, STUCK + "output_timeout: 60000\n")
    with Run("run", "-c", "falco.yaml", "-U", "-P", "pid", folder=tmp_path) as run:
        run.ready()
        run.write(alerts(3000))
        run.signal(signal.SIGTERM)
        run.said("SIGTERM received, exiting...")
        began = time.monotonic()
        # Right with the first it is taken for the same one.
        until(lambda: _ended_by(run, signal.SIGINT), "its end")
        assert run.process.wait() == 128 + signal.SIGINT
        assert time.monotonic() - began < 2
        assert "second signal" in run.err
        assert not (tmp_path / "pid").exists()


def _ended_by(run: Run, number: signal.Signals) -> bool:
    run.signal(number)
    return run.process.poll() is not None


def test_the_same_signal_twice_at_once_is_one(tmp_path: Path) -> None:
    """`timeout` sends its signal to the command and to the group: that must not cost what is being delivered."""
    config(tmp_path, "file_output: {enabled: true, keep_alive: true, filename: ./events.txt}\n")
    with Run("run", "-c", "falco.yaml", folder=tmp_path) as run:
        run.ready()
        run.write(alerts(2000))
        run.signal(signal.SIGTERM)
        os.killpg(run.process.pid, signal.SIGTERM)
        assert run.end() == 0
    assert numbers(read_all(tmp_path / "events.txt")) == list(range(2000))
