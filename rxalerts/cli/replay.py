"""`rxalerts replay`: send a recorded log through the same road as live alerts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import click

from rxalerts.alert import Alert
from rxalerts.cli.deck import deck
from rxalerts.cli.life import exit_status, live, summarise
from rxalerts.cli.logs import set_up_logging
from rxalerts.cli.loops import outputs_of
from rxalerts.cli.run import CAUGHT, live_on, rejects_file, show_warnings, start_logging
from rxalerts.cli.signals import STOPS, Signals
from rxalerts.errors import ConfigError, RxAlertsError
from rxalerts.flow.circle import refuse_loop
from rxalerts.flow.report import Report
from rxalerts.flow.sink import Sink
from rxalerts.flow.source import Source
from rxalerts.operators import at_least
from rxalerts.pipeline import Pipeline
from rxalerts.priority import Priority
from rxalerts.routes import route
from rxalerts.sinks import FileSink, StdoutSink
from rxalerts.sources import Player, replay
from rxalerts.sources._replay import ReplaySource, expand

# Seconds that the sinks get after Ctrl-C.
_TIMEOUT = 2.0


@click.command("replay")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--speed", help="max, or a factor of the recorded pace: 1, 10x, 0.5 [max; 1 with --interactive]")
@click.option("-i", "--interactive", is_flag=True, help="Pause, wind, and change the speed with keys.")
@click.option("--since", help="Only alerts from this moment on (RFC 3339, or a date).")
@click.option("--until", help="Only alerts before this moment.")
@click.option("--rebase", is_flag=True, help="Move the times so that the first alert is now; gaps stay.")
@click.option("--priority", help="Only alerts that are at least this urgent.")
@click.option("--json/--text", "as_json", default=None, help="One JSON object or one text line per alert [text].")
@click.option("--to", metavar="FILE", help="Append to FILE instead of standard output.")
@click.option("-c", "--config", "config", metavar="FALCO_YAML", help="Deliver to the channels of FALCO_YAML instead.")
@click.option("-o", "--option", "overrides", multiple=True, metavar="KEY=VALUE", help="With -c: override a key.")
@click.option("--resume", metavar="STATE", help="Save in STATE what is delivered, and go on from there next time.")
@click.option("--strict", is_flag=True, help="Exit with 1 when part of the input was no alert.")
@click.option("--rejects", metavar="FILE", help="Append what is no alert to FILE.")
def command(
    paths: tuple[str, ...],
    speed: str | None,
    interactive: bool,
    since: str | None,
    until: str | None,
    rebase: bool,
    priority: str | None,
    as_json: bool | None,
    to: str | None,
    config: str | None,
    overrides: tuple[str, ...],
    resume: str | None,
    strict: bool,
    rejects: str | None,
) -> None:
    """Replay recorded alert logs to standard output or a file.

    PATH is a log in any shape that Falco has ever written, gzip or zstd too; * and ? are expanded, - is standard
    input. Several files are merged by time.

    With --interactive: space pauses and plays, the arrows left and right wind, up and down change the speed, n gives
    the next alert, l plays it again at its end, home goes back to the beginning, q leaves.

    Example: rxalerts replay --priority warning --json 'events*.jsonl.gz' > warnings.jsonl
    """
    signals = Signals(STOPS if config is None else CAUGHT)
    set_up_logging()
    try:
        speed = speed or ("1" if interactive else "max")
        inputs: list[str | int] = [0 if path == "-" else path for path in expand(paths)]
        refuse_loop(inputs, [] if rejects is None else [rejects])
        source = replay(
            paths,
            speed=speed,
            since=since,
            until=until,
            rebase=rebase,
            on_bad=rejects_file(rejects),
            resume=resume,
        )
        player = _player(source, paths) if interactive else None
        limit = [] if priority is None else [at_least(Priority.parse(priority))]
        if config is None:
            if overrides:
                raise ConfigError("-o overrides keys of a falco.yaml: name one with -c")
            refuse_loop(inputs, [1 if to is None else to])
            sink = _sink(to, "json" if as_json else "text", at_once=speed != "max")
            report = _through(Pipeline(source, route(*limit, to=sink)), signals, player)
        else:
            if as_json is not None or to is not None or priority is not None:
                raise ConfigError("--json, --text, --to and --priority contradict -c: set them in the file, or with -o")
            report = _down_the_road(source, config, overrides, signals, player, inputs)
    except (RxAlertsError, ValueError, OSError) as error:
        raise click.UsageError(str(error)) from None
    summarise(report)
    sys.exit(exit_status(report, strict=strict))


def _sink(to: str | None, format: Literal["json", "text"], *, at_once: bool) -> Sink[Any]:
    if to is None:
        return StdoutSink(format=format)
    # Who plays at a pace wants to see each alert when it is played.
    return FileSink(to, keep_alive=True, unbuffered=at_once, format=format)


def _player(source: ReplaySource, paths: Sequence[str]) -> Player:
    if "-" in paths:
        raise ConfigError("--interactive takes keys from standard input, which cannot be the log too: name a file")
    return source.player


def _through(pipeline: Pipeline, signals: Signals, player: Player | None) -> Report:
    with _progress(pipeline, signals, player) as progress:
        return live(pipeline, timeout=lambda: _TIMEOUT, signals=signals, progress=progress)


def _down_the_road(
    source: Source[Alert],
    path: str,
    overrides: tuple[str, ...],
    signals: Signals,
    player: Player | None,
    inputs: Sequence[str | int],
) -> Report:
    from rxalerts.cli.road import Road
    from rxalerts.config import load_config

    config = load_config(path, overrides)
    start_logging(config, daemon=False)
    show_warnings(config)
    refuse_loop(inputs, outputs_of(config.channels))
    road = Road(config, source)
    with _progress(road.pipeline, signals, player) as progress:
        return live_on(road, signals, path, overrides, inputs=inputs, progress=progress)


@contextmanager
def _progress(pipeline: Pipeline, signals: Signals, player: Player | None) -> Generator[Callable[[], None] | None]:
    """Show how many alerts were read and delivered, when standard error is a terminal; or a tape deck."""
    if player is not None:
        with deck(player, pipeline, signals) as draw:
            yield draw
        return
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
