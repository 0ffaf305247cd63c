"""`rxalerts convert`: a log in another form."""

from __future__ import annotations

import os
from collections.abc import Iterator

import click

from rxalerts.alert import Alert
from rxalerts.cli.reading import reading, replacing
from rxalerts.cli.tables import write_csv, write_parquet
from rxalerts.format import JSON, TEXT


@click.command("convert")
@click.argument("paths", nargs=-1, required=True, metavar="FILE...")
@click.option("--to", "target", required=True, metavar="OUT", help="OUT.jsonl, .txt, .csv or .parquet; made anew.")
def command(paths: tuple[str, ...], target: str) -> None:
    """Write the alerts of recorded logs as JSON lines, text, CSV or Parquet, by the ending of OUT.

    CSV has one column per key and the output fields as JSON; Parquet (needs the extra `notebook`) one column per
    output field. Both can be read again, by this and the other commands that look at logs, and give the same alerts.
    OUT appears when it is complete.

    CSV holds the values as they are. A spreadsheet takes one that begins with =, +, - or @ for a formula, and alerts
    quote what attackers wrote: import the columns as text, or use Parquet.

    Example: rxalerts convert 'events*.log.gz' --to events.parquet
    """
    ending = os.path.splitext(target)[1].lower()
    writers = {".jsonl": _jsonl, ".txt": _text, ".csv": write_csv, ".parquet": write_parquet}
    if ending not in writers:
        raise click.UsageError(f"--to {target}: must end in {', '.join(writers)}")
    with reading(paths) as alerts, replacing(target) as partial:
        counted = _Counted(alerts)
        writers[ending](counted, partial)
    click.echo(f"{target}: {counted.count:,} alerts", err=True)


class _Counted(Iterator[Alert]):
    """Alerts, and how many have passed."""

    def __init__(self, alerts: Iterator[Alert]) -> None:
        self._alerts = alerts
        self.count = 0

    def __next__(self) -> Alert:
        alert = next(self._alerts)
        self.count += 1
        return alert


def _jsonl(alerts: Iterator[Alert], path: str) -> None:
    with open(path, "wb") as file:
        file.writelines(JSON.render(alert) + b"\n" for alert in alerts)


def _text(alerts: Iterator[Alert], path: str) -> None:
    with open(path, "wb") as file:
        file.writelines(TEXT.render(alert) + b"\n" for alert in alerts)
