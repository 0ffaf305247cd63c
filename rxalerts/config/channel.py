"""One channel of a configuration, and the checks that its sink makes."""

import copy
import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rxalerts.config.nodes import MapNode, ScalarNode, kind_of
from rxalerts.config.problems import Place
from rxalerts.config.registry import options_of, sink_classes
from rxalerts.config.section import Section
from rxalerts.config.steps import build_steps
from rxalerts.config.values import ConversionError, convert
from rxalerts.flow.channel import Channel
from rxalerts.flow.mailbox import Mailbox
from rxalerts.flow.sink import Sink
from rxalerts.format import Format

# Scheme and host. An "@" further on may belong to a password that has a slash in it: then all is hidden.
_URL = re.compile(r"(https?://)(?:[^/?#]*@)?([^/?#@]+)(?:[/?#][^@]*)?\Z")

MISSING: Any = object()
"""Stands for an option that the configuration does not give."""


@dataclass(slots=True)
class ChannelConfig:
    """One enabled channel: two of them are equal when nothing about them has changed.

    ``options`` are the arguments of the sink; ``steps`` the keys that become operators before it.
    """

    name: str
    channel: str
    options: dict[str, Any]
    steps: dict[str, Any] = field(default_factory=dict[str, Any])
    place: Place = field(default=Place(""), compare=False)

    def build(self) -> Sink[Any]:
        """Make the sink; it is not started. Raises OptionError where an option is wrong."""
        return sink_classes()[self.channel](**copy.deepcopy(self.options))

    def stand_in(self) -> Sink[Any]:
        """Make a sink with these options that opens nothing and must not be started: it can only render."""
        return check_options(sink_classes()[self.channel], self.options)

    def operators(self) -> list[Callable[[Any], Any]]:
        """Make the operators that stand before the sink, in order."""
        return build_steps(self.steps)

    def shown(self) -> dict[str, Any]:
        """Return options and steps for people: secret ones that are set are shown as ``***``, of a URL the host."""
        secret = {item.name for item in options_of(sink_classes()[self.channel]) if item.secret}
        options = {key: _masked(value) if key in secret and value else value for key, value in self.options.items()}
        return {**self.steps, **options}


def _masked(value: Any) -> str:
    """Hide a secret; of a URL the path, where chats have their tokens, and the user.

    >>> _masked("https://user:secret@hooks.example:8443/services/T0/B0/secret"), _masked("secret")
    ('https://hooks.example:8443/***', '***')
    """
    match = _URL.match(value) if isinstance(value, str) else None
    return f"{match[1]}{match[2]}/***" if match else "***"


def read_format(section: Section, general: Format) -> Any:
    """Read a channel's ``format``: text, json, or a map of `Format`'s switches over the general one."""
    node = section.get("format")
    if node is None:
        return MISSING
    switches: dict[str, Any] = {}
    try:
        if isinstance(node, ScalarNode) and node.text in ("text", "json"):
            switches["json"] = node.text == "json"
        elif isinstance(node, MapNode):
            own: Format = convert(node, Format)
            switches = {key: getattr(own, key) for key in node.entries}
        else:
            names = ", ".join(item.name for item in dataclasses.fields(Format) if item.init)
            raise ConversionError(node.place, f"is {kind_of(node)}: write text, json, or a map of {names}")
    except ConversionError as error:
        section.problems.error(error.place, f"{section.path_of('format')} {error}")
        return MISSING
    return dataclasses.replace(general, **switches)


def check_options(sink: type[Sink[Any]], options: Mapping[str, Any]) -> Sink[Any]:
    """Raise what the sink raises for these options, without opening anything; returns one that must not be started.

    The sink is made with a plain mailbox and an empty channel, because the real ones may hold files or locks
    that a running sink of the same configuration uses.
    """
    probe: Any = type(sink.__name__, (_Probe, sink), {"__module__": sink.__module__})
    made: Sink[Any] = probe(**copy.deepcopy(dict(options)))
    return made


class _Probe:
    """What stands before the sink's own I/O while its options are checked."""

    def make_channel(self) -> Channel:
        return Channel()

    def make_mailbox(self) -> Mailbox:
        return Mailbox(1)

    def make_dead_box(self) -> None:
        return None
