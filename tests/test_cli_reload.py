"""SIGHUP: another configuration while alerts flow, without losing one, doubling one or turning two around."""

import random
import signal
import time
from pathlib import Path

import pytest

from tests.support.run import Run, Stream, alert, alerts, config, is_alive, numbers, read_all, until

COUNT = 12_000

PROGRAM = "program_output: {enabled: true, keep_alive: true, program: 'echo $$ >> pids; exec cat >> program.txt'}\n"


def file(name: str, more: str = "") -> str:
    """Return a file channel's section."""
    return f"file_output: {{enabled: true, filename: ./{name}, keep_alive: true{more}}}\n"


def reload(run: Run) -> None:
    """Send SIGHUP and wait until it has been obeyed, one way or the other."""
    before = run.err.count("reloaded")
    run.signal(signal.SIGHUP)
    run.said("reloaded", before + 1)


def test_a_channel_that_did_not_change_keeps_running(tmp_path: Path) -> None:
    """The program of an unchanged channel is the same process afterwards; the changed file is another."""
    config(tmp_path, PROGRAM + file("one.txt"))
    with Run("run", "-c", "falco.yaml", "-U", folder=tmp_path) as run:
        run.write(alerts(10))
        until(lambda: len(numbers(read_all(tmp_path / "program.txt"))) == 10)
        config(tmp_path, PROGRAM + file("two.txt"))
        reload(run)
        assert "reloaded: exchanged file\n" in run.err
        pid = int((tmp_path / "pids").read_text())
        assert is_alive(pid)
        run.write(alerts(10, 10))
        assert run.end() == 0
    assert numbers(read_all(tmp_path / "program.txt")) == list(range(20))
    assert numbers(read_all(tmp_path / "one.txt")) == list(range(10))
    assert numbers(read_all(tmp_path / "two.txt")) == list(range(10, 20))
    assert (tmp_path / "pids").read_text() == f"{pid}\n"


def test_nothing_changed_exchanges_nothing(tmp_path: Path) -> None:
    """SIGHUP with the same file is harmless."""
    config(tmp_path, file("one.txt"))
    with Run("run", "-c", "falco.yaml", folder=tmp_path) as run:
        run.ready()
        reload(run)
        assert "reloaded: no channel has changed" in run.err
        run.write(alerts(3))
        assert run.end() == 0
    assert numbers(read_all(tmp_path / "one.txt")) == [0, 1, 2]


@pytest.mark.parametrize("capacity", [10_000, 7])
@pytest.mark.parametrize("seed", [1, 2])
def test_reloads_under_load_lose_nothing_and_keep_the_order(tmp_path: Path, capacity: int, seed: int) -> None:
    """The one channel is exchanged at random moments: each alert is in one of the files, once, each file in order."""
    chance = random.Random(seed)
    queue = f"outputs_queue: {{capacity: {capacity}}}\n"
    config(tmp_path, file("0.txt") + queue)
    count = 0
    with Run("run", "-c", "falco.yaml", folder=tmp_path) as run:
        run.ready()
        with Stream(run, COUNT) as writer:
            while writer.alive and count < 10:
                time.sleep(chance.uniform(0, 0.03))
                count += 1
                config(tmp_path, file(f"{count}.txt") + queue)
                reload(run)
        assert run.end() == 0
        assert run.err.count("exchanged file") == count
    # In the order of the files, as no later one began before its predecessor had ended.
    assert numbers(read_all(*(tmp_path / f"{n}.txt" for n in range(count + 1)))) == list(range(COUNT))


def test_one_file_is_never_written_by_two(tmp_path: Path) -> None:
    """A channel whose options change and whose file stays: the old one has ended before the new one begins."""
    config(tmp_path, file("events.txt"))
    with Run("run", "-c", "falco.yaml", folder=tmp_path) as run:
        run.ready()
        with Stream(run, COUNT):
            for keep in ["false", "true"] * 5:
                config(tmp_path, f"file_output: {{enabled: true, filename: ./events.txt, keep_alive: {keep}}}\n")
                reload(run)
        assert run.end() == 0
    assert numbers(read_all(tmp_path / "events.txt")) == list(range(COUNT))


