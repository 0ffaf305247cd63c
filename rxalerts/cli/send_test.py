"""`rxalerts send-test`: one test alert through every channel, and what became of it."""

from __future__ import annotations

import dataclasses
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

import click

from rxalerts.alert import Alert
from rxalerts.cli.life import LOST
from rxalerts.cli.run import DEFAULT_CONFIG, show_warnings
from rxalerts.config import ChannelConfig, load_config
from rxalerts.errors import RxAlertsError
from rxalerts.flow.sink import Sink
from rxalerts.priority import Priority

RULE = "rxalerts test alert"


@click.command("send-test")
@click.option("-c", "--config", "path", default=DEFAULT_CONFIG, show_default=True, metavar="FALCO_YAML")
@click.option("-o", "--option", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key of the file.")
@click.option("--priority", default="warning", show_default=True, help="The priority of the test alert.")
@click.option("--timeout", default=10.0, show_default=True, help="Seconds that each channel gets.")
def command(path: str, overrides: tuple[str, ...], priority: str, timeout: float) -> None:
    """Send one test alert through every channel of a falco.yaml, and report how each of them fared.

    It is sent whatever the priorities in the file are, and never left on disk for a later try.

    Exit status: 0 all channels delivered it, 1 one did not, 2 wrong usage.

    Example: rxalerts send-test -c /etc/falco/falco.yaml --priority critical
    """
    from rxalerts.cli.logs import set_up_logging

    set_up_logging()
    try:
        config = load_config(path, overrides)
        alert = test_alert(Priority.parse(priority))
    except (RxAlertsError, ValueError) as error:
        raise click.UsageError(str(error)) from None
    show_warnings(config)
    trials = [_Trial(channel) for channel in config.channels]
    threads = [threading.Thread(target=each.run, args=(alert, timeout), daemon=True) for each in trials]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + timeout + 2.0
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    width = max(len(each.channel.name) for each in trials)
    for each in trials:
        click.echo(f"{each.channel.name.ljust(width)}  {each.result}", err=True)
    sys.exit(0 if all(each.delivered for each in trials) else LOST)


def test_alert(priority: Priority) -> Alert:
    """Return an alert that nobody can take for a real one.

    >>> test_alert(Priority.NOTICE).rule
    'rxalerts test alert'
    """
    message = "This is a test of the alert channels (user=rxalerts)"
    return Alert(RULE, priority, message, {"user.name": "rxalerts"}, tags=("test",))


# pytest must not take it for a test.
test_alert.__test__ = False  # type: ignore[attr-defined]


@dataclass
class _Trial:
    """One channel, and how it fared."""

    channel: ChannelConfig
    delivered: bool = False
    result: str = "failed: no answer in time"

    def run(self, alert: Alert, timeout: float) -> None:
        try:
            sink = self._build()
        except (RxAlertsError, OSError, ValueError) as error:
            self.result = f"failed: {error}"
            return
        began = time.monotonic()
        sink.on_next(alert)
        sink.flush(timeout)
        # Some deliver only when they close: a program's exit status is known then.
        sink.close(max(0.1, timeout - (time.monotonic() - began)))
        stats = sink.stats()
        self.delivered = stats.delivered == 1
        seconds = time.monotonic() - began
        self.result = f"delivered in {seconds * 1000:.0f} ms" if self.delivered else f"failed: {_why(stats)}"

    def _build(self) -> Sink[Any]:
        options = {**self.channel.options, "durable": False, "dead_store": False}
        return dataclasses.replace(self.channel, options=options).build()


def _why(stats: Any) -> str:
    if stats.last_error:
        return str(stats.last_error)
    reasons = [reason for reason, count in stats.dropped.items() if count]
    return "the reader has gone" if reasons == ["unread"] else f"not taken in time ({', '.join(reasons) or 'waiting'})"
