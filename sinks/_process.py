"""One run of a program through the shell: its input, what it says on stderr, its end.

The reading end of the pipe to its stdin stays open here too. So there is never an EPIPE or a SIGPIPE; instead the
program's end is watched, and when it has ended the kernel still tells how much of its input it had not read.
The program itself does not inherit that end: it sees the end of its input as ever.
"""

from __future__ import annotations

import fcntl
import logging
import os
import select
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress

from rxalerts.format import escape
from rxalerts.sinks._descendants import Family

log = logging.getLogger("rxalerts")

# How much of the end of stderr is kept for the report, in bytes.
TAIL = 4096
# How long a program gets between SIGTERM and SIGKILL, in seconds.
TERM_PATIENCE = 1.0
# How long the last words on stderr are waited for: somebody whom the program left behind may hold it open.
_LAST_WORDS = 0.2
# How often to look where the kernel has no pidfd (before Linux 5.3), in seconds.
_TICK = 0.02


class Process:
    """A running program. What it writes to stderr goes to ours, and the last 4 KiB are kept.

    It is in our process group, and inherits stdout, the environment and the current folder, as with popen(3).

    Arguments:
        name: the sink, in logs.
        program: what /bin/sh runs.
        on_end: called, from another thread, when the program has closed stderr, which it does by ending.
    """

    def __init__(self, name: str, program: str, on_end: Callable[[], object] | None = None) -> None:
        self.program = program
        self._name = name
        self._tail = bytearray()
        self._stdin_read, self._stdin = os.pipe()
        self._pidfd = -1
        errors, errors_write = os.pipe()
        try:
            with _no_blocked_signals():
                self._child = subprocess.Popen(["/bin/sh", "-c", program], stdin=self._stdin_read, stderr=errors_write)
        except BaseException:
            os.close(errors)
            self._close_pipe()
            raise
        finally:
            os.close(errors_write)
        os.set_blocking(self._stdin, False)
        with suppress(OSError):
            self._pidfd = os.pidfd_open(self._child.pid)
        self._drain = threading.Thread(
            target=_drain, args=(errors, self._tail, on_end), name=f"rxalerts-{name}-stderr", daemon=True
        )
        try:
            self._drain.start()
        except BaseException:
            os.close(errors)
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The shell's process id."""
        return self._child.pid

    def write(self, data: memoryview) -> int:
        """Write as much as the pipe takes now; returns how much."""
        try:
            return os.write(self._stdin, data)
        except BlockingIOError:
            return 0

    def unread(self) -> int:
        """Return how many bytes of its input the program has not read."""
        return int(struct.unpack("i", fcntl.ioctl(self._stdin_read, termios.FIONREAD, b"\0" * 4))[0])

    def exited(self) -> bool:
        """Say whether it has ended; reaps it."""
        return self._child.poll() is not None

    def watch(self, poll: select.poll, *, writing: bool) -> float | None:
        """Have `poll` wake up when it ends or, if `writing`, takes input; returns how soon to look again."""
        if writing:
            poll.register(self._stdin, select.POLLOUT)
        if self._pidfd < 0:
            return _TICK
        poll.register(self._pidfd, select.POLLIN)
        return None

    def wait(self, seconds: float, *, writing: bool = False) -> bool:
        """Wait until it has ended or, if `writing`, takes input; returns whether it has ended."""
        deadline = time.monotonic() + seconds
        while not self.exited():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            poll = select.poll()
            tick = self.watch(poll, writing=writing)
            # Rounded up: a wait of less than a millisecond must not become a busy loop.
            if poll.poll(int(min(left, tick or left) * 1000) + 1) and writing:
                return self.exited()
        return True

    def end_input(self) -> None:
        """Let it see the end of its input."""
        if self._stdin >= 0:
            os.close(self._stdin)
            self._stdin = -1

    def stop(self, patience: float) -> None:
        """End its input; after `patience` seconds send SIGTERM, and after another second SIGKILL.

        Both go to the shell and to what it has started, each by its own process id: they are in our process
        group.
        """
        self.end_input()
        log.info("%s: closed the input of %r (pid %d)", self._name, self.program, self.pid)
        if self.wait(patience):
            return
        family = Family(self.pid)
        try:
            self._end(family, signal.SIGTERM, f"{patience:g} s of the end of its input")
            deadline = time.monotonic() + TERM_PATIENCE
            if self.wait(TERM_PATIENCE) and family.wait(deadline - time.monotonic()):
                return
            self._end(family, signal.SIGKILL, f"{TERM_PATIENCE:g} s of SIGTERM")
            self._child.wait()
            family.wait(TERM_PATIENCE)
        finally:
            family.close()

    def _end(self, family: Family, number: signal.Signals, since: str) -> None:
        log.warning(
            "%s: %r (pid %d) has not ended within %s: %s", self._name, self.program, self.pid, since, number.name
        )
        self._child.send_signal(number)
        family.send(number)

    def close(self) -> None:
        """Give everything back; kills the program if it still runs."""
        self.end_input()
        if not self.exited():
            self._child.kill()
            self._child.wait()
        self._close_pipe()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1

    @property
    def status(self) -> int:
        """Its exit status; less than 0: the signal that ended it; only to be asked when it has exited."""
        code = self._child.returncode
        return 0 if code is None else code

    def verdict(self) -> str:
        """Return how it ended and what it said last, as one line."""
        self._drain.join(_LAST_WORDS)
        words = escape(bytes(self._tail).decode("utf-8", "replace").strip())
        return f"{describe_status(self.status)}{': ' if words else ''}{words}"

    def _close_pipe(self) -> None:
        self.end_input()
        if self._stdin_read >= 0:
            os.close(self._stdin_read)
            self._stdin_read = -1


def describe_status(status: int) -> str:
    """Return an exit status in words.

    >>> describe_status(3), describe_status(-9)
    ('exit status 3', 'killed by SIGKILL')
    """
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


def missing(program: str, verdict: str) -> str:
    """Return what to say when the shell could not run a program (exit status 126 and 127)."""
    return (
        f"the shell cannot find or run {program!r} ({verdict}): install what it names, give its full path, "
        "or correct `program`"
    )


def _drain(errors: int, tail: bytearray, on_end: Callable[[], object] | None) -> None:
    """Pass stderr on to ours until it is closed, and keep its end."""
    with os.fdopen(errors, "rb", buffering=0) as pipe:
        while data := pipe.read(1 << 16):
            tail += data
            del tail[:-TAIL]
            with suppress(OSError):
                os.write(2, data)
    if on_end is not None:
        on_end()


@contextmanager
def _no_blocked_signals() -> Generator[None, None, None]:
    """Start a program without the signals that this thread blocks: it would inherit them, and never hear SIGTERM."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    if not blocked:
        yield
        return
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
