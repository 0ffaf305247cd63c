"""Refuse to write to a file that is being read: every alert would come again and again, until the disk is full."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rxalerts.errors import ConfigError

if TYPE_CHECKING:
    from rxalerts.config import ChannelConfig

__all__ = ["inputs_of", "outputs_of", "refuse_loop"]

# A path, or a descriptor.
Place = str | int


def inputs_of(origin: str) -> list[Place]:
    """Return what `--from` reads, if it is a file or a descriptor.

    >>> inputs_of("tail:/var/log/events.txt?state=s"), inputs_of("-"), inputs_of("https://:2801/")
    (['/var/log/events.txt'], [0], [])
    """
    if origin == "-":
        return [0]
    if origin.startswith("tail:"):
        return [origin.removeprefix("tail:").partition("?")[0]]
    return [] if "://" in origin else [origin]


def outputs_of(channels: Iterable[ChannelConfig]) -> list[Place]:
    """Return the files and descriptors that channels write to."""
    places: list[Place] = []
    for each in channels:
        if each.channel == "file":
            places.append(str(each.options["filename"]))
        elif each.channel == "stdout":
            places.append(1)
    return places


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
