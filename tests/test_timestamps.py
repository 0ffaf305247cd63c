"""Time stamps keep every nanosecond."""

import time
from collections.abc import Iterator
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxalerts.timestamps import (
    MAX_NS,
    MIN_NS,
    format_iso8601,
    format_local,
    format_rfc3339,
    local_ns,
    parse_rfc3339,
)

NS = 1507591916746609046


@pytest.fixture
def madrid(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put the machine into a zone with summer time."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("2017-10-09T23:31:56.746609046Z", NS),
        ("2017-10-09T23:31:56.746609046+0000", NS),
        ("2017-10-09t23:31:56.746609046z", NS),
        ("2017-10-10T01:31:56.746609046+02:00", NS),
        ("2017-10-09T18:01:56.746609046-0530", NS),
        ("2017-10-09 23:31:56.746609046", NS),
        ("2017-10-09T23:31:56Z", NS // 10**9 * 10**9),
        ("2017-10-09T23:31:56.7Z", NS // 10**9 * 10**9 + 700_000_000),
        ("2017-10-09T23:31:56.7466090469Z", NS),
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-31T23:59:59.999999999Z", -1),
        ("2016-12-31T23:59:60Z", 1483228800 * 10**9),
        ("0001-01-01T00:00:00Z", MIN_NS),
        ("9999-12-31T23:59:59.999999999Z", MAX_NS),
    ],
)
def test_parse(text: str, ns: int) -> None:
    """Any number of digits and any offset give exact nanoseconds, the first time and from memory."""
    assert parse_rfc3339(text) == ns
    assert parse_rfc3339(text) == ns


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2017-10-09",
        "2017-13-09T23:31:56Z",
        "2017-02-29T23:31:56Z",
        "2017-10-09T24:31:56Z",
        "2017-10-09T23:31:61Z",
        "2017-10-09T23:31:56+24:00",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "2017-10-09T23:31:56.1_000_00Z",
        "2017-10-09T23:31:56. 1234567Z",
        "2017-10-09T23:31:56.12345678٩Z",
        "٢017-10-09T23:31:56Z",
    ],
)
def test_parse_refuses(text: str) -> None:
    """What is no time stamp is a ValueError, also when its second is known."""
    parse_rfc3339("2017-10-09T23:31:56.000000000Z")
    with pytest.raises(ValueError, match=r"time stamp|years 1 to 9999"):
        parse_rfc3339(text)


@given(st.integers(MIN_NS, MAX_NS))
def test_round_trip(ns: int) -> None:
    """Every nanosecond of the years 1 to 9999 survives being written and read."""
    assert parse_rfc3339(format_rfc3339(ns)) == ns
    assert parse_rfc3339(format_iso8601(ns)) == ns
    assert len(format_rfc3339(ns)) == 30
    assert len(format_local(ns)) == 18


@pytest.mark.usefixtures("madrid")
def test_local_time_follows_the_zone() -> None:
    """The text prefix is local time, with summer time; and back again."""
    assert format_local(NS) == "01:31:56.746609046"
    assert local_ns(date(2017, 10, 10), 1, 31, 56, 746609046) == [NS]
    assert format_local(1483228800 * 10**9) == "01:00:00.000000000"


def test_iso8601_prefix() -> None:
    """The ISO prefix is UTC with +0000."""
    assert format_iso8601(NS) == "2017-10-09T23:31:56.746609046+0000"
