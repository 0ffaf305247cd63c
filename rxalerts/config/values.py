"""Turns nodes into Python values by the type that is wanted, or says what would be right.

Scalars are read as yaml-cpp reads them for Falco: by the wanted type, whether quoted or not.
Where Falco silently falls back to a default because a value does not fit, this is an error.
"""

import dataclasses
import os
import re
import types
from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from pathlib import PurePath
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from rxalerts.config.nodes import ListNode, MapNode, Node, ScalarNode, kind_of, quoted
from rxalerts.config.problems import Place, did_you_mean


def _forms(*words: str) -> frozenset[str]:
    return frozenset(form for word in words for form in (word, word.capitalize(), word.upper()))


_TRUE = _forms("y", "yes", "true", "on")
_FALSE = _forms("n", "no", "false", "off")
_INTEGER = re.compile(r"[+-]?(0[xX][0-9a-fA-F]+|0o?[0-7]+|0|[1-9][0-9]*)\Z")
_FLOAT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?\Z")
_MAX_DIGITS = 30


class ConversionError(ValueError):
    """A value that does not fit: ``place`` and the reason, which ends in what would be right."""

    def __init__(self, place: Place, reason: str) -> None:
        super().__init__(reason)
        self.place = place


def read_bool(text: str) -> bool:
    """Read a boolean as YAML 1.1 and yaml-cpp do, or raise ValueError.

    >>> read_bool("Yes"), read_bool("OFF")
    (True, False)
    """
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError("write true or false")


def read_int(text: str) -> int:
    """Read a decimal, hexadecimal (0x) or octal (0, 0o) integer, or raise ValueError.

    >>> read_int("1000"), read_int("0x1f"), read_int("010")
    (1000, 31, 8)
    """
    if not _INTEGER.match(text) or len(text) > _MAX_DIGITS:
        raise ValueError("write a whole number")
    digits = text.lstrip("+-").lower()
    base = 16 if digits.startswith("0x") else 8 if digits.startswith("0") and len(digits) > 1 else 10
    return int(text.lower().replace("0o", "0", 1) if base == 8 else text, base)


def read_float(text: str) -> float:
    """Read a finite number, or raise ValueError.

    >>> read_float("0.5"), read_float("2")
    (0.5, 2.0)
    """
    if _FLOAT.match(text):
        value = float(text)
        if abs(value) != float("inf"):
            return value
    raise ValueError("write a number")


def read_plain(node: Node) -> object:
    """Return a node as plain Python data; unquoted scalars become null, bool, int or float if they can."""
    if isinstance(node, MapNode):
        return read_map(node)
    if isinstance(node, ListNode):
        return [read_plain(item) for item in node.items]
    if not node.plain:
        return node.text
    if node.is_null:
        return None
    readers: tuple[Callable[[str], object], ...] = (read_bool, read_int, read_float)
    for reader in readers:
        try:
            return reader(node.text)
        except ValueError:
            continue
    return node.text


def read_map(node: MapNode) -> dict[str, object]:
    """Return a map node as plain Python data."""
    return {key: read_plain(entry.node) for key, entry in node.entries.items()}


def convert(node: Node, kind: Any) -> Any:
    """Return ``node`` as a value of the type ``kind``, an annotation, or raise `ConversionError`.

    Understood are bool, int, float, str, None, Literal, enums, classes with a ``parse(text)``
    class method, dataclasses, and lists, tuples, sets, maps and unions of these. A single value
    stands for a list of one.
    """
    origin = get_origin(kind)
    if origin is Annotated:
        return convert(node, get_args(kind)[0])
    if kind is Any or kind is object:
        return read_plain(node)
    if origin in (Union, types.UnionType):
        return _convert_union(node, get_args(kind))
    if origin is Literal:
        return _convert_literal(node, get_args(kind))
    container: Any = origin or kind
    if _is(container, Mapping):
        return _convert_map(node, get_args(kind))
    if container in (Sequence, Collection) or _is(container, list, tuple, AbstractSet):
        return _convert_items(node, container, get_args(kind))
    if dataclasses.is_dataclass(container) and not hasattr(container, "parse"):
        return _convert_dataclass(node, container)
    return _convert_scalar(node, container)


def settable(kind: Any) -> bool:
    """Say whether a configuration file can hold a value of this type.

    >>> from typing import TextIO
    >>> settable(int | None), settable(tuple[str, ...]), settable(TextIO), settable(Callable[[str], int])
    (True, True, False, False)
    """
    origin = get_origin(kind)
    if origin is Annotated:
        return settable(get_args(kind)[0])
    if origin in (Union, types.UnionType):
        return any(settable(each) for each in get_args(kind) if each is not type(None))
    container: Any = origin or kind
    if origin is Literal or dataclasses.is_dataclass(container):
        return True
    if container in (Sequence, Collection) or _is(container, Mapping, list, tuple, AbstractSet):
        return True
    return container is not object and _reader_of(container)[0] is not None


def _is(kind: Any, *bases: type) -> bool:
    return isinstance(kind, type) and issubclass(kind, bases)


def _convert_scalar(node: Node, kind: Any) -> Any:
    reader, wanted = _reader_of(kind)
    if reader is None:
        raise ConversionError(node.place, "this option can be set in code only")
    if not isinstance(node, ScalarNode):
        raise ConversionError(node.place, f"is {kind_of(node)}: {wanted}")
    try:
        return reader(node.text)
    except ValueError as error:
        reason = str(error) if kind in (bool, int, float) else f"{error}" or wanted
        raise ConversionError(node.place, f"is {quoted(node.text)}{_unset(node)}: {reason}") from None


