"""Which files a command reads and writes, so that `refuse_loop` can look before anything is opened."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rxalerts.flow.circle import Place

if TYPE_CHECKING:
    from rxalerts.config import ChannelConfig

__all__ = ["inputs_of", "outputs_of"]


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
