"""One piece of input becomes one alert, or an error that says why not."""

import json
from datetime import date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxalerts.alert import Alert
from rxalerts.errors import AlertError
from rxalerts.priority import Priority
from rxalerts.timestamps import MAX_NS, MIN_NS, format_rfc3339, parse_rfc3339
from rxalerts.wire import Decoder, parse

GOOD: dict[str, Any] = {"rule": "r", "priority": "Error", "time": "2017-10-09T23:31:56.746609046Z"}


def alert_of(**changes: Any) -> Alert:
    """Parse a small good alert with some keys changed."""
    return parse(json.dumps({**GOOD, **changes}))


@pytest.mark.parametrize(
    ("changes", "key", "reason"),
    [
        ({"priority": None}, "priority", "missing"),
        ({"priority": "high"}, "priority", "unknown priority 'high'"),
        ({"priority": 9}, "priority", "unknown priority 9"),
        ({"priority": True}, "priority", "unknown priority True"),
        ({"priority": 4.0}, "priority", "not a number|name or a whole number"),
        ({"priority": ["Error"]}, "priority", "must be a name or a whole number, not a list"),
        ({"rule": None}, "rule", "missing, and so are output and message"),
        ({"rule": 7}, "rule", "must be a string, not a number"),
        ({"output": {"a": 1}}, "output", "must be a string, not an object"),
        ({"message": False}, "message", "must be a string, not true or false"),
        ({"source": 1}, "source", "must be a string"),
        ({"hostname": []}, "hostname", "must be a string, not a list"),
        ({"tags": "a"}, "tags", "must be a list of strings"),
        ({"tags": ["a", 1]}, "tags", "must be a list of strings"),
        ({"output_fields": [1]}, "output_fields", "must be an object, not a list"),
        ({"output_fields": "a"}, "output_fields", "must be an object, not a string"),
        ({"output_fields": 1}, "output_fields", "must be an object, not a number"),
        ({"time": "yesterday"}, "time", "not an RFC 3339 time stamp: 'yesterday'"),
        ({"time": 1507591916}, "time", "must be RFC 3339 text or seconds and nanos, not a number"),
        ({"time": {"nanos": 1}}, "time", "seconds are missing"),
        ({"time": {"seconds": 10**15}}, "time", "years 1 to 9999"),
        ({"time": {"seconds": "x"}}, "time", "invalid literal"),
    ],
)
def test_errors_name_key_and_reason(changes: dict[str, Any], key: str, reason: str) -> None:
    """Whatever is wrong, the error says where and what; it is a ValueError and has the bytes."""
    with pytest.raises(AlertError, match=reason) as caught:
        alert_of(**changes)
    assert caught.value.key == key
    assert key in str(caught.value)
    assert caught.value.raw.startswith(b'{"rule"')


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("[]", "empty"),
        ("[1]", "not an alert"),
        ("hello", "not an alert"),
        ('"hello"', "not an alert"),
        ('{"rule":', "torn or broken JSON|unfinished"),
        ('{"rule": "r",}', "torn or broken JSON"),
        ("{}", "priority: missing"),
        ("Events detected: 3", "Falco's own, but no alert"),
        (json.dumps(GOOD) * 2, "2 alerts where one is expected"),
        ("10:20:05.408091526: Wrong text", "not an alert"),
        ("10:20:65.408091526: Error text", "no such time of day"),
        ("2017-13-09T23:31:56.746609046Z: Error text", "time: not an RFC 3339 time stamp"),
    ],
)
def test_no_alert(data: str, reason: str) -> None:
    """What is no alert is an AlertError that says so, as text and as bytes."""
    for form in (data, data.encode()):
        with pytest.raises(AlertError, match=reason):
            parse(form)


@pytest.mark.parametrize("time", ["2017-10-09T23:31:56.746609046Z", "2017-10-10T01:31:56.746609046+02:00"])
@pytest.mark.parametrize("priority", ["Error", "error", "ERROR", 3, "3"])
def test_spellings(time: str, priority: str | int) -> None:
    """Priorities in any spelling, times with any offset: the values and what is written are the same."""
    alert = alert_of(time=time, priority=priority)
    assert alert.priority is Priority.ERROR
    assert alert.time == GOOD["time"]
    assert json.loads(alert.to_json()) == GOOD


