"""`rxalerts explain`: how a condition is read, and what it would have matched in a recorded log."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import click

from rxalerts.cli.life import USAGE
from rxalerts.cli.reading import reading
from rxalerts.cli.terminal import visible

if TYPE_CHECKING:
    from rxalerts.alert import Alert


@click.command("explain")
@click.argument("condition", metavar="CONDITION")
@click.argument("paths", nargs=-1, metavar="[FILE...]")
@click.option("-n", "--first", default=5, show_default=True, help="How many of the matching alerts are shown.")
@click.option("--list", "lists", multiple=True, metavar="NAME=A,B,...", help="A list that the condition may name.")
@click.option("--macro", "macros", multiple=True, metavar="NAME=CONDITION", help="A macro that it may name.")
def command(
    condition: str, paths: tuple[str, ...], first: int, lists: tuple[str, ...], macros: tuple[str, ...]
) -> None:
    """Show how CONDITION is read and, for recorded logs, how many alerts match and the first few of them.

    Conditions are in Falco's syntax, over the alert's own fields and its output fields. FILE is a log in any shape that
    Falco has ever written, gzip or zstd too; - is standard input.

    Exit status: 0, also when nothing matches; 2 the condition is wrong or a file cannot be read.

    Example: rxalerts explain 'priority >= warning and proc.name in (bash, sh)' events.jsonl
    """
    from rxalerts.operators.condition import ConditionError, compile_condition

    try:
        compiled = compile_condition(
            condition,
            lists={name: value.split(",") for name, value in _pairs("--list", lists)},
            macros=dict(_pairs("--macro", macros)),
        )
    except ConditionError as error:
        click.echo(str(error), err=True)
        sys.exit(USAGE)
    click.echo(compiled.explain())
    if paths:
        click.echo()
        _search(compiled.test, paths, first)


def _pairs(option: str, given: Iterable[str]) -> Iterable[tuple[str, str]]:
    for text in given:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise click.UsageError(f"{option} {text!r}: write NAME=…")
        yield name, value


def _search(test: Callable[[Alert], bool], paths: tuple[str, ...], first: int) -> None:
    """Count the alerts that match, and show the first ones as text."""
    read = matched = 0
    shown: list[Alert] = []
    with reading(paths) as alerts:
        for alert in alerts:
            read += 1
            if test(alert):
                matched += 1
                if len(shown) < first:
                    shown.append(alert)
        click.echo(f"{matched} of {read} alerts match")
        for alert in shown:
            click.echo(f"  {visible(alert.to_text(iso8601=True))}")
        if matched > len(shown) > 0:
            click.echo(f"  … and {matched - len(shown)} more")
