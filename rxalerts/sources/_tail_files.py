"""What a follower of rotating files has to know of them: which they are, in which order, and where it was."""

from __future__ import annotations

import glob
import gzip
import hashlib
import json
import logging
import os
import re
import zlib
from dataclasses import asdict, dataclass, replace
from typing import BinaryIO, cast

log = logging.getLogger("rxalerts")

# So many bytes at a file's beginning tell it from others; a file that is shorter is told by what it has.
HEAD = 1024


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a file that can be found again after renames, compression and restarts.

    `head` is a hash of the first `head_size` bytes, `mtime` when the file had last been written to.
    """

    inode: int
    device: int
    offset: int
    head: str
    head_size: int
    mtime: int


def load_state(path: str) -> Place | None:
    """Return the saved place; None when there is none. What is no state is reported and ignored."""
    try:
        with open(path, encoding="utf-8") as file:
            return Place(**json.load(file))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        log.error("%s: the saved position cannot be used (%s): beginning anew, alerts may come twice", path, error)
        return None


def save_state(path: str, place: Place) -> None:
    """Save a place so that a crash leaves either the old one or the new one."""
    partial = f"{path}.new"
    fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with open(fd, "w", encoding="utf-8") as file:
        json.dump(asdict(place), file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def place_in(file: BinaryIO, offset: int) -> Place:
    """Return the place `offset` in an open file."""
    status = os.fstat(file.fileno())
    head = os.pread(file.fileno(), HEAD, 0)
    return Place(status.st_ino, status.st_dev, offset, _hash(head), len(head), status.st_mtime_ns)


def is_same(file: BinaryIO, place: Place) -> bool:
    """Tell whether an open file still begins as it did, and has not become shorter than the place."""
    head = os.pread(file.fileno(), place.head_size, 0)
    return _hash(head) == place.head and os.fstat(file.fileno()).st_size >= place.offset


def moved(place: Place, offset: int) -> Place:
    """Return the same file's place at another offset."""
    return replace(place, offset=offset)


def siblings(path: str) -> list[str]:
    """Return the rotated files beside `path`, oldest first: `path.2.gz`, `path.1`, `path-20261123`.

    The order is that of their last change; of two at the same moment the higher number is older. A file that is
    just being packed counts once.
    """
    found: list[tuple[int, int, str]] = []
    names = set(glob.glob(f"{glob.escape(path)}[.-]*"))
    for name in names:
        if not re.search(r"[.-]\d[\d.-]*(\.gz)?$", name) or name.removesuffix(".gz") in names - {name}:
            continue
        number = re.search(r"\.(\d+)(\.gz)?$", name)
        found.append((changed(name), -int(number[1]) if number else 0, name))
    return [name for when, _, name in sorted(found) if when]


def changed(name: str) -> int:
    """Return when a file was last written to (epoch nanoseconds); 0 if it is gone."""
    try:
        return os.stat(name).st_mtime_ns
    except OSError:
        return 0


def index_of(names: list[str], file: BinaryIO) -> int | None:
    """Return which of `names` is the open file."""
    ours = os.fstat(file.fileno())
    for index, name in enumerate(names):
        try:
            if os.path.samestat(os.stat(name), ours):
                return index
        except OSError:
            continue
    return None


def open_rotated(name: str) -> BinaryIO:
    """Open a rotated file for reading, unpacked."""
    with open(name, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return cast("BinaryIO", gzip.open(name, "rb") if packed else open(name, "rb"))


def find(names: list[str], place: Place) -> int | None:
    """Return which of `names` the place is in: by inode, or by the file's beginning once it is a copy or packed."""
    for same in (_is_place, _begins_alike):
        for index, name in enumerate(names):
            if same(name, place):
                return index
    return None


def _is_place(name: str, place: Place) -> bool:
    try:
        with open(name, "rb") as file:
            status = os.fstat(file.fileno())
            return (status.st_ino, status.st_dev) == (place.inode, place.device) and is_same(file, place)
    except OSError:
        return False


def _begins_alike(name: str, place: Place) -> bool:
    if not place.head_size:
        return False
    try:
        with open_rotated(name) as file:
            return _hash(file.read(place.head_size)) == place.head and _reaches(file, place.offset)
    except (OSError, EOFError, zlib.error):
        return False


def _reaches(file: BinaryIO, offset: int) -> bool:
    return isinstance(file, gzip.GzipFile) or os.fstat(file.fileno()).st_size >= offset


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