def test_what_the_old_channel_cannot_deliver_goes_to_the_new_one(tmp_path: Path) -> None:
    """A file in a folder that is not there: after the reload all its alerts are in the new file, first and in order."""
    config(tmp_path, file("no/such/folder.txt") + "output_timeout: 300\n")
    with Run("run", "-c", "falco.yaml", folder=tmp_path) as run:
        run.write(alerts(50))
        run.said("next attempt")
        config(tmp_path, file("good.txt") + "output_timeout: 300\n")
        reload(run)
        assert "50 alerts that the old channel could not deliver go to the new one" in run.err
        run.write(alerts(50, 50))
        assert run.end() == 0
    assert numbers(read_all(tmp_path / "good.txt")) == list(range(100))


def test_channels_come_and_go(tmp_path: Path) -> None:
    """A channel that is new begins with the next alert; one that is gone has delivered everything before."""
    config(tmp_path, file("one.txt"))
    with Run("run", "-c", "falco.yaml", folder=tmp_path) as run:
        run.write(alerts(10))
        run.ready()
        config(tmp_path, "stdout_output: {enabled: true}\n")
        reload(run)
        run.write(alerts(10, 10))
        assert run.end() == 0
        assert numbers(read_all(tmp_path / "one.txt") + run.out) == list(range(20))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stdout_output: {enabled: true\n", "not YAML"),
        ("json_output: true\n", "No output configured"),
        ("file_output: {enabled: true}\n", "no filename"),
    ],
)
def test_a_bad_file_keeps_the_old_configuration_and_raises_an_alert(tmp_path: Path, text: str, words: str) -> None:
    """The old channels go on, and carry the internal alert `hot restart failure`, in Falco's form."""
    config(tmp_path, file("one.txt") + "priority: emergency\njson_output: true\n")
    with Run("run", "-c", "falco.yaml", "-U", folder=tmp_path) as run:
        run.ready()
        config(tmp_path, text)
        run.signal(signal.SIGHUP)
        run.said("not reloaded")
        line = until(lambda: read_all(tmp_path / "one.txt"))
        assert '"output":"Falco internal: hot restart failure: ' in line and words in line
        assert '"priority":"Critical","rule":"Falco internal: hot restart failure","source":"internal"' in line
        assert '"output_fields":{}' in line and '"tags"' not in line
        config(tmp_path, file("two.txt"))
        reload(run)
        run.write(alerts(3))
        assert run.end() == 0
    assert numbers(read_all(tmp_path / "two.txt")) == [0, 1, 2]


def test_the_alert_in_text_form(tmp_path: Path) -> None:
    """In text form it ends with the empty brackets of an internal alert without fields."""
    config(tmp_path, file("one.txt"))
    with Run("run", "-c", "falco.yaml", folder=tmp_path) as run:
        run.ready()
        (tmp_path / "falco.yaml").unlink()
        run.signal(signal.SIGHUP)
        run.said("not reloaded")
        assert run.end() == 0
    line = read_all(tmp_path / "one.txt")
    assert line[18:].startswith(": Critical Falco internal: hot restart failure: falco.yaml: ") and line.endswith(
        " ()\n"
    )


def test_priority_and_rate_change_with_a_reload(tmp_path: Path) -> None:
    """`priority` acts at once, without exchanging a channel."""
    config(tmp_path, file("one.txt") + "priority: error\n")
    with Run("run", "-c", "falco.yaml", "-U", folder=tmp_path) as run:
        run.ready()
        run.write([*alerts(3), alert(99, "Error")])
        until(lambda: numbers(read_all(tmp_path / "one.txt")) == [99])
        config(tmp_path, file("one.txt") + "priority: debug\n")
        reload(run)
        run.write(alerts(3, 3))
        assert run.end() == 0
        assert "3 below the priority" in run.err
    assert numbers(read_all(tmp_path / "one.txt")) == [99, 3, 4, 5]
