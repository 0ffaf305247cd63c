"""`rxalerts stats`: what a recorded log holds."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections import Counter

import click

from rxalerts.cli.reading import reading
from rxalerts.cli.summary import Summary, sparkline
from rxalerts.cli.terminal import visible
from rxalerts.timestamps import format_rfc3339

_COLOURS = {"Emergency": "red", "Alert": "red", "Critical": "red", "Error": "magenta", "Warning": "yellow"}


# A rate is given by those that the log is as long as.
_UNITS = (("a minute", 1), ("an hour", 60), ("a day", 24 * 60))


@click.command("stats")
@click.argument("paths", nargs=-1, required=True, metavar="FILE...")
@click.option("-f", "--field", "fields", multiple=True, metavar="NAME", help="Count this output field's values too.")
@click.option(
    "-n",
    "--most",
    default=10,
    type=click.IntRange(min=1),
    show_default=True,
    help="How many rules and values are shown.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
def command(paths: tuple[str, ...], fields: tuple[str, ...], most: int, as_json: bool) -> None:
    """Count a log's alerts by priority, rule and time.

    Example: rxalerts stats --field k8s.pod.name --field proc.name events.jsonl.gz
    """
    with reading(paths) as alerts:
        summary = Summary(fields).add_all(alerts)
    if as_json:
        click.echo(json.dumps(summary.as_data(most), ensure_ascii=False))
        return
    _print(summary, most)


def _print(summary: Summary, most: int) -> None:
    if summary.first_ns is None or summary.last_ns is None:
        click.echo("no alerts")
        return
    alerts = "1 alert" if summary.count == 1 else f"{summary.count:,} alerts"
    rates = [f"{summary.per_minute * minutes:,.1f} {unit}" for unit, minutes in _UNITS if summary.spans(minutes)]
    click.echo(f"{alerts}: {', '.join(rates)}")
    click.echo(f"first {format_rfc3339(summary.first_ns)}")
    click.echo(f"last  {format_rfc3339(summary.last_ns)}")
    busiest = summary.busiest
    if busiest is not None:
        click.echo(f"busiest minute {format_rfc3339(busiest[0])[:16]} UTC with {busiest[1]:,}")
    width = min(100, shutil.get_terminal_size().columns - 1)
    click.echo(f"\n{sparkline(summary.timeline(width))}")
    _table("priority", Counter({str(p): n for p, n in sorted(summary.priorities.items())}), None)
    _table("rule", summary.rules, most)
    for name, counter in summary.values.items():
        _table(name, counter, most)


def _table(title: str, counter: Counter[str], most: int | None) -> None:
    """Print counts with their share; colours only on a terminal and without NO_COLOR (click sees to it)."""
    total = counter.total()
    if not total:
        click.echo(f"\n{visible(title)}: no alert has it")
        return
    click.echo(f"\n{'alerts':>10} {'share':>6}  {visible(title)}")
    rows = counter.items() if most is None else counter.most_common(most)
    for name, count in rows:
        click.echo(f"{count:>10,} {count / total:>6.1%}  {shown(name)}")
    rest = len(counter) - len(rows)
    if rest > 0:
        click.echo(f"{'':>10} {'':>6}  … and {rest} more")


def shown(text: str) -> str:
    """Return text for a terminal: control characters escaped, priorities in their colour."""
    plain = visible(text)
    colour = _COLOURS.get(text)
    return click.style(plain, fg=colour) if colour is not None and use_colour() else plain


def use_colour() -> bool:
    """Tell whether to colour: a terminal, and NO_COLOR is not set (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")
