"""Writes the commented example and the reference of falco.yaml from the sinks' own options.

``python -m rxalerts.config`` writes both files; a test holds them against what is rendered here.
"""

import dataclasses
import json
import re
import textwrap
import types
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin

from rxalerts.config import schema
from rxalerts.config.prose import FURTHER, GENERAL_HELP, INTRODUCTION, MERGING, OWN_HELP
from rxalerts.config.registry import OptionInfo, common_options, options_of, sink_classes
from rxalerts.config.steps import available_steps
from rxalerts.config.values import field_kinds, settable
from rxalerts.format import Format
from rxalerts.priority import Priority

_WIDTH = 100
_PLAIN = re.compile(r"[A-Za-z_./][A-Za-z0-9_./-]*\Z")


def yaml_value(value: Any) -> str:
    """Return a value in YAML, on one line.

    >>> yaml_value(True), yaml_value("./events.txt"), yaml_value("-"), yaml_value(("a", 2)), yaml_value(None)
    ('true', './events.txt', '"-"', '[a, 2]', 'null')
    """
    anything: Any = value
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Format):
        return "json" if value.json else "text"
    if isinstance(value, Priority):
        return value.label.lower()
    if isinstance(value, Enum):
        return yaml_value(value.value)
    if isinstance(value, (int, float)):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return yaml_value({item.name: getattr(value, item.name) for item in dataclasses.fields(value)})
    if isinstance(value, Mapping):
        entries: Mapping[Any, Any] = anything
        return "{" + ", ".join(f"{key}: {yaml_value(item)}" for key, item in entries.items()) + "}"
    if isinstance(value, Iterable) and not isinstance(value, str):
        items: Iterable[Any] = anything
        return "[" + ", ".join(yaml_value(item) for item in items) + "]"
    text = str(value)
    words = {"y", "n", "yes", "no", "true", "false", "on", "off", "null"}
    return text if _PLAIN.match(text) and text.lower() not in words else json.dumps(text, ensure_ascii=False)


def type_text(kind: Any) -> str:
    """Name a type for people.

    >>> type_text(int | None), type_text(bool), type_text(tuple[str, ...])
    ('whole number or null', 'true or false', 'list of text')
    """
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        names = dict.fromkeys(type_text(item) for item in get_args(kind) if item is type(None) or settable(item))
        if any(_is_enum(item) for item in get_args(kind)):
            names.pop("text", None)
        return " or ".join(names)
    if origin is Literal:
        return ", ".join(yaml_value(item) for item in get_args(kind))
    simple = {bool: "true or false", int: "whole number", float: "number", str: "text", type(None): "null"}
    if kind in simple:
        return simple[kind]
    if kind is Priority:
        return "priority"
    if _is_enum(kind):
        return ", ".join(str(item.value) for item in kind)
    if dataclasses.is_dataclass(kind):
        return "map of " + ", ".join(field_kinds(kind))
    return _container_text(origin or kind, get_args(kind))


def _container_text(container: Any, arguments: tuple[Any, ...]) -> str:
    if isinstance(container, type) and issubclass(container, Mapping):
        return "map"
    if isinstance(container, type) and issubclass(container, Iterable):
        return f"list of {type_text(arguments[0])}" if arguments else "list"
    return "text"


def _is_enum(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Enum)


# -- the example --------------------------------------------------------------------------------------------


def render_example() -> str:
    """Return the commented falco.yaml with every key, its meaning and its default; only stdout is enabled."""
    lines = [
        "# A falco.yaml for rxalerts: every key that it reads, with its default.",
        "# Falco reads the same file: what it has no key for stands under `rxalerts:`, at the end.",
        "# Written by `python -m rxalerts.config`.",
        "",
        "# -- All channels ----------------------------------------------------------------------------",
        "",
        *_general_example(),
    ]
    classes = sink_classes()
    lines += [
        "# -- Falco's channels, served in this order ---------------------------------------------------",
        "",
    ]
    for channel in schema.CHANNELS:
        if channel in classes:
            lines += [*_channel_example(channel), ""]
    lines += [
        "# -- What Falco has no key for ----------------------------------------------------------------",
        "",
    ]
    lines += _own_example()
    return "\n".join(lines) + "\n"


