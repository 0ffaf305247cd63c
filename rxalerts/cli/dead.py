"""`rxalerts dead`: look at the dead letters of the channels, send them again, or remove them."""

from __future__ import annotations

import json
import re
import sqlite3
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, cast

import click

from rxalerts.cli.life import LOST
from rxalerts.cli.logs import set_up_logging
from rxalerts.cli.run import DEFAULT_CONFIG
from rxalerts.cli.stores import Store, open_stores, table, when
from rxalerts.cli.terminal import visible
from rxalerts.errors import RxAlertsError
from rxalerts.flow.deadletters import PURGES, Letter

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def _common(function: Callable[..., None]) -> Callable[..., None]:
    for decorate in (
        click.option("--sink", "name", metavar="NAME", help="Only this channel."),
        click.option("-o", "--option", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key."),
        click.option("-c", "--config", "path", default=DEFAULT_CONFIG, show_default=True, metavar="FALCO_YAML"),
    ):
        function = decorate(function)
    return function


def _selection(function: Callable[..., None]) -> Callable[..., None]:
    for decorate in (
        click.option("--older-than", metavar="AGE", help="Only those tried last so long ago: 90s, 15m, 12h, 7d, 2w."),
        click.option("--id", "ids", type=int, multiple=True, metavar="NUMBER", help="Only this one; may be repeated."),
    ):
        function = decorate(function)
    return function


@click.group("dead")
def command() -> None:
    """Look at what the channels of a falco.yaml have rejected or given up, send it again, or remove it.

    It works while the program runs and while it does not. A letter that is sent again stays here until it is
    delivered; if it fails again, its attempts go up.

    Example: rxalerts dead replay -c /etc/falco/falco.yaml --sink http
    """


@command.command("list")
@_common
@_selection
@click.option("--json", "as_json", is_flag=True, help="One JSON object per letter.")
def list_letters(
    path: str, overrides: tuple[str, ...], name: str | None, ids: tuple[int, ...], older_than: str | None, as_json: bool
) -> None:
    """List the letters, oldest first, and how many were removed for which reason.

    Example: rxalerts dead list -c /etc/falco/falco.yaml --sink http --older-than 1d
    """
    where = _where(ids, older_than)
    if ids and name is None:
        raise click.UsageError("--id needs --sink: each channel counts its letters by itself")
    rows: list[tuple[str, ...]] = []
    with _faults():
        stores = [store for store in open_stores(path, overrides, name) if store.dead is not None or name]
        for store in stores:
            for letter in store.letters.select(*where):
                if as_json:
                    click.echo(json.dumps(_plain(store, letter)))
                rows.append(_line(store, letter))
        if as_json:
            return
        if rows:
            click.echo(table([("SINK", "ID", "REASON", "ATTEMPTS", "FIRST", "LAST", "RULE", "DETAIL"), *rows]))
        for store in stores:
            counts = store.letters.counts()
            removed = ", ".join(f"{counts[key]} by {key}" for key in PURGES if counts.get(key))
            line = f"{store.name}: {counts['kept']} kept, {counts.get('bytes', 0)} bytes"
            line += f", {counts.get('delivered', 0)} delivered later"
            line += f", {counts['unkept']} could not be kept" if counts.get("unkept") else ""
            click.echo(line + (f"; removed: {removed}" if removed else ""), err=True)


@command.command("show")
@click.argument("numbers", type=int, nargs=-1, required=True, metavar="NUMBER...")
@_common
def show(path: str, overrides: tuple[str, ...], name: str | None, numbers: tuple[int, ...]) -> None:
    """Show letters with all there is to know of them, as JSON. Exit status: 1 one is not there.

    Example: rxalerts dead show -c /etc/falco/falco.yaml 17 18
    """
    missing = set(numbers)
    with _faults():
        for store in open_stores(path, overrides, name):
            if store.dead is None:
                continue
            for letter in store.letters.select(*_where(numbers, None)):
                missing.discard(letter.id)
                click.echo(json.dumps(_plain(store, letter), indent=2))
    for number in sorted(missing):
        click.echo(f"there is no letter {number}", err=True)
    sys.exit(LOST if missing else 0)


@command.command("purge")
@_common
@_selection
@click.option("--all", "everything", is_flag=True, help="All of them.")
def purge(
    path: str,
    overrides: tuple[str, ...],
    name: str | None,
    ids: tuple[int, ...],
    older_than: str | None,
    everything: bool,
) -> None:
    """Remove letters for good: those of --id or --older-than, or --all.

    Example: rxalerts dead purge -c /etc/falco/falco.yaml --older-than 30d
    """
    where = _chosen(ids, older_than, everything, name)
    with _faults():
        for store in open_stores(path, overrides, name):
            if store.dead is not None:
                click.echo(f"{store.name}: {store.letters.purge(*where)} removed", err=True)


@command.command("replay")
@_common
@_selection
@click.option("--all", "everything", is_flag=True, help="All of them.")
@click.option("--timeout", default=30.0, show_default=True, help="Seconds that each channel gets if it is not running.")
def replay(
    path: str,
    overrides: tuple[str, ...],
    name: str | None,
    ids: tuple[int, ...],
    older_than: str | None,
    everything: bool,
    timeout: float,
) -> None:
    """Send letters again: those of --id or --older-than, or --all.

    A program that runs does it itself, within a second or two, and this command only asks it to. Otherwise the
    channel is opened here. What does not succeed stays, and goes out when the program runs again.

    Exit status: 0 delivered, or left to the program that runs; 1 something was not delivered, 2 wrong usage.

    Example: rxalerts dead replay -c /etc/falco/falco.yaml --sink http --all
    """
    where = _chosen(ids, older_than, everything, name)
    set_up_logging()
    left = 0
    with _faults():
        for store in open_stores(path, overrides, name):
            if store.dead is None:
                continue
            count = store.letters.want(*where)
            owner = store.owner(store.dead)
            if owner is not None:
                click.echo(f"{store.name}: {count} left to process {owner or '?'}, which runs", err=True)
            elif count:
                left += _deliver(store, count, timeout)
    sys.exit(LOST if left else 0)


def _deliver(store: Store, count: int, timeout: float) -> int:
    """Open the channel and send what is wanted; returns how many are still there."""
    before = store.letters.counts()
    sink = store.for_letters().build()
    sink.start()
    box = sink.dead_box
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline and not sink.state.ended:
        sink.flush(0.2)
        if box is not None and not box.busy and not store.letters.wanted(0, 1):
            break
        time.sleep(0.02)
    sink.close(max(0.1, deadline - time.monotonic()))
    delivered = store.letters.counts().get("delivered", 0) - before.get("delivered", 0)
    waiting = len(store.letters.select("WHERE wanted"))
    failed = max(0, count - delivered - waiting)
    line = f"{store.name}: {delivered} delivered"
    line += f", {failed} failed again" if failed else ""
    line += f", {waiting} still wait and go out when the program runs" if waiting else ""
    reason = sink.stats().last_error
    click.echo(line + (f": {reason}" if reason and waiting else ""), err=True)
    return failed + waiting


def _chosen(
    ids: tuple[int, ...], older_than: str | None, everything: bool, name: str | None
) -> tuple[str, tuple[Any, ...]]:
    if ids and name is None:
        raise click.UsageError("--id needs --sink: each channel counts its letters by itself")
    if not (ids or older_than or everything):
        raise click.UsageError("say which: --id NUMBER, --older-than AGE, or --all")
    return _where(ids, older_than)


def _where(ids: tuple[int, ...], older_than: str | None) -> tuple[str, tuple[Any, ...]]:
    terms: list[str] = []
    values: list[Any] = []
    if ids:
        terms.append(f"id IN ({', '.join('?' * len(ids))})")
        values += ids
    if older_than is not None:
        terms.append("last <= ?")
        values.append(time.time() - parse_age(older_than))
    return (f"WHERE {' AND '.join(terms)}" if terms else "", tuple(values))


def parse_age(text: str) -> float:
    """Return seconds.

    >>> parse_age("90s"), parse_age("1.5h"), parse_age("2w")
    (90.0, 5400.0, 1209600.0)
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text.strip())
    if match is None:
        raise click.UsageError(f"--older-than {text}: write a number and s, m, h, d or w, for example 12h")
    return float(match[1]) * _UNITS[match[2]]


def _line(store: Store, letter: Letter) -> tuple[str, ...]:
    rule = str(_alert_in(letter).get("rule", "?"))
    detail = letter.detail if len(letter.detail) <= 60 else f"{letter.detail[:57]}..."
    attempts = f"{letter.attempts}{' (again)' if letter.wanted else ''}"
    times = (when(letter.first), when(letter.last))
    # What an alert says must not reach a terminal as it is.
    return (store.name, str(letter.id), letter.reason, attempts, *times, visible(rule), visible(detail))


def _alert_in(letter: Letter) -> dict[str, Any]:
    try:
        found: Any = json.loads(letter.alert)
    except ValueError:
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _plain(store: Store, letter: Letter) -> dict[str, Any]:
    return {
        "sink": store.name,
        "id": letter.id,
        "reason": letter.reason,
        "detail": letter.detail,
        "attempts": letter.attempts,
        "first": when(letter.first),
        "last": when(letter.last),
        "again": bool(letter.wanted),
        "alert": _alert_in(letter) or letter.alert.decode(errors="replace"),
    }


@contextmanager
def _faults() -> Generator[None]:
    """Tell what goes wrong in a line, not in a traceback."""
    try:
        yield
    except (RxAlertsError, OSError) as error:
        raise click.UsageError(str(error)) from None
    except sqlite3.Error as error:
        raise click.ClickException(f"the dead letters cannot be used: {error}") from None
