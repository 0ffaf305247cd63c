"""Start tests/support/grpc_client.py and falco_server.py as processes, and read what they print."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rxalerts.testing import eventually

ROOT = Path(__file__).parent.parent.parent


class Program:
    """A process whose lines of standard output are collected."""

    def __init__(self, module: str, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"tests.support.{module}", *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "GRPC_VERBOSITY": "NONE"},
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def say(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def freeze(self) -> None:
        """Stop it from running, as a debugger does."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it run again."""
        self.process.send_signal(signal.SIGCONT)

    def wait(self) -> None:
        """Wait until it has ended by itself and everything that it printed is there."""
        self.process.wait(30)
        self._reader.join(10)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait(10)
        self._reader.join(10)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue


class Client(Program):
    """A client in a process of its own; see grpc_client.py."""

    def __init__(self, address: str, method: str, *options: object) -> None:
        super().__init__("grpc_client", address, method, *options)

    @property
    def alerts(self) -> list[dict[str, Any]]:
        """The alerts so far."""
        return [value for value in map(json.loads, list(self.lines)) if "rule" in value]

    @property
    def end(self) -> str:
        """The status that its call ended with, empty while it runs."""
        return next((value["end"] for value in map(json.loads, list(self.lines)) if "end" in value), "")

    def reach(self, count: int) -> None:
        """Wait for so many alerts."""
        eventually(lambda: len(self.lines) >= count, f"{count} alerts at the client", timeout=30)

    def expect(self, count: int) -> list[dict[str, Any]]:
        """Wait for so many alerts and return them."""
        self.reach(count)
        return self.alerts


class FalcoServer(Program):
    """A stand-in for Falco in a process of its own; see falco_server.py."""

    def __init__(self, address: str, log: Path, *options: object) -> None:
        super().__init__("falco_server", address, log, *options)
        eventually(lambda: "up" in self.lines, "the server to be up", timeout=30)

    @property
    def requests(self) -> int:
        """How many requests it has read."""
        return self.lines.count("request")
