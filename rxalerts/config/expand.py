"""Replaces ``${VAR}`` in values by environment variables, by the rule of Falco 0.37 and later.

The rule, as Falco's source and unit tests have it: ``${VAR}`` anywhere in a value is replaced;
a variable that is not set, or empty, leaves nothing; ``$${VAR}`` stands for a literal
``${VAR}``; the replacement is looked at again; there is no default syntax (all text up to the
first ``}`` is the name); without a ``}`` the rest stays as it is; a ``$`` that starts neither
form ends the search, so that ``$VAR`` and shell text after it stay as they are. Keys and values
given with ``-o`` are not expanded.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from rxalerts.config.nodes import Entry, ListNode, MapNode, Node, ScalarNode, make_list, make_map
from rxalerts.config.problems import Place, Problems
from rxalerts.config.schema import ENGINE

MAX_REPLACEMENTS = 1000
"""The most variables replaced in one file."""
MAX_LENGTH = 256 * 1024
"""The longest value after replacement, in characters."""


TEMPLATE = "template"
"""The key whose value has placeholders of its own."""
_BRACED = re.compile(r"\$(\$)?\{([^}]*)\}")


class ExpansionError(ValueError):
    """An expansion that does not end, or grows too long."""


@dataclass(slots=True)
class Expander:
    """Expand values within one budget of replacements.

    ``unset`` holds names found without a value, ``used`` those that had one, with it.
    """

    environment: Mapping[str, str]
    used: dict[str, str] = field(default_factory=dict[str, str])
    replaced: int = 0
    unset: list[str] = field(default_factory=list[str])
    unread: str = ""

    def expand(self, text: str) -> str:
        """Return ``text`` with its variables replaced, or raise `ExpansionError`."""
        self.unset, self.unread = [], ""
        done: list[str] = []
        start, position = 0, text.find("$")
        while position >= 0:
            end = text.find("}", position)
            if text.startswith("${", position) and end >= 0:
                text = self._replace(text, position, end)
            elif text.startswith("$${", position) and end >= 0:
                # Drop the first "$" and step over the second: "{" is where the search goes on.
                done.append(text[start:position])
                start, position = position + 1, position + 2
            else:
                self.unread = text[position:]
                break
            position = text.find("$", position)
        return "".join(done) + text[start:]

    def _replace(self, text: str, position: int, end: int) -> str:
        name = text[position + 2 : end]
        value = self.environment.get(name, "")
        if value:
            self.used[name] = value
        else:
            self.unset.append(name)
        self.replaced += 1
        if self.replaced > MAX_REPLACEMENTS:
            raise ExpansionError(
                f"${{{name}}}: more than {MAX_REPLACEMENTS} variables replaced; does a value contain itself?"
            )
        text = text[:position] + value + text[end + 1 :]
        if len(text) > MAX_LENGTH:
            raise ExpansionError(f"${{{name}}} makes the value longer than {MAX_LENGTH} characters")
        return text


def expand(text: str, environment: Mapping[str, str] | None = None) -> str:
    """Replace the variables in one value; ``environment`` defaults to the process's.

    Raises `ExpansionError` (a ValueError) when a variable's value leads back to itself.

    >>> env = {"HOST": "db1", "LINK": "${HOST}"}
    >>> expand("http://${HOST}/${LINK}/$${HOST}/$HOST", env)
    'http://db1/db1/${HOST}/$HOST'
    """
    return Expander(os.environ if environment is None else environment).expand(text)


def expand_tree(
    node: MapNode, environment: Mapping[str, str], problems: Problems, used: dict[str, str] | None = None
) -> MapNode:
    """Expand every value of a whole file (keys stay), noting in ``problems`` what cannot be expanded.

    What stands below the keys of Falco's engine is its affair: nothing is noted about it. The variables that were
    replaced are added to ``used``.
    """
    expander = Expander(environment, {} if used is None else used)
    unheard = Problems()

    def walk(node: Node, key: str, noted: Problems) -> Node:
        if isinstance(node, MapNode):
            return make_map(
                node.place, {k: Entry(e.key_place, walk(e.node, k, noted)) for k, e in node.entries.items()}
            )
        if isinstance(node, ListNode):
            return make_list(node.place, tuple(walk(item, key, noted) for item in node.items))
        return _expand_scalar(node, key, expander, noted) if "$" in node.text else node

    entries = {
        key: Entry(entry.key_place, walk(entry.node, key, unheard if key in ENGINE else problems))
        for key, entry in node.entries.items()
    }
    return make_map(node.place, entries)


def expand_template(text: str, environment: Mapping[str, str], used: dict[str, str] | None = None) -> str:
    """Replace the variables that are set in the ``template`` of an HTTP body, which has ``${…}`` for output fields too.

    >>> expand_template('{"key": "${KEY}", "text": $output, "pod": "${k8s.pod.name}"}', {"KEY": "k"})
    '{"key": "k", "text": $output, "pod": "${k8s.pod.name}"}'
    """

    def value(match: re.Match[str]) -> str:
        name, found = match[2], environment.get(match[2])
        if match[1] or not found:
            return match[0][1:] if match[1] else match[0]
        if used is not None:
            used[name] = found
        return found

    return _BRACED.sub(value, text)


def _expand_scalar(node: ScalarNode, key: str, expander: Expander, problems: Problems) -> ScalarNode:
    if key == TEMPLATE:
        return replace(node, text=expand_template(node.text, expander.environment, expander.used))
    try:
        text = expander.expand(node.text)
    except ExpansionError as error:
        problems.error(node.place, f"{key}: {error}")
        return node
    _warn_unread(node.place, key, expander.unread, problems)
    if expander.unset and text.strip():  # a value of which nothing is left is told where it is read
        names = ", ".join(dict.fromkeys(expander.unset))
        shell = f"; $${{{expander.unset[0]}}} leaves it to the shell" if key == "program" else ""
        problems.warn(node.place, f"{key}: {names} not set, so that nothing stands in its place{shell}")
    # "null" held by a variable is the word; only nothing at all makes the value absent.
    plain = node.plain and not (text and replace(node, text=text).is_null)
    return replace(node, text=text, plain=plain, unset=tuple(expander.unset))


def _warn_unread(place: Place, key: str, unread: str, problems: Problems) -> None:
    """Warn of a ``${VAR}`` after a lone ``$``, which stays; only a shell, in ``program``, would read it."""
    if key != "program" and not unread.startswith("${") and "${" in unread.lstrip("$") and "}" in unread:
        problems.warn(
            place,
            f"{key}: the variables in {unread!r} are not replaced, because a lone '$' stands before them",
        )
