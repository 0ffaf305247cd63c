"""The files in which the channels of a falco.yaml keep what must survive: backlogs and dead letters."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click

from rxalerts.config import ChannelConfig, load_config
from rxalerts.errors import ConfigError, RxAlertsError
from rxalerts.flow.database import Lock
from rxalerts.flow.deadletters import DeadLetters
from rxalerts.flow.places import dead_file, spool_file
from rxalerts.flow.spool import lock_path


@dataclass(frozen=True)
class Store:
    """One channel with its files; `dead` and `spool` are None when it keeps none."""

    channel: ChannelConfig
    dead: str | None
    spool: str | None

    @property
    def name(self) -> str:
        """The channel's name."""
        return self.channel.name

    @property
    def letters(self) -> DeadLetters:
        """The dead letters, without limits: looking must not remove anything."""
        if self.dead is None:
            raise ConfigError(f"{self.name} keeps no dead letters: set rxalerts.spool_dir, or its dead_store")
        return DeadLetters(self.dead)

    def owner(self, path: str) -> int | None:
        """Return the process that has the channel's files; None when it is not running."""
        return Lock.owner(lock_path(path))

    def for_letters(self) -> ChannelConfig:
        """Return the channel as it is when only its dead letters are sent: without the backlog, which may be in use."""
        options = {**self.channel.options, "durable": False, "dead_store": _folder(self.dead)}
        return dataclasses.replace(self.channel, options=options)


def _folder(path: str | None) -> Any:
    return False if path is None else path.rpartition("/")[0] or "."


def open_stores(path: str, overrides: Sequence[str], name: str | None) -> list[Store]:
    """Return the stores of all channels of a configuration, or of one; raises click.UsageError."""
    try:
        config = load_config(path, overrides)
    except (RxAlertsError, ValueError, OSError) as error:
        raise click.UsageError(str(error)) from None
    stores = [_store(channel) for channel in config.channels]
    if name is None:
        return stores
    found = [store for store in stores if store.name == name]
    if not found:
        names = ", ".join(store.name for store in stores)
        raise click.UsageError(f"--sink {name}: there is no such channel in {path}; there is {names}")
    return found


def _store(channel: ChannelConfig) -> Store:
    options = channel.options
    durable, spool_dir = options.get("durable", False), options.get("spool_dir", "")
    return Store(
        channel,
        dead_file(channel.name, options.get("dead_store"), durable, spool_dir),
        None if durable is False else spool_file(channel.name, durable, spool_dir),
    )


def when(moment: float | None) -> str:
    """Return a moment (epoch seconds) in UTC, for people.

    >>> when(0.0), when(None)
    ('1970-01-01T00:00:00Z', '-')
    """
    from rxalerts.timestamps import format_rfc3339

    return "-" if moment is None else f"{format_rfc3339(int(moment * 1e9))[:19]}Z"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as aligned columns.

    >>> print(table([("A", "B"), ("long", "b")]))
    A     B
    long  b
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
