"""Tests of a configuration, as its users write them in YAML: alerts, and what each channel should get of them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from rxalerts.alert import Alert
from rxalerts.config.problems import did_you_mean
from rxalerts.errors import AlertError, ConfigError
from rxalerts.timestamps import parse_rfc3339
from rxalerts.wire import parse, read

# What an alert in a test has when it does not say: the first of them, and what lies between two.
_BEGIN = parse_rfc3339("2026-01-01T00:00:00Z")
_STEP = 1_000_000_000
_HOSTNAME = "localhost"

_KEYS = ("name", "alerts", "expect")
_EXPECTED = ("rules", "count", "lines", "bytes")
_ALERT = ("rule", "priority", "message", "output_fields", "output", "time", "source", "tags", "hostname", "extra")


class _Loader(yaml.SafeLoader):
    """Reads times as texts: an alert's nanoseconds would not survive otherwise."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True)
class Got:
    """One alert as a channel would have got it: the rule's name, and the bytes."""

    rule: str
    data: bytes


@dataclass(frozen=True)
class Expected:
    """What one channel should get; None: not looked at."""

    rules: tuple[str, ...] | None = None
    count: int | None = None
    lines: tuple[str, ...] | None = None
    data: bytes | None = None

    def differences(self, got: Sequence[Got]) -> Iterator[str]:
        """Yield the lines that say what is different; none when all is as it should be."""
        rules = [each.rule for each in got]
        if self.rules is not None and list(self.rules) != rules:
            yield f"expected {len(self.rules)} alerts, got {len(rules)}; by rule:"
            yield from _difference(self.rules, rules)
        if self.count is not None and self.count != len(got):
            yield f"expected {self.count} alerts, got {len(got)}:"
            yield from (f"  {rule}" for rule in rules)
        lines = [each.data.decode(errors="backslashreplace") for each in got]
        if self.lines is not None and list(self.lines) != lines:
            yield "the lines differ:"
            yield from _difference(self.lines, lines)
        data = b"".join(each.data + b"\n" for each in got)
        if self.data is not None and self.data != data:
            yield f"expected {len(self.data)} bytes, got {len(data)}:"
            yield from _difference(_shown(self.data), _shown(data))


def _shown(data: bytes) -> list[str]:
    """Return the lines of some bytes, so that every byte can be told, blanks at the end and missing ends too."""
    return [repr(line)[2:-1].replace("\\'", "'") for line in data.splitlines(keepends=True)]


def _difference(expected: Sequence[str], got: Sequence[str]) -> Iterator[str]:
    """Yield the lines of both, marked: - only expected, + only got."""
    for line in difflib.ndiff(list(expected), list(got)):
        if not line.startswith("?"):
            yield f"  {line}".rstrip("\n")


@dataclass(frozen=True)
class Case:
    """One test: its name, the alerts, and what each of the named channels should get."""

    name: str
    alerts: tuple[Alert, ...]
    expected: Mapping[str, Expected]


def load_cases(path: Path, channels: Sequence[str]) -> list[Case]:
    """Read the tests in a file; `channels` are the names that a configuration has.

    Raises ConfigError, naming the file, the test and the remedy.
    """
    try:
        content: object = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: {error}") from None
    if isinstance(content, dict):
        content = cast("dict[str, Any]", content).get("tests")
    if not isinstance(content, list) or not content:
        raise ConfigError(f"{path}: write a list of tests, or a map whose key tests holds one")
    return [
        _case(each, f"test {number}", path, channels)
        for number, each in enumerate(cast("list[object]", content), start=1)
    ]


def _case(content: object, name: str, path: Path, channels: Sequence[str]) -> Case:
    place = f"{path}: {name}"
    values = _map(content, place, _KEYS)
    name = str(values.get("name", name))
    place = f"{path}: {name}"
    expect = _map(values.get("expect"), f"{place}: expect", channels)
    if not expect:
        raise ConfigError(f"{place}: expect: name at least one channel: {', '.join(channels)}")
    return Case(
        name,
        tuple(_alerts(values.get("alerts"), f"{place}: alerts", path.parent)),
        {channel: _expected(value, f"{place}: {channel}") for channel, value in expect.items()},
    )


def _map(content: object, place: str, known: Sequence[str]) -> dict[str, Any]:
    """Return a map that has no other keys than the known ones."""
    if not isinstance(content, dict):
        raise ConfigError(f"{place}: write a map of {', '.join(known)}")
    values = cast("dict[str, Any]", content)
    for key in values:
        if key not in known:
            hint = did_you_mean(str(key), known) or f": known are {', '.join(known)}"
            raise ConfigError(f"{place}: there is no {key!r}{hint}")
    return values


def _alerts(content: object, place: str, folder: Path) -> Iterator[Alert]:
    """Yield the alerts: a file's name, or a list of maps and of lines as Falco writes them."""
    if isinstance(content, str):
        yield from _recorded(folder / content, place)
        return
    if not isinstance(content, list):
        raise ConfigError(f"{place}: write a list of alerts, or the name of a file")
    for number, each in enumerate(cast("list[object]", content)):
        try:
            yield parse(each) if isinstance(each, str) else _inline(each, f"{place}[{number}]", number)
        except AlertError as error:
            raise ConfigError(f"{place}[{number}]: {error}") from None


def _recorded(path: Path, place: str) -> Iterator[Alert]:
    try:
        reader = read(path)
        yield from reader
    except OSError as error:
        raise ConfigError(f"{place}: {error}") from None
    if reader.rejected:
        raise ConfigError(f"{place}: {path}: {reader.first_rejects[0]}")


def _inline(content: object, place: str, number: int) -> Alert:
    values = _map(content, place, _ALERT)
    given: dict[str, Any] = {"rule": "", "time": _BEGIN + number * _STEP, "hostname": _HOSTNAME, **values}
    return Alert(**given)


def _expected(content: object, place: str) -> Expected:
    if content is None:
        return Expected(count=0)
    if isinstance(content, list):
        return Expected(rules=_texts(cast("list[object]", content), place))
    if isinstance(content, int) and not isinstance(content, bool):
        return Expected(count=content)
    values = _map(content, place, _EXPECTED)
    readers: dict[str, Callable[[object, str], Any]] = {
        "rules": _texts,
        "count": _count,
        "lines": _texts,
        "bytes": _bytes,
    }
    found = {key: readers[key](value, f"{place}: {key}") for key, value in values.items()}
    return Expected(found.get("rules"), found.get("count"), found.get("lines"), found.get("bytes"))


def _texts(content: object, place: str) -> tuple[str, ...]:
    if not isinstance(content, list) or not all(isinstance(each, str) for each in cast("list[object]", content)):
        raise ConfigError(f"{place}: write a list of texts")
    return tuple(cast("list[str]", content))


def _count(content: object, place: str) -> int:
    if not isinstance(content, int) or isinstance(content, bool):
        raise ConfigError(f"{place}: write a whole number")
    return content


def _bytes(content: object, place: str) -> bytes:
    if isinstance(content, bytes):
        return content
    if not isinstance(content, str):
        raise ConfigError(f"{place}: write a text, as it would be written, with its newlines")
    return content.encode()