def test_time_as_seconds_and_nanos() -> None:
    """Protobuf's JSON form of a time is read, 64-bit integers as strings included."""
    ns = parse_rfc3339(GOOD["time"])
    assert alert_of(time={"seconds": ns // 10**9, "nanos": ns % 10**9}).time_ns == ns
    assert alert_of(time={"seconds": str(ns // 10**9), "nanos": ns % 10**9}).time_ns == ns
    assert alert_of(time={"seconds": 0}).time_ns == 0


def test_time_from_the_output() -> None:
    """Without a time, the one in front of the output counts; it is written from then on."""
    alert = alert_of(time=None, output="2017-10-09T23:31:56.746609046+0000: Error m")
    assert alert.time == GOOD["time"]
    assert parse(alert.to_json()) == alert
    no_date = parse('{"priority":3,"output":"10:20:05.408091526: Error m"}', date=date(2020, 2, 29))
    assert no_date.time_ns % 10**9 == 408091526
    assert no_date.time[:8] == "2020-02-" or no_date.time[:8] == "2020-03-"


def test_missing_keys() -> None:
    """A priority and a rule are enough; the rest is empty, or put together."""
    alert = parse('{"rule":"r","priority":"Error"}')
    assert (alert.source, alert.hostname, alert.tags, alert.output_fields) == ("", "", (), {})
    assert alert.output.endswith(": Error r")
    assert alert.message == "r"
    assert parse('{"message":"m","priority":"Error"}').message == "m"
    assert parse('{"output":"10:20:05.408091526: Error m","priority":"Error"}').message == "m"
    assert parse('{"output":"o","priority":"Error"}').rule == ""


def test_broken_unicode_is_replaced() -> None:
    """Lone surrogate escapes and bytes that are no UTF-8 become U+FFFD, wherever they stand."""
    fields = b'{"rule":"r","priority":"Error","output_fields":{"a\\ud800":"\\udfffx"}}'
    assert parse(fields).output_fields == {"a\ufffd": "\ufffdx"}
    assert parse(b'{"rule":"a\xffb","priority":"Error"}').rule == "a\ufffdb"
    late = b'{"output_fields":{"a":"\xff"},"rule":"r","priority":"Error","time":"2017-10-09T23:31:56.000000000Z"}'
    for _ in range(2):
        assert parse(late).output_fields == {"a": "\ufffd"}
        parse(late).to_json().encode()
    assert parse(b'{"rule":"a\x01\tb","priority":"Error"}').rule == "a\x01\tb"
    assert parse('{"rule":"\\ud83d\\ude00","priority":"Error"}').rule == "😀"


@pytest.mark.parametrize("depth", [50, 500, 5000, 200_000])
def test_deep_nesting(depth: int) -> None:
    """Nesting of any depth is read and written, or refused with a reason; nothing else."""
    text = '{"rule":"r","priority":"Error","output_fields":{"a":' + "[" * depth + "]" * depth + "}}"
    try:
        alert = parse(text)
    except AlertError as error:
        assert "nested too deeply" in str(error) or "torn or broken" in str(error)
    else:
        assert "[" * depth in alert.to_json()
        assert alert == parse(text).replace(time=alert.time)
        assert "a" in alert.output_fields


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ALERTS = st.builds(
    Alert,
    st.text(),
    st.sampled_from(Priority),
    st.text(),
    st.dictionaries(st.text(), JSON_VALUES, max_size=5),
    time=st.integers(MIN_NS, MAX_NS),
    source=st.text() | st.just("internal"),
    tags=st.lists(st.text(), max_size=3),
    hostname=st.text(),
    output=st.none() | st.text(),
    extra=st.dictionaries(st.text().map(lambda key: f"x{key}"), JSON_VALUES, max_size=2),
)


@given(ALERTS)
def test_round_trip(alert: Alert) -> None:
    """What is written is read back equal, in every style, and written the same again."""
    line = alert.to_json()
    back = parse(line)
    assert back == alert
    assert back.to_json() == line
    assert back.id == alert.id
    assert parse(alert.to_json(style="classic")) == alert
    assert parse(alert.to_json(include_message=True)) == alert
    assert parse(json.dumps(json.loads(line), indent=1)) == alert
    assert json.loads(line)["output_fields"] == alert.output_fields


@given(ALERTS, ALERTS)
def test_replace_gives_what_building_gives(one: Alert, other: Alert) -> None:
    """An alert with all values replaced equals the one whose values they are."""
    values = {key: getattr(other, key) for key in ("rule", "priority", "source", "hostname", "tags", "extra")}
    values |= {"output": other.output, "message": other.message, "time": other.time_ns}
    assert one.replace(output_fields=other.output_fields, **values) == other


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_are_an_alert_or_an_error(data: bytes) -> None:
    """Nothing but an AlertError comes out of bytes that are no alert."""
    try:
        parse(data)
    except AlertError as error:
        assert str(error)


@given(
    st.datetimes(min_value=datetime(1900, 1, 1)),
    st.integers(0, 999_999_999),
    st.sampled_from(["Z", "z", "+00:00", "-07:00", ""]),
    st.sampled_from(["T", "t", " "]),
    st.integers(0, 9),
)
def test_times_come_out_in_one_form(moment: datetime, nanos: int, zone: str, between: str, digits: int) -> None:
    """Whatever form a time has, alone or behind others of the same second, it is written as Falco does."""
    fraction = f".{nanos:09}"[: digits + 1] if digits else ""
    text = f"{moment:%Y-%m-%d}".zfill(10) + f"{between}{moment:%H:%M:%S}{fraction}{zone}"
    line = f'{{"priority":"Error","rule":"r","time":"{text}"}}\n'.encode()
    first = b'{"priority":"Error","rule":"r","time":"2025-01-01T00:00:00.000000001Z"}\n'
    found = [piece for piece in Decoder().feed(first + line + first + line) if isinstance(piece, Alert)]
    expected = format_rfc3339(parse_rfc3339(text))
    assert [alert.time for alert in found] == ["2025-01-01T00:00:00.000000001Z", expected] * 2
    assert [f'"time":"{alert.time}"' in alert.to_json() for alert in found] == [True] * 4
