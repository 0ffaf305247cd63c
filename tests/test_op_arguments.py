"""A wrong argument is refused when the operator is made; the error names it and says what it must be."""

import math
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import reactivex

from rxalerts import Alert, operators
from rxalerts.flow.stats import DeadLetter

MAKERS: dict[str, Callable[[Any], Any]] = {
    "within": lambda value: operators.absence("rule = a", value),
    "buffer(count)": lambda value: operators.buffer(value),
    "buffer(seconds)": lambda value: operators.buffer(seconds=value),
    "rate_limit(rate)": lambda value: operators.rate_limit(value),
    "rate_limit(burst)": lambda value: operators.rate_limit(1, value),
    "announce": lambda value: operators.rate_limit(1, announce=value),
    "seconds": lambda value: operators.tally(value),
    "allow_late": lambda value: operators.tally(1, allow_late=value),
    "max_keys": lambda value: operators.suppress_repeats(max_keys=value),
}


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("value", [-1, math.nan, math.inf, "5", True, [1], timedelta(seconds=5), 1e300], ids=repr)
def test_numbers(name: str, value: Any) -> None:
    """Neither texts nor truth values nor what is not finite, negative or too large is taken for a number."""
    if value == 1e300 and name.startswith("rate_limit"):
        assert MAKERS[name](value)
        return
    with pytest.raises((TypeError, ValueError), match=r".*") as caught:
        MAKERS[name](value)
    assert str(caught.value).startswith(name.removesuffix(")")), caught.value
    assert "must be" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("tap(function)", lambda: operators.tap(None)),  # type: ignore[arg-type]
        ("catch(operator)", lambda: operators.catch("where")),  # type: ignore[arg-type]
        ("enrich(compute)", lambda: operators.enrich("team")),  # type: ignore[arg-type]
        ("a condition", lambda: operators.set_priority(None, "debug")),  # type: ignore[arg-type]
        ("redact(pattern)", lambda: operators.redact(pattern=5)),  # type: ignore[arg-type]
        ("redact(fields)", lambda: operators.redact(5)),  # type: ignore[arg-type]
        ("retag(add)", lambda: operators.retag(add="prod")),
        ("retag(remove)", lambda: operators.retag(remove=[1])),  # type: ignore[list-item]
        ("key", lambda: operators.rate_limit(1, key=5)),  # type: ignore[arg-type]
        ("key", lambda: operators.tally(1, by=["rule", 5])),  # type: ignore[list-item]
    ],
)
def test_functions_and_names(name: str, make: Callable[[], Any]) -> None:
    """What can be no function, no pattern and no name is refused before the first alert."""
    with pytest.raises(TypeError) as caught:
        make()
    assert str(caught.value).startswith(name), caught.value


@pytest.mark.parametrize("item", [None, "text", 5])
def test_what_is_no_state(item: Any) -> None:
    """restore() says what it was given, whatever that is."""
    with pytest.raises(ValueError, match="this is no state of tally"):
        operators.tally(5).restore(item)


@pytest.mark.parametrize("item", [None, "text", 5])
def test_a_stranger_in_the_stream_costs_itself_only(item: Any) -> None:
    """What is no alert is a dead letter, also for operators with a state; the stream goes on."""
    letters: list[DeadLetter] = []
    stream: Any = reactivex.of(Alert("a"), item, Alert("b"))
    got: list[Alert] = []
    stream.pipe(operators.rate_limit(1, 5, on_fault=letters.append)).subscribe(got.append)
    assert [alert.rule for alert in got] == ["a", "b"]
    assert [letter.item for letter in letters] == [item]


@pytest.mark.parametrize(
    ("name", "operator"),
    [
        ("tally", partial(operators.tally, 5)),
        ("set_priority", partial(operators.set_priority, "rule = a", "debug")),
    ],
)
def test_rendered_alerts_are_told_where_the_operator_belongs(name: str, operator: Any) -> None:
    """Behind to_json() an operator that looks into alerts says in its dead letters that it has to stand before it."""
    letters: list[DeadLetter] = []
    stream: Any = reactivex.of(Alert("a")).pipe(operators.to_json())
    stream.pipe(operator(on_fault=letters.append)).subscribe()
    assert f"{name} takes alerts, not Formatted: put it before to_json() or to_text()" in letters[0].detail
