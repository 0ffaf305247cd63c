"""Where a log can be read from its middle: blocks of whole lines, each with the earliest and the latest time in it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any, BinaryIO
from zlib import crc32

import msgspec

from rxalerts.alert import Alert
from rxalerts.timestamps import parse_rfc3339
from rxalerts.wire import Decoder
from rxalerts.wire.days import Days

BLOCK = 1 << 20
"""How large a block is at least, in bytes; the last one of a log may be smaller."""

# A block ends behind a line that is a whole object; so many lines beyond its size are looked at for one.
_MORE = 64
_LONGEST = 16 << 20

# A line of text that says its own day, and the beginning of any record.
_DATED = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}[+-]\d{4}: ")
_RECORD = re.compile(rb"\{|" + _DATED.pattern)
_PEEK = 64

# An object or a list that is spread over lines; what begins with a letter is Falco's own, or a text that is seen below.
_SPREAD = re.compile(rb"(?:\A|\n)[^{\nA-Za-z0-9]")
_I64 = range(-(1 << 63), 1 << 63)


class Block(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A part of a log: where it begins and ends, its first line and how many there are, its times, its checksum.

    One that is not `whole` is the last one; the log may end within a line, for now.
    """

    begin: int
    end: int
    line: int
    lines: int
    earliest: int
    latest: int
    crc: int
    whole: bool


class _Timed(msgspec.Struct, gc=False):
    # What has a rule says the alert's own time; what wraps an alert has none. Nothing else is looked at, which is ten
    # times as fast as reading alerts, and what are whole objects from end to end depends on nothing before.
    time: str
    rule: str


_whole: Callable[[bytes], Any] = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_times_of: Callable[[bytes], list[_Timed]] = msgspec.json.Decoder(_Timed).decode_lines


def next_block(file: BinaryIO, begin: int, line: int) -> Block | None:
    """Read the block of a log that begins here; None when nothing is here that can be read without what is before."""
    file.seek(begin)
    data = file.read(BLOCK)
    for _ in range(_MORE):
        more = file.readline(_LONGEST)
        data += more
        whole = bool(more) and _ends(data[data.rfind(b"\n", 0, -1) + 1 :], file)
        if whole or not more:
            times = times_in(data) if data else None
            if times is None:
                return None
            return Block(begin, begin + len(data), line, data.count(b"\n"), *times, crc32(data), whole)
        if len(data) > _LONGEST:
            return None
    return None


def _ends(line: bytes, file: BinaryIO) -> bool:
    """Tell whether a record ends with this line, whatever follows: a whole object, or text before another record."""
    if not line.endswith(b"\n"):
        return False
    if _DATED.match(line):
        here = file.tell()
        follows = _RECORD.match(file.read(_PEEK))
        file.seek(here)
        return follows is not None
    try:
        _whole(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False
    return True


def times_in(data: bytes) -> tuple[int, int] | None:
    """Return two times between which lie all alerts in some lines; None when these do not say them by themselves."""
    times: tuple[int, int] | None
    try:
        times = _stated([each.time for each in _times_of(data)])
    except (msgspec.MsgspecError, ValueError):
        times = _decoded(data)
    return times if times is None or (times[0] in _I64 and times[1] in _I64) else None


def _stated(texts: list[str]) -> tuple[int, int]:
    """Return the first and the last of some times; ValueError if one of them is none."""
    count = len(texts)
    joined = "".join(texts)
    form = (joined[10::30], joined[19::30], joined[29::30])
    if len(joined) == 30 * count and form == ("T" * count, "." * count, "Z" * count):
        # Of one form, 2025-06-01T12:00:00.000000000Z: as text they are in the order of time.
        return parse_rfc3339(min(texts)), parse_rfc3339(max(texts))
    times = list(map(parse_rfc3339, texts))
    return min(times), max(times)


class _NoDays(Days):
    """Notes that a day was asked for: then a time depends on what stands before it in the log."""

    asked = False

    def ns(self, text: str, near: int | None = None) -> int:
        self.asked = True
        return super().ns(text, near)

    def ns_of_year(self, month: int, day: int, text: str, year: int | None = None) -> int:
        self.asked = True
        return super().ns_of_year(month, day, text, year)


def _decoded(data: bytes) -> tuple[int, int] | None:
    """Return the times of whatever is in the lines."""
    if _SPREAD.search(data):
        return None
    began = time.time_ns()
    decoder = Decoder()
    days = decoder.days = _NoDays()
    pieces = [*decoder.feed(data), *decoder.close()]
    times = [piece.time_ns for piece in pieces if isinstance(piece, Alert)]
    if decoder.split:
        # A line that was split over records may go on in the next block.
        return None
    if not times:
        return _I64[-1], _I64[0]
    # An alert without any time gets that of its reading.
    return None if days.asked or max(times) >= began else (min(times), max(times))
