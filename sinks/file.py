"""A file: append only, kept open or not, reopened on request."""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from rxalerts.alert import Alert
from rxalerts.errors import OptionError
from rxalerts.flow.channel import Batch, Channel, Retryable
from rxalerts.flow.options import option
from rxalerts.flow.sink import ThreadSink
from rxalerts.format import Formatted
from rxalerts.sinks._lines import LineWriter, size_of
from rxalerts.sinks._rotation import Rotation

log = logging.getLogger("rxalerts")

# How much a kept-alive, buffered file keeps back at most.
_BUFFER = 1 << 16


@dataclass(eq=False, repr=False)
class FileSink(ThreadSink[Alert | Formatted]):
    """Append one line per alert to a file, which is never truncated (Falco: outputs_file.cpp).

    With `keep_alive` false (Falco's default) the file is opened, written and closed for each alert; alerts that
    wait together share one open. With `keep_alive` true it is opened at the first alert and kept; output is
    buffered and flushed when the sink closes or reopens, or at once with `unbuffered`.

    A failure (no space, no permission, no folder) is reported, and the alerts are tried again until it is gone.
    A file that was deleted while open is made again; one that was moved is written on to until `reopen`, as
    logrotate expects. A torn last line, left by a crash, is ended before the next alert.

    Delivery: at most once in memory; no alert is repeated or torn by a failed write.

    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp(), "events.txt")
    >>> with FileSink(path) as sink:
    ...     sink.on_next(Alert("Shell", "notice", "A shell was opened"))
    >>> path.read_text().endswith("Notice A shell was opened\\n")
    True
    """

    channel_name: ClassVar[str] = "file"

    filename: str | os.PathLike[str] = option(help="the file to append to", falco="filename")
    keep_alive: bool = option(False, "keep the file open between alerts", falco="keep_alive")
    unbuffered: bool = option(False, "with keep_alive: write each alert at once", kw_only=True)
    fsync: bool = option(False, "have each write on disk before it counts as delivered", kw_only=True)
    rotate_bytes: int | None = option(None, "rotate before the file grows beyond so many bytes", kw_only=True)
    rotate_seconds: float | None = option(None, "rotate when the file is so many seconds old", kw_only=True)
    rotate_keep: int = option(5, "how many rotated files are kept, gzipped", kw_only=True)

    def validate(self) -> None:
        if not os.fspath(self.filename):
            raise OptionError("filename", "is empty: name the file to write to")
        for key in ("rotate_bytes", "rotate_seconds"):
            value = getattr(self, key)
            if value is not None and value <= 0:
                raise OptionError(key, f"must be more than 0, got {value}")
        if self.rotate_keep < 1:
            raise OptionError("rotate_keep", f"must be 1 or more, got {self.rotate_keep}")

    @property
    def files(self) -> tuple[str, ...]:
        """The file."""
        return (os.fspath(self.filename),)

    def make_channel(self) -> Channel:
        return _FileChannel(self)


