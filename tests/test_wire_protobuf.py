"""An alert as a message of Falco's gRPC output, and back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxalerts import Alert
from rxalerts.errors import AlertError
from rxalerts.format import JSON, Format, Formatted
from rxalerts.wire import parse
from rxalerts.wire.protobuf import from_message, to_message
from tests.support.falco_messages import Response, as_dict

FALCO_LINE = (
    '{"hostname":"h","output":"2016-08-04T16:17:57.881781397+0000: Warning An open was seen (command=cat /dev/null)",'
    '"output_fields":{"evt.time.iso8601":1470327477881781397,"proc.cmdline":"cat /dev/null"},"priority":"Warning",'
    '"rule":"open_from_cat","source":"syscall","tags":["filesystem","process","testing"],'
    '"time":"2016-08-04T16:17:57.881781397Z"}'
)


def message_of(alert: Alert | Formatted, **more: Any) -> dict[str, Any]:
    """Return what a client of Falco reads."""
    return as_dict(Response.FromString(to_message(alert, **more)))


def test_the_alert_of_falcos_own_test() -> None:
    """Falco's grpc_unix_socket_outputs (0.30): the same values in the same fields."""
    assert message_of(parse(FALCO_LINE)) == {
        "time_ns": 1470327477_881781397,
        "priority": 4,
        "source_deprecated": 0,
        "rule": "open_from_cat",
        "output": "2016-08-04T16:17:57.881781397+0000: Warning An open was seen (command=cat /dev/null)",
        "output_fields": {
            "evt.time.iso8601": "2016-08-04T16:17:57.881781397+0000",
            "proc.cmdline": "cat /dev/null",
        },
        "hostname": "h",
        "tags": ["filesystem", "process", "testing"],
        "source": "syscall",
    }


@pytest.mark.parametrize(
    ("source", "number"), [("syscall", 0), ("k8s_audit", 1), ("internal", 2), ("okta", 3), ("aws_cloudtrail", 3)]
)
def test_both_sources_are_set(source: str, number: int) -> None:
    """Field 9 holds the name, field 3 the number that clients before 0.31 know."""
    found = message_of(Alert("r", "error", "m", source=source))
    assert (found["source"], found["source_deprecated"]) == (source, number)


def test_fields_are_texts() -> None:
    """Strings as they are, numbers and booleans as in JSON, no value as <NA>, nested values as JSON."""
    fields = {"s": "<x>", "i": 0, "f": 1.5, "b": False, "n": None, "l": [1, "a"], "big": 2**70}
    assert message_of(Alert("r", "error", "m", fields))["output_fields"] == {
        "s": "<x>", "i": "0", "f": "1.5", "b": "false", "n": "<NA>", "l": '[1,"a"]', "big": str(2**70),
    }  # fmt: skip
    assert message_of(Alert("r", "error", "m", {"n": None}, source="internal"))["output_fields"] == {"n": "null"}


def test_the_output_follows_the_format() -> None:
    """Text as it is, the whole alert as JSON with json_output, or what an operator has made of it."""
    alert = Alert("r", "error", "one\ntwo", time=0)
    assert message_of(alert)["output"] == alert.output
    assert message_of(alert, form=JSON)["output"] == alert.to_json()
    assert message_of(alert, form=Format(iso8601=True))["output"] == alert.to_text(iso8601=True)
    assert message_of(Formatted(alert, b"made", "text/plain"))["output"] == "made"


def test_there_and_back() -> None:
    """Everything that has a field of its own comes back, the nanoseconds too; output fields as strings."""
    alert = Alert(
        "r", "debug", "m", {"a": "b", "n": 1}, time=1507591916746609046, source="okta", tags=["x", "y"], hostname="h"
    )
    assert from_message(to_message(alert)) == alert.replace(output_fields={"a": "b", "n": "1"})


def test_json_output_is_read_from_there() -> None:
    """From a sender with json_output the alert keeps its numbers, and its output is text."""
    alert = Alert("r", "debug", "m", {"n": 1, "none": None, "l": [1]}, time=5)
    assert from_message(to_message(alert, JSON)) == alert


def test_another_alert_in_the_output_is_text() -> None:
    """JSON in the output that is about something else, as an attacker might write it, is only an output."""
    inner = Alert("other", "debug", "m").to_json()
    message = Response(rule="r", priority=3, output=inner)
    found = from_message(message.SerializeToString())
    assert (found.rule, found.output, found.priority) == ("r", inner, 3)


@pytest.mark.parametrize(("number", "source"), [(0, "syscall"), (1, "k8s_audit"), (2, "internal"), (3, "plugin")])
def test_old_senders_have_a_number_for_the_source(number: int, source: str) -> None:
    """Falco 0.24 to 0.30 fills field 3 only; 3 is what the official Python client has a KeyError for."""
    assert from_message(Response(rule="r", source_deprecated=number).SerializeToString()).source == source


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xff\xff", "falco.outputs.response"),
        (Response(priority=9).SerializeToString(), "priority"),
        (b"\x0a\x07\x08" + b"\xff" * 5 + b"\x3f", "time"),
    ],
)
def test_what_is_no_alert_is_said(data: bytes, reason: str) -> None:
    """Broken bytes, a priority and a time that do not exist: AlertError that says which."""
    with pytest.raises(AlertError, match=reason):
        from_message(data)


@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    """Whatever arrives is an alert or an AlertError."""
    try:
        from_message(data)
    except AlertError:
        return


@given(
    st.text(max_size=20),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
    st.lists(st.text(max_size=3), max_size=3),
    st.integers(-62_135_596_800 * 10**9, 253_402_300_799 * 10**9),
)
def test_any_strings_come_back(text: str, fields: dict[str, str], tags: list[str], time_ns: int) -> None:
    """Texts of any script, any control characters and any time of the calendar survive."""
    alert = Alert("r", 3, text, fields, time=time_ns, tags=tags)
    assert from_message(to_message(alert)) == alert
