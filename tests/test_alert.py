"""The alert is an immutable value that loses nothing."""

import copy
import gc
import json
import pickle
import socket
import weakref
from typing import Any

import pytest

from rxalerts.alert import Alert
from rxalerts.errors import AlertError
from rxalerts.format import JSON
from rxalerts.priority import Priority
from rxalerts.timestamps import format_local
from rxalerts.wire import parse

NS = 1507591916746609046


def make(**changes: Any) -> Alert:
    """Return an alert like the one in Falco's documents."""
    values: dict[str, Any] = {
        "rule": "Write below binary dir",
        "priority": "error",
        "message": "File opened for writing (user=root)",
        "output_fields": {"user.name": "root", "evt.time": NS},
        "time": NS,
        "hostname": "node-1",
        "tags": ["filesystem"],
    }
    return Alert(**{**values, **changes})


def test_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule and nothing else makes an alert of this moment and this machine."""
    monkeypatch.delenv("FALCO_HOSTNAME", raising=False)
    alert = Alert("r")
    assert (alert.rule, alert.priority, alert.message) == ("r", Priority.NOTICE, "r")
    assert (alert.source, alert.tags, alert.extra, alert.output_fields) == ("syscall", (), {}, {})
    assert alert.hostname == socket.gethostname()
    assert alert.output == f"{format_local(alert.time_ns)}: Notice r"
    monkeypatch.setenv("FALCO_HOSTNAME", "other")
    assert Alert("r").hostname == "other"


def test_values() -> None:
    """Each value is what was given, in its own type."""
    alert = make(extra={"cluster": "c1"})
    assert alert.priority is Priority.ERROR
    assert (alert.time_ns, alert.time) == (NS, "2017-10-09T23:31:56.746609046Z")
    assert alert.output == f"{format_local(NS)}: Error File opened for writing (user=root)"
    assert alert.message == "File opened for writing (user=root)"
    assert alert.tags == ("filesystem",)
    assert alert.extra == {"cluster": "c1"}
    assert make(time="2017-10-09T23:31:56.746609046Z") == make()


@pytest.mark.parametrize(
    "name",
    "rule priority time_ns time output output_fields message source tags hostname extra id anything".split(),
)
def test_nothing_can_be_set(name: str) -> None:
    """Setting or deleting an attribute is an AttributeError."""
    alert = make()
    with pytest.raises(AttributeError):
        setattr(alert, name, "x")
    with pytest.raises(AttributeError):
        delattr(alert, name)


def test_the_fields_are_a_copy() -> None:
    """What happens to the caller's dict afterwards does not reach the alert."""
    fields: dict[str, Any] = {"a": [1]}
    alert = make(output_fields=fields)
    fields["a"].append(2)
    assert alert.output_fields == {"a": [1]}


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"rule": 1}, "rule"),
        ({"priority": "high"}, "priority"),
        ({"priority": 9}, "priority"),
        ({"message": b"x"}, "message"),
        ({"output": 1}, "output"),
        ({"output_fields": [1]}, "output_fields"),
        ({"output_fields": {"a": object()}}, "output_fields"),
        ({"time": "yesterday"}, "time"),
        ({"time": 1.5}, "time"),
        ({"time": 10**30}, "time"),
        ({"source": None}, "source"),
        ({"tags": "abc"}, "tags"),
        ({"tags": [1]}, "tags"),
        ({"hostname": 1}, "hostname"),
        ({"extra": {"rule": "x"}}, "extra"),
    ],
)
def test_wrong_values_name_the_key(changes: dict[str, Any], key: str) -> None:
    """A wrong value is an AlertError, which is a ValueError, with the key; also in replace."""
    with pytest.raises(AlertError, match=key) as caught:
        make(**changes)
    assert caught.value.key == key
    with pytest.raises(ValueError, match=key):
        make().replace(**changes)


def test_a_cycle_in_the_fields_is_an_error() -> None:
    """Fields without end are refused, not followed."""
    fields: dict[str, Any] = {}
    fields["self"] = fields
    with pytest.raises(AlertError, match="nested too deeply"):
        make(output_fields=fields)


def test_equality_and_hash() -> None:
    """Alerts are equal when their values are; true is not 1."""
    assert make() == make()
    assert hash(make()) == hash(make())
    assert make() != "an alert"
    others: list[dict[str, Any]] = [
        {"rule": "x"},
        {"priority": 0},
        {"message": "x"},
        {"output_fields": {}},
        {"time": NS + 1},
        {"source": "x"},
        {"tags": ()},
        {"hostname": "x"},
        {"extra": {"x": 1}},
    ]
    for changes in others:
        assert make(**changes) != make()
    assert make(output_fields={"a": 1}) != make(output_fields={"a": True})


