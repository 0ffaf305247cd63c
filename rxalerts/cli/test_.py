"""`rxalerts test`: try a configuration on given alerts, and compare what each channel would have got."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rxalerts.cli.run import DEFAULT_CONFIG, show_warnings

if TYPE_CHECKING:
    from rxalerts.alert import Alert
    from rxalerts.cli.expectations import Case, Got
    from rxalerts.config import ChannelConfig, Settings

DIFFERENT = 1


@click.command("test")
@click.argument("paths", nargs=-1, required=True, metavar="TESTS_YAML...")
@click.option("-c", "--config", "config_path", default=DEFAULT_CONFIG, show_default=True, metavar="FALCO_YAML")
@click.option("-o", "--option", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key of the file.")
def command(paths: tuple[str, ...], config_path: str, overrides: tuple[str, ...]) -> None:
    """Feed the alerts in TESTS_YAML through a falco.yaml, and compare what each channel would have got.

    Nothing is opened, written or sent: filters, limits and formats of each channel run as they would live, by the times
    of the alerts. Times in text are UTC.

    \b
    tests:
      - name: shells are urgent
        alerts:
          - {rule: Shell, priority: warning, message: A shell, output_fields: {proc.name: bash}}
        expect:
          urgent: [Shell]         # the rules, in order
          stdout: 1               # how many
          file: {bytes: "00:00:00.000000000: Warning A shell\\n"}

    An alert may be a line as Falco writes it, and `alerts` the name of a log. A channel is checked by rules, count,
    lines (as formatted) and bytes (lines with their newlines); one that is not named is not checked.

    Exit status: 0 all is as expected, 1 something differs, 2 a file is wrong.

    Example: rxalerts test tests.yaml -c falco.yaml
    """
    from rxalerts.cli.expectations import load_cases
    from rxalerts.config import load_config
    from rxalerts.errors import RxAlertsError

    os.environ["TZ"] = "UTC"
    time.tzset()
    try:
        config = load_config(config_path, overrides)
        names = [channel.name for channel in config.channels]
        cases = [case for path in paths for case in load_cases(Path(path), names)]
    except (RxAlertsError, OSError) as error:
        raise click.UsageError(str(error)) from None
    show_warnings(config)
    failed = 0
    for case in cases:
        lines = list(_differences(case, config.channels, config.settings))
        failed += bool(lines)
        click.echo(f"{'FAILED' if lines else 'ok':<7} {case.name}")
        for line in lines:
            click.echo(f"        {line}")
    click.echo(f"{len(cases)} test{'s' if len(cases) != 1 else ''}, {failed} failed")
    sys.exit(DIFFERENT if failed else 0)


def _differences(case: Case, channels: Sequence[ChannelConfig], settings: Settings) -> Iterator[str]:
    """Yield what is different, channel by channel."""
    for channel in channels:
        if channel.name in case.expected:
            got, faults = run_channel(channel, settings, case.alerts)
            lines = [*case.expected[channel.name].differences(got), *faults]
            if lines:
                yield f"{channel.name}:"
                yield from (f"  {line}" for line in lines)


def run_channel(channel: ChannelConfig, settings: Settings, alerts: Sequence[Alert]) -> tuple[list[Got], list[str]]:
    """Return what a channel would get of `alerts`, in order, and what failed on the way."""
    import reactivex

    from rxalerts.cli.expectations import Got
    from rxalerts.format import Formatted

    sink = channel.stand_in()
    got: list[Got] = []
    faults: list[str] = []

    def take(item: Any) -> None:
        alert = item.alert if isinstance(item, Formatted) else item
        got.append(Got(alert.rule, sink.render(item)))

    source = reactivex.from_iterable(list(_let_in(settings, alerts)))
    stream = reactivex.compose(*channel.operators())(source) if channel.steps else source

    def fail(error: Exception) -> None:
        faults.append(f"the stream failed: {error!r}")

    stream.subscribe(take, fail)
    return got, faults


def _let_in(settings: Settings, alerts: Sequence[Alert]) -> Iterator[Alert]:
    """Apply what acts on all channels together: Falco's `priority` and `outputs.rate`, by the alerts' times."""
    from rxalerts.operators.limiting import TokenBucket

    bucket: TokenBucket | None = None
    for alert in alerts:
        if alert.source != "internal":
            if alert.priority > settings.priority:
                continue
            if settings.rate:
                bucket = bucket or TokenBucket(settings.rate, settings.max_burst, alert.time_ns)
                if not bucket.claim(1, alert.time_ns):
                    continue
        yield alert
