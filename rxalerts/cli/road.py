"""The road of the live command: a source, the valve, and the channels of a falco.yaml, which can be exchanged."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rxalerts.alert import Alert
from rxalerts.cli.backlogs import tell_unclaimed, with_backlog
from rxalerts.cli.internal import restart_failed
from rxalerts.cli.valve import Valve
from rxalerts.config import ChannelConfig, Config
from rxalerts.errors import ConfigError, RxAlertsError
from rxalerts.flow.report import Report
from rxalerts.flow.scope import Scope
from rxalerts.flow.sink import Sink
from rxalerts.flow.source import Source
from rxalerts.flow.stats import DeadLetter
from rxalerts.pipeline import Pipeline
from rxalerts.routes import Route, route

log = logging.getLogger("rxalerts")

# What a sink gets beyond its time before it is left behind, in seconds.
_GRACE = 0.5


def wanted_channels(config: Config, *, daemon: bool) -> list[ChannelConfig]:
    """Return the channels to run; raises ConfigError when none is left."""
    wanted = [each for each in config.channels if not (daemon and each.channel == "stdout")]
    if not wanted:
        raise ConfigError("stdout is the only channel, and its alerts are discarded in the background: add another")
    if len(wanted) < len(config.channels):
        log.info("in the background: standard output's alerts are discarded")
    return wanted


@dataclass
class _Running:
    """A channel that is running, and the configuration that it was made from."""

    config: ChannelConfig
    sink: Sink[Any]

    @property
    def route(self) -> Route:
        return route(*self.config.operators(), to=self.sink)


class Road:
    """A pipeline made from a configuration.

    Arguments:
        config: what `rxalerts.config.load_config` returned.
        source: where the alerts come from.
        daemon: in the background, where nobody reads standard output: its channel is left out (Falco).

    Raises ConfigError when there is nowhere to deliver to, or a channel cannot be made.
    """

    def __init__(self, config: Config, source: Source[Alert], *, daemon: bool = False) -> None:
        self.config = config
        self._daemon = daemon
        settings = config.settings
        self.valve = Valve(source, priority=settings.priority, rate=settings.rate, burst=settings.max_burst)
        self._handed_over: dict[str, int] = {}
        wanted = wanted_channels(config, daemon=self._daemon)
        self._channels = {each.name: _Running(each, with_backlog(each).build()) for each in wanted}
        tell_unclaimed(wanted)
        self.pipeline = Pipeline(self.valve, *self._routes(), timeout=settings.output_timeout)

    def _routes(self) -> list[Route]:
        return [each.route for each in self._channels.values()]

    @property
    def output_timeout(self) -> float:
        """Seconds that the channels get, together, to deliver what they hold at the end."""
        return self.config.settings.output_timeout

    def reopen(self) -> None:
        """Close and open files and programs again."""
        self.pipeline.reopen()

    # -- another configuration ------------------------------------------------------------------------------

    def refuse(self, reason: str) -> None:
        """Say, through the channels too, that a new configuration is not used and the old one goes on."""
        log.error("the configuration was not reloaded, the old one goes on: %s", reason)
        self.valve.add([restart_failed(reason)])

    def reload(self, config: Config) -> None:
        """Exchange the channels for those of `config`, which was checked, while the stream waits; nothing is lost.

        What did not change keeps running, with its mailbox; certificates are read again. What did first delivers
        what it has, within `output_timeout`; what it could not deliver by then goes to the channel of the same name,
        ahead of what comes later. So no two sinks ever write to one file.
        """
        try:
            wanted = wanted_channels(config, daemon=self._daemon)
        except ConfigError as error:
            self.refuse(str(error))
            return
        kept = {each.name: self._channels[each.name] for each in wanted if self._is_kept(each)}
        before, settings = self._channels, config.settings
        self.valve.pause()
        try:
            left_over = self._retire([each for name, each in before.items() if name not in kept], kept)
            channels = {each.name: kept.get(each.name) or self._made(each, before.get(each.name)) for each in wanted}
            self._channels = {name: running for name, running in channels.items() if running is not None}
            self.pipeline.swap(*self._routes())
            self._hand_over(left_over)
            self.valve.limit(settings.priority, settings.rate, settings.max_burst)
        finally:
            self.valve.resume()
        for each in kept.values():
            if each.sink.renewable:
                each.sink.reopen()
        self.config = config
        tell_unclaimed(wanted, [each.config for each in before.values()])
        changed = [name for name in {**before, **self._channels} if name not in kept]
        log.info("reloaded: %s", f"exchanged {', '.join(changed)}" if changed else "no channel has changed")

    def _is_kept(self, wanted: ChannelConfig) -> bool:
        running = self._channels.get(wanted.name)
        # One that has given up gets another chance.
        return running is not None and running.config == wanted and not running.sink.state.ended

    def _made(self, wanted: ChannelConfig, before: _Running | None) -> _Running | None:
        """Make a channel; if that fails in spite of the check, the old one of that name again, or none."""
        old = None if before is None else before.config
        try:
            return _Running(wanted, with_backlog(wanted, old).build())
        except (RxAlertsError, OSError, ValueError) as error:
            self.refuse(f"{wanted.name}: {error}")
        try:
            return None if old is None else _Running(old, old.build())
        except (RxAlertsError, OSError, ValueError) as error:
            self.refuse(f"{wanted.name}: as it was before: {error}")
            return None

    def _retire(self, old: list[_Running], kept: dict[str, _Running]) -> dict[str, list[Any]]:
        """End channels; returns what each could not deliver in time."""
        if not old:
            return {}
        left_over: dict[str, list[Any]] = {each.config.name: [] for each in old}
        for each in old:
            each.sink.dead_letters.subscribe(_collect(left_over[each.config.name]))
        self.pipeline.swap(*(each.route for each in kept.values()))
        deadline = time.monotonic() + self.output_timeout + _GRACE
        for each in old:
            if not each.sink.wait(max(0.0, deadline - time.monotonic())):
                each.sink.close(0.0)
        return left_over

    def _hand_over(self, left_over: dict[str, list[Any]]) -> None:
        for name, items in left_over.items():
            successor = self._channels.get(name)
            if items and successor is None:
                log.error(
                    "%s: %d alerts not delivered, and the channel is gone from the configuration", name, len(items)
                )
            if not items or successor is None:
                continue
            log.warning("%s: %d alerts that the old channel could not deliver go to the new one", name, len(items))
            self._handed_over[name] = self._handed_over.get(name, 0) + len(items)
            with Scope():
                for item in items:
                    successor.sink.on_next(item)

    # -- the end --------------------------------------------------------------------------------------------

    def report(self, report: Report) -> Report:
        """Return the pipeline's report without counting as lost what was handed from one channel to its successor."""
        left = dict(self._handed_over)
        sinks = dict(report.sinks)
        for key, stats in sinks.items():
            name = stats.name
            moved = min(left.get(name, 0), stats.dropped.get("shutdown", 0)) if key not in self.pipeline.sinks else 0
            if moved:
                left[name] -= moved
                dropped = {**stats.dropped, "shutdown": stats.dropped["shutdown"] - moved}
                sinks[key] = dataclasses.replace(stats, received=stats.received - moved, dropped=dropped)
        return dataclasses.replace(report, sinks=sinks)


def _collect(items: list[Any]) -> Callable[[DeadLetter], None]:
    """Return a subscriber that keeps what a sink had no time for."""

    def keep(letter: DeadLetter) -> None:
        if letter.reason == "shutdown":
            items.append(letter.item)

    return keep