def _reader_of(kind: Any) -> tuple[Callable[[str], Any] | None, str]:
    """Return what reads text into ``kind``, and the remedy where there is no text."""
    simple: dict[Any, tuple[Callable[[str], Any], str]] = {
        bool: (read_bool, "write true or false"),
        int: (read_int, "write a whole number"),
        float: (read_float, "write a number"),
        str: (str, "write a text"),
        type(None): (_read_null, "write null"),
    }
    if kind in simple:
        return simple[kind]
    if hasattr(kind, "parse"):
        return kind.parse, "write a single value"
    if _is(kind, Enum):
        return _enum_reader(kind), f"write one of {', '.join(str(item.value) for item in kind)}"
    if kind is os.PathLike or _is(kind, PurePath):
        return (str if kind is os.PathLike else kind), "write a path"
    return None, ""


def _read_null(text: str) -> None:
    if text not in ("", "~", "null", "Null", "NULL"):
        raise ValueError("write null")


def _enum_reader(kind: type[Enum]) -> Callable[[str], Enum]:
    def read(text: str) -> Enum:
        for item in kind:
            if text in (str(item.value), item.name, item.name.lower()):
                return item
        names = [str(item.value) for item in kind]
        raise ValueError(f"write one of {', '.join(names)}{did_you_mean(text, names)}")

    return read


def _unset(node: ScalarNode) -> str:
    return f" (the variable {node.unset[0]} is not set)" if node.unset else ""


def _convert_union(node: Node, kinds: tuple[Any, ...]) -> Any:
    """Try the members of a union; text comes last for unquoted values, first for quoted ones."""
    quoted = isinstance(node, ScalarNode) and not node.plain
    if type(None) in kinds and isinstance(node, ScalarNode) and node.is_null:
        return None
    errors: list[ConversionError] = []
    for kind in sorted(
        (kind for kind in kinds if kind is not type(None)), key=lambda k: (k is str) != quoted
    ):
        try:
            return convert(node, kind)
        except ConversionError as error:
            errors.append(error)
    useful = [error for error in errors if "in code only" not in str(error)] or errors
    raise useful[0]


def _convert_literal(node: Node, choices: tuple[Any, ...]) -> Any:
    names = [
        "null" if choice is None else str(choice).lower() if choice in (True, False) else str(choice)
        for choice in choices
    ]
    text = node.text if isinstance(node, ScalarNode) else None
    for name, choice in zip(names, choices, strict=True):
        if text == name or (choice is None and isinstance(node, ScalarNode) and node.is_null):
            return choice
        if isinstance(choice, bool) and text in (_TRUE if choice else _FALSE):
            return choice
    remedy = f"write one of {', '.join(names)}{did_you_mean(text or '', names)}"
    raise ConversionError(node.place, f"is {kind_of(node) if text is None else quoted(text)}: {remedy}")


def _convert_items(node: Node, container: Any, arguments: tuple[Any, ...]) -> Any:
    make: Any = container
    if isinstance(node, MapNode):
        raise ConversionError(node.place, "is a map: write a list, as in [a, b]")
    items = node.items if isinstance(node, ListNode) else () if node.is_null else (node,)
    kinds: list[Any]
    if container is tuple and arguments and arguments[-1] is not Ellipsis:
        if len(items) != len(arguments):
            raise ConversionError(node.place, f"has {len(items)} items: write {len(arguments)}")
        kinds = list(arguments)
    else:
        kinds = [arguments[0] if arguments else Any] * len(items)
    values: list[Any] = [convert(item, kind) for item, kind in zip(items, kinds, strict=True)]
    if _is(container, tuple, list, set, frozenset):
        return make(values)
    gathered: Any = frozenset(values) if _is(container, AbstractSet) else tuple(values)
    return gathered


def _convert_map(node: Node, arguments: tuple[Any, ...]) -> dict[str, Any]:
    if isinstance(node, ScalarNode) and node.is_null:
        return {}
    if not isinstance(node, MapNode):
        raise ConversionError(node.place, f"is {kind_of(node)}: write a map, as in {{name: value}}")
    kind = arguments[1] if len(arguments) == 2 else Any
    return {key: convert(entry.node, kind) for key, entry in node.entries.items()}


def _convert_dataclass(node: Node, kind: Any) -> Any:
    if not isinstance(node, MapNode):
        raise ConversionError(
            node.place, f"is {kind_of(node)}: write a map of {', '.join(field_kinds(kind))}"
        )
    kinds = field_kinds(kind)
    values: dict[str, Any] = {}
    for key, entry in node.entries.items():
        if key not in kinds:
            known = f"known are {', '.join(kinds)}"
            raise ConversionError(entry.key_place, f"has no key {key!r}{did_you_mean(key, kinds)} {known}")
        try:
            values[key] = convert(entry.node, kinds[key])
        except ConversionError as error:
            raise ConversionError(error.place, f"{key} {error}") from None
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:
        raise ConversionError(node.place, str(error)) from None


def field_kinds(kind: Any) -> dict[str, Any]:
    """Return the annotation of every field of a dataclass that its constructor takes."""
    hints = get_type_hints(kind, include_extras=True)
    fields: tuple[dataclasses.Field[Any], ...] = dataclasses.fields(kind)
    return {item.name: hints[item.name] for item in fields if item.init}
