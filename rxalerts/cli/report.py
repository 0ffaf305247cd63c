"""`rxalerts report`: a recorded log as one page."""

from __future__ import annotations

import os

import click

from rxalerts.cli.reading import reading, replacing

# What is counted when no field is named, as far as the alerts have it.
_FIELDS = (
    "k8s.ns.name",
    "k8s.pod.name",
    "container.name",
    "container.image.repository",
    "proc.name",
    "user.name",
    "fd.name",
)


@click.command("report")
@click.argument("paths", nargs=-1, required=True, metavar="FILE...")
@click.option("--to", "target", required=True, metavar="OUT.html", help="The page; made anew.")
@click.option("-f", "--field", "fields", multiple=True, metavar="NAME", help="Draw this output field's values.")
@click.option(
    "--rows", default=5000, show_default=True, type=click.IntRange(0, 50_000), help="At most so many rows in the table."
)
@click.option("--title", help="The page's title [the files' names].")
def command(paths: tuple[str, ...], target: str, fields: tuple[str, ...], rows: int, title: str | None) -> None:
    """Write a page about recorded logs: charts of time, rules and values, and a table that can be searched.

    The page is one file that loads nothing: it can be mailed and opened anywhere. The table holds the most urgent
    alerts. What stands in an alert is shown as text, whatever it is. OUT.html#find=WORDS opens it with a search.

    Example: rxalerts report --to report.html 'events*.jsonl.gz'
    """
    from rxalerts.cli.page import page
    from rxalerts.cli.tallies import Tallies

    with reading(paths) as alerts, replacing(target) as partial:
        tallies = Tallies(fields or _FIELDS, rows).add_all(alerts)
        with open(partial, "w", encoding="utf-8") as file:
            file.write(page(tallies, title or ", ".join(os.path.basename(path) for path in paths)))
    click.echo(f"{target}: {tallies.count:,} alerts", err=True)
