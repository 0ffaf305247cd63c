"""Backlogs that a configuration would leave behind: of channels that are not durable any more, or are renamed."""

from __future__ import annotations

import dataclasses
import glob
import logging
import os
from collections.abc import Iterable, Iterator

from rxalerts.config import ChannelConfig
from rxalerts.flow.places import spool_file
from rxalerts.flow.spoolstatus import SpoolStatus, read_status

log = logging.getLogger("rxalerts")


def with_backlog(channel: ChannelConfig, before: ChannelConfig | None = None) -> ChannelConfig:
    """Return a channel as it has to be made: durable, whatever it says, while a backlog of its name is on disk.

    Arguments:
        before: what it was until now, when the configuration is read again.
    """
    if is_durable(channel):
        return channel
    for path in _places(channel, before):
        known = read_status(path)
        if known is not None and known.backlog and os.path.exists(path):
            log.warning(
                "%s: not durable any more, but %d alerts are in %s: it stays durable until the next start",
                channel.name,
                known.backlog,
                path,
            )
            return dataclasses.replace(channel, options={**channel.options, "durable": os.path.dirname(path)})
    return channel


def unclaimed(channels: Iterable[ChannelConfig], before: Iterable[ChannelConfig] = ()) -> list[tuple[str, SpoolStatus]]:
    """Return the backlogs, by path, in these channels' folders (or those of the channels before) that none delivers."""
    earlier = {channel.name: channel for channel in before}
    folders = {os.path.dirname(path) for channel in (*channels, *earlier.values()) for path in _places(channel, None)}
    ours = set[str]()
    for channel in channels:
        # One that is not durable any more has taken its own along, see `with_backlog`.
        ours.update(_places(channel, None if is_durable(channel) else earlier.get(channel.name)))
    paths = sorted(path for folder in folders for path in glob.glob(os.path.join(glob.escape(folder), "*.spool")))
    found = [(path, read_status(path)) for path in paths if path not in ours]
    return [(path, known) for path, known in found if known is not None and known.backlog and not _is_alive(known.pid)]


def tell_unclaimed(channels: Iterable[ChannelConfig], before: Iterable[ChannelConfig] = ()) -> None:
    """Log every backlog that no channel delivers, with what to do about it."""
    for path, known in unclaimed(channels, before):
        log.error(
            "%s: %d alerts wait here for a durable channel of the name %s, and there is none: give one this name and "
            "this folder, or remove the file",
            path,
            known.backlog,
            known.name,
        )


def is_durable(channel: ChannelConfig) -> bool:
    """Tell whether a channel says that it is durable."""
    return channel.options.get("durable", False) is not False


def _places(channel: ChannelConfig, before: ChannelConfig | None) -> Iterator[str]:
    """Yield where a channel's backlog is, or would be if it were durable; before that, where it was."""
    for each in (before, channel):
        if each is not None and (each is channel or is_durable(each)):
            durable = each.options.get("durable", False)
            yield spool_file(each.name, durable or True, each.options.get("spool_dir", ""))


def _is_alive(pid: int) -> bool:
    """Tell whether a process, other than this one, is there: what it has is its own."""
    return pid != os.getpid() and os.path.exists(f"/proc/{pid}")
