"""Refuse to write to a file that is being read: every alert would come again and again, until the disk is full."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from rxalerts.errors import ConfigError

# A path, or a descriptor.
Place = str | int


def refuse_loop(inputs: Iterable[Place], outputs: Iterable[Place]) -> None:
    """Raise ConfigError when one of `outputs` is one of `inputs`, by whatever name."""
    read = {_identity(place) for place in inputs} - {None}
    for place in outputs:
        if _identity(place) in read:
            name = {1: "standard output"}.get(place, place) if isinstance(place, int) else place
            raise ConfigError(f"{name} is the file that is read: its alerts would come again without end; name another")


def _identity(place: Place) -> object:
    """Return what tells a regular file from others; of one that is not there yet, its path."""
    try:
        status = os.stat(place)
    except OSError:
        return os.path.realpath(place) if isinstance(place, str) else None
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None
