"""Standard output: one line per alert."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

from rxalerts.alert import Alert
from rxalerts.flow.channel import Batch, Channel, Fatal, Gone
from rxalerts.flow.options import option
from rxalerts.flow.sink import ThreadSink
from rxalerts.format import Formatted
from rxalerts.sinks._lines import LineWriter, joined, size_of

# What stdio buffers at most when it does not write to a terminal.
_BUFFER = 1 << 16


@dataclass(eq=False, repr=False)
class StdoutSink(ThreadSink[Alert | Formatted]):
    """Print one line per alert on standard output (Falco: outputs_stdout.cpp).

    An alert is visible to a reader of the pipe at once, unless `buffered`. When the reader closes the pipe, as
    `head` does, the sink closes in order: what nobody reads is counted as `unread`, not as lost.

    Delivery: at most once; a failure in the middle of a line is continued where it broke off.

    >>> StdoutSink(format="json").name
    'stdout'
    """

    channel_name: ClassVar[str] = "stdout"

    buffered: bool = option(False, "keep lines back until 64 KiB have come together or the sink closes")
    stream: Any = option(None, "an open stream to write to instead of sys.stdout, for tests", kw_only=True)

    def make_channel(self) -> Channel:
        return _StdoutChannel(self)


class _StdoutChannel(Channel):
    def __init__(self, sink: StdoutSink) -> None:
        self._sink = sink
        self._writer = LineWriter()
        self._lines: list[bytes] = []
        self._size = 0
        self._stream: Any = None
        self._fd = -1

    def open(self) -> None:
        self._stream = self._sink.stream or sys.stdout
        if self._stream is None or getattr(self._stream, "closed", False):
            raise Fatal("standard output is closed")
        try:
            self._fd = self._stream.fileno()
        except (AttributeError, io.UnsupportedOperation):
            # A notebook's or a test's replacement, which has no descriptor.
            self._fd = -1
            return
        try:
            # What was printed before comes before.
            self._stream.flush()
        except BrokenPipeError:
            self._sever()

    def write(self, batch: Batch[Alert | Formatted]) -> None:
        lines = self._sink.lines(batch.items)
        if not self._sink.buffered:
            self._push(lines, batch.done)
            return
        self._lines += lines
        self._size += size_of(lines)
        self.pending = len(self._lines)
        batch.done(len(lines))
        if self._size >= _BUFFER:
            self.flush()

    def flush(self) -> None:
        if self._lines:
            self._push(self._lines, self._keep)

    def _keep(self, done: int) -> None:
        self._size -= size_of(self._lines[:done])
        del self._lines[:done]
        self.pending = len(self._lines)

    def _push(self, lines: list[bytes], done: Callable[[int], None]) -> None:
        """Write `lines`, and tell `done` how many of them are wholly written, whatever happens."""
        try:
            if self._fd >= 0:
                done(self._writer.write(self._fd, lines))
                return
            self._stream.write(joined(lines).decode("utf-8", "replace"))
            self._stream.flush()
            done(len(lines))
        except BrokenPipeError as error:
            done(getattr(error, "written", 0))
            self._sever()
        except OSError as error:
            done(getattr(error, "written", 0))
            raise

    def _sever(self) -> NoReturn:
        """Point the descriptor at /dev/null, so that nothing complains at the interpreter's end; then end."""
        if self._fd >= 0:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._fd)
            os.close(null)
        raise Gone("standard output was closed by its reader")

    def reopen(self) -> None:
        """Do nothing: standard output is not reopened (as Falco)."""
