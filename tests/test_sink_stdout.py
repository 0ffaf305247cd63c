"""StdoutSink: through real pipes, terminals of no kind, and what Python puts in the place of sys.stdout."""

import functools
import io
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rxalerts import Alert
from rxalerts.flow.backoff import Retry
from rxalerts.flow.scope import Scope
from rxalerts.flow.stats import State
from rxalerts.sinks import StdoutSink
from rxalerts.testing import SinkFactory, VirtualDriver, eventually

ROOT = Path(__file__).resolve().parent.parent


@contextmanager
def surroundings(folder: Path) -> Generator[SinkFactory]:
    """A stream that takes everything."""
    with open(folder / "out", "w") as stream:
        yield functools.partial(StdoutSink, stream=stream)


def alert(number: int) -> Alert:
    """Return an alert whose text is its number."""
    return Alert("Rule", "notice", f"alert {number}", output=f"alert {number}")


def run_script(code: str, stdin: int | None = None) -> subprocess.Popen[bytes]:
    """Start Python with `code`, its standard output a pipe."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, stdin=stdin
    )


PREAMBLE = """
import sys
import rxalerts as rxa
from rxalerts import Alert, sinks, sources
def alert(n): return Alert("Rule", "notice", output=f"alert {n}")
"""


def test_a_stream_without_descriptor_gets_lines() -> None:
    """sys.stdout replaced by a StringIO, as notebooks and tests do."""
    stream = io.StringIO()
    with StdoutSink(stream=stream) as sink:
        sink.on_next(alert(1))
        sink.on_next(alert(2))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert "alert 1" in lines[0]


def test_sys_stdout_is_looked_up_when_the_first_alert_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not when the sink is built: what replaces sys.stdout in between is used."""
    sink = StdoutSink()
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    sink.on_next(alert(1))
    assert sink.close(10)
    assert "alert 1" in stream.getvalue()


def test_printed_text_stays_in_order(tmp_path: Path) -> None:
    """What was printed before an alert, and is still in Python's own buffer, comes before it."""
    with open(tmp_path / "out", "w") as stream:
        stream.write("header\n")
        with StdoutSink(stream=stream) as sink:
            sink.on_next(alert(1))
    assert (tmp_path / "out").read_text().startswith("header\n")


