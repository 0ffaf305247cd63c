"""Compile single checks into closures `Alert -> bool`, the common forms into their fastest shape."""

from __future__ import annotations

import operator as compare
from collections.abc import Callable, Sequence
from operator import attrgetter, methodcaller
from typing import Any, Final, cast

from rxalerts.alert import Alert
from rxalerts.operators._condition_functions import changed
from rxalerts.operators._condition_lexer import did_you_mean
from rxalerts.operators._condition_paths import path_matcher
from rxalerts.operators._condition_pattern import PatternError
from rxalerts.operators._condition_regex import Regex, glob_matcher
from rxalerts.operators._condition_tree import (
    Compiled,
    Field,
    Fields,
    FieldsTest,
    OfAlert,
    OfFields,
    Test,
    Value,
)
from rxalerts.priority import Priority
from rxalerts.timestamps import parse_rfc3339

ValueTest = Callable[[object], bool]
_CHEAP, _DECODES, _SLOW = 0, 1, 2  # built-ins first: output fields may have to be decoded
_ORDER: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": compare.lt, "<=": compare.le, ">": compare.gt, ">=": compare.ge,
    "=": compare.eq, "!=": compare.ne,
}  # fmt: skip
# More severe is a smaller number.
_SEVERITY: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "!=": "!="}


class ValueProblem(Exception):
    """Say which value of a check is wrong; `inside` counts its characters up to the wrong one."""

    def __init__(self, value: Value, reason: str, expected: str = "", inside: int = 0) -> None:
        super().__init__(reason)
        self.value = value
        self.reason = reason
        self.expected = expected
        self.inside = inside


def build_check(field: Field, operator: str, values: Sequence[Value]) -> Compiled:
    """Compile a check. Raises ValueProblem."""
    if field.functions:
        return OfAlert(_changed(field, operator, values), _SLOW)
    if field.key is not None:
        slow = operator in ("regex", "glob", "iglob", "pmatch")
        return OfFields(_output_field(field.key, operator, values), _SLOW if slow else _DECODES)
    if field.name == "priority":
        return OfAlert(_priority(operator, values), _CHEAP)
    if field.name == "evt.time":
        return OfAlert(_time(operator, values), _CHEAP)
    if field.name == "tags":
        return OfAlert(_tags(operator, values), _CHEAP)
    return OfAlert(_attribute(field.name, operator, values), _CHEAP)


def _changed(field: Field, operator: str, values: Sequence[Value]) -> Test:
    """Compile a check of what functions have made of a field."""
    value = changed(field.name, field.key, field.functions)
    key = field.name
    check = _output_field(key, operator, values)
    return lambda alert: check({key: value(alert)})


def _priority(operator: str, values: Sequence[Value]) -> Test:
    if operator == "exists":
        return lambda alert: True
    wanted = [_as_priority(value) for value in values]
    chosen = tuple(any(_ORDER[_SEVERITY.get(operator, "=")](level, number) for number in wanted) for level in range(8))
    return lambda alert: chosen[alert.priority]


def _as_priority(value: Value) -> int:
    try:
        return int(Priority.parse(value.text))
    except ValueError:
        names = [level.name.lower() for level in Priority]
        hint = did_you_mean(value.text, names)
        wanted = f"one of {', '.join(names)}"
        raise ValueProblem(value, f"unknown priority {value.text}{hint}", wanted) from None


def _time(operator: str, values: Sequence[Value]) -> Test:
    if operator == "exists":
        return lambda alert: True
    wanted = frozenset(_as_time(value) for value in values)
    if operator not in _ORDER or operator == "=":
        return lambda alert: alert.time_ns in wanted
    (limit,) = wanted
    ordered = _ORDER[operator]
    return lambda alert: ordered(alert.time_ns, limit)


def _as_time(value: Value) -> int | float:
    number = value.number
    if number is not None:
        return number
    text = value.text
    try:
        return parse_rfc3339(text + "T00:00:00Z" if len(text) == 10 else text)
    except ValueError as error:
        wanted = "nanoseconds since 1970 or a time like 2026-07-01T12:00:00Z"
        raise ValueProblem(value, f"no time: {error}", wanted) from None


def _tags(operator: str, values: Sequence[Value]) -> Test:
    wanted = frozenset(value.text for value in values)
    if operator == "exists":
        return lambda alert: bool(alert.tags)
    if operator in ("=", "intersects"):
        return lambda alert: not wanted.isdisjoint(alert.tags)
    if operator == "!=":
        return lambda alert: bool(alert.tags) and wanted.isdisjoint(alert.tags)
    if operator == "in":
        return lambda alert: bool(alert.tags) and wanted.issuperset(alert.tags)
    _, test = _value_tests(operator, values)
    return lambda alert: any(map(test, alert.tags))


