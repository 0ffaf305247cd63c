"""The life of a pipeline as a program: signals, progress, the closing summary and the exit status."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable
from queue import Empty

import click

from rxalerts.cli.signals import STOPS, Event, Finished, Signals
from rxalerts.flow.report import Report
from rxalerts.flow.threads import ThreadShortage, start
from rxalerts.pipeline import Pipeline

LOST = 1
USAGE = 2

Handlers = dict[signal.Signals, Callable[[], None]]

log = logging.getLogger("rxalerts")

# How often the progress is redrawn, in seconds.
_REDRAW = 0.2

# Of the time after a signal, this part, and no more than so many seconds, is kept for the sinks alone.
_RESERVED = 0.25
_RESERVED_SECONDS = 0.5

# What the drain gets beyond its limit before it is left behind, in seconds.
_GRACE = 1.0

# The same with durable sinks, which still have to write what is in memory.
_DISK_GRACE = 15.0


def live(
    pipeline: Pipeline,
    *,
    timeout: Callable[[], float],
    signals: Signals,
    linger: bool = False,
    handlers: Handlers | None = None,
    started: Callable[[], None] | None = None,
    stopping: Callable[[], None] | None = None,
    progress: Callable[[], None] | None = None,
) -> Report:
    """Run a pipeline until its source ends or SIGTERM or SIGINT comes; a second one exits at once.

    Arguments:
        timeout: seconds that everything gets to come to its end after a signal; asked when it comes. A source that
            has ended by itself is drained for as long as the sinks get on.
        signals: where the signals come from.
        linger: after a signal, go on reading until the input ends, within the timeout: for a pipe, whose
            writer got the same signal and still has something to say.
        handlers: what to do on further signals, on the main thread and outside of signal context.
        started, stopping: called when the sinks are started, and when the end begins.
        progress: called several times a second.
    """
    over = Finished()
    pipeline.when_finished(lambda: signals.put(over))
    pipeline.start()
    if started is not None:
        started()
    event = _until_end(signals, handlers or {}, progress)
    if stopping is not None:
        stopping()
    if not isinstance(event, signal.Signals):
        return _drain(pipeline, signals, None, timeout)
    log.info("%s received, exiting...", event.name)
    deadline = time.monotonic() + timeout()
    if linger:
        _read_on(signals, deadline - min(_RESERVED_SECONDS, timeout() * _RESERVED))
    pipeline.stop()
    return _drain(pipeline, signals, deadline, timeout)


def _until_end(signals: Signals, handlers: Handlers, progress: Callable[[], None] | None) -> Event:
    """Serve signals until one of them, or the source, makes an end."""
    while True:
        try:
            event = signals.get(timeout=_REDRAW if progress is not None else None)
        except Empty:
            if progress is not None:
                progress()
            continue
        if isinstance(event, Finished) or event in STOPS:
            return event
        if event in handlers:
            handlers[event]()


def _read_on(signals: Signals, deadline: float) -> None:
    """Wait for the source's end until `deadline`; further signals mean nothing now."""
    while (left := deadline - time.monotonic()) > 0:
        try:
            if isinstance(signals.get(timeout=left), Finished):
                return
        except Empty:
            return


def _drain(pipeline: Pipeline, signals: Signals, deadline: float | None, timeout: Callable[[], float]) -> Report:
    """Let the sinks deliver what they hold; without a deadline, the first signal sets one."""
    done = Finished()
    reports: list[Report] = []

    def drain() -> None:
        try:
            reports.append(pipeline.drain(None if deadline is None else max(0.0, deadline - time.monotonic())))
        finally:
            signals.put(done)

    durable = any(sink.durable is not False for sink in pipeline.sinks.values())
    grace = _DISK_GRACE if durable else _GRACE
    try:
        start(threading.Thread(target=drain, name="rxalerts-drain", daemon=True))
    except ThreadShortage:
        # Without it a second signal cannot cut it short.
        drain()
    while True:
        try:
            left = None if deadline is None else max(0.0, deadline + grace - time.monotonic())
            event = signals.get(timeout=left)
        except Empty:
            log.error("output channels still blocked, discarding all remaining notifications")
            return pipeline.report()
        if event is done:
            return reports[0] if reports else pipeline.report()
        if isinstance(event, signal.Signals) and event in STOPS and deadline is None:
            log.info("%s received, exiting...", event.name)
            deadline = time.monotonic() + timeout()
            for sink in pipeline.sinks.values():
                sink.stop(timeout())


def summarise(report: Report) -> None:
    """Print what became of every alert, on standard error."""
    for source in report.sources:
        line = f"{source.name}: read {source.read}, rejected {source.rejected}"
        click.echo(line + (f", skipped {source.skipped} lines of Falco's own" if source.skipped else ""), err=True)
        for reject in source.first_rejects:
            click.echo(f"  {reject}", err=True)
    for name, stats in report.sinks.items():
        lost = stats.lost + stats.depth - stats.spooled
        line = f"{name}: delivered {stats.delivered} of {stats.received}"
        if stats.spooled:
            line += f", {stats.spooled} kept on disk for the next start"
        if unread := stats.dropped.get("unread", 0):
            line += f", {unread} unread: its reader left"
        if lost:
            waiting = stats.depth - stats.spooled
            reasons = {**stats.dropped, "unread": 0, "rejected": stats.rejected, "not delivered": waiting}
            line += f", lost {lost} ({', '.join(f'{reason} {n}' for reason, n in reasons.items() if n)})"
        if lost and stats.last_error:
            line += f": {stats.last_error}"
        click.echo(line, err=True)
    for error in report.errors:
        click.echo(f"error: {error}", err=True)


def exit_status(report: Report, *, strict: bool) -> int:
    """Return 0 when everything was delivered, else 1; with `strict`, rejected input counts too."""
    return LOST if report.lost or report.errors or (strict and report.rejected) else 0
