"""The life of a pipeline as a program: signals, progress, the closing summary and the exit status."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable
from queue import Empty, SimpleQueue
from types import FrameType

import click

from rxalerts.pipeline import Pipeline, Report

LOST = 1
USAGE = 2

Handlers = dict[signal.Signals, Callable[[], None]]

# How often the progress is redrawn, in seconds.
_REDRAW = 0.2


def set_up_logging(level: int = logging.WARNING) -> None:
    """Send the library's log to standard error, one line each; standard output belongs to the alerts."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("rxalerts")
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False


def live(
    pipeline: Pipeline,
    *,
    timeout: float | None,
    drain_at_end: float | None = None,
    handlers: Handlers | None = None,
    progress: Callable[[], None] | None = None,
) -> Report:
    """Run a pipeline until its source ends or SIGTERM or SIGINT comes; a second one exits at once.

    Arguments:
        timeout: seconds that the sinks get to deliver what they hold after a signal.
        drain_at_end: the same when the source has ended by itself; None: for as long as they get on.
        handlers: what to do on further signals, on the main thread and outside of signal context.
        progress: called several times a second.
    """
    events: SimpleQueue[signal.Signals | None] = SimpleQueue()

    def note(number: int, _: FrameType | None) -> None:
        # Putting into a SimpleQueue is all that is safe here; the rest happens in the loop below.
        events.put(signal.Signals(number))

    stops = (signal.SIGTERM, signal.SIGINT)
    for number in (*stops, *(handlers or {})):
        signal.signal(number, note)
    pipeline.when_finished(lambda: events.put(None))
    pipeline.start()
    while True:
        try:
            event = events.get(timeout=_REDRAW if progress is not None else None)
        except Empty:
            if progress is not None:
                progress()
            continue
        if event is None:
            limit = drain_at_end
            break
        if event in stops:
            logging.getLogger("rxalerts").info("%s received, exiting...", event.name)
            limit = timeout
            break
        if handlers is not None:
            handlers[event]()
    for number in stops:
        signal.signal(number, _exit_now)
    if event is not None:
        pipeline.stop()
    return pipeline.drain(limit)


def _exit_now(number: int, _: FrameType | None) -> None:
    os.write(2, b"rxalerts: second signal: exiting at once, alerts in mailboxes are lost\n")
    os._exit(128 + number)


def summarise(report: Report) -> None:
    """Print what became of every alert, on standard error."""
    for source in report.sources:
        line = f"{source.name}: read {source.read}, rejected {source.rejected}"
        click.echo(line + (f", skipped {source.skipped} lines of Falco's own" if source.skipped else ""), err=True)
        for reject in source.first_rejects:
            click.echo(f"  {reject}", err=True)
    for name, stats in report.sinks.items():
        lost = stats.lost + stats.depth
        line = f"{name}: delivered {stats.delivered} of {stats.received}"
        if lost:
            reasons = {**stats.dropped, "rejected": stats.rejected, "not delivered": stats.depth}
            line += f", lost {lost} ({', '.join(f'{reason} {n}' for reason, n in reasons.items() if n)})"
        if lost and stats.last_error:
            line += f": {stats.last_error}"
        click.echo(line, err=True)
    for operator, count in report.faults.items():
        click.echo(f"operator {operator}: its function failed for {count} alerts", err=True)
    for error in report.errors:
        click.echo(f"error: {error}", err=True)


def exit_status(report: Report, *, strict: bool) -> int:
    """Return 0 when everything was delivered, else 1; with `strict`, rejected input counts too."""
    return LOST if report.lost or report.errors or (strict and report.rejected) else 0