def _attribute(name: str, operator: str, values: Sequence[Value]) -> Test:
    """Compile a check of a built-in that is text; an alert without it has an empty one."""
    get: Callable[[Alert], str] = attrgetter(name)
    if operator == "exists":
        return lambda alert: bool(get(alert))
    text = values[0].text if values else ""
    if operator == "=" and text:
        return lambda alert: get(alert) == text
    if operator == "!=":
        return lambda alert: (got := get(alert)) != text and bool(got)
    if operator in ("=", "in", "intersects"):
        wanted = frozenset(value.text for value in values) - {""}
        return lambda alert: get(alert) in wanted
    _, test = _value_tests(operator, values)
    return lambda alert: bool(got := get(alert)) and test(got)


def _output_field(key: str, operator: str, values: Sequence[Value]) -> FieldsTest:
    if operator == "exists":
        return lambda fields: fields.get(key) not in (None, [])
    test, on_text = _value_tests(operator, values)
    every = operator in ("!=", "in")

    def other(got: object) -> bool:
        """Judge what is no text: nothing, a number, or a list of values."""
        if got.__class__ is not list:
            return got is not None and test(got)
        items = cast(list[object], got)
        return bool(items) and (all(map(test, items)) if every else any(map(test, items)))

    accepted = _accepted(values)
    if operator in ("=", "!=") and len(accepted) == 1:
        return _compared_text(key, values[0].text, operator == "=", other)
    if operator in ("=", "in", "intersects"):
        return _one_of(key, accepted, other)

    def check(fields: Fields) -> bool:
        got = fields.get(key)
        return on_text(got) if got.__class__ is str else other(got)

    return check


def _compared_text(key: str, text: str, equal: bool, other: ValueTest) -> FieldsTest:
    def is_equal(fields: Fields) -> bool:
        got = fields.get(key)
        return got == text or (got.__class__ is list and other(got))

    def is_different(fields: Fields) -> bool:
        got = fields.get(key)
        return got != text if got.__class__ is str else other(got)

    return is_equal if equal else is_different


def _one_of(key: str, accepted: frozenset[object], other: ValueTest) -> FieldsTest:
    def check(fields: Fields) -> bool:
        got = fields.get(key)
        try:
            return got in accepted
        except TypeError:  # a list or an object has no hash
            return other(got)

    return check


def _accepted(values: Sequence[Value]) -> frozenset[object]:
    """Give all that equals one of the values: its text, its number, its truth value."""
    accepted = set[object]()
    for value in values:
        accepted.add(value.text)
        if value.text in ("true", "false"):
            accepted.add(value.text == "true")
        elif value.number is not None:
            accepted.add(value.number)
    return frozenset(accepted)


def _value_tests(operator: str, values: Sequence[Value]) -> tuple[ValueTest, Callable[[Any], bool]]:
    """Compile the test of one value that is neither None nor a list, and the same for texts alone."""
    if operator in ("=", "!=", "in", "intersects"):
        test = _membership(_accepted(values), operator != "!=")
    elif operator in _ORDER:
        test = _ordering(_ORDER[operator], values[0])
    else:
        on_text = _text_test(operator, values)
        return _on_text(on_text), on_text
    return test, test


def _membership(accepted: frozenset[object], wanted: bool) -> ValueTest:
    def test(got: object) -> bool:
        try:
            return got is not None and (got in accepted) is wanted
        except TypeError:
            return False  # an object within a list

    return test


def _ordering(ordered: Callable[[Any, Any], bool], value: Value) -> ValueTest:
    number, text = value.number, value.text

    def test(got: object) -> bool:
        if isinstance(got, str):
            read = None if number is None else Value(got, 0).number
            return ordered(got, text) if read is None else ordered(read, number)
        return number is not None and isinstance(got, int | float) and ordered(got, number)

    return test


def _text_test(operator: str, values: Sequence[Value]) -> Callable[[str], bool]:
    if operator == "pmatch":
        return path_matcher([value.text for value in values])
    value, text = values[0], values[0].text
    if operator == "contains":
        return methodcaller("__contains__", text)
    if operator == "icontains":
        lower = text.lower()
        return lambda got: lower in got.lower()
    if operator in ("startswith", "endswith"):
        return methodcaller(operator, text)
    if operator in ("glob", "iglob"):
        return glob_matcher(text, operator == "iglob")
    try:
        return Regex(text).matches
    except PatternError as error:
        raise ValueProblem(value, f"bad regular expression: {error.reason}", inside=error.at) from None


def _on_text(test: Callable[[str], bool]) -> ValueTest:
    """Let a test of text see numbers and truth values as Falco writes them."""

    def on_value(got: object) -> bool:
        if isinstance(got, str):
            return test(got)
        if isinstance(got, bool):
            return test("true" if got else "false")
        return isinstance(got, int | float) and test(str(got))

    return on_value
