"""`rxalerts replay`: send a recorded log through the same road as live alerts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from rxalerts.cli.life import exit_status, live, set_up_logging, summarise
from rxalerts.errors import RxAlertsError
from rxalerts.flow.sink import Sink
from rxalerts.operators import at_least
from rxalerts.pipeline import Pipeline, route
from rxalerts.priority import Priority
from rxalerts.sinks import FileSink, StdoutSink
from rxalerts.sources import replay

# Seconds that the sinks get after Ctrl-C.
_TIMEOUT = 2.0


@click.command("replay")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--speed", default="max", show_default=True, help="max, or a factor of the recorded pace: 1, 10x, 0.5")
@click.option("--since", help="Only alerts from this moment on (RFC 3339, or a date).")
@click.option("--until", help="Only alerts before this moment.")
@click.option("--rebase", is_flag=True, help="Move the times so that the first alert is now; gaps stay.")
@click.option("--priority", help="Only alerts that are at least this urgent.")
@click.option("--json/--text", "as_json", default=False, help="One JSON object or one text line per alert [text].")
@click.option("--to", metavar="FILE", help="Append to FILE instead of standard output.")
@click.option("--strict", is_flag=True, help="Exit with 1 when part of the input was no alert.")
@click.option("--rejects", metavar="FILE", help="Write what is no alert to FILE.")
def command(
    paths: tuple[str, ...],
    speed: str,
    since: str | None,
    until: str | None,
    rebase: bool,
    priority: str | None,
    as_json: bool,
    to: str | None,
    strict: bool,
    rejects: str | None,
) -> None:
    """Replay recorded alert logs to standard output or a file.

    PATH is a log in any shape that Falco has ever written, gzip or zstd too; * and ? are expanded, - is standard
    input. Several files are merged by time.

    Example: rxalerts replay --priority warning --json 'events*.jsonl.gz' > warnings.jsonl
    """
    set_up_logging()
    format = "json" if as_json else "text"
    try:
        source = replay(
            paths,
            speed=speed,
            since=since,
            until=until,
            rebase=rebase,
            on_bad="report" if rejects is None else rejects,
        )
        operators = [] if priority is None else [at_least(Priority.parse(priority))]
        sink: Sink[Any] = StdoutSink(format=format) if to is None else FileSink(to, keep_alive=True, format=format)
    except (RxAlertsError, ValueError, OSError) as error:
        raise click.UsageError(str(error)) from None
    pipeline = Pipeline(source, route(*operators, to=sink))
    with _progress(pipeline) as progress:
        report = live(pipeline, timeout=_TIMEOUT, progress=progress)
    summarise(report)
    sys.exit(exit_status(report, strict=strict))


@contextmanager
def _progress(pipeline: Pipeline) -> Iterator[Callable[[], None] | None]:
    """Show how many alerts were read and delivered, when standard error is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def draw() -> None:
            report = pipeline.report()
            bar.update(task, description=f"read {report.read:,}, delivered {report.delivered:,}")

        yield draw
