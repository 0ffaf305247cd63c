"""Priorities are Falco's names and syslog's numbers."""

import pickle

import pytest

from rxalerts.priority import BY_LABEL, Priority

NAMES = ["Emergency", "Alert", "Critical", "Error", "Warning", "Notice", "Informational", "Debug"]


def test_names_and_numbers() -> None:
    """Names are spelled as Falco spells them, numbers are those of syslog."""
    assert [str(priority) for priority in Priority] == NAMES
    assert [int(priority) for priority in Priority] == list(range(8))
    assert [priority.label for priority in Priority] == NAMES
    assert list(BY_LABEL) == NAMES


@pytest.mark.parametrize("number", range(8))
def test_parse_takes_every_spelling(number: int) -> None:
    """A name in any case, a number and a number as text all stand for the same priority."""
    name = NAMES[number]
    for value in (name, name.lower(), name.upper(), f" {name} ", number, str(number), Priority(number)):
        assert Priority.parse(value) is Priority(number)


def test_info_is_informational() -> None:
    """The short form that Falco accepts since 0.32 is known."""
    assert Priority.parse("INFO") is Priority.INFORMATIONAL


@pytest.mark.parametrize("value", ["", "warn", "8", "-1", "٣", 8, -1, True, 4.5, None, [], {}])
def test_parse_names_the_choices(value: object) -> None:
    """Whatever else comes is a ValueError that lists what is possible."""
    with pytest.raises(ValueError, match=r"must be one of emergency, .*, debug, or a number from 0 to 7"):
        Priority.parse(value)  # type: ignore[arg-type]


def test_order_format_and_pickle() -> None:
    """Priorities compare as numbers, print as names and survive a pickle."""
    assert Priority.ERROR < Priority.WARNING
    assert f"{Priority.ERROR}|{Priority.ERROR:>7}|{Priority.ERROR:d}" == "Error|  Error|3"
    assert pickle.loads(pickle.dumps(Priority.ERROR)) is Priority.ERROR