class _FileChannel(Channel):
    def __init__(self, sink: FileSink) -> None:
        self._sink = sink
        self._path = os.fspath(sink.filename)
        self._buffering = sink.keep_alive and not sink.unbuffered
        self._writer = LineWriter()
        self._torn_at: tuple[int, int, int] | None = None
        self._lines: list[bytes] = []
        self._size = 0
        self._fd = -1
        self._is_file = False
        self._rotation = Rotation(sink.rotate_bytes, sink.rotate_seconds, sink.rotate_keep)
        self._moved = False

    # -- hooks ----------------------------------------------------------------------------------------------

    def open(self) -> None:
        if self._sink.keep_alive:
            self._open()

    def write(self, batch: Batch[Alert | Formatted]) -> None:
        lines = self._sink.lines(batch.items)
        if self._buffering:
            self._lines += lines
            self._size += size_of(lines)
            self.pending = len(self._lines)
            batch.done(len(lines))
            if self._size >= _BUFFER:
                self.flush()
            return
        try:
            self._push(lines, batch.done)
        finally:
            if not self._sink.keep_alive:
                self._close()

    def flush(self) -> None:
        if self._lines:
            lines, total = list(self._lines), len(self._lines)
            self._push(lines, lambda done: self._keep(done - (total - len(self._lines))))

    def reopen(self) -> None:
        """Close and open, so that a moved file is left alone; creates the file (Falco 0.27+)."""
        self.flush()
        self._close()
        self._open()
        if not self._sink.keep_alive:
            self._close()

    def close(self) -> None:
        self._close()

    # -- how ------------------------------------------------------------------------------------------------

    def _keep(self, done: int) -> None:
        self._size -= size_of(self._lines[:done])
        del self._lines[:done]
        self.pending = len(self._lines)

    def _push(self, lines: list[bytes], done: Callable[[int], None]) -> None:
        """Write `lines`, rotating in between, and tell `done` how many are wholly written, whatever happens."""
        start = 0
        while start < len(lines):
            self._look()
            if self._fd < 0:
                self._open()
            part = self._fitting(lines[start:])
            try:
                written = self._writer.write(self._fd, part)
            except OSError as error:
                done(start + getattr(error, "written", 0))
                if isinstance(error, BrokenPipeError):
                    # The reader of a FIFO has left: the next one gets whole lines.
                    self._writer.rest = b""
                raise
            finally:
                self._note_tear()
            if self._sink.fsync and self._is_file:
                os.fsync(self._fd)
            start += written
            done(start)

    def _fitting(self, lines: list[bytes]) -> list[bytes]:
        """Return those of `lines` that go into the file as it is, having rotated it if there are none."""
        count = self._rotation.room(self._fd, lines)
        if count == 0 and not self._writer.rest:
            self._rotate()
            count = self._rotation.room(self._fd, lines)
        return lines if count == len(lines) else lines[: max(1, count)]

    def _note_tear(self) -> None:
        """Remember which file a half-written line is in, to go on there and nowhere else."""
        self._torn_at = None
        if self._writer.rest:
            status = os.fstat(self._fd)
            self._torn_at = (status.st_dev, status.st_ino, status.st_size)

    def _look(self) -> None:
        """See whether the file that we hold has been deleted or moved meanwhile."""
        if self._fd < 0:
            return
        if os.fstat(self._fd).st_nlink == 0:
            log.warning("%s: %s was deleted while open: making it again", self._sink.name, self._path)
            self._close()
            return
        moved = not self._is_at_path()
        if moved and not self._moved:
            log.info("%s: %s was moved: writing on to it until reopened (SIGUSR1)", self._sink.name, self._path)
        self._moved = moved

    def _is_at_path(self) -> bool:
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._fd))
        except OSError:
            return False

    def _open(self) -> None:
        if self._fd >= 0:
            return
        fd = self._open_fifo() if self._is_fifo() else self._open_file()
        self._is_file = stat.S_ISREG(os.fstat(fd).st_mode)
        self._fd = fd
        try:
            self._mend()
        except OSError:
            self._close()
            raise
        self._rotation.opened(fd)

    def _open_file(self) -> int:
        flags = os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY
        try:
            # Readable too: the last byte tells whether a crash left a torn line.
            return os.open(self._path, os.O_RDWR | flags, 0o666)
        except PermissionError:
            return os.open(self._path, os.O_WRONLY | flags, 0o666)

    def _is_fifo(self) -> bool:
        try:
            return stat.S_ISFIFO(os.stat(self._path).st_mode)
        except OSError:
            return False

    def _open_fifo(self) -> int:
        """Open for writing only, and not before there is a reader: what nobody reads is lost with the pipe."""
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno == errno.ENXIO:
                raise Retryable(f"{self._path}: nobody reads this named pipe") from None
            raise
        os.set_blocking(fd, True)
        return fd

    def _mend(self) -> None:
        """Go on in the line that we tore ourselves, or end the one that a crash left behind."""
        status = os.fstat(self._fd)
        if self._writer.rest and self._torn_at != (status.st_dev, status.st_ino, status.st_size):
            self._writer.rest = b""
        if self._writer.rest or not stat.S_ISREG(status.st_mode) or not status.st_size:
            return
        try:
            last = os.pread(self._fd, 1, status.st_size - 1)
        except OSError:
            return  # write-only: nobody can tell
        if last != b"\n":
            log.warning("%s: %s ends in a torn line: ending it before the next alert", self._sink.name, self._path)
            os.write(self._fd, b"\n")

    def _rotate(self) -> None:
        self._close()
        # A symbolic link stays where it is, and goes on pointing to the newest file.
        self._rotation.rotate(os.path.realpath(self._path))
        self._open()

    def _close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            self._moved = False
            os.close(fd)
