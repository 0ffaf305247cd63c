"""ProgramSink: real shells and programs, their ends, and what becomes of the alerts."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rxalerts.alert import Alert
from rxalerts.errors import OptionError
from rxalerts.flow.backoff import Retry
from rxalerts.flow.stats import State
from rxalerts.sinks.program import ProgramSink
from rxalerts.testing import SinkFactory, check_sink, eventually

SOON = Retry(initial=0.02, maximum=0.05)


@contextmanager
def running(program: str, **options: Any) -> Generator[ProgramSink, None, None]:
    """Give a sink that is closed within some seconds, whatever its program does."""
    options.setdefault("retry", SOON)
    sink = ProgramSink(program, **options)
    try:
        yield sink
    finally:
        sink.close(10)


def an_alert(message: Any) -> Alert:
    """Make an alert that is recognised by its message."""
    return Alert("Rule", "notice", f"{message}")


def words(path: Path) -> list[str]:
    """Return the last word of each line of a file, if it exists."""
    return [line.rpartition(" ")[2] for line in path.read_text().splitlines()] if path.exists() else []


def children() -> set[int]:
    """Return our child processes, zombies included."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # a thread that has just ended
            found |= {int(pid) for pid in (task / "children").read_text().split()}
    return found


@pytest.fixture(autouse=True)
def _no_zombies() -> Iterator[None]:
    """No test leaves a child behind, dead or alive."""
    before = children()
    yield
    eventually(lambda: not children() - before)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A file for a program to write to."""
    return tmp_path / "out"


@pytest.fixture(autouse=True)
def _log_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "rxalerts")


# -- one for each alert ---------------------------------------------------------------------------------------


def test_one_program_for_each_alert_in_order(out: Path) -> None:
    """Each alert, with its newline, goes to a new process' stdin; one after the other."""
    with running(f"cat >> {out}; echo $$ >> {out}.pids") as sink:
        for number in range(5):
            sink.on_next(an_alert(number))
        assert sink.close(10)
    assert words(out) == list("01234")
    assert out.read_text().endswith(": Notice 4\n")
    assert len(set(words(Path(f"{out}.pids")))) == 5
    assert sink.counts.runs == sink.stats().delivered == 5


