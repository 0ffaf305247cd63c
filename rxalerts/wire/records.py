"""Alerts inside of other programs' records, and lines that were split over several of them."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from rxalerts.alert import Alert
from rxalerts.errors import AlertError
from rxalerts.record import PREFIX
from rxalerts.wire.days import Days
from rxalerts.wire.jsonline import from_bytes, from_object
from rxalerts.wire.pieces import Lost, Pieces
from rxalerts.wire.rejected import Rejected
from rxalerts.wire.wrappers import Content, contents, name_of

__all__ = ["Records"]

_MAX_STREAMS = 64
# Docker and the container runtimes split lines that are longer than this.
_SPLIT_AT = 16 << 10


class _Split:
    """Collects the parts of a split line."""

    def __init__(self, content: Content, lost: Lost) -> None:
        self.near = content.near
        self.lost = lost  # the place of the first part
        self.body = bytearray()
        self.sure = content.sure


class Records(Pieces):
    """Reads what stands inside of records; one record may hold a part of an alert, one, or several.

    All pieces of a record lie at its place. Reading that begins again at the end of a piece finds the record again
    until all of its pieces were found, and the first part of a split line until the last one was.
    """

    def __init__(self, max_record: int, days: Days) -> None:
        super().__init__(max_record)
        self.days = days
        self.split = False
        """Whether a line was split over several records."""
        self._splits: dict[str, _Split] = {}

    def go_on(self, before: Records) -> None:
        """Take over the split lines that another input ended in the middle of, such as a log before its rotation."""
        self._splits, before._splits = before._splits, {}
        for split in self._splits.values():
            split.lost.line, split.lost.offset = 1, 0
        self._held = 0 if self._splits else None

    @abstractmethod
    def _decode_line(self, line: bytes, near: int | None) -> tuple[list[Alert | Rejected], int]:
        """Return the pieces of a line that stood inside of a record, and how many of Falco's own were skipped."""

    def _take_record(self, record: dict[str, Any], buffer: bytes, start: int, end: int) -> bool:
        """Read a record that stands from `start` to `end`; False if it is none that is known."""
        found = list(contents(record, self.days.near))
        if not found:
            return False
        lost = self._lost_at(buffer, start, end)
        pieces: list[Alert | Rejected] = []
        for content in found:
            pieces += self._take_content(content, lost, name_of(record))
        self._give(pieces, lost, self.offset + end)
        return True

    def _take_part(self, content: Content, buffer: bytes, start: int, end: int) -> None:
        """Read one part of a split line, or the whole of one, behind a collector's mark; the line ends at `end`."""
        lost = self._lost_at(buffer, start, end)
        self._give(self._take_content(content, lost, "a container's log"), lost, self.offset + end + 1)

    def _lost_at(self, buffer: bytes, start: int, end: int) -> Lost:
        lost = Lost(self.offset + start, self._line_at(buffer, start), None)
        lost.take(buffer[start:end])
        return lost

    def _take_content(self, content: Content, lost: Lost, name: str) -> list[Alert | Rejected]:
        split = self._splits.get(content.stream) if content.stream else None
        pieces: list[Alert | Rejected] = []
        if split is not None and self._is_finished(split, content):
            pieces += self._end_split(content.stream, name)
            split = None
        if split is None:
            if not content.more or (not content.sure and self._is_whole(content)):
                return pieces + self._inside(content.body, content.near, lost, name)
            if len(self._splits) >= _MAX_STREAMS:
                pieces += self._end_split(next(iter(self._splits)), name)
            self.split = True
            split = self._splits[content.stream] = _Split(content, lost)
        elif split.lost is not lost:
            split.lost.take(b"\n" + bytes(lost.head))
        assert isinstance(content.body, bytes)
        if len(split.body) <= self.max_record:
            split.body += content.body[: self.max_record + 1]
        return pieces if content.more else pieces + self._end_split(content.stream, name)

    def _is_whole(self, content: Content) -> bool:
        """Tell whether a line without newline is a JSON alert nevertheless."""
        if not isinstance(content.body, bytes):
            return False
        try:
            from_bytes(content.body, Days())
        except AlertError:
            return False
        return True

    def _is_finished(self, split: _Split, content: Content) -> bool:
        """Tell whether a line that lacks its newline is not continued by the next one of its stream."""
        if split.sure or len(split.body) >= _SPLIT_AT or not isinstance(content.body, bytes):
            return False
        # Docker splits at 16 KiB: from shorter lines somebody has cut off the newlines.
        return self._is_whole(content) or (not split.body.startswith(b"{") and _begins_alert(content.body))

    def _end_split(self, stream: str, name: str) -> list[Alert | Rejected]:
        split = self._splits.pop(stream)
        if len(split.body) > self.max_record:
            return [self._rejected(split.lost, self._too_long())]
        return self._inside(bytes(split.body), split.near, split.lost, name)

    def _end_splits(self) -> None:
        """Read the lines whose end did not come before the end of the input."""
        while self._splits:
            stream, split = next(iter(self._splits.items()))
            self._give(self._end_split(stream, "a split line"), split.lost, self._end)

    def _inside(self, body: bytes | dict[str, Any], near: int | None, lost: Lost, name: str) -> list[Alert | Rejected]:
        """Return what stands in a line or an object inside of a record."""
        try:
            if isinstance(body, dict):
                self.days.near = near
                return [from_object(body, self.days)]
            pieces, skipped = self._decode_line(body.strip(b"\r\n"), near)
        except AlertError as error:
            return [self._rejected(lost, f"{name}, but no alert inside: {error.reason}", error.key)]
        self.skipped += skipped
        bad = [piece for piece in pieces if isinstance(piece, Rejected)]
        if len(bad) < len(pieces):
            return [piece if isinstance(piece, Alert) else self._moved(piece, lost, name) for piece in pieces]
        if bad:
            return [self._rejected(lost, f"{name}, but no alert inside: {bad[0].reason}", bad[0].key)]
        return []

    @staticmethod
    def _rejected(lost: Lost, reason: str, key: str = "") -> Rejected:
        return Rejected(lost.line, lost.offset, reason, bytes(lost.head), key, lost.size)

    @staticmethod
    def _moved(piece: Rejected, lost: Lost, name: str) -> Rejected:
        reason = f"in {name}: {piece.reason}"
        return Rejected(lost.line, lost.offset, reason, piece.raw, piece.key, piece.size)

    def _give(self, pieces: list[Alert | Rejected], lost: Lost, end: int) -> None:
        """Put out the pieces of one record, which ends at `end`."""
        self._held = min((split.lost.offset for split in self._splits.values()), default=None)
        for number, piece in enumerate(pieces, 1):
            self._out.append(piece)
            self.rejected += isinstance(piece, Rejected)
            self._ends.append(end if number == len(pieces) else lost.offset)


def _begins_alert(line: bytes) -> bool:
    return PREFIX.match(line[:80].decode("utf-8", "replace")) is not None