def _comment(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")


def _general_example() -> Iterator[str]:
    section = ""
    for key, _, default, text in GENERAL_HELP:
        name, _, below = key.partition(".")
        if below and name != section:
            section = name
            yield f"{name}:"
        indent = "  " if below else ""
        yield from _comment(text, indent)
        off = "# " if default is None else ""
        yield f"{indent}{off}{below or name}: {yaml_value(True if default is None else default)}"
        if not below or key == "outputs.max_burst" or key == "outputs_queue.capacity":
            yield ""


def _channel_example(channel: str) -> Iterator[str]:
    sink = sink_classes()[channel]
    yield from _comment(_summary(sink))
    options = options_of(sink)
    for section in reversed(schema.sections_of(channel)):
        yield f"{section}:"
        yield f"  enabled: {yaml_value(channel == 'stdout')}"
        for item in options:
            if item.falco.startswith(f"{section}."):
                yield from _comment(item.help, "  ")
                key = item.falco.partition(".")[2]
                value = schema.SHIPPED.get(item.falco, "") if item.required else item.default
                yield f"  {key}: {yaml_value(value)}"


def _own_example() -> Iterator[str]:
    yield f"{schema.OWN}:"
    for key, _, default, text in OWN_HELP:
        yield from _comment(text, "  ")
        yield f"  {key}: {yaml_value(default)}"
    yield ""
    yield from _comment("More about the channels above. Every channel has the keys of stdout.", "  ")
    yield "  channels:"
    classes = sink_classes()
    for channel in ("stdout", *(name for name in schema.CHANNELS if name != "stdout" and name in classes)):
        yield f"    {channel}:"
        yield from _extra_example(channel, everything=channel == "stdout")
    yield ""
    yield from _comment("Further channels of any kind, each with a name of its own.", "  ")
    yield "  outputs:"
    yield "    # - channel: file"
    yield "    #   name: urgent"
    yield "    #   filename: ./urgent.txt"
    yield "    #   priority: critical"


def _extra_example(channel: str, everything: bool) -> Iterator[str]:
    if everything:
        for key, step in available_steps().items():
            yield from _commented_key(key, step.example, step.help)
    for item in options_of(sink_classes()[channel]):
        if not item.falco and (everything or item.name not in common_options()):
            yield from _commented_key(item.name, "" if item.required else item.default, item.help)


def _commented_key(key: str, default: Any, text: str) -> Iterator[str]:
    yield from _comment(text, "      ")
    yield f"      # {key}: {yaml_value(default)}"


def _summary(sink: type[Any]) -> str:
    return re.sub(r"\s+", " ", (sink.__doc__ or "").strip().partition("\n\n")[0]).replace("`", "")


# -- the reference ------------------------------------------------------------------------------------------


def render_docs() -> str:
    """Return the reference of falco.yaml in Markdown."""
    parts = [INTRODUCTION, "## All channels\n", _table(_general_rows()), MERGING, "## Falco's channels\n"]
    classes = sink_classes()
    for channel in schema.CHANNELS:
        if channel in classes:
            parts.append(_channel_docs(channel))
    parts += [
        "## Under `rxalerts:`\n",
        _table((f"`{schema.OWN}.{key}`", *rest) for key, *rest in _rows(OWN_HELP)),
    ]
    parts += [FURTHER, "### Keys that every channel has\n", _table(_common_rows())]
    for channel, sink in classes.items():
        rows = [_row(f"`{item.name}`", item) for item in options_of(sink) if item.name not in common_options()]
        if rows:
            parts += [f"### `channel: {channel}`\n", f"{_summary(sink)}\n", _table(rows)]
    return "\n".join(parts)


def _channel_docs(channel: str) -> str:
    sink = sink_classes()[channel]
    switches = " and ".join(f"`{switch}`" for switch in schema.SWITCHES[channel])
    rows = [_row(f"`{item.falco}`", item) for item in options_of(sink) if item.falco]
    table = _table(rows) if rows else ""
    more = f"More keys stand under `{schema.OWN}.channels.{channel}`.\n"
    return f"### {channel}\n\n{_summary(sink)} Enabled by {switches}. {more}\n{table}"


def _general_rows() -> Iterator[tuple[str, str, str, str]]:
    for key, kind, default, text in _rows(GENERAL_HELP):
        yield f"`{key}`", kind, default, text


def _rows(table: tuple[tuple[str, str, Any, str], ...]) -> Iterator[tuple[str, str, str, str]]:
    for key, kind, default, text in table:
        yield key, kind, "" if default is None else f"`{yaml_value(default)}`", text


def _common_rows() -> Iterator[tuple[str, str, str, str]]:
    for key, step in available_steps().items():
        yield f"`{key}`", type_text(step.kind), "", step.help
    any_sink = next(iter(sink_classes().values()))
    for item in options_of(any_sink):
        if item.name in common_options():
            yield _row(f"`{item.name}`", item)


def _row(key: str, item: OptionInfo) -> tuple[str, str, str, str]:
    default = "*required*" if item.required else f"`{yaml_value(item.default)}`"
    kind = "text, json, or a map of switches" if item.name == "format" else type_text(item.kind)
    return key, kind, default, item.help


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    lines = ["| key | value | default | meaning |", "|---|---|---|---|"]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"
