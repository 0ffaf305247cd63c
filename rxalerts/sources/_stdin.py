"""Alerts from standard input, or from any file descriptor that can be waited for."""

from __future__ import annotations

import os
import select
import sys

from rxalerts.alert import Alert
from rxalerts.flow.source import Emitter, Source
from rxalerts.wire import Decoder, OnBad, Rejected, Rejects

# As much as a pipe holds by default.
_CHUNK = 1 << 16

# How often, in seconds, a source that waits for input looks whether it should end.
_TICK = 0.2


class StdinSource(Source[Alert]):
    """Reads a descriptor to its end; under pressure it does not read, so that the writer waits."""

    live = True

    def __init__(self, fd: int | None, on_bad: OnBad, name: str) -> None:
        super().__init__(name)
        self._fd = fd
        self._on_bad = on_bad

    def produce(self, emitter: Emitter[Alert]) -> None:
        fd = sys.stdin.fileno() if self._fd is None else self._fd
        decoder = Decoder()
        rejects = Rejects(self._on_bad, self.name)
        with rejects:
            while not emitter.stopped.is_set():
                if not select.select([fd], [], [], _TICK)[0]:
                    continue
                chunk = os.read(fd, _CHUNK)
                pieces = decoder.feed(chunk) if chunk else decoder.close()
                self._emit(pieces, emitter, rejects)
                if not chunk:
                    return

    def _emit(self, pieces: list[Alert | Rejected], emitter: Emitter[Alert], rejects: Rejects) -> None:
        for piece in pieces:
            if isinstance(piece, Rejected):
                rejects.add(piece)
                self._stats.rejected += 1
            else:
                self._stats.read += 1
                emitter.emit(piece)
