"""Join the closures of single checks by and, or, not, with few calls and the cheap checks first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from rxalerts.operators._condition_tree import (
    Check,
    Compiled,
    FieldsTest,
    Junction,
    Macro,
    Node,
    Not,
    OfAlert,
    OfFields,
    Test,
)

T = TypeVar("T")


def compile_tree(node: Node) -> Test:
    """Compile a whole condition."""
    compiled = _compile(node)
    if isinstance(compiled, OfAlert):
        return compiled.test
    test = compiled.test
    return lambda alert: test(alert.output_fields)


def _compile(node: Node) -> Compiled:
    if isinstance(node, Check):
        return node.compiled
    if isinstance(node, Macro):
        return _compile(node.part)
    if isinstance(node, Not):
        return _negated(_compile(node.part))
    # Checks have no effects and never fail, so that their order is free.
    parts = sorted((_compile(part) for part in _flat(node)), key=lambda part: part.cost)
    of_alert = [part.test for part in parts if isinstance(part, OfAlert)]
    of_fields = [part.test for part in parts if isinstance(part, OfFields)]
    cost = parts[-1].cost
    join = _all if node.word == "and" else _any
    if not of_alert:
        return OfFields(join(of_fields), cost)
    if not of_fields:
        return OfAlert(join(of_alert), cost)
    return OfAlert(_mixed(node.word, join(of_alert), join(of_fields)), cost)


def _negated(part: Compiled) -> Compiled:
    if isinstance(part, OfAlert):
        of_alert = part.test
        return OfAlert(lambda alert: not of_alert(alert), part.cost)
    of_fields = part.test
    return OfFields(lambda fields: not of_fields(fields), part.cost)


def _mixed(word: str, of_alert: Test, of_fields: FieldsTest) -> Test:
    if word == "and":
        return lambda alert: of_alert(alert) and of_fields(alert.output_fields)
    return lambda alert: of_alert(alert) or of_fields(alert.output_fields)


def _flat(junction: Junction) -> list[Node]:
    """List the parts of a junction, with those of the same junctions within it."""
    parts = list[Node]()
    for part in junction.parts:
        while isinstance(part, Macro):
            part = part.part
        same = isinstance(part, Junction) and part.word == junction.word
        parts.extend(_flat(part) if isinstance(part, Junction) and same else [part])
    return parts


def _all(tests: Sequence[Callable[[T], bool]]) -> Callable[[T], bool]:
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:
        a, b = tests
        return lambda value: a(value) and b(value)
    if len(tests) == 3:
        a, b, c = tests
        return lambda value: a(value) and b(value) and c(value)
    if len(tests) == 4:
        a, b, c, d = tests
        return lambda value: a(value) and b(value) and c(value) and d(value)

    def every(value: T) -> bool:
        for test in tests:  # all() with a generator costs twice as much
            if not test(value):
                return False
        return True

    return every


def _any(tests: Sequence[Callable[[T], bool]]) -> Callable[[T], bool]:
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:
        a, b = tests
        return lambda value: a(value) or b(value)
    if len(tests) == 3:
        a, b, c = tests
        return lambda value: a(value) or b(value) or c(value)
    if len(tests) == 4:
        a, b, c, d = tests
        return lambda value: a(value) or b(value) or c(value) or d(value)

    def some(value: T) -> bool:
        for test in tests:
            if test(value):
                return True
        return False

    return some
