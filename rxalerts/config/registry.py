"""What each sink can be told, read from its dataclass: the one source of keys, checks and docs."""

import dataclasses
import inspect
from dataclasses import dataclass
from functools import cache
from typing import Any

from rxalerts import sinks
from rxalerts.config.schema import section_of
from rxalerts.config.values import field_kinds, settable
from rxalerts.flow.sink import Sink


@dataclass(frozen=True, slots=True)
class OptionInfo:
    """One option of a sink.

    ``falco`` is the full key in falco.yaml where Falco has one (``file_output.filename``), else "".
    """

    name: str
    kind: Any
    default: Any
    required: bool
    help: str
    falco: str
    secret: bool


def sink_classes() -> dict[str, type[Sink[Any]]]:
    """Return the sinks that `rxalerts.sinks` exports, by the channel name that they answer to.

    >>> sink_classes()["file"].__name__
    'FileSink'
    """
    found: dict[str, type[Sink[Any]]] = {}
    for name in sorted({*dir(sinks), *getattr(sinks, "__all__", ())}):
        item: Any = getattr(sinks, name, None)
        if inspect.isclass(item) and issubclass(item, Sink) and item.channel_name:
            found[item.channel_name] = item
    return found


@cache
def options_of(sink: type[Sink[Any]]) -> tuple[OptionInfo, ...]:
    """Return the options of a sink that a configuration file can hold: its own first, then the common ones.

    >>> [option.falco for option in options_of(sink_classes()["file"])][:2]
    ['file_output.filename', 'file_output.keep_alive']
    """
    kinds = field_kinds(sink)
    common = {item.name for item in dataclasses.fields(Sink)}
    fields = [item for item in dataclasses.fields(sink) if item.init and settable(kinds[item.name])]
    fields.sort(key=lambda item: item.name in common)
    return tuple(_info(sink, item, kinds[item.name]) for item in fields)


def common_options() -> frozenset[str]:
    """Return the names of the options that every sink has."""
    return frozenset(item.name for item in dataclasses.fields(Sink))


def _info(sink: type[Sink[Any]], item: "dataclasses.Field[Any]", kind: Any) -> OptionInfo:
    falco: str = item.metadata.get("falco") or ""
    default: Any = item.default
    if item.default_factory is not dataclasses.MISSING:
        default = item.default_factory()
    return OptionInfo(
        name=item.name,
        kind=kind,
        default=default,
        required=default is dataclasses.MISSING,
        help=item.metadata.get("help", ""),
        # A key with a dot is a path of its own, such as grpc.bind_address.
        falco=falco if "." in falco or not falco else f"{section_of(sink.channel_name)}.{falco}",
        secret=bool(item.metadata.get("secret")),
    )
