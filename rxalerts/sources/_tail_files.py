"""What a follower of rotating files has to know of them: which they are, and in which order."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Annotated, BinaryIO

import msgspec

from rxalerts.errors import MissingPackageError
from rxalerts.sources._states import fingerprint
from rxalerts.wire.unpack import Broken, is_packed, unpacked

log = logging.getLogger("rxalerts")

# So many bytes at a file's beginning tell it from others; a file that is shorter is told by what it has.
HEAD = 1024
_CHUNK = 1 << 16

_Natural = Annotated[int, msgspec.Meta(ge=0)]


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a file that can be found again after renames, compression and restarts.

    `head` is a hash of the first `head_size` bytes, `mtime` when the file had last been written to.
    """

    inode: int
    device: int
    offset: _Natural
    head: str
    head_size: Annotated[int, msgspec.Meta(ge=0, le=HEAD)]
    mtime: int


def place_in(file: BinaryIO, offset: int) -> Place:
    """Return the place `offset` in an open file."""
    status = os.fstat(file.fileno())
    head = os.pread(file.fileno(), HEAD, 0)
    return Place(status.st_ino, status.st_dev, offset, fingerprint(head), len(head), status.st_mtime_ns)


def is_same(file: BinaryIO, place: Place) -> bool:
    """Tell whether an open file still begins as it did, and has not become shorter than the place."""
    head = os.pread(file.fileno(), place.head_size, 0)
    return fingerprint(head) == place.head and os.fstat(file.fileno()).st_size >= place.offset


def begins(content: bytes, place: Place) -> bool:
    """Tell whether the content of a file, from its first byte, is that of the place's file."""
    return fingerprint(content[: place.head_size]) == place.head or len(content) < place.head_size


def moved(place: Place, offset: int) -> Place:
    """Return the same file's place at another offset."""
    return replace(place, offset=offset)


class Rotated:
    """One rotated file, held open: its name may belong to another one a moment later."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.raw = open(name, "rb")
        self.status = os.fstat(self.raw.fileno())
        self.packed = is_packed(os.pread(self.raw.fileno(), 4, 0))

    def chunks(self, offset: int) -> Iterator[bytes]:
        """Yield the unpacked content from `offset` on; raise an OSError where it cannot be read."""
        self.raw.seek(0 if self.packed else offset)
        for chunk in unpacked(self.raw, _CHUNK) if self.packed else iter(lambda: self.raw.read(_CHUNK), b""):
            if isinstance(chunk, Broken):
                raise OSError(str(chunk))
            skipped = min(offset, len(chunk)) if self.packed else 0
            offset -= skipped
            if len(chunk) > skipped:
                yield chunk[skipped:]

    def is_file(self, status: os.stat_result) -> bool:
        """Tell whether this is the file with that status."""
        return os.path.samestat(self.status, status)

    def is_place(self, place: Place) -> bool:
        """Tell by the inode whether `place` is in this file."""
        return (self.status.st_ino, self.status.st_dev) == (place.inode, place.device) and is_same(self.raw, place)

    def begins_like(self, place: Place) -> bool:
        """Tell by the beginning whether this is a copy, or a packed form, of the file that `place` is in."""
        head = b""
        try:
            for chunk in self.chunks(0):
                head += chunk
                if len(head) >= place.head_size:
                    break
        except (OSError, EOFError, MissingPackageError) as error:
            log.debug("%s: %s", self.name, error)
        same = place.head_size and fingerprint(head[: place.head_size]) == place.head
        return bool(same and (self.packed or self.status.st_size >= place.offset))


@contextmanager
def rotated_files(path: str, olddir: str | None = None) -> Generator[list[Rotated]]:
    """Open the rotated files beside `path`, beside what it is a link to, and in `olddir`, oldest first.

    They are known by their names: `path.2.gz`, `path.1`, `path-20261123`; of `events.json` also
    `events-20261123.json` and `events.1.json`; of a container's `1.log` also the `0.log` before it. The order is that
    of their last change; of two at the same moment the higher number is older. What is rotated while we look is
    looked at again, until the names have held still.
    """
    for _ in range(_TRIES):
        files = _open_all(_siblings(path, olddir))
        if files is not None:
            break
    else:
        log.warning("%s: its rotated files do not hold still: looking at them later", path)
        files = []
    try:
        yield sorted(files, key=_age)
    finally:
        for file in files:
            file.raw.close()


# How often the rotated files are looked at anew when they are renamed meanwhile.
_TRIES = 50


def _siblings(path: str, olddir: str | None) -> list[str]:
    names: set[str] = set()
    owns = {os.path.abspath(path), os.path.realpath(path)}
    if olddir is not None:
        owns |= {os.path.join(os.path.dirname(own), olddir, os.path.basename(own)) for own in owns}
    for own in owns:
        folder, base = os.path.split(own)
        pattern = _rotated_names(base)
        try:
            entries = os.listdir(folder)
        except OSError as error:
            log.debug("%s", error)
            continue
        names.update(os.path.join(folder, entry) for entry in entries if entry != base and pattern.fullmatch(entry))
    # A file that is just being packed counts once.
    return [name for name in names if _PACKED.sub("", name) not in names - {name}]


_PACKED = re.compile(r"\.(?:gz|bz2|xz|zst)$")


def _rotated_names(base: str) -> re.Pattern[str]:
    """Return what the rotated files of one are called: a number or a date is added, and perhaps how it is packed."""
    stem, extension = os.path.splitext(base)
    stem, extension, packed = re.escape(stem), re.escape(extension), _PACKED.pattern.removesuffix("$")
    date = r"[._-]?\d{4}[\d._:T-]{4,}Z?"
    forms = [rf"{re.escape(base)}[._-]\d[\d._:T-]*Z?(?:\.log)?", rf"{stem}(?:\.\d+|{date}){extension}"]
    if re.fullmatch(r"\d+\.log", base):
        forms.append(r"\d+\.log(?:\.[\d-]+)?")
    return re.compile(rf"(?:{'|'.join(forms)})(?:{packed})?")


def _open_all(names: list[str]) -> list[Rotated] | None:
    """Open the files; None if one was renamed or removed meanwhile."""
    files: list[Rotated] = []
    try:
        for name in names:
            files.append(Rotated(name))
        if all(file.is_file(os.stat(file.name)) for file in files):
            return files
    except OSError as error:
        log.debug("%s", error)
    for file in files:
        file.raw.close()
    return None


def _age(file: Rotated) -> tuple[int, int]:
    number = re.search(r"\.(\d+)(?:\.[a-z]\w*)*$", file.name)
    return file.status.st_mtime_ns, -int(number[1]) if number else 0


def index_of(files: list[Rotated], status: os.stat_result) -> int | None:
    """Return which of `files` has that status."""
    return next((index for index, file in enumerate(files) if file.is_file(status)), None)


def find(files: list[Rotated], place: Place) -> int | None:
    """Return which of `files` the place is in: by inode, or by the beginning once it is a copy or packed."""
    for same in (Rotated.is_place, Rotated.begins_like):
        for index, file in enumerate(files):
            if same(file, place):
                return index
    return None
