"""Write lines to a file descriptor so that a failure in the middle neither loses nor repeats one."""

from __future__ import annotations

import os
import select
from collections.abc import Sequence
from itertools import accumulate


def joined(lines: Sequence[bytes]) -> bytes:
    """Return the bytes of several lines, each with its newline."""
    return b"\n".join([*lines, b""])


def size_of(lines: Sequence[bytes]) -> int:
    """Return how many bytes lines are, with their newlines."""
    return sum(map(len, lines)) + len(lines)


class LineWriter:
    """Writes whole lines with as few system calls as it can, and remembers where a failed one broke off.

    What is left of a line that was written in part is `rest`: the next `write` to the same place has to begin
    with it, in place of the whole line.
    """

    def __init__(self) -> None:
        self.rest = b""

    def write(self, fd: int, lines: Sequence[bytes]) -> int:
        """Write `lines`, which have no newlines yet, each with one; returns how many are wholly written.

        Raises the OSError that stopped it with a `written` attribute that holds the same count.
        """
        data = memoryview(joined(lines))
        offset = len(lines[0]) + 1 - len(self.rest) if self.rest else 0
        try:
            while offset < len(data):
                offset += _write_some(fd, data[offset:])
        except OSError as error:
            error.written = self._tear(lines, offset)  # type: ignore[attr-defined]
            raise
        self.rest = b""
        return len(lines)

    def _tear(self, lines: Sequence[bytes], offset: int) -> int:
        """Remember what is left of the line that broke off at `offset`; returns how many are whole."""
        ends = list(accumulate(len(line) + 1 for line in lines))
        whole = sum(end <= offset for end in ends)
        begun = offset - (ends[whole - 1] if whole else 0)
        self.rest = (lines[whole] + b"\n")[begun:] if begun and whole < len(lines) else b""
        return whole


def _write_some(fd: int, data: memoryview) -> int:
    while True:
        try:
            return os.write(fd, data)
        except BlockingIOError:
            # A pipe or terminal that somebody made non-blocking: wait as a blocking one would.
            room = select.poll()
            room.register(fd, select.POLLOUT)
            room.poll()
