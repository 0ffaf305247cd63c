"""Rotate a file by size and age, for those who have no logrotate."""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
import stat
import time
from collections.abc import Sequence


class Rotation:
    """Decides when a file is full or old enough, and moves it to `.1.gz`, the one before to `.2.gz` and so on.

    Arguments:
        max_bytes: the size that a file must not exceed; None: no limit.
        max_seconds: the age at which it is rotated, from when it was created or first opened by us.
        keep: how many rotated files are kept.
    """

    def __init__(self, max_bytes: int | None, max_seconds: float | None, keep: int) -> None:
        self._max_bytes = max_bytes
        self._max_seconds = max_seconds
        self._keep = keep
        self._began = 0.0

    def opened(self, fd: int) -> None:
        """Note the age of the file that was just opened; what is no regular file is never rotated."""
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            self._max_bytes = self._max_seconds = None
        # A file's birth is not known everywhere; its last change is a lower bound of its age.
        self._began = (self._began or status.st_mtime) if status.st_size else time.time()

    def room(self, fd: int, lines: Sequence[bytes]) -> int:
        """Return how many of `lines`, whose newlines come on top, may go into the file; 0: rotate it first."""
        if self._max_bytes is None and self._max_seconds is None:
            return len(lines)
        size = os.fstat(fd).st_size
        if self._max_seconds is not None and size and time.time() - self._began >= self._max_seconds:
            return 0
        if self._max_bytes is None:
            return len(lines)
        for count, line in enumerate(lines):
            if size and size + len(line) + 1 > self._max_bytes:
                return count
            size += len(line) + 1
        return len(lines)

    def rotate(self, path: str) -> None:
        """Move the file away: renamed first, so that nothing is lost if compressing it fails."""
        moved = f"{path}.1"
        # Left unpacked by a crash or a full disk in an earlier rotation.
        if os.path.exists(moved):
            _pack(moved)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{path}.{self._keep}.gz")
        for number in range(self._keep - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                os.rename(f"{path}.{number}.gz", f"{path}.{number + 1}.gz")
        os.rename(path, moved)
        self._began = 0.0
        _pack(moved)


def _pack(path: str) -> None:
    """Replace `path` by `path.gz`, with the same mode."""
    partial = f"{path}.gz.part"
    try:
        with open(path, "rb") as plain, gzip.open(partial, "wb", compresslevel=6) as packed:
            shutil.copyfileobj(plain, packed)
        os.chmod(partial, stat.S_IMODE(os.stat(path).st_mode))
        os.rename(partial, f"{path}.gz")
    except OSError:
        # What is on a full disk must not be made worse.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)
        raise
    os.unlink(path)