@pytest.mark.parametrize("stream", ["closed", "none"])
def test_a_closed_stream_fails_the_sink(stream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a standard output (closed, or none at all, as under pythonw) the sink fails and says so."""
    gone = io.StringIO()
    gone.close()
    monkeypatch.setattr(sys, "stdout", gone if stream == "closed" else None)
    sink = StdoutSink()
    sink.on_next(alert(1))
    assert sink.wait(10)
    assert sink.state is State.FAILED
    assert sink.stats().last_error == "standard output is closed"
    assert sink.stats().dropped == {"failed": 1}


def test_each_line_is_visible_at_once_through_a_pipe() -> None:
    """Unbuffered, the reader sees an alert before the next one comes."""
    code = PREAMBLE + (
        "sink = sinks.StdoutSink()\n"
        "for n in range(3):\n"
        "    sink.on_next(alert(n))\n"
        "    assert sys.stdin.readline()\n"
        "sink.close()\n"
    )
    process = run_script(code, stdin=subprocess.PIPE)
    assert process.stdout is not None and process.stdin is not None and process.stderr is not None
    with process:
        for number in range(3):
            assert f"alert {number}" in process.stdout.readline().decode()
            process.stdin.write(b"\n")
            process.stdin.flush()
    assert process.returncode == 0


def test_buffered_keeps_back_until_the_end() -> None:
    """With `buffered`, few lines come out at the close only, many as 64 KiB have come together."""
    read, write = os.pipe()
    with open(read, "rb") as reader, open(write, "w") as stream:
        sink = StdoutSink(stream=stream, buffered=True)
        sink.on_next(alert(1))
        eventually(lambda: sink.stats().depth == 1 and sink.mailbox.depth == 0, "the write into the buffer")
        os.set_blocking(read, False)
        assert reader.read() is None
        assert sink.close(10)
        assert reader.read().count(b"\n") == 1


def test_head_ends_the_run_cleanly() -> None:
    """`… | head -1`: the source is stopped, nothing is lost, nothing complains, the status is 0."""
    code = PREAMBLE + (
        "import itertools\n"
        "report = rxa.run(map(alert, itertools.count()), sinks.StdoutSink(), timeout=20)\n"
        "stats = report.sinks['stdout']\n"
        "assert stats.dropped.keys() == {'unread'}, stats\n"
        "assert report.lost == 0, report\n"
        "assert stats.state == 'closed', stats\n"
    )
    process = run_script(code)
    assert process.stdout is not None and process.stderr is not None
    with process:
        head = subprocess.run(["head", "-1"], stdin=process.stdout, capture_output=True, timeout=30)
        process.stdout.close()
        errors = process.stderr.read().decode()
        process.wait(30)
    assert head.stdout.count(b"\n") == 1
    assert (process.returncode, errors) == (0, "")


def test_head_does_not_end_the_other_sinks(tmp_path: Path) -> None:
    """When the reader of stdout has left, a file still gets everything."""
    path = tmp_path / "all"
    code = PREAMBLE + (
        f"report = rxa.run(map(alert, range(5000)), sinks.StdoutSink(), sinks.FileSink({str(path)!r}))\n"
        "assert report.lost == 0, report\n"
        "assert report.sinks['file'].delivered == 5000, report\n"
    )
    process = run_script(code)
    assert process.stdout is not None and process.stderr is not None
    with process:
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read().decode()
        process.wait(30)
    assert (process.returncode, errors) == (0, "")
    assert path.read_text().count("\n") == 5000


def test_a_non_blocking_pipe_is_waited_for() -> None:
    """A pipe that somebody made non-blocking, and that is full: nothing is lost or doubled."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    with open(read, "rb") as reader, open(write, "w") as stream:
        sink = StdoutSink(stream=stream)
        with Scope():
            for number in range(5000):
                sink.on_next(alert(number))
        eventually(lambda: sink.supervisor.busy_since is not None, "the pipe to be full")
        lines: list[bytes] = []
        while len(lines) < 5000:
            lines.append(reader.readline())
        assert sink.close(10)
    assert [line.rsplit(b" ", 1)[1] for line in lines] == [b"%d\n" % number for number in range(5000)]


def test_a_full_device_is_retried_and_reported() -> None:
    """/dev/full: the alerts stay, and go out as soon as there is room."""
    full, read, write = os.open("/dev/full", os.O_WRONLY), *os.pipe()
    with open(full, "w") as stream, open(read, "rb") as reader:
        sink = StdoutSink(stream=stream, retry=Retry(initial=0.01, maximum=0.01))
        with Scope():
            for number in range(5):
                sink.on_next(alert(number))
        eventually(lambda: sink.stats().failures >= 3, "some attempts")
        assert "No space left" in str(sink.stats().last_error)
        assert sink.stats().depth == 5
        os.dup2(write, full)
        os.close(write)
        assert sink.close(10)
        assert [reader.readline().rsplit(b" ", 1)[1] for _ in range(5)] == [b"%d\n" % n for n in range(5)]


@pytest.mark.parametrize("buffered", [False, True])
def test_a_write_that_breaks_off_is_continued(buffered: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a write is cut and fails, no line is lost, doubled or torn."""
    read, write = os.pipe()
    with open(read, "rb") as reader, open(write, "w") as stream:
        sink = StdoutSink(stream=stream, buffered=buffered, retry=Retry(initial=1, maximum=1))
        driver = VirtualDriver(sink)
        steps: list[int | OSError] = [30, OSError(28, "full"), 1, OSError(28, "full"), 100, OSError(5, "broken"), 7]
        real, plan = os.write, iter(steps)

        def cut(fd: int, data: bytes) -> int:
            step = next(plan, None)
            if isinstance(step, OSError):
                raise step
            return real(fd, data if step is None else bytes(data)[:step])

        monkeypatch.setattr(os, "write", cut)
        with Scope():
            for number in range(20):
                sink.on_next(alert(number))
        driver.advance(20)
        sink.stop()
        driver.advance(20)
        assert driver.ended
        assert sink.stats().delivered == 20
        monkeypatch.undo()
        stream.close()
        numbers = [int(line.rsplit(b" ", 1)[1]) for line in reader]
    assert numbers == list(range(20))


def test_format_json() -> None:
    """format="json" writes alerts that were not formatted before as JSON."""
    stream = io.StringIO()
    with StdoutSink(stream=stream, format="json") as sink:
        sink.on_next(alert(1))
    assert stream.getvalue().startswith("{")
