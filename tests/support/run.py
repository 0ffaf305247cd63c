"""Start the command as a process, wait for something to happen with a deadline, and stop it again."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, TypeVar

# How long anything may take on a busy machine, in seconds.
DEADLINE = 30.0

T = TypeVar("T")

COMMAND = [sys.executable, "-c", "from rxalerts.cli import main; main(prog_name='rxalerts')"]


def until(condition: Callable[[], T], what: str = "", timeout: float = DEADLINE) -> T:
    """Wait until `condition()` is true and return its value; fail when the deadline passes."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout} s in vain: {what or condition}")
        time.sleep(0.005)


class Run:
    """A running `rxalerts`, in a process group of its own.

    Arguments:
        arguments: what stands behind `rxalerts`.
        folder: the working folder; standard output and error go to files in it unless `stdout` is given.
    """

    def __init__(
        self,
        *arguments: str | Path,
        folder: Path,
        stdin: int | IO[bytes] = subprocess.PIPE,
        stdout: int | IO[bytes] | None = None,
        env: Mapping[str, str] | None = None,
        command: list[str] | None = None,
    ) -> None:
        self._out = folder / "stdout.txt"
        self._err = folder / "stderr.txt"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [*(COMMAND if command is None else command), *map(str, arguments)],
                cwd=folder,
                stdin=stdin,
                stdout=out if stdout is None else stdout,
                stderr=err,
                env={**os.environ, "TZ": "UTC", **(env or {})},
                start_new_session=True,
            )

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.stdin is not None and not self.process.stdin.closed:
            try:
                self.process.stdin.close()
            except BrokenPipeError:
                self.process.stdin = None
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        if kind is not None:
            sys.stderr.write(f"--- stderr of rxalerts:\n{self.err}")

    @property
    def out(self) -> str:
        """What has been printed so far."""
        return self._out.read_text()

    @property
    def err(self) -> str:
        """What has been said on standard error so far."""
        return self._err.read_text()

    def write(self, lines: Iterable[str]) -> None:
        """Write lines to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write("".join(lines).encode())
        self.process.stdin.flush()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it alone."""
        self.process.send_signal(number)

    def said(self, text: str, times: int = 1) -> None:
        """Wait until it has said something on standard error, so many times."""
        until(lambda: self.err.count(text) >= times or self._died(), f"{text!r} on standard error")
        assert self.err.count(text) >= times, self.err

    def _died(self) -> bool:
        return self.process.poll() is not None

    def ready(self) -> Run:
        """Wait until it has started everything."""
        self.said("rxalerts: ready")
        return self

    def end(self, timeout: float = DEADLINE) -> int:
        """Close its standard input, wait for its end and return the exit status."""
        if self.process.stdin is not None and not self.process.stdin.closed:
            try:
                self.process.stdin.close()
            except BrokenPipeError:
                # It has left already; which is what we wait for.
                self.process.stdin = None
        return self.process.wait(timeout)


def rxalerts(*arguments: str | Path, folder: Path, stdin: str = "", env: Mapping[str, str] | None = None) -> Any:
    """Run the command to its end; returns status, stdout and stderr as subprocess.run does."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=folder,
        input=stdin.encode(),
        capture_output=True,
        timeout=DEADLINE,
        env={**os.environ, "TZ": "UTC", **(env or {})},
        check=False,
    )


def config(folder: Path, text: str, name: str = "falco.yaml") -> Path:
    """Write a falco.yaml, whole at once, and return its path."""
    path = folder / name
    new = folder / f"{name}.new"
    new.write_text(text)
    new.replace(path)
    return path


def alert(number: int, priority: str = "Warning", **more: Any) -> str:
    """Return one alert as Falco writes it, with a number that `numbers` finds again."""
    body = {
        "hostname": "node-1",
        "output": f"10:20:05.408091526: {priority} Shell opened (number={number})",
        "output_fields": {"number": number},
        "priority": priority,
        "rule": "Shell",
        "source": "syscall",
        "tags": ["shell"],
        "time": "2026-06-07T10:20:05.408091526Z",
        **more,
    }
    return json.dumps(body, separators=(",", ":")) + "\n"


def alerts(count: int, start: int = 0) -> Iterator[str]:
    """Return so many alerts, numbered."""
    return (alert(number) for number in range(start, start + count))


def numbers(text: str) -> list[int]:
    """Return the numbers of the alerts in a text, in its order."""
    return [int(number) for number in re.findall(r"\(number=(-?\d+)\)", text)]


class Stream:
    """Writes numbered alerts to a running command from another thread, as fast as it takes them.

    Arguments:
        count: how many; None: until the block ends.
    """

    def __init__(self, run: Run, count: int | None = None) -> None:
        self._run = run
        self._count = count
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._write)
        self.written = 0

    def _write(self) -> None:
        while self.alive:
            self._run.write(alerts(100, self.written))
            self.written += 100

    @property
    def alive(self) -> bool:
        """Whether it goes on."""
        return not self._over.is_set() and (self._count is None or self.written < self._count)

    def __enter__(self) -> Stream:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._count is None or kind is not None:
            self._over.set()
        self._thread.join(DEADLINE)
        if kind is None:
            assert not self._thread.is_alive()


def read_all(*paths: Path) -> str:
    """Return the texts of files, one after the other; what is not there is empty."""
    return "".join(path.read_text() for path in paths if path.exists())


def has(path: Path, count: int) -> bool:
    """Tell whether a file holds so many alerts."""
    return len(numbers(read_all(path))) == count


@contextmanager
def left_alone(pid: int) -> Generator[int]:
    """Make sure that a process that is no child of ours has ended when the block ends."""
    try:
        yield pid
    finally:
        if is_alive(pid):
            os.kill(pid, signal.SIGKILL)


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that only waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"
