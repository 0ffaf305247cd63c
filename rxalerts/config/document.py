"""Reads a YAML file into a tree whose every value knows its file, line and column.

The tree is built from libyaml's events with a stack of our own, so that no input, however
nested, can exhaust Python's or C's stack. Three bounds keep hostile files harmless: the size of
the file, the depth, and the number of values after every alias has been followed (an alias
shares its anchor's value, but counts in full). As in Falco (yaml-cpp's ``LoadFile``), only the
first document of a file is read; a second one is reported as a warning.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from rxalerts.config.encoding import encoding_of
from rxalerts.config.nodes import Entry, ListNode, MapNode, Node, ScalarNode, kind_of, make_list, make_map
from rxalerts.config.problems import Place, Problems

MAX_BYTES = 1 << 20
"""The largest file that is read, in bytes."""
MAX_DEPTH = 64
"""The deepest nesting of maps and lists."""
MAX_VALUES = 50_000
"""The most values in one file, aliases followed."""

_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels: this is not a falco.yaml"

_TAGS = frozenset(
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "bool", "float", "null", "seq", "map")
)
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Stop(Exception):
    """Ends the reading of one file; the problem has been noted."""


def load_document(path: str, problems: Problems) -> MapNode | None:
    """Read the first document of the YAML file at ``path``.

    Returns an empty map for a file that holds nothing but comments, and None when the file
    could not be used: the reasons are then in ``problems``.
    """
    problems.reading(path)
    text = _read(path, problems)
    if text is None:
        return None
    node = parse_text(text, path, problems)
    if node is None:
        return None
    if isinstance(node, ScalarNode) and node.is_null:
        return MapNode(node.place)
    if not isinstance(node, MapNode):
        problems.error(
            node.place, f"the file holds {kind_of(node)}: write a map of keys, as in 'json_output: true'"
        )
        return None
    return node


def _read(path: str, problems: Problems) -> str | None:
    place = Place(path)
    try:
        if os.path.isdir(path):
            problems.error(place, "is a directory: name the falco.yaml in it, or list it under config_files")
            return None
        with open(path, "rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        problems.error(place, f"cannot be read: {reason}; check the path and its permissions")
        return None
    if len(data) > MAX_BYTES:
        problems.error(place, f"is larger than {MAX_BYTES} bytes: this is not a falco.yaml")
        return None
    return _decode(data, path, problems)


def _decode(data: bytes, path: str, problems: Problems) -> str | None:
    encoding = encoding_of(data)
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        before = data[: error.start].decode(encoding, "replace")
        byte = f"the byte 0x{data[error.start]:02x}, which is not UTF-8"
        what = byte if encoding == "utf-8-sig" else f"a broken character of {encoding.upper()}"
        problems.error(_place_after(path, before), f"{what}: save the file as UTF-8")
        return None


def _place_after(path: str, before: str) -> Place:
    """Return the place of the character that follows ``before``."""
    return Place(path, before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)


def parse_text(text: str, name: str, problems: Problems, at: Place | None = None) -> Node | None:
    """Read the first YAML document in ``text``, called ``name`` in messages.

    ``at`` is the place given to every value, for text that is in no file. Returns None, with
    the reasons in ``problems``, when the text could not be used.
    """
    builder = _Builder(name, problems, at)
    try:
        return builder.build(_events(text, name, problems, at))
    except _Stop:
        return None


def _events(text: str, name: str, problems: Problems, at: Place | None) -> Iterator[Any]:
    """Yield the parser's events; note its errors and stop."""
    try:
        yield from yaml.parse(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark: Any = error.problem_mark or error.context_mark
        place = at or (Place(name, mark.line + 1, mark.column + 1) if mark else Place(name))
        problems.error(place, _syntax_message(error, text, mark))
    except yaml.reader.ReaderError as error:
        # The position counts bytes of the UTF-8 form that libyaml was given.
        before = text.encode("utf-8", "surrogatepass")[: error.position].decode("utf-8", "replace")
        place = at or _place_after(name, before)
        problems.error(place, "a control character, which YAML forbids: remove it, or is this no YAML file?")
    except (yaml.YAMLError, UnicodeError) as error:
        problems.error(at or Place(name), f"not YAML: {error}")
    else:
        return
    raise _Stop


def _syntax_message(error: yaml.MarkedYAMLError, text: str, mark: Any) -> str:
    if "nesting depth" in str(error.problem):  # libyaml has a bound of its own, and looks ahead of us
        return _TOO_DEEP
    message = f"not YAML: {error.problem or error.context}"
    if error.problem and error.context:
        start: Any = error.context_mark
        message += f" ({error.context}" + (f" from line {start.line + 1})" if start else ")")
    number, column = (int(mark.line), int(mark.column)) if mark else (0, 0)
    lines = text.splitlines()
    line = lines[number] if number < len(lines) else ""
    if "\t" in line[: column + 1]:
        return f"{message}: a tab stands here; YAML indents with spaces only"
    if re.search(r":\s+[@`%]", line):
        return f"{message}: put the value in quotes"
    if "mapping values" in message:
        return f"{message}: put a value that contains ': ' in quotes, and check the indentation"
    return f"{message}: check quotes, brackets and indentation"


@dataclass(slots=True)
class _Open:
    """A map or list that is still being read."""

    place: Place
    is_map: bool
    anchor: str | None
    items: list[Node] = field(default_factory=list[Node])
    entries: dict[str, Entry] = field(default_factory=dict[str, Entry])
    key: tuple[str, Place] | None = None
    merged: list[MapNode] = field(default_factory=list[MapNode])


class _Builder:
    """Builds the tree from events, within the bounds."""

    def __init__(self, name: str, problems: Problems, at: Place | None) -> None:
        self.name = name
        self.problems = problems
        self.at = at
        self.stack: list[_Open] = []
        self.anchors: dict[str, Node | None] = {}
        self.values = 0
        self.root: Node | None = None
        self.documents = 0

    def build(self, events: Iterator[Any]) -> Node:
        """Read events up to the end of the first document."""
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                self.documents += 1
                if self.documents > 1:
                    self.problems.warn(
                        self.place(event),
                        "a second document: only the first is read, as in Falco; remove the '---'",
                    )
                    break
            else:
                self.take(event)
        return self.root or ScalarNode(self.at or Place(self.name, 1, 1), "")

    def take(self, event: Any) -> None:
        if isinstance(event, yaml.ScalarEvent):
            self.check_tag(event)
            plain = not event.style and event.implicit[0]
            node = ScalarNode(self.place(event), str(event.value), plain)
            self.remember(event.anchor, node)
            self.add(node)
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            self.open(event)
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            self.close()
        elif isinstance(event, yaml.AliasEvent):
            self.add(self.follow(event), self.place(event))

    def place(self, event: Any) -> Place:
        return self.at or Place(self.name, event.start_mark.line + 1, event.start_mark.column + 1)

    def stop(self, place: Place, message: str) -> None:
        self.problems.error(place, message)
        raise _Stop

    def check_tag(self, event: Any) -> None:
        if event.tag is not None and event.tag not in _TAGS and event.tag != "!":
            self.problems.error(self.place(event), f"the tag {event.tag!r} is not allowed here: remove it")

    def remember(self, anchor: str | None, node: Node | None) -> None:
        if anchor is not None:
            self.anchors[anchor] = node

    def open(self, event: Any) -> None:
        self.check_tag(event)
        if len(self.stack) >= MAX_DEPTH:
            self.stop(self.place(event), _TOO_DEEP)
        self.remember(event.anchor, None)
        self.stack.append(_Open(self.place(event), isinstance(event, yaml.MappingStartEvent), event.anchor))

    def close(self) -> None:
        frame = self.stack.pop()
        node: Node
        if frame.is_map:
            for other in frame.merged:
                for key, entry in other.entries.items():
                    frame.entries.setdefault(key, entry)
            node = make_map(frame.place, frame.entries)
        else:
            node = make_list(frame.place, tuple(frame.items))
        self.remember(frame.anchor, node)
        # What is inside has been counted already.
        self.values -= node.size - 1
        self.add(node)

    def follow(self, event: Any) -> Node:
        place = self.place(event)
        if event.anchor not in self.anchors:
            self.stop(place, f"the alias *{event.anchor} has no anchor &{event.anchor} above it")
        node = self.anchors[event.anchor]
        if node is None:
            self.stop(place, f"the alias *{event.anchor} stands inside its own anchor: this would never end")
        assert node is not None
        return node

    def add(self, node: Node, place: Place | None = None) -> None:
        place = place or node.place
        self.values += node.size
        if self.values > MAX_VALUES:
            self.stop(place, f"more than {MAX_VALUES} values, aliases followed: this is not a falco.yaml")
        if not self.stack:
            self.root = node
            return
        frame = self.stack[-1]
        if not frame.is_map:
            frame.items.append(node)
        elif frame.key is None:
            frame.key = self.key_of(node, place), place
        else:
            key, key_place = frame.key
            frame.key = None
            self.add_entry(frame, key, key_place, node)

    def key_of(self, node: Node, place: Place) -> str:
        if isinstance(node, ScalarNode):
            return node.text
        self.stop(place, f"a key cannot be {kind_of(node)}: write 'key: value'")
        return ""

    def add_entry(self, frame: _Open, key: str, key_place: Place, node: Node) -> None:
        if key == "<<":
            self.merge(frame, key_place, node)
        elif key in frame.entries:
            first = frame.entries[key].key_place
            self.problems.error(
                key_place, f"the key {key!r} stands twice in this map, first in line {first.line}: remove one"
            )
        else:
            frame.entries[key] = Entry(key_place, node)

    def merge(self, frame: _Open, place: Place, node: Node) -> None:
        """Take ``<<: *anchor``, YAML 1.1's way to share keys between maps."""
        for item in node.items if isinstance(node, ListNode) else (node,):
            if isinstance(item, MapNode):
                frame.merged.append(item)
            else:
                self.problems.error(place, f"'<<' takes a map or a list of maps, not {kind_of(item)}")