def test_it_is_run_by_sh_with_our_surroundings(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipeline will do; environment, folder and process group are ours."""
    monkeypatch.setenv("region", "eu-west-1")
    monkeypatch.chdir(out.parent)
    with running("sed 's/.*Notice //' | cat > out; echo ${region} $PWD $(ps -o pgid= -p $$) >> out") as sink:
        sink.on_next(an_alert("x"))
    assert out.read_text().split() == ["x", "eu-west-1", str(out.parent), str(os.getpgrp())]


def test_several_at_once(out: Path) -> None:
    """With max_processes 3, three wait for each other, which one after the other could not."""
    meet = f"cat >> {out}; while [ $(wc -l < {out}) -lt 3 ]; do sleep 0.01; done"
    with running(meet, max_processes=3) as sink:
        for number in range(3):
            sink.on_next(an_alert(number))
        assert sink.close(10)
    assert sorted(words(out)) == list("012") and sink.stats().delivered == 3


def test_a_failure_after_reading_counts_as_delivered(out: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Exit status and the end of stderr are reported; the alert is not sent twice (as in Falco)."""
    with running(f"cat >> {out}; printf 'oh\\033no' >&2; exit 3") as sink:
        sink.on_next(an_alert("one"))
        assert sink.close(10)
    assert words(out) == ["one"] and sink.stats().delivered == 1 and sink.counts.failed == 1
    assert "exit status 3: oh\\u001bno" in caplog.text and "counts as delivered" in caplog.text


def test_check_makes_it_a_failure(out: Path) -> None:
    """With `check` a status other than 0 means: try again."""
    with running(f"cat >> {out}; [ $(wc -l < {out}) -ge 3 ]", check=True) as sink:
        sink.on_next(an_alert("one"))
        assert sink.close(10)
    assert words(out) == ["one"] * 3 and sink.stats().delivered == 1


def test_a_program_that_reads_nothing_and_is_content(caplog: pytest.LogCaptureFixture) -> None:
    """`true`: no loop, no silence; the size of the alert makes no difference."""
    with running("true") as sink:
        sink.on_next(an_alert("x"))
        sink.on_next(an_alert("x" * 500_000))
        assert sink.close(10)
    assert sink.stats().delivered == 2 and sink.counts.unread == 2
    assert "'true' has not read its alert" in caplog.text and "xargs" in caplog.text


def test_a_program_that_fails_before_reading_is_run_again(out: Path) -> None:
    """It has not taken the alert, so it gets it once more."""
    fails_once = f"if [ -e {out}.seen ]; then cat >> {out}; else touch {out}.seen; kill -9 $$; fi"
    with running(fails_once) as sink:
        sink.on_next(an_alert("one"))
        eventually(lambda: sink.stats().delivered)
    assert words(out) == ["one"] and sink.stats().retried == 1
    assert "killed by SIGKILL" in (sink.stats().last_error or "")


@pytest.mark.parametrize("keep_alive", [False, True])
def test_a_program_that_does_not_exist(out: Path, keep_alive: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names it and the remedy; the alert waits until it is there."""
    tool = out.parent / "no-such-tool"
    with running(f"{tool}", keep_alive=keep_alive, unbuffered=True) as sink:
        sink.on_next(an_alert("one"))
        eventually(lambda: "cannot find or run" in (sink.stats().last_error or ""))
        error = sink.stats().last_error or ""
        assert repr(str(tool)) in error and "exit status 127" in error and "install what it names" in error
        made = out.parent / "made"
        made.write_text(f"#!/bin/sh\ncat >> {out}\n")
        made.chmod(0o755)
        made.rename(tool)
        eventually(lambda: words(out) == ["one"])


def test_a_missing_program_does_not_hold_up_the_end() -> None:
    """A sink that stops without a limit fails instead of trying for ever, and says what is lost."""
    with running("/no/such/tool") as sink:
        sink.on_next(an_alert("one"))
        assert sink.close()
    assert sink.state is State.FAILED and sink.stats().dropped == {"failed": 1}


@pytest.mark.parametrize("keep_alive", [False, True])
def test_a_megabyte_on_stderr(
    out: Path, keep_alive: bool, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """It blocks nobody; it goes to our stderr, and its end into the report."""
    noisy = f"head -c 1000000 /dev/zero | tr '\\0' x >&2; echo the-end >&2; cat >> {out}; exit 1"
    with running(noisy, keep_alive=keep_alive) as sink:
        sink.on_next(an_alert("one"))
        assert sink.close(10)
    assert words(out) == ["one"] and sink.stats().delivered == 1
    report = next(record.getMessage() for record in caplog.records if "exit status 1" in record.getMessage())
    assert report.rstrip().endswith("the-end") or "xthe-end" in report or "x\\nthe-end" in report
    assert len(report) < 5000
    assert capfd.readouterr().err.count("x") >= 1_000_000


def test_a_program_that_hangs_ends_with_the_sink(caplog: pytest.LogCaptureFixture) -> None:
    """When the time given to `close` is up, it gets SIGTERM, and what it has started too."""
    sink = ProgramSink("sleep 100 & wait", output_timeout=0.2)
    sink.on_next(an_alert("one"))
    eventually(children)
    assert sink.close(0.2)
    assert "SIGTERM" in caplog.text and sink.stats().dropped == {"shutdown": 1}


@pytest.mark.parametrize(
    ("options", "key"),
    [({"program": " "}, "program"), ({"program": "a\0b"}, "program"), ({"max_processes": 0}, "max_processes")],
)
def test_wrong_options(options: dict[str, Any], key: str) -> None:
    """A wrong option is refused at once, by its name."""
    given: dict[str, Any] = {"program": "cat", **options}
    with pytest.raises(OptionError) as caught:
        ProgramSink(**given)
    assert caught.value.key == key


# -- one that is kept -----------------------------------------------------------------------------------------


def test_kept_program_gets_all_alerts(out: Path) -> None:
    """One process for all alerts; it sees the end of its input when the sink closes."""
    with running(f"echo $$ >> {out}.pids; cat > {out}; echo end >> {out}", keep_alive=True) as sink:
        for number in range(3000):
            sink.on_next(an_alert(number))
        assert sink.close(10)
    assert words(out) == [*map(str, range(3000)), "end"]
    assert len(words(Path(f"{out}.pids"))) == 1 and sink.stats().delivered == 3000


def test_output_is_buffered_until_closed(out: Path) -> None:
    """Buffered: nothing arrives before flush or close, and counts as delivered only then."""
    with running(f"cat > {out}", keep_alive=True) as sink:
        sink.on_next(an_alert("one"))
        eventually(out.exists)
        eventually(lambda: sink.stats().depth == 1 and not sink.mailbox.depth)
        assert words(out) == [] and sink.stats().delivered == 0
        assert sink.flush(10)
        eventually(lambda: words(out) == ["one"])
        assert sink.stats().delivered == 1
        sink.on_next(an_alert("two"))
    assert words(out) == ["one", "two"]


def _has(path: Path, numbers: range) -> bool:
    return words(path) == [str(number) for number in numbers]


def test_unbuffered(out: Path) -> None:
    """Unbuffered: the program has each alert at once."""
    with running(f"cat > {out}", keep_alive=True, unbuffered=True) as sink:
        for number in range(3):
            sink.on_next(an_alert(number))
            eventually(partial(_has, out, range(number + 1)))


@pytest.mark.parametrize("unbuffered", [False, True])
def test_a_kept_program_that_dies_loses_nothing(out: Path, unbuffered: bool) -> None:
    """Killed after every hundredth line, with more in its pipe: what it had not read goes to the next one."""
    reader = f'while read -r line; do echo "$line" >> {out}; n=$((n+1)); [ $n = 100 ] && kill -9 $$; done'
    with running(reader, keep_alive=True, unbuffered=unbuffered) as sink:
        for number in range(2050):
            sink.on_next(an_alert(number))
        assert sink.close(30)
    assert words(out) == [str(number) for number in range(2050)]
    assert sink.stats().delivered == 2050


def test_a_program_that_leaves_lines_unread(out: Path) -> None:
    """`read` takes one line from the pipe and no byte more: each process gets the next line."""
    with running(f'read -r line; echo "$line" >> {out}', keep_alive=True, unbuffered=True) as sink:
        for number in range(10):
            sink.on_next(an_alert(number))
        eventually(lambda: sink.stats().delivered == 10)
    # The last one may have seen nothing but the end of its input.
    assert [word for word in words(out) if word] == list("0123456789")


def test_its_death_is_noticed_while_nothing_happens(out: Path) -> None:
    """An idle sink notices too, and sends again what was left in the pipe."""
    program = f"if [ -e {out}.pid ]; then cat >> {out}; else echo $$ > {out}.pid; sleep 100 & wait; fi"
    with running(program, keep_alive=True, unbuffered=True, output_timeout=60) as sink:
        sink.on_next(an_alert("one"))
        eventually(lambda: words(Path(f"{out}.pid")))
        sleeper = int(Path(f"{out}.pid").read_text())
        (shell,) = children() & {sleeper}
        for task in Path(f"/proc/{shell}/task").iterdir():
            for pid in (task / "children").read_text().split():
                os.kill(int(pid), signal.SIGKILL)
        os.kill(shell, signal.SIGKILL)
        eventually(lambda: words(out) == ["one"])
        eventually(lambda: sink.stats().delivered == 1)


def test_a_kept_program_that_reads_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """It is reported while we run, and makes the sink fail, with a count, when it is to stop."""
    with running("sleep 100 & wait", keep_alive=True, unbuffered=True, output_timeout=0.1) as sink:
        sink.on_next(an_alert("one"))
        eventually(lambda: "has read nothing for 0.1 s" in caplog.text)
        assert sink.stats().delivered == 0 and sink.stats().depth == 1
        assert sink.close()
    assert sink.state is State.FAILED and sink.stats().dropped == {"failed": 1}


def test_a_kept_program_that_ends_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """`true` is started again with pauses, in words; a stop ends that."""
    with running("true", keep_alive=True, unbuffered=True) as sink:
        sink.on_next(an_alert("one"))
        eventually(lambda: sink.stats().failures > 2)
        assert "'true' ended (exit status 0); alerts that it has not read: 1" in (sink.stats().last_error or "")
        assert sink.close()
    assert sink.stats().dropped == {"failed": 1}


def test_stop_escalates(caplog: pytest.LogCaptureFixture, out: Path) -> None:
    """End of input, then output_timeout, then SIGTERM, then SIGKILL: each logged."""
    stubborn = f"trap '' TERM; cat > {out}; while true; do sleep 0.05; done"
    with running(stubborn, keep_alive=True, output_timeout=0.1) as sink:
        sink.on_next(an_alert("one"))
        assert sink.close(5)
    assert sink.stats().delivered == 1 and words(out) == ["one"]
    told = [record.getMessage() for record in caplog.records if "pid" in record.getMessage()]
    assert "closed the input" in told[0] and "SIGTERM" in told[1] and "SIGKILL" in told[2]
    assert "killed by SIGKILL" in caplog.text


def test_reopen_ends_it_and_starts_it_again(out: Path) -> None:
    """SIGUSR1: the old one gets all that came before and the end of its input; then there is a new one."""
    with running(f"cat >> {out}; echo end >> {out}", keep_alive=True) as sink:
        sink.on_next(an_alert("one"))
        eventually(lambda: not sink.mailbox.depth)
        assert sink.reopen(10)
        sink.on_next(an_alert("two"))
        assert sink.close(10)
    assert words(out) == ["one", "end", "two", "end"]


def test_reopen_replaces_a_program_that_is_stuck(out: Path) -> None:
    """One that does not read is ended; its successor gets what it had not read."""
    program = f"if [ -e {out} ]; then cat >> {out}; else touch {out}; sleep 100 & wait; fi"
    with running(program, keep_alive=True, unbuffered=True, output_timeout=0.1) as sink:
        for number in range(3000):  # more than a pipe holds
            sink.on_next(an_alert(number))
        eventually(lambda: sink.stats().blocked)
        sink.reopen()
        assert sink.close(20)
    assert words(out) == [str(number) for number in range(3000)]


def test_it_can_be_interrupted_though_we_block_signals(out: Path) -> None:
    """A program does not inherit the signals that our thread blocks, or SIGPIPE being ignored."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        with running(f"cat > /dev/null; grep -E 'Sig(Blk|Ign)' /proc/self/status > {out}") as sink:
            sink.on_next(an_alert("one"))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    masks = [int(line.split()[1], 16) for line in out.read_text().splitlines()]
    assert masks[0] == 0 and not masks[1] & (1 << (signal.SIGPIPE - 1))


def test_no_descriptor_and_no_thread_is_left(out: Path) -> None:
    """After many programs, everything is given back."""
    before = len(os.listdir("/proc/self/fd"))
    for keep_alive in (False, True):
        with running(f"cat >> {out}", keep_alive=keep_alive) as sink:
            for number in range(20):
                sink.on_next(an_alert(number))
            assert sink.close(10)
    eventually(lambda: len(os.listdir("/proc/self/fd")) <= before)
    eventually(lambda: not [thread for thread in threading.enumerate() if "stderr" in thread.name])


@contextmanager
def surroundings(folder: Path) -> Generator[SinkFactory]:
    """A program that reads everything, for tests/test_sink_contract.py."""
    yield partial(ProgramSink, "cat > /dev/null", keep_alive=True)


@pytest.mark.parametrize("options", [{}, {"max_processes": 4}, {"keep_alive": True, "unbuffered": True}])
def test_every_kind_keeps_the_rules(tmp_path: Path, options: dict[str, Any]) -> None:
    """The rules of Reactive Streams hold for each way to run a program (test_sink_contract.py has one)."""
    check_sink(partial(ProgramSink, f"cat >> {tmp_path}/out", **options))
