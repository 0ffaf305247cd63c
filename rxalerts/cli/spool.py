"""`rxalerts spool`: what the durable channels still have to deliver."""

from __future__ import annotations

import json
import os
import time
from typing import Any

import click

from rxalerts.cli.backlogs import unclaimed
from rxalerts.cli.run import DEFAULT_CONFIG
from rxalerts.cli.stores import Store, open_stores, table, when
from rxalerts.errors import RxAlertsError
from rxalerts.flow.spool import Spool
from rxalerts.flow.spoolstatus import SpoolStatus, read_status


@click.group("spool")
def command() -> None:
    """Look at what the durable channels of a falco.yaml still have to deliver.

    Example: rxalerts spool status -c /etc/falco/falco.yaml
    """


@command.command("status")
@click.option("-c", "--config", "path", default=DEFAULT_CONFIG, show_default=True, metavar="FALCO_YAML")
@click.option("-o", "--option", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key.")
@click.option("--sink", "name", metavar="NAME", help="Only this channel.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per channel.")
def status(path: str, overrides: tuple[str, ...], name: str | None, as_json: bool) -> None:
    """Show each durable channel's backlog, its oldest alert and its size.

    While the program runs these are its own words, at most a second or two old; else they are read from the spool.

    Example: rxalerts spool status -c /etc/falco/falco.yaml
    """
    try:
        stores = open_stores(path, overrides, name)
        found = [_described(store) for store in stores]
        if name is None:
            found += [_left_behind(*each) for each in unclaimed([store.channel for store in stores])]
    except (RxAlertsError, OSError) as error:
        raise click.UsageError(str(error)) from None
    if as_json:
        for each in found:
            click.echo(json.dumps(each))
        return
    keys = ("sink", "backlog", "oldest", "bytes", "on_disk", "dead", "state")
    rows = [tuple(key.upper().replace("_", " ") for key in keys)]
    rows += [tuple("-" if each[key] is None else str(each[key]) for key in keys) for each in found]
    click.echo(table(rows))


def _described(store: Store) -> dict[str, Any]:
    described: dict[str, Any] = {"sink": store.name, "backlog": None, "oldest": None, "bytes": None, "on_disk": None}
    described["dead"] = None if store.dead is None else store.letters.counts()["kept"]
    if store.spool is None:
        return {**described, "state": "not durable"}
    known, state = _looked_up(store, store.spool)
    if known is not None:
        described |= {"backlog": known.backlog, "oldest": when(known.oldest), "bytes": known.bytes}
    described["on_disk"] = sum(_size(store.spool + suffix) for suffix in ("", "-wal"))
    return {**described, "state": state}


def _left_behind(path: str, known: SpoolStatus) -> dict[str, Any]:
    """Describe a backlog that no channel of the configuration delivers, as it was when its own noted it last."""
    size = sum(_size(path + suffix) for suffix in ("", "-wal"))
    described = {"sink": known.name, "backlog": known.backlog, "oldest": when(known.oldest), "bytes": known.bytes}
    return {**described, "on_disk": size, "dead": None, "state": "no channel here has this name"}


def _looked_up(store: Store, path: str) -> tuple[SpoolStatus | None, str]:
    """Return what is known of a spool: from the process that has it, or from the file."""
    owner = store.owner(path)
    if owner is not None:
        known = read_status(path)
        # One of an earlier process says nothing about this one.
        known = known if known is not None and (not owner or known.pid == owner) else None
        return known, f"in use by process {owner or '?'}"
    if not os.path.exists(path):
        return SpoolStatus(store.name, 0, 0, 0, None, time.time()), "not running"
    spool = Spool(path)
    try:
        return SpoolStatus(store.name, 0, spool.count, spool.bytes, spool.oldest(), time.time()), "not running"
    finally:
        spool.close()


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
