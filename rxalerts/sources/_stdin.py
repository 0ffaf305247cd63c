"""Alerts from standard input, or from any other descriptor that can be waited for."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import select
import stat
import sys
import termios
import threading

from rxalerts.alert import Alert
from rxalerts.errors import SourceError
from rxalerts.flow.source import Emitter, Source, SourceStats
from rxalerts.wire import OnBad, Reader, read

log = logging.getLogger("rxalerts")

# How often, in seconds, a source that waits for input looks whether it should end.
_TICK = 0.2


class StdinSource(Source[Alert]):
    """See `stdin`."""

    live = True

    def __init__(self, fd: int | None, on_bad: OnBad, name: str) -> None:
        super().__init__(name)
        self._fd = fd
        self._on_bad: OnBad = on_bad
        self._reader: Reader | None = None
        self.unread = 0
        """How many bytes were left in the pipe when the source was stopped."""

    @property
    def fd(self) -> int:
        """The descriptor that is read."""
        return sys.stdin.fileno() if self._fd is None else self._fd

    def produce(self, emitter: Emitter[Alert]) -> None:
        if self._fd is None and sys.stdin is None:
            # Closed by whoever started us; its number may be that of something else by now.
            raise SourceError("standard input is closed: give it alerts, or name another source")
        fd = self.fd
        with read(_Input(fd, emitter.stopped), on_bad=self._on_bad) as self._reader:
            for block in self._reader.blocks():
                # What was read before a stop is nowhere else any more: mailboxes have some room beyond their capacity.
                emitter.emit_batch(block, taken=True)
        if emitter.stopped.is_set():
            self.unread = waiting(fd)
            if self.unread:
                log.error("%s: stopped with %d bytes unread, whose writer has not ended", self.name, self.unread)

    def stats(self) -> SourceStats:
        return reader_stats(self.name, [self._reader] if self._reader is not None else [])


def stdin(*, fd: int | None = None, on_bad: OnBad = "report", name: str = "stdin") -> StdinSource:
    """Read alerts from standard input until it ends.

    Arguments:
        fd: another descriptor to read from.
        on_bad: what to do with pieces that are no alert, see `rxalerts.wire.read`.

    An alert is emitted as soon as its line is complete. Under pressure nothing is read, so that the writer waits
    (Falco then says "output timeout" after two seconds and queues). Not an asyncio source: it has its own thread.

    >>> import os
    >>> out, into = os.pipe()
    >>> os.write(into, b'{"rule":"Shell","priority":"Notice"}\\n') and os.close(into)
    >>> from rxalerts import run, sinks
    >>> kept = sinks.CollectSink()
    >>> run(stdin(fd=out), kept).read, kept.items[0].rule
    (1, 'Shell')
    >>> os.close(out)
    """
    return StdinSource(fd, on_bad, name)


class _Input:
    """A descriptor as a file whose read returns what there is, and ends when the source is stopped."""

    def __init__(self, fd: int, stopped: threading.Event) -> None:
        self._fd = fd
        self._stopped = stopped
        self._poll = select.poll()  # select() knows the first 1024 descriptors only
        self._poll.register(fd, select.POLLIN)

    def read(self, size: int = -1, /) -> bytes:
        while not self._stopped.is_set():
            if self._poll.poll(_TICK * 1000):
                # Somebody who reads from the same pipe may have been faster.
                with contextlib.suppress(BlockingIOError):
                    return os.read(self._fd, size)
        return b""


def waiting(fd: int) -> int:
    """Return how many bytes wait in a pipe or socket; 0 for anything else, which keeps what it has."""
    if stat.S_IFMT(os.fstat(fd).st_mode) not in (stat.S_IFIFO, stat.S_IFSOCK):
        return 0
    try:
        return int.from_bytes(fcntl.ioctl(fd, termios.FIONREAD, bytes(4)), sys.byteorder)
    except OSError:
        return 0


def reader_stats(name: str, readers: list[Reader]) -> SourceStats:
    """Add up what readers have counted."""
    stats = SourceStats(name)
    for reader in readers:
        stats.read += reader.read
        stats.rejected += reader.rejected
        stats.skipped += reader.skipped
        where = f"{reader.path}: " if reader.path else ""
        stats.first_rejects += [f"{where}{reject}" for reject in reader.first_rejects]
    return stats
