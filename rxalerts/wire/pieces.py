"""The bookkeeping of a decoder: where its pieces lie, what is kept between two feeds, what is too long."""

from __future__ import annotations

from itertools import accumulate

from rxalerts.alert import Alert
from rxalerts.wire.rejected import RAW_LIMIT, Rejected
from rxalerts.wire.scanner import BAD, DONE, MORE, Scanner

__all__ = ["Lost", "Pieces"]

_NEWLINE = ord("\n")


class Lost:
    """Collects a piece that is too long to be kept."""

    def __init__(self, offset: int, line: int, scanner: Scanner | None) -> None:
        self.offset = offset
        self.line = line
        self.scanner = scanner  # finds the end of an object; None: the piece ends with its line
        self.head = bytearray()
        self.size = 0

    def take(self, data: bytes) -> None:
        """Count further bytes of the piece, and keep them if they are among the first."""
        self.size += len(data)
        if len(self.head) < RAW_LIMIT:
            self.head += data[: RAW_LIMIT - len(self.head)]


class Pieces:
    """Counts lines and bytes, collects what is accepted and rejected, and skips what is too long."""

    def __init__(self, max_record: int) -> None:
        if max_record < 1:
            raise ValueError(f"max_record: must be at least 1, not {max_record}")
        self.max_record = max_record
        self.line = 1
        """Number of the line that is being read."""
        self.offset = 0
        """Offset, in the decoded stream, of the first byte that is not part of any piece yet."""
        self.skipped: int = 0
        """How many lines were Falco's own, but no alerts: log lines and statistics."""
        self.rejected: int = 0
        """How many pieces were rejected."""
        self._tail = bytearray()  # what was fed but not read; it begins at `offset`
        self._waiting = False  # the tail is of no use until its line ends
        self._scanner: Scanner | None = None  # in the middle of the object that the tail begins with
        self._lost: Lost | None = None
        self._counted = 0  # position in the buffer up to which `line` has counted
        self._out: list[Alert | Rejected] = []
        # Where the pieces of the last result end: offsets, and runs of plain lines, whose ends are looked up
        # only if somebody asks: (buffer, its offset, start and end of the run).
        self._ends: list[int | tuple[bytes, int, int, int]] = []
        self._end = -1  # no piece ends behind this, once it is known
        self._held: int | None = None  # no piece ends behind this for now: what begins there has not ended

    @property
    def reached(self) -> int:
        """Return where reading has to begin again for what is not complete yet."""
        return self.offset if self._held is None else self._held

    @property
    def ends(self) -> list[int]:
        """Return where each piece of the last result ends, as an offset into the decoded stream.

        Reading that begins there again goes on with the next piece.
        """
        ends: list[int] = []
        for end in self._ends:
            if isinstance(end, int):
                ends.append(end)
            else:
                buffer, base, pos, stop = end
                while pos < stop:
                    pos = buffer.index(b"\n", pos) + 1
                    ends.append(base + pos)
        last = self._held if self._held is not None else self._end
        if last >= 0:
            # What came between the parts of a split line ends behind the line's beginning, but must not be left
            # behind alone.
            ends = [*accumulate((last, *reversed(ends)), min)][:0:-1]
        return ends

    def _accept(self, alert: Alert, after: int) -> int:
        self._out.append(alert)
        self._ends.append(self.offset + after)
        return after

    def _reject(self, buffer: bytes, start: int, end: int, reason: str, key: str = "", after: int | None = None) -> int:
        after = end if after is None else after
        lost = Lost(self.offset + start, self._line_at(buffer, start), None)
        lost.take(buffer[start:end].rstrip(b"\r\n") if end - start <= self.max_record else buffer[start:end])
        self._add_rejected(lost, reason, key, self.offset + after)
        return after

    def _add_rejected(self, piece: Lost, reason: str, key: str, end: int) -> None:
        self.rejected += 1
        self._out.append(Rejected(piece.line, piece.offset, reason, bytes(piece.head), key, piece.size))
        self._ends.append(end)

    def _too_long(self) -> str:
        return f"longer than max_record ({self.max_record} bytes)"

    def _line_at(self, buffer: bytes, pos: int) -> int:
        """Return the line number of a position; positions must not decrease within a buffer."""
        if pos > self._counted:
            self.line += buffer.count(b"\n", self._counted, pos)
            self._counted = pos
        return self.line

    def _forget(self, buffer: bytes, pos: int) -> None:
        """Leave behind what stands before `pos`: the next buffer begins there."""
        self._line_at(buffer, pos)
        self.offset += pos
        self._counted = 0

    def _keep(self, buffer: bytes, pos: int, waiting: bool = False, scanner: Scanner | None = None) -> int:
        """Keep the rest of the buffer, from `pos` on, until more comes."""
        if len(buffer) - pos > self.max_record:
            return self._lose(buffer, pos, scanner)
        self._forget(buffer, pos)
        self._tail = bytearray(buffer[pos:])
        self._waiting = waiting
        self._scanner = scanner
        return -1

    def _lose(self, buffer: bytes, pos: int, scanner: Scanner | None) -> int:
        """Begin to skip a piece that is too long, and whose end has not come yet."""
        lost = self._lost = Lost(self.offset + pos, self._line_at(buffer, pos), scanner)
        done = pos + scanner.pos if scanner else len(buffer)
        lost.take(buffer[pos:done])
        self._forget(buffer, done)
        self._tail = bytearray(buffer[done:])
        self._waiting = False
        self._scanner = None
        return -1

    def _skip_lost(self, lost: Lost, data: bytes) -> bytes:
        """Skip what belongs to the piece that is too long; return what does not."""
        buffer = bytes(self._tail) + data
        self._tail = bytearray()
        if lost.scanner is None:
            newline = buffer.find(b"\n")
            lost.take(buffer[:newline] if newline >= 0 else buffer)
            done = newline + 1 if newline >= 0 else len(buffer)
            if newline >= 0:
                self._end_lost(lost, self.offset + done)
            self._forget(buffer, done)
            return buffer[done:]
        result = lost.scanner.scan(buffer, 0)
        done = lost.scanner.pos
        lost.take(buffer[:done])
        at_line_start = lost.scanner.previous == _NEWLINE
        if result == DONE or (result == BAD and at_line_start):
            self._end_lost(lost, self.offset + done)
        self._forget(buffer, done)
        if result == MORE:
            self._tail = bytearray(buffer[done:])
            return b""
        if self._lost is not None:
            lost.scanner = None  # the rest of its line goes with it
            return self._skip_lost(lost, buffer[done:])
        return buffer[done:]

    def _end_lost(self, lost: Lost, end: int) -> None:
        self._lost = None
        self._add_rejected(lost, self._too_long(), "", end)
