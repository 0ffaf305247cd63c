"""`rxalerts top`: what flows, as a live screen."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace

import click

from rxalerts.cli.life import exit_status, live, summarise
from rxalerts.cli.logs import set_up_logging
from rxalerts.cli.origins import open_source
from rxalerts.cli.signals import STOPS, Signals
from rxalerts.cli.terminal import Keys
from rxalerts.cli.watching import Screen, Watched
from rxalerts.errors import ConfigError, RxAlertsError
from rxalerts.flow.report import Report
from rxalerts.pipeline import Pipeline
from rxalerts.sinks import CollectSink

# Seconds that the sinks get after Ctrl-C.
_TIMEOUT = 2.0

# How many lines of the log are shown below the rest.
_NOTES = 3

# Ends what a screen of its own has switched: back to the old one, and the cursor is seen again.
_BACK = b"\x1b[?1049l\x1b[?25h"


@click.command("top")
@click.option("--from", "origin", metavar="SOURCE", help="Where alerts come from, as in `rxalerts run` [-].")
@click.option("-c", "--config", "config", metavar="FALCO_YAML", help="Deliver to its channels, and show how they fare.")
@click.option("-o", "--option", "overrides", multiple=True, metavar="KEY=VALUE", help="With -c: override a key.")
@click.option("--interval", default=1.0, type=click.FloatRange(min=0.1), help="Seconds between two lines of text [1].")
def command(origin: str | None, config: str | None, overrides: tuple[str, ...], interval: float) -> None:
    """Show what flows: the rate, priorities, rules; with -c also how the channels fare. q or Ctrl-C ends it.

    Without -c the alerts are only looked at. With -c they are delivered as by `rxalerts run`, but for standard
    output, which is the screen. Where that is no terminal, a line of text is printed each interval.

    Example: rxalerts top --from tail:/var/log/falco/events.json
    """
    signals = Signals(STOPS)
    set_up_logging()
    try:
        if overrides and config is None:
            raise ConfigError("-o overrides keys of a falco.yaml: name one with -c")
        if config is None:
            report = _watch(origin, signals, interval)
        else:
            report = _on_channels(origin, config, overrides, signals, interval)
    except (RxAlertsError, ValueError, OSError) as error:
        raise click.UsageError(str(error)) from None
    summarise(report)
    sys.exit(exit_status(report, strict=False))


def _leave() -> str:
    return "q quits" if os.isatty(0) else "Ctrl-C quits"


def _watch(origin: str | None, signals: Signals, interval: float) -> Report:
    watched = Watched(open_source(origin or "-"))
    pipeline = Pipeline(watched, CollectSink[object](limit=1, name="screen"))
    screen = Screen(watched, pipeline.report, with_sinks=False, leave=_leave())
    with _shown(screen, signals, interval) as progress:
        report = live(pipeline, timeout=lambda: _TIMEOUT, signals=signals, progress=progress)
    return replace(report, sinks={})  # the screen is no channel


def _on_channels(
    origin: str | None, path: str, overrides: tuple[str, ...], signals: Signals, interval: float
) -> Report:
    from rxalerts.cli.road import Road
    from rxalerts.config import load_config

    config = load_config(path, overrides)
    watched = Watched(open_source(origin or config.settings.source))
    # As in the background, standard output is not for alerts.
    road = Road(config, watched, daemon=True)
    screen = Screen(watched, road.pipeline.report, with_sinks=True, leave=_leave())
    with _shown(screen, signals, interval) as progress:
        report = live(road.pipeline, timeout=lambda: road.output_timeout, signals=signals, progress=progress)
    return road.report(report)


@contextmanager
def _shown(screen: Screen, signals: Signals, interval: float) -> Generator[Callable[[], None]]:
    if sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        with _on_terminal(screen, signals) as draw:
            yield draw
        return
    said = time.monotonic()

    def say() -> None:
        nonlocal said
        screen.look()
        if time.monotonic() - said >= interval:
            said = time.monotonic()
            _say(screen)

    yield say
    screen.look()
    _say(screen)


def _say(screen: Screen) -> None:
    try:
        print(screen.plain(), flush=True)
    except BrokenPipeError:
        # Nobody looks any more; what comes is still delivered.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _on_terminal(screen: Screen, signals: Signals) -> Generator[Callable[[], None]]:
    """Draw on a screen of its own; the last state stays on the one that was there before."""
    from rich.console import Console
    from rich.live import Live

    console = Console()

    def go_back() -> None:
        os.write(1, _BACK)

    signals.at_exit.append(go_back)
    with _log_on(screen):
        with Live(console=console, screen=True, auto_refresh=False, redirect_stderr=False) as screenful:

            def draw() -> None:
                screen.look()
                screenful.update(screen.drawn(console.size.height), refresh=True)

            draw()
            with _quits_on_q(signals):
                yield draw
            draw()
        console.print(screen.drawn(console.size.height - 4))  # the summary comes below


@contextmanager
def _quits_on_q(signals: Signals) -> Generator[None]:
    if not os.isatty(0):
        yield
        return
    keys = Keys(lambda key: signals.put(signal.SIGINT) if key == "q" else None)
    signals.at_exit.append(keys.restore)
    with keys:
        yield


class _Notes(logging.Handler):
    """Keeps the log's last lines for the screen."""

    def __init__(self, notes: deque[str]) -> None:
        super().__init__()
        self._notes = notes

    def emit(self, record: logging.LogRecord) -> None:
        self._notes.append(self.format(record))
        while len(self._notes) > _NOTES:
            self._notes.popleft()


@contextmanager
def _log_on(screen: Screen) -> Generator[None]:
    """Show the log's last lines on the screen."""
    logger = logging.getLogger("rxalerts")
    handlers = list(logger.handlers)
    notes = _Notes(screen.notes)
    notes.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.handlers[:] = [notes]
    try:
        yield
    finally:
        logger.handlers[:] = handlers
