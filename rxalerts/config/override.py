"""Reads ``-o key=value`` and sets the value in the tree, in the forms of every Falco version.

``key=value`` and ``key.subkey=value`` (all versions), ``a.b.c``, ``a[1].b[0][2]`` (0.31 and
later), ``a[]=value`` to append (0.38), a value in braces as a whole object (0.39), and the
escapes ``\\.`` ``\\[`` ``\\]`` ``\\\\`` in keys (0.44). The split is at the first ``=``; there is no
splitting at commas; a value like ``[a,b]`` is plain text. Values are not expanded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from rxalerts.config.document import MAX_DEPTH, parse_text
from rxalerts.config.nodes import Entry, ListNode, MapNode, Node, ScalarNode, kind_of, make_list, make_map
from rxalerts.config.problems import Place, Problems


class Append(Enum):
    """The step ``[]``: one more item at the end of a list."""

    STEP = "[]"


Step: TypeAlias = str | int | Append


class OverrideError(ValueError):
    """An override that cannot be read or does not fit the configuration, in Falco's words."""


@dataclass(frozen=True, slots=True)
class Override:
    """One ``-o`` option, read: the way to a value, and the value."""

    place: Place
    key: str
    path: tuple[Step, ...]
    value: Node


def parse_override(option: str, problems: Problems) -> Override | None:
    """Read one ``-o`` option; None, with the reason in ``problems``, if it cannot be read."""
    key, equals, text = option.partition("=")
    place = Place(f"-o {key}")  # without the value: it may be a secret
    if not equals or not key:
        problems.error(
            place,
            f'Error parsing config option "{option}". Must be of the form key=val or key.subkey=val',
        )
        return None
    try:
        path = parse_key(key)
    except OverrideError as error:
        problems.error(place, str(error))
        return None
    value: Node | None = ScalarNode(place, text, plain=text == "")
    if text.startswith("{") and text.endswith("}"):
        value = parse_text(text, place.file, problems, at=place)
    return None if value is None else Override(place, key, path, value)


def parse_key(key: str) -> tuple[Step, ...]:
    """Read the key of an override into its steps, or raise `OverrideError`.

    >>> parse_key("outputs.rate")
    ('outputs', 'rate')
    >>> parse_key("a[1].b[0][2]")
    ('a', 1, 'b', 0, 2)
    >>> parse_key("append_output[]")
    ('append_output', <Append.STEP: '[]'>)
    >>> parse_key("annotations.kubernetes\\\\.io/role")
    ('annotations', 'kubernetes.io/role')
    """
    steps: list[Step] = []
    position = 0
    try:
        while position < len(key):
            if key[position] == "[" and steps:
                position = _read_index(key, position, steps)
            else:
                position = _read_name(key, position, steps)
    except OverrideError as error:
        raise OverrideError(f'Config error at key "{key}": Parsing error: {error}') from None
    if len(steps) > MAX_DEPTH:
        raise OverrideError(f'Config error at key "{key[:40]}...": nested deeper than {MAX_DEPTH} levels')
    return tuple(steps)


def _read_name(key: str, position: int, steps: list[Step]) -> int:
    if steps:
        if key[position] != ".":
            raise OverrideError(f"expected '.' character at pos {position}")
        position += 1
    start, name = position, ""
    while position < len(key) and key[position] not in ".[":
        if key[position] == "\\":
            position += 1
            if key[position : position + 1] not in (".", "[", "]", "\\"):
                raise OverrideError(rf"invalid escape at pos {position - 1}; known are \. \[ \] \\")
        name += key[position : position + 1]
        position += 1
    if not name:
        raise OverrideError(f"unexpected character at pos {start}" if start < len(key) else "unexpected end")
    steps.append(name)
    return position


def _read_index(key: str, position: int, steps: list[Step]) -> int:
    end = key.find("]", position)
    if end < 0:
        raise OverrideError(f"expected ']' after pos {position}")
    text = key[position + 1 : end]
    if not text:
        steps.append(Append.STEP)
    elif text.isascii() and text.isdigit() and len(text) < 10:
        steps.append(int(text))
    else:
        raise OverrideError(f"expected a numeric index, found '{text}'")
    return end + 1


def apply_overrides(root: MapNode, overrides: Sequence[Override], problems: Problems) -> MapNode:
    """Set the values of ``overrides`` one after the other and return the new tree."""
    node: Node = root
    for override in overrides:
        try:
            node = _set(node, override.path, override)
        except OverrideError as error:
            problems.error(override.place, f'Config error at key "{override.key}": {error}')
    return node if isinstance(node, MapNode) else root


def _set(node: Node | None, path: tuple[Step, ...], override: Override) -> Node:
    """Return ``node`` with the value set at ``path``; maps and lists on the way are made as needed."""
    if not path:
        return override.value
    step, rest = path[0], path[1:]
    if isinstance(node, ScalarNode) and node.is_null:
        node = None
    if isinstance(step, str):
        return _set_key(node, step, rest, override)
    return _set_item(node, step, rest, override)


def _set_key(node: Node | None, key: str, rest: tuple[Step, ...], override: Override) -> Node:
    if not isinstance(node, MapNode | None):
        raise OverrideError(f"{kind_of(node)} has no key {key!r}, only a map has keys")
    entries = dict(node.entries) if node else {}
    old = entries.get(key)
    value = _set(old.node if old else None, rest, override)
    entries[key] = Entry(override.place, value)
    return make_map(node.place if node else override.place, entries)


def _set_item(node: Node | None, step: int | Append, rest: tuple[Step, ...], override: Override) -> Node:
    if not isinstance(node, ListNode | None):
        raise OverrideError(f"{kind_of(node)} has no items, only a list has items")
    items = list(node.items) if node else []
    index = len(items) if isinstance(step, Append) else step
    if index > len(items):
        raise OverrideError(f"the list has {len(items)} items, so [{index}] cannot be set; use [] to append")
    value = _set(items[index] if index < len(items) else None, rest, override)
    items[index : index + 1] = [value]
    return make_list(node.place if node else override.place, tuple(items))
