"""Loads a falco.yaml with everything that belongs to it, in the order in which Falco does.

1. the main file, its variables expanded; 2. the ``-o config_files…`` overrides; 3. the files and
folders that ``config_files`` names, merged by their strategies (Falco 0.38 and 0.41); 4. all other
overrides. Only top-level keys are merged: a map in an included file replaces the whole old map.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from rxalerts.config.document import load_document
from rxalerts.config.expand import expand_tree
from rxalerts.config.nodes import Entry, ListNode, MapNode, Node, ScalarNode, kind_of, make_list, make_map
from rxalerts.config.override import apply_overrides, parse_override
from rxalerts.config.problems import Place, Problems, did_you_mean

CONFIG_FILES = "config_files"

Strategy: TypeAlias = Literal["append", "override", "add-only"]
_STRATEGIES: tuple[Strategy, ...] = ("append", "override", "add-only")


@dataclass(frozen=True, slots=True)
class Include:
    """One entry of ``config_files``: a file or folder, how to merge it, and the entry itself."""

    path: str
    strategy: Strategy
    node: Node


@dataclass(slots=True)
class Loaded:
    """The merged tree, the files that it was made of, in order, and the listed ones that were not there.

    ``used`` are the environment variables that values in it came from.
    """

    root: MapNode
    files: list[str] = field(default_factory=list[str])
    missing: list[str] = field(default_factory=list[str])
    used: dict[str, str] = field(default_factory=dict[str, str])


def load_tree(
    path: str | os.PathLike[str],
    overrides: Sequence[str] = (),
    problems: Problems | None = None,
    environment: Mapping[str, str] | None = None,
) -> Loaded:
    """Load a configuration file with its overrides and included files into one tree.

    Arguments:
        path: the falco.yaml.
        overrides: the texts of ``-o``, e.g. ``"json_output=true"``.
        problems: where to note what is wrong. Without it, errors are raised as `ConfigError`.
        environment: the variables for ``${VAR}``; the process's own by default.
    """
    collected = problems if problems is not None else Problems()
    environment = os.environ if environment is None else environment
    name = os.fspath(path)
    parsed = [item for text in overrides if (item := parse_override(text, collected)) is not None]
    root = load_document(name, collected)
    loaded = Loaded(MapNode(Place(name)), [name])
    if root is not None:
        if not root.entries and not overrides:
            collected.error(root.place, "the file is empty: write at least 'stdout_output: {enabled: true}'")
        root = expand_tree(root, environment, collected, loaded.used)
        early = [item for item in parsed if item.path[0] == CONFIG_FILES]
        loaded.root = apply_overrides(root, early, collected)
        _include_all(loaded, environment, collected)
        late = [item for item in parsed if item.path[0] != CONFIG_FILES]
        loaded.root = apply_overrides(loaded.root, late, collected)
    if problems is None:
        collected.raise_errors()
    return loaded


def _include_all(loaded: Loaded, environment: Mapping[str, str], problems: Problems) -> None:
    for include in _includes(loaded.root, problems):
        for path in _files_of(include, problems):
            if _same_file(path, loaded.files[0]):
                problems.error(
                    include.node.place,
                    f"Config error: '{CONFIG_FILES}' directive tried to recursively include main config "
                    f"file: {path}. Remove it from the list",
                )
            elif not os.path.exists(path):
                loaded.missing.append(path)
            else:
                _include(loaded, path, include.strategy, environment, problems)


def _include(
    loaded: Loaded, path: str, strategy: Strategy, environment: Mapping[str, str], problems: Problems
) -> None:
    loaded.files.append(path)
    node = load_document(path, problems)
    if node is None:
        return
    if CONFIG_FILES in node.entries:
        problems.error(
            node.place_of(CONFIG_FILES),
            f"Config error: '{CONFIG_FILES}' directive in included config file {path}. "
            "Only the main file may include others: move the entries there",
        )
        return
    loaded.root = merge(loaded.root, expand_tree(node, environment, problems, loaded.used), strategy, problems)


def _includes(root: MapNode, problems: Problems) -> list[Include]:
    node = root.get(CONFIG_FILES)
    if node is None:
        return []
    if isinstance(node, MapNode):
        problems.error(
            node.place, f"{CONFIG_FILES} is a map: write a list of paths, or of {{path, strategy}}"
        )
        return []
    items = node.items if isinstance(node, ListNode) else (node,)
    return [include for item in items if (include := _include_of(item, problems)) is not None]


def _include_of(node: Node, problems: Problems) -> Include | None:
    if isinstance(node, ScalarNode) and node.text and "\0" not in node.text:
        return Include(node.text, "append", node)
    path = node.get("path") if isinstance(node, MapNode) else None
    if not isinstance(path, ScalarNode) or not path.text or "\0" in path.text:
        problems.error(
            node.place, f"{CONFIG_FILES} holds {kind_of(node)}: write a path, or {{path, strategy}}"
        )
        return None
    assert isinstance(node, MapNode)
    for key in node.entries.keys() - {"path", "strategy"}:
        problems.warn(
            node.place_of(key),
            f"{CONFIG_FILES}: unknown key {key!r}{did_you_mean(key, ['path', 'strategy'])}",
        )
    return Include(path.text, _strategy_of(node, problems), path)


def _strategy_of(node: MapNode, problems: Problems) -> Strategy:
    value = node.get("strategy")
    text = value.text if isinstance(value, ScalarNode) else "" if value else "append"
    for strategy in _STRATEGIES:
        if text == strategy:
            return strategy
    problems.warn(
        node.place_of("strategy"),
        f"{CONFIG_FILES}: unknown strategy {text!r} means append, as in Falco; "
        f"write one of {', '.join(_STRATEGIES)}",
    )
    return "append"


def _files_of(include: Include, problems: Problems) -> list[str]:
    """Return the file itself, or a folder's regular files in lexicographic order."""
    if not os.path.isdir(include.path):
        return [include.path]
    try:
        paths = sorted(entry.path for entry in os.scandir(include.path) if entry.is_file())
    except OSError as error:
        problems.error(include.node.place, f"the folder {include.path} cannot be read: {error.strerror}")
        return []
    return paths


def _same_file(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return os.path.abspath(one) == os.path.abspath(other)


def merge(root: MapNode, added: MapNode, strategy: Strategy, problems: Problems) -> MapNode:
    """Merge the top-level keys of an included file into the tree and return the new one.

    ``append``: lists are joined, everything else is replaced. ``override``: replaced.
    ``add-only``: only keys that are not there yet.
    """
    entries = dict(root.entries)
    for key, entry in added.entries.items():
        old = entries.get(key)
        if strategy == "append" and isinstance(entry.node, ListNode) and root.get(key) is not None:
            assert old is not None
            joined = _join(key, old.node, entry.node, problems)
            entries[key] = Entry(old.key_place, joined)
        elif strategy != "add-only" or old is None:
            entries[key] = entry
    return make_map(root.place, entries)


def _join(key: str, old: Node, new: ListNode, problems: Problems) -> Node:
    if isinstance(old, ListNode):
        return make_list(old.place, old.items + new.items)
    problems.error(
        new.place,
        f"{key}: a list cannot be appended to {kind_of(old)} at {old.place}; use the strategy override",
    )
    return old