def test_id_is_stable() -> None:
    """The id depends on the content, not on the process, the form or the era it was read in."""
    alert = make()
    assert alert.id == "".join(alert.id.split()) and len(alert.id) == 24
    assert make().id == alert.id
    assert parse(alert.to_json(style="classic")).id == alert.id
    assert parse(json.dumps(json.loads(alert.to_json()), indent=2)).id == alert.id
    assert make(message="x").id != alert.id
    fixed = Alert("r", "error", "m", output="m", time=0, hostname="h")
    assert fixed.id == "e6c9ace683db8cdbe3f61d67"


def test_pickle_and_copy() -> None:
    """Alerts, built or read, asked for their fields or not, survive pickle and copy."""
    read = parse('{"rule":"r","priority":"Error","time":"2017-10-09T23:31:56Z","output_fields":{"b":1,"a":2},"x":1}')
    plain = parse('{"rule":"r","priority":"Error","time":"2017-10-09T23:31:56Z","output_fields":{"b":1}}')
    for alert in (make(), read, plain):
        for other in (pickle.loads(pickle.dumps(alert)), copy.copy(alert), copy.deepcopy(alert)):
            assert other == alert
            assert other.to_json() == alert.to_json()


def test_repr_is_short() -> None:
    """The repr shows rule, priority, message and time, on one line of bearable length."""
    text = repr(make(message="x" * 1000))
    assert text.startswith("Alert('Write below binary dir', 'Error', 'xxxx")
    assert "…" in text and len(text) < 160


class TestReplace:
    """`replace` makes a new alert whose output still says what its values say."""

    def test_priority_and_time(self) -> None:
        """The prefix of the output follows."""
        alert = make().replace(priority="debug")
        assert alert.output == f"{format_local(NS)}: Debug File opened for writing (user=root)"
        alert = make().replace(time=NS + 10**9)
        assert alert.output == f"{format_local(NS + 10**9)}: Error File opened for writing (user=root)"
        assert make().output.startswith(f"{format_local(NS)}: Error")

    def test_iso_prefix_stays_iso(self) -> None:
        """An ISO 8601 prefix stays one."""
        alert = parse('{"rule":"r","priority":"Error","output":"2017-10-09T23:31:56.746609046+0000: Error m"}')
        assert alert.replace(time=0).output == "1970-01-01T00:00:00.000000000+0000: Error m"
        assert alert.replace(priority=0).output == "2017-10-09T23:31:56.746609046+0000: Emergency m"

    def test_message(self) -> None:
        """The output is derived anew from a new message."""
        alert = make().replace(message="m")
        assert (alert.message, alert.output) == ("m", f"{format_local(NS)}: Error m")
        internal = Alert("Falco internal: x", message="a", source="internal").replace(message="b")
        assert (internal.message, internal.output) == ("b", "b")
        both = make(output="custom")
        assert (both.message, both.output) == ("File opened for writing (user=root)", "custom")
        assert both.replace(message="n").message == "n"

    def test_output(self) -> None:
        """The message follows a new output, unless one is given too."""
        alert = make().replace(output="10:00:00.000000000: Error n")
        assert alert.message == "n"
        assert make().replace(output="o", message="n").message == "n"

    def test_the_rest(self) -> None:
        """Every other value is just replaced, and the rendering is made anew."""
        alert = make()
        old = alert.to_json()
        new = alert.replace(
            rule="x", source="k8s_audit", hostname="y", tags=["t"], output_fields={"z": 1}, extra={"e": 1}
        )
        assert (new.rule, new.source, new.hostname, new.tags) == ("x", "k8s_audit", "y", ("t",))
        assert (new.output_fields, new.extra, new.output) == ({"z": 1}, {"e": 1}, alert.output)
        assert json.loads(new.to_json())["e"] == 1
        assert alert.to_json() == old
        assert alert.replace() == alert

    def test_unread_fields_stay(self) -> None:
        """Fields that nobody has asked for yet come along."""
        alert = parse('{"rule":"r","priority":"Error","time":"2017-10-09T23:31:56Z","output_fields":{"b":1}}')
        assert alert.replace(rule="s").output_fields == {"b": 1}

    def test_unknown_names(self) -> None:
        """A name that an alert does not have is a TypeError that lists those it has."""
        with pytest.raises(TypeError, match=r"no colour; it has extra, hostname"):
            make().replace(colour=1)


def test_no_reference_cycles() -> None:
    """Alerts go as soon as nobody needs them, without the garbage collector."""

    class Canary(dict[str, Any]):
        """A dict that can be watched."""

    alert = make()
    JSON.render(alert)
    alert.to_text()
    canary = Canary()
    alert.output_fields["canary"] = canary
    watch = weakref.ref(canary)
    gc.disable()
    try:
        del alert, canary
        assert watch() is None
    finally:
        gc.enable()


def test_surrogates_become_replacement_characters() -> None:
    """Text that no encoding has a form for does not stop an alert."""
    alert = make(rule="a\ud800b", output_fields={"k\udfff": ["\ud800"]})
    assert alert.rule == "a\ufffdb"
    assert alert.output_fields == {"k\ufffd": ["\ufffd"]}
    assert parse(alert.to_json()) == alert
