"""The tree of a configuration: values, lists and maps that know where they stand.

Nodes are immutable and may be shared; ``size`` counts a node with everything below it.
"""

from dataclasses import dataclass, field
from typing import TypeAlias

from rxalerts.config.problems import Place

_SHOWN = 60
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """A single value, still text: what it means depends on the key that it belongs to.

    ``plain`` is false for quoted values; ``unset`` names the environment variables that were
    replaced by nothing.
    """

    place: Place
    text: str
    plain: bool = True
    unset: tuple[str, ...] = ()
    size: int = 1

    @property
    def is_null(self) -> bool:
        """Whether the value is absent: nothing, ``~`` or ``null``, unquoted."""
        return self.plain and self.text in _NULLS


@dataclass(frozen=True, slots=True)
class ListNode:
    """A list of nodes."""

    place: Place
    items: "tuple[Node, ...]" = ()
    size: int = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a map: where its key stands, and its value."""

    key_place: Place
    node: "Node"


@dataclass(frozen=True, slots=True)
class MapNode:
    """A map from text keys to nodes, in the order of the file."""

    place: Place
    entries: dict[str, Entry] = field(default_factory=dict[str, Entry])
    size: int = 1

    def get(self, key: str) -> "Node | None":
        """Return the node at ``key``, or None where the key is missing or its value is null."""
        entry = self.entries.get(key)
        if entry is None or (isinstance(entry.node, ScalarNode) and entry.node.is_null):
            return None
        return entry.node

    def place_of(self, key: str) -> Place:
        """Return where ``key`` stands, or where the map starts if it is missing."""
        entry = self.entries.get(key)
        return entry.key_place if entry is not None else self.place


Node: TypeAlias = ScalarNode | ListNode | MapNode


def make_list(place: Place, items: "tuple[Node, ...]") -> ListNode:
    """Build a list node whose size is known."""
    return ListNode(place, items, 1 + sum(item.size for item in items))


def make_map(place: Place, entries: dict[str, Entry]) -> MapNode:
    """Build a map node whose size is known."""
    return MapNode(place, entries, 1 + sum(1 + entry.node.size for entry in entries.values()))


def quoted(text: str) -> str:
    """Return a text in quotes for messages, shortened if it is long.

    >>> quoted("x" * 100)
    "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…'"
    """
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


def kind_of(node: Node) -> str:
    """Name what a node is, for messages.

    >>> kind_of(ListNode(Place("f", 1, 1)))
    'a list'
    """
    if isinstance(node, MapNode):
        return "a map"
    return "a list" if isinstance(node, ListNode) else f"the value {quoted(node.text)}"
