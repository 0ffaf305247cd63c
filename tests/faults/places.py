"""Destinations that can be broken in one way each, and mended: file systems, daemons, programs, subscribers."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any

from rxalerts.flow.backoff import Retry
from rxalerts.flow.sink import Sink
from rxalerts.sinks import FileSink, GrpcSink, ProgramSink, SyslogSink
from tests.support.durably import wait_for
from tests.support.falco_client import Client
from tests.support.run import numbers, read_all

# Much less than what is sent while the destination is broken.
CAPACITY = 16
QUICK = Retry(initial=0.01, maximum=0.05)
COMMON: dict[str, Any] = {"capacity": CAPACITY, "on_full": "block", "retry": QUICK, "max_batch": 8}


class Place:
    """A destination and the one way in which it fails.

    Attributes:
        name: the fault.
        sink: what delivers to it.
        doubles: how many alerts may arrive twice.
        stalls: it fails by being slow, so that no attempt is repeated.
        progresses: some get through all the same: beside another that makes the source wait, it never fills up.
    """

    name = ""
    doubles = 0
    stalls = False
    progresses = False
    sink: Sink[Any]

    def break_it(self) -> None:
        """Begin to fail."""

    def mend(self) -> None:
        """Work again."""

    def got(self) -> list[int]:
        """Return the numbers of the alerts that have arrived."""
        return []

    def close(self) -> None:
        """Let everything go."""


class FullDisk(Place):
    """A file system without space; without the right to mount one, a limit on the size of files."""

    name = "file system full"

    def __init__(self, folder: Path, size: str = "4m") -> None:
        self.folder = self._disk = folder / "disk"
        self._disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(self._disk)]
        self._mounted = subprocess.run(mount, capture_output=True).returncode == 0
        self._file = self._disk / "events.txt"
        self._limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        self.sink = FileSink(self._file, **COMMON)

    def break_it(self) -> None:
        if not self._mounted:
            size = self._file.stat().st_size if self._file.exists() else 0
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, self._limits[1]))
            return
        with (self._disk / "filler").open("wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(4096))
            except OSError:
                # Full.
                return

    def mend(self) -> None:
        if self._mounted:
            (self._disk / "filler").unlink()
        else:
            resource.setrlimit(resource.RLIMIT_FSIZE, self._limits)

    def got(self) -> list[int]:
        return numbers(read_all(self._file))

    def close(self) -> None:
        if self._mounted:
            subprocess.run(["umount", "-l", str(self._disk)], check=True)


class NoFolder(Place):
    """A folder that is taken away, and made again."""

    name = "folder removed"

    def __init__(self, folder: Path) -> None:
        self._folder, self._aside = folder / "logs", folder / "aside"
        self._folder.mkdir()
        self.sink = FileSink(self._folder / "events.txt", **COMMON)

    def break_it(self) -> None:
        self._folder.rename(self._aside)

    def mend(self) -> None:
        self._folder.mkdir()

    def got(self) -> list[int]:
        return numbers(read_all(self._aside / "events.txt", self._folder / "events.txt"))

    def close(self) -> None:
        shutil.rmtree(self._aside, ignore_errors=True)


class ReadOnly(Place):
    """A file system that turns read-only; without the right to mount one, a file that is a folder."""

    name = "read-only file system"

    def __init__(self, folder: Path) -> None:
        self._disk = folder / "disk"
        self._disk.mkdir()
        self._mounted = self._mount("size=4m")
        self._file = self._disk / "events.txt"
        self._aside = folder / "aside.txt"
        self.sink = FileSink(self._file, **COMMON)

    def _mount(self, options: str) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self._disk)]
        return subprocess.run(command, capture_output=True).returncode == 0

    def break_it(self) -> None:
        if self._mounted:
            # Whoever has a file open for writing at this moment would keep it from turning.
            wait_for(lambda: self._mount("remount,ro"), what="remount,ro")
            return
        if self._file.exists():
            self._file.rename(self._aside)
        self._file.mkdir()

    def mend(self) -> None:
        if self._mounted:
            assert self._mount("remount,rw")
        else:
            self._file.rmdir()

    def got(self) -> list[int]:
        return numbers(read_all(self._aside, self._file))

    def close(self) -> None:
        if self._mounted:
            subprocess.run(["umount", "-l", str(self._disk)], check=True)


class SyslogDaemon(Place):
    """The local daemon's socket, whose daemon ends and comes back."""

    name = "syslog daemon stopped"

    def __init__(self, folder: Path) -> None:
        self._path = folder / "log"
        self.texts: list[str] = []
        self.sink = SyslogSink(path=str(self._path), **COMMON)
        self.mend()

    def mend(self) -> None:
        self._over = threading.Event()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self._path))
        self._socket.settimeout(0.02)
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self._thread.start()

    def _receive(self) -> None:
        while True:
            try:
                self.texts.append(self._socket.recv(65536).decode())
            except TimeoutError:
                # Leaves only what came after it was told to end: nothing is unread.
                if self._over.is_set():
                    return

    def break_it(self) -> None:
        self._path.unlink(missing_ok=True)
        self._over.set()
        self._thread.join(10)
        self._socket.close()

    def got(self) -> list[int]:
        return numbers("\n".join(list(self.texts)))

    def close(self) -> None:
        self.break_it()


class Frozen(Place):
    """A gRPC subscriber that is stopped for a while."""

    name = "gRPC subscriber frozen"
    stalls = True
    # Into the kernel's buffers.
    progresses = True

    def __init__(self, folder: Path) -> None:
        address = f"unix://{folder}/falco.sock"
        sink = GrpcSink(address, linger=20, **COMMON)
        sink.start()
        wait_for(lambda: sink.address, what="the service to listen")
        self._client = Client(address, "sub")
        wait_for(lambda: sink.subscribers, what="a subscriber")
        self.sink = sink

    def break_it(self) -> None:
        self._client.freeze()

    def mend(self) -> None:
        self._client.thaw()

    def got(self) -> list[int]:
        return numbers("\n".join(list(self._client.lines)))

    def close(self) -> None:
        self._client.__exit__(None, None, None)


_READ = "IFS= read -r line || exit 0"
_PRINT = "printf '%s\\n' \"$line\" >> {out}"

# What a broken program does: with keep_alive, and run for each alert with its exit status looked at.
_DEATHS = {
    "before": "exit 3",
    "in": "dd bs=1 count=20 of={aside} 2> {aside}; exit 3",
    "after": f"{_READ}; {_PRINT}; exit 3",
}


class DyingProgram(Place):
    """A program that dies before, in or after an alert, for as long as a file is there."""

    def __init__(self, folder: Path, when: str, *, kept: bool) -> None:
        self.name = f"program dies {when} an alert{'' if kept else ', one each'}"
        self._broken, self._out = folder / "broken", folder / "out.txt"
        places = {"out": self._out, "aside": folder / "aside"}
        death, read, show = (text.format(**places) for text in (_DEATHS[when], _READ, _PRINT))
        loop = f"while :; do [ -e {self._broken} ] && {{ {death}; }}; {read}; {show}; done"
        common: dict[str, Any] = {**COMMON, "max_batch": 8 if kept else 1}
        self.sink = ProgramSink(loop, keep_alive=kept, unbuffered=True, check=not kept, **common)
        # With `check`, one that failed after it had done its work is asked to do it again.
        self.progresses = when == "after"
        self.doubles = 10_000 if when == "after" and not kept else 0

    def break_it(self) -> None:
        self._broken.touch()

    def mend(self) -> None:
        os.unlink(self._broken)

    def got(self) -> list[int]:
        return numbers(read_all(self._out))
