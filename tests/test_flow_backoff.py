"""Backoff, as plain numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxalerts.flow.backoff import Retry


@given(st.integers(1, 10_000), st.floats(0.01, 10), st.floats(10, 1000))
def test_a_pause_is_within_its_bound(failures: int, initial: float, maximum: float) -> None:
    """Between 0 and the bound, which never exceeds the maximum, however long it has been failing."""
    retry = Retry(initial=initial, maximum=maximum)
    assert 0 <= retry.pause(failures) <= retry.bound(failures) <= maximum
    assert retry.bound(failures) >= min(maximum, initial)


def test_the_bound_doubles() -> None:
    """1, 2, 4 … up to the maximum."""
    retry = Retry(initial=1, maximum=10)
    assert [retry.bound(failures) for failures in range(1, 7)] == [1, 2, 4, 8, 10, 10]


def test_the_destination_may_ask_for_more() -> None:
    """`Retry-After` is a lower limit."""
    assert Retry(initial=1, maximum=2).pause(1, at_least=77) == 77


@pytest.mark.parametrize(
    ("retry", "failures", "elapsed", "exhausted"),
    [
        (Retry(), 10**6, 1e9, False),
        (Retry(attempts=3), 2, 1e9, False),
        (Retry(attempts=3), 3, 0, True),
        (Retry(elapsed=60), 10**6, 59, False),
        (Retry(elapsed=60), 1, 60, True),
    ],
)
def test_when_to_give_up(retry: Retry, failures: int, elapsed: float, exhausted: bool) -> None:
    """Never by default; after so many attempts, or so many seconds."""
    assert retry.exhausted(failures, elapsed) is exhausted


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"initial": 0}, "0 < initial <= maximum"),
        ({"initial": 5, "maximum": 1}, "0 < initial <= maximum"),
        ({"attempts": 0}, "retry.attempts must be 1 or more"),
    ],
)
def test_wrong_options_are_named(options: dict[str, float], reason: str) -> None:
    """An impossible combination says what it needs."""
    with pytest.raises(ValueError, match=reason):
        Retry(**options)  # type: ignore[arg-type]
