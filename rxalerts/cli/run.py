"""`rxalerts run`: stand between Falco and its channels. Light to import: signals are caught before anything slow."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from rxalerts.cli.signals import STOPS, Signals

if TYPE_CHECKING:
    from rxalerts.alert import Alert
    from rxalerts.cli.daemon import PidFile
    from rxalerts.cli.road import Road
    from rxalerts.config import Config
    from rxalerts.flow.report import Report
    from rxalerts.flow.source import Source

DEFAULT_CONFIG = "/etc/falco/falco.yaml"

CAUGHT = (*STOPS, signal.SIGHUP, signal.SIGUSR1)


@click.command("run")
@click.option("-c", "--config", "path", default=DEFAULT_CONFIG, show_default=True, metavar="FALCO_YAML")
@click.option("--from", "origin", metavar="SOURCE", help="Where alerts come from [rxalerts.source in the file, or -].")
@click.option("-o", "--option", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key of the file.")
@click.option("-U", "--unbuffered", is_flag=True, help="Write each alert at once: buffered_outputs=false.")
@click.option("-d", "--daemon", is_flag=True, help="Go into the background; standard output's alerts are discarded.")
@click.option("-P", "--pidfile", metavar="FILE", help="Write the process id to FILE, removed at the end.")
@click.option("--strict", is_flag=True, help="Exit with 1 when part of the input was no alert.")
@click.option("--rejects", metavar="FILE", help="Append what is no alert to FILE.")
def command(
    path: str,
    origin: str | None,
    overrides: tuple[str, ...],
    unbuffered: bool,
    daemon: bool,
    pidfile: str | None,
    strict: bool,
    rejects: str | None,
) -> None:
    """Deliver alerts to the channels of a falco.yaml, until the source ends or SIGTERM or SIGINT comes.

    SOURCE is - (standard input), a PATH (read once), tail:PATH (followed), http://HOST:PORT or https://HOST:PORT (a
    server for Falco's http_output), or unix://PATH or grpc://HOST:PORT (Falco's gRPC output). Options of a source
    stand behind a question mark: tail:PATH?state=FILE.

    SIGUSR1 closes and reopens files and programs; SIGHUP reads the configuration again; SIGTERM and SIGINT let the
    channels deliver what they have, within output_timeout, and a second one exits at once.

    Exit status: 0 all was delivered, 1 something was lost (or rejected, with --strict), 2 wrong usage.

    Example: falco -o json_output=true | rxalerts run -c /etc/falco/falco.yaml -o http_output.enabled=false
    """
    signals = Signals(CAUGHT)
    if unbuffered:
        overrides = (*overrides, "buffered_outputs=false")
    # Only now what takes a while to import.
    from rxalerts.errors import ConfigError, SinkError, SourceError
    from rxalerts.flow.threads import is_shortage, remedy

    try:
        sys.exit(_run(signals, path, overrides, origin, daemon, pidfile, strict, rejects))
    except (ConfigError, SinkError, SourceError) as error:
        raise click.UsageError(str(error)) from None
    except (RuntimeError, MemoryError) as error:
        if not is_shortage(error):
            raise
        raise click.UsageError(f"out of memory or threads: {remedy()}") from None


def _run(
    signals: Signals,
    path: str,
    overrides: tuple[str, ...],
    origin: str | None,
    daemon: bool,
    pidfile: str | None,
    strict: bool,
    rejects: str | None,
) -> int:
    from rxalerts.cli.daemon import daemonise
    from rxalerts.cli.life import LOST, exit_status, summarise
    from rxalerts.cli.loops import inputs_of, outputs_of
    from rxalerts.cli.road import Road, wanted_channels
    from rxalerts.config import load_config
    from rxalerts.flow.circle import refuse_loop

    config = load_config(path, overrides)
    start_logging(config, daemon=False)
    show_warnings(config)
    inputs = inputs_of(origin or config.settings.source)
    refuse_loop(inputs, [] if rejects is None else [rejects])
    source = _source(origin or config.settings.source, rejects, daemon)
    # Everything that can be wrong is looked at while somebody is there to read about it.
    refuse_loop(inputs, outputs_of(wanted_channels(config, daemon=daemon)))
    pid = _hold(pidfile, signals)
    try:
        started = daemonise() if daemon else None
        if pid is not None:
            pid.write()
        if daemon:
            start_logging(config, daemon=True)
        road = Road(config, source, daemon=daemon)
        report = live_on(road, signals, path, overrides, inputs=inputs, started=started)
    finally:
        if pid is not None:
            pid.remove()
    summarise(report)
    if road.valve.filtered:
        click.echo(f"{road.valve.filtered} below the priority {config.settings.priority}", err=True)
    if road.valve.limited:
        click.echo(f"{road.valve.limited} skipped by outputs.rate", err=True)
    if getattr(source, "unread", 0):
        return LOST
    return exit_status(report, strict=strict)


def live_on(
    road: Road,
    signals: Signals,
    path: str,
    overrides: tuple[str, ...],
    *,
    inputs: Sequence[str | int] = (),
    started: Callable[[], None] | None = None,
    progress: Callable[[], None] | None = None,
) -> Report:
    """Run a road to its end, with everything that a service has around it."""
    from rxalerts.cli.life import live
    from rxalerts.cli.notify import Notifier
    from rxalerts.cli.origins import is_pipe

    notifier = Notifier()

    def ready() -> None:
        _wait_bound(road)
        if started is not None:
            started()
        notifier.ready()
        _log().info("rxalerts: ready: from %s to %s", road.valve.name, ", ".join(road.pipeline.sinks))

    def reload() -> None:
        notifier.reloading()
        reload_road(road, path, overrides, inputs)
        notifier.ready()

    def reopen() -> None:
        _log().info("SIGUSR1 received, reopening outputs...")
        road.reopen()

    fd = getattr(road.valve.source, "fd", None)
    report = live(
        road.pipeline,
        timeout=lambda: road.output_timeout,
        signals=signals,
        linger=fd is not None and is_pipe(fd),
        handlers={signal.SIGUSR1: reopen, signal.SIGHUP: reload},
        started=ready,
        stopping=notifier.stopping,
        progress=progress,
    )
    return road.report(report)


def reload_road(road: Road, path: str, overrides: tuple[str, ...], inputs: Sequence[str | int] = ()) -> None:
    """Read the configuration again and use it, if it can be used."""
    from rxalerts.cli.loops import outputs_of
    from rxalerts.config import load_config
    from rxalerts.errors import RxAlertsError
    from rxalerts.flow.circle import refuse_loop

    _log().info("SIGHUP received, restarting...")
    try:
        config = load_config(path, overrides)
        show_warnings(config)
        refuse_loop(inputs, outputs_of(config.channels))
        if config.settings.source != road.config.settings.source:
            _log().warning("rxalerts.source has changed: it takes effect at the next start")
        road.reload(config)
    except (RxAlertsError, OSError, ValueError) as error:
        road.refuse("; ".join(str(error).splitlines()))
    again = getattr(road.valve.source, "reopen", None)
    if again is not None:
        # An HTTP source reads its certificate again.
        again()


def _wait_bound(road: Road) -> None:
    """Give a source that listens a moment to do so, so that `ready` is true for it too."""
    wait = getattr(road.valve.source, "wait_bound", None)
    if wait is not None:
        wait(10.0)


def _source(origin: str, rejects: str | None, daemon: bool) -> Source[Alert]:
    from rxalerts.cli.origins import open_source
    from rxalerts.errors import ConfigError

    fd = None
    if daemon and origin == "-":
        if os.isatty(0):
            raise ConfigError("-d: the background cannot read the terminal: pipe the alerts in, or name a --from")
        # Descriptor 0 goes to /dev/null there, for the sake of the programs that we start.
        fd = os.dup(0)
    return open_source(origin, rejects_file(rejects), stdin=fd)


def rejects_file(path: str | None) -> Any:
    """Return what a source is told about input that is no alert: report it, or append it to a file."""
    if path is None:
        return "report"
    from rxalerts.errors import ConfigError

    try:
        file: BinaryIO = open(path, "ab", buffering=0)
    except OSError as error:
        raise ConfigError(f"--rejects {path}: {error.strerror}: name a file that can be written") from None
    return file


def _hold(path: str | None, signals: Signals) -> PidFile | None:
    if path is None:
        return None
    from rxalerts.cli.daemon import PidFile

    pid = PidFile(path)
    signals.at_exit.append(pid.remove)
    return pid


def start_logging(config: Config, *, daemon: bool) -> None:
    """Set the log up as the configuration's log_level, log_stderr and log_syslog say."""
    from rxalerts.cli.logs import LEVELS, set_up_logging

    settings = config.settings
    stderr = settings.log_stderr and not daemon
    set_up_logging(LEVELS[settings.log_level], stderr=stderr, syslog=settings.log_syslog and not stderr)
    hostname = os.environ.get("FALCO_HOSTNAME")
    if hostname and not daemon:
        _log().info("Hostname value has been overridden via environment variable to: %s", hostname)


def show_warnings(config: Config) -> None:
    """Log what the configuration's reader found odd."""
    for problem in config.warnings:
        _log().warning("%s: %s", problem.place, problem.message)


def _log() -> Any:
    import logging

    return logging.getLogger("rxalerts")
