"""Reads one map of the configuration key by key, and says which keys nobody asked for."""

from collections.abc import Iterable
from typing import Any, TypeVar

from rxalerts.config.nodes import MapNode, Node, ScalarNode, kind_of
from rxalerts.config.problems import Place, Problems, did_you_mean
from rxalerts.config.values import ConversionError, convert

T = TypeVar("T")


class Section:
    """One map, e.g. ``http_output``, with its path for messages; a missing map reads as an empty one."""

    def __init__(self, node: MapNode, path: str, problems: Problems) -> None:
        self.node = node
        self.path = path
        self.problems = problems
        self.asked: set[str] = set()

    @classmethod
    def of(cls, parent: MapNode, key: str, problems: Problems, path: str = "") -> "Section":
        """Return the section at ``key``; note an error if something else than a map stands there."""
        path = path or key
        node = parent.get(key)
        if isinstance(node, MapNode):
            return cls(node, path, problems)
        if node is not None:
            problems.error(node.place, f"{path} is {kind_of(node)}: write a map, as in 'key: value'")
        return cls(MapNode(parent.place_of(key)), path, problems)

    def path_of(self, key: str) -> str:
        """Return the key with the path of its section."""
        return f"{self.path}.{key}" if self.path else key

    def place_of(self, key: str) -> Place:
        """Return the place of the value at ``key``, or of the section."""
        node = self.node.get(key)
        return node.place if node is not None else self.node.place_of(key)

    def get(self, key: str) -> Node | None:
        """Return the node at ``key``, if there is one that is not null."""
        self.asked.add(key)
        return self.node.get(key)

    def read(self, key: str, kind: Any, default: T, secret: bool = False) -> Any | T:
        """Return the value at ``key`` as ``kind``; the default if it is missing, or wrong (an error).

        A value that only held variables without a value counts as missing, with a warning.
        """
        node = self.get(key)
        if node is None:
            self._warn_unset(key)
            return default
        try:
            return convert(node, kind)
        except ConversionError as error:
            if isinstance(node, ScalarNode) and node.unset and not node.text.strip():
                self._warn_unset(key)
                return default
            reason = "has a wrong value, which is not shown here" if secret else str(error)
            self.problems.error(error.place, f"{self.path_of(key)} {reason}")
            return default

    def integer(self, key: str, default: int, low: int, high: int) -> int:
        """Return the whole number at ``key``, which must lie between ``low`` and ``high``."""
        value: int = self.read(key, int, default)
        if low <= value <= high:
            return value
        self.problems.error(
            self.place_of(key), f"{self.path_of(key)} is {value}: write a number from {low} to {high}"
        )
        return default

    def _warn_unset(self, key: str) -> None:
        entry = self.node.entries.get(key)
        node = entry.node if entry else None
        if isinstance(node, ScalarNode) and node.unset:
            self.problems.warn(
                node.place,
                f"{self.path_of(key)}: the variable {node.unset[0]} is not set, so the default is used",
            )

    def warn_unknown(self, known: Iterable[str] = (), hints: Iterable[str] = ()) -> None:
        """Warn of every key that was not asked for, with what was probably meant."""
        accepted = self.asked | set(known)
        candidates = sorted(accepted | set(hints))
        for key, entry in self.node.entries.items():
            if key not in accepted:
                self.problems.warn(
                    entry.key_place,
                    f"unknown key {self.path_of(key)!r} is ignored{did_you_mean(key, candidates)}",
                )
