"""Run a command in a terminal of its own: press keys, see the screen's text, look at the terminal's settings."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from tests.support.run import COMMAND, DEADLINE, until

_CONTROL = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|[78])")


class Terminal:
    """A command whose standard input, output and error are a terminal.

    Arguments:
        arguments: what stands behind `rxalerts`.
        folder: the working folder.
        stdout: where standard output goes instead.
        env: further variables.
    """

    def __init__(
        self, *arguments: str | Path, folder: Path, stdout: Path | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        self._master, self._slave = pty.openpty()
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 200, 0, 0))
        self.before = termios.tcgetattr(self._slave)
        self._bytes = bytearray()
        self._over = threading.Event()
        out = self._slave if stdout is None else os.open(stdout, os.O_WRONLY | os.O_CREAT, 0o644)
        self.process = subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            cwd=folder,
            stdin=self._slave,
            stdout=out,
            stderr=self._slave,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm", "TZ": "UTC", "PYTHONIOENCODING": "utf-8", **(env or {})},
        )
        if stdout is not None:
            os.close(out)
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Terminal:
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._over.set()
        self._reader.join(DEADLINE)
        os.close(self._master)
        os.close(self._slave)

    def _read(self) -> None:
        while not self._over.is_set():
            if select.select([self._master], [], [], 0.05)[0]:
                self._bytes += os.read(self._master, 65536)

    @property
    def raw(self) -> str:
        """Everything that was sent to the terminal."""
        return self._bytes.decode("utf-8", "replace")

    @property
    def text(self) -> str:
        """The same without what moves the cursor."""
        return _CONTROL.sub("", self.raw)

    def press(self, keys: str) -> None:
        """Press keys."""
        os.write(self._master, keys.encode())

    def shows(self, text: str) -> None:
        """Wait until a text has been shown."""
        until(lambda: text in self.text or self.process.poll() is not None, f"{text!r} on the screen")
        until(lambda: text in self.text, f"{text!r} on the screen: {self.text[-2000:]!r}", timeout=2)

    @property
    def settings(self) -> list[object]:
        """The terminal's settings as they are now."""
        return termios.tcgetattr(self._slave)

    def end(self) -> int:
        """Wait for the end, and return the exit status."""
        status = self.process.wait(DEADLINE)
        return status
