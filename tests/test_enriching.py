"""Enriching, renaming, dropping, redacting, retagging, setting priorities."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import reactivex
from reactivex import Observable

from rxalerts.alert import Alert
from rxalerts.errors import OptionError
from rxalerts.operators.condition import ConditionError
from rxalerts.operators.editing import drop_fields, rename, retag, set_priority
from rxalerts.operators.enriching import enrich
from rxalerts.operators.redacting import redact
from rxalerts.priority import Priority

Operator = Callable[[Observable[Alert]], Observable[Alert]]


def make(fields: dict[str, Any] | None = None, message: str = "m", **values: Any) -> Alert:
    """Make an alert at a fixed time and place."""
    return Alert("r", "error", message, fields, time=0, hostname="h", **values)


def through(operator: Operator, *alerts: Alert) -> list[Alert]:
    """Send alerts through an operator and collect what comes out."""
    got, errors = list[Alert](), list[Exception]()
    reactivex.of(*alerts).pipe(operator).subscribe(got.append, errors.append)
    if errors:
        raise errors[0]
    return got


def one(operator: Operator, alert: Alert) -> Alert:
    """Send one alert through an operator."""
    (got,) = through(operator, alert)
    return got


@pytest.mark.parametrize(
    "operator",
    [
        rename({"x": "y"}),
        drop_fields("x", "k8s.*"),
        retag(add=["a"], remove=["z"]),
        set_priority("rule = other", "debug"),
        set_priority("rule = r", "error"),
        enrich(lambda alert: None),
        enrich({"a.b": 2}, replace=False),
        enrich(table={"k": {"f": 1}}, by="x"),
        redact(["x"]),
        redact(pattern="secret"),
    ],
)
def test_unchanged_alerts_pass_themselves(operator: Operator) -> None:
    """An alert that an operator has nothing to do with is passed on as the same object."""
    alert = make({"a.b": 1, "n": None}, tags=["a"])
    assert one(operator, alert) is alert


def test_rename() -> None:
    """Fields are renamed, can be swapped, and replace fields that have the new name."""
    alert = make({"a": 1, "b": 2, "c": 3})
    assert one(rename({"a": "x"}), alert).output_fields == {"x": 1, "b": 2, "c": 3}
    assert one(rename({"a": "b", "b": "a"}), alert).output_fields == {"b": 1, "a": 2, "c": 3}
    assert one(rename({"a": "b"}), alert).output_fields == {"b": 1, "c": 3}
    assert alert.output_fields == {"a": 1, "b": 2, "c": 3}
    with pytest.raises(ValueError, match="several fields would be named x"):
        rename({"a": "x", "b": "x"})


def test_drop_fields() -> None:
    """Fields are dropped by name and by glob; the text stays."""
    alert = make({"k8s.a": 1, "k8s.b": 2, "proc.aname[2]": 3, "proc.aname[12]": 4, "c": 5}, "m 1")
    assert list(one(drop_fields("k8s.*", "proc.aname[?]"), alert).output_fields) == ["c", "proc.aname[12]"]
    assert one(drop_fields("c", "k8s.a"), alert).message == "m 1"


def test_retag() -> None:
    """Tags are set, removed, added, sorted, and stand once."""
    alert = make(tags=["b", "a"])
    assert one(retag(add=["c", "a"]), alert).tags == ("a", "b", "c")
    assert one(retag(remove=["b", "x"]), alert).tags == ("a",)
    assert one(retag(to=["x", "b"], remove=["b"], add=["y"]), alert).tags == ("x", "y")
    with pytest.raises(TypeError, match="must be a sequence"):
        retag(add="prod")


def test_set_priority() -> None:
    """The priority changes in the text too, by a condition or a callable."""
    alert = make(output="00:00:00.000000000: Error m")
    changed = one(set_priority("rule = r", "Info"), alert)
    assert changed.priority is Priority.INFORMATIONAL
    assert changed.output == "00:00:00.000000000: Informational m"
    assert one(set_priority(lambda a: a.rule == "r", 7), alert).priority is Priority.DEBUG
    with pytest.raises(ConditionError):
        set_priority("rule ~ r", 7)
    with pytest.raises(ValueError, match="must be one of"):
        set_priority("rule = r", "high")


def test_enrich() -> None:
    """Table, constants and computed values are added in this order, the later ones win."""
    alert = make({"ns": "web", "a": 0})
    table = {"web": {"a": 1, "b": 1, "c": 1}}
    both = enrich(lambda a: {"c": a.rule}, table=table, by="ns", b=2, c=2)
    assert one(both, alert).output_fields == {"ns": "web", "a": 1, "b": 2, "c": "r"}
    kept = enrich({"x.y": 5}, table=table, by="ns", replace=False, ns="no")
    assert one(kept, alert).output_fields == {"ns": "web", "a": 0, "b": 1, "c": 1, "x.y": 5}
    assert one(enrich(z=1, table=table, by="nothing"), alert).output_fields == {"ns": "web", "a": 0, "z": 1}
    assert one(enrich(lambda a: a.replace(rule="s")), alert).rule == "s"
    assert one(enrich(a=None, replace=False), make({"a": None})).output_fields == {"a": None}


@pytest.mark.parametrize("by", ["rule", "source", "hostname", "priority", "flag", "number"])
def test_enrich_keys(by: str) -> None:
    """A table is looked up by built-ins and by fields of every type, as text."""
    keys = {"rule": "r", "source": "syscall", "hostname": "h", "priority": "Error", "flag": "true", "number": "5"}
    operator = enrich(table={keys[by]: {"found": 1}}, by=by)
    assert one(operator, make({"flag": True, "number": 5})).output_fields["found"] == 1


@pytest.mark.parametrize(
    ("name", "content", "fields"),
    [
        ("t.csv", 'ns,team,mail\nweb,blue,\ndb,"a,b",x@y\n', {"team": "blue"}),
        ("t.csv", '\ufeffteam,ns\r\n"bl\nue",web\r\n', {"team": "bl\nue"}),
        ("t.json", '{"web": {"team": "blue", "n": 1}}', {"team": "blue", "n": 1}),
        ("t.JSON", '[{"ns": "web", "team": ["blue"]}, {"ns": 5}]', {"team": ["blue"]}),
    ],
)
def test_enrich_files(tmp_path: Path, name: str, content: str, fields: dict[str, Any]) -> None:
    """Tables are read from CSV and JSON files."""
    path = tmp_path / name
    path.write_bytes(content.encode())
    got = one(enrich(table=str(path), by="ns"), make({"ns": "web"}))
    assert got.output_fields == {"ns": "web", **fields}


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("t.csv", "a,b\n1,2\n", "no column ns; there are a, b"),
        ("t.csv", "", "no column ns; there are none"),
        ("t.csv", "ns,b\nx,1\ny,2\nx,3\n", "line 4: ns 'x' stands there twice"),
        ("t.csv", "ns\nx,1\n", "line 2: more values than columns"),
        ("t.csv", 'ns\n"x\n', "unexpected end of data"),
        ("t.csv", b"\xff\xfe", "can't decode"),
        ("t.json", "{", "Expecting"),
        ("t.json", "5", "neither an object of rows nor a list"),
        ("t.json", '{"x": 1}', "key 'x': not an object"),
        ("t.json", '[{"a": 1}]', "row 1: no ns; there are a"),
        ("none.csv", None, "No such file"),
    ],
)
def test_enrich_bad_files(tmp_path: Path, name: str, content: str | bytes | None, reason: str) -> None:
    """An error names the file, the place and the reason, when the operator is made."""
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(OptionError) as caught:
        enrich(table=path, by="ns")
    assert reason in str(caught.value) and str(path) in str(caught.value)


def test_enrich_needs_something() -> None:
    """An enrichment without anything to add, or with half a table, is refused."""
    with pytest.raises(OptionError, match="nothing to add"):
        enrich()
    with pytest.raises(OptionError, match="given together"):
        enrich(by="ns", a=1)


def test_redact_fields() -> None:
    """Values of fields are hidden in the fields, the output and the message; the prefix stays."""
    alert = make({"a.pw": "hunter2", "a.pid": 5, "b": "hunter2"}, "x hunter2,5 15 hunter22 pid=5")
    got = one(redact(["*.p*"], with_="#"), alert)
    assert got.output_fields == {"a.pw": "#", "a.pid": "#", "b": "hunter2"}
    assert got.message == "x #,# 15 #2 pid=#"
    assert got.output == alert.output.replace(alert.message, got.message)
    assert got.time_ns == alert.time_ns and got.priority == alert.priority


@pytest.mark.parametrize(
    ("value", "message", "hidden"),
    [
        ('a"b\\c', r"x a\"b\\c y", "x # y"),
        ('a"b\\c', 'x a"b\\c y', "x # y"),
        (["one1", "two2"], "(one1,two2)", "(#,#)"),
        ({"k": ["deep"]}, "deep k", "# k"),
        ("ab", "abc ab", "abc #"),
        ("a.b*", "a.b* axbb", "# axbb"),
        (True, "is true untrue", "is true untrue"),
        ([[12345, None], {"k": 1.5}], "12345 1.5 123456", "# # 123456"),
        ("", "nothing", "nothing"),
        (-5, "-5 5 -55", "# 5 -55"),
    ],
)
def test_redact_values(value: Any, message: str, hidden: str) -> None:
    """Values are found in the text as they are and escaped, short ones as words only."""
    got = one(redact("f", with_="#"), make({"f": value}, message))
    assert (got.output_fields, got.message) == ({"f": "#"}, hidden)


@pytest.mark.parametrize("pattern", ["(token|pw)=[^ ]+", re.compile(r"(token|pw)=\S+")])
def test_redact_pattern(pattern: str | re.Pattern[str]) -> None:
    """A pattern is sought in all texts, however deep, or in the given fields and then in the text."""
    fields = {"a": "curl token=1 pw=22", "b": ["x", {"c": "pw=3"}], "n": 5, "z": None}
    alert = make(fields, "curl token=1 pw=22 pw=3", extra={"more": "pw=9"})
    got = one(redact(pattern=pattern, with_=r"\1"), alert)
    assert got.output_fields == {"a": r"curl \1 \1", "b": ["x", {"c": r"\1"}], "n": 5, "z": None}
    assert got.message == r"curl \1 \1 \1" and got.extra == {"more": r"\1"}
    got = one(redact(["a"], pattern=pattern), alert)
    assert got.output_fields == {**fields, "a": "curl [redacted] [redacted]"}
    assert got.message == "curl [redacted] [redacted] pw=3"


def test_redact_keeps_an_own_message() -> None:
    """Output and message are hidden each on its own when the one does not hold the other."""
    alert = make({"s": "secret"}, "other secret", output="whole secret line")
    got = one(redact(["s"], with_="#"), alert)
    assert (got.output, got.message) == ("whole # line", "other #")
    alert = make({"s": "secret"}, "other", output="whole secret line")
    got = one(redact(["s"], with_="#"), alert)
    assert (got.output, got.message) == ("whole # line", "other")


def test_redact_leaves_nothing() -> None:
    """After redaction no rendering of the alert holds the secret."""
    alert = make({"pw": "s3cr\u00e9t\n"}, "login s3cr\u00e9t\n ok")
    got = one(redact(["pw"]), alert)
    for rendering in (got.to_json(include_message=True), got.to_text()):
        assert "s3cr" not in rendering


def test_redact_deep_values() -> None:
    """Values nested beyond all measure are hidden as a whole, and nothing fails."""
    deep: Any = "secret"
    for _ in range(300):
        deep = [deep]
    got = one(redact(pattern="secret"), make({"a": deep}))
    assert "secret" not in got.to_json() and "nested too deeply" in got.to_json()
    got = one(redact(["a"]), make({"a": deep}, "a secret"))
    assert (got.output_fields, got.message) == ({"a": "[redacted]"}, "a [redacted]")


def test_redact_needs_something() -> None:
    """A redaction of nothing and a wrong pattern are refused."""
    with pytest.raises(ValueError, match="give fields, a pattern, or both"):
        redact()
    with pytest.raises(ValueError, match="never closed"):
        redact(pattern="(a")


def test_completion_and_errors_pass() -> None:
    """Completion and errors of the source pass through."""
    events = list[str]()
    failing: Observable[Alert] = reactivex.throw(ValueError("x"))
    failing.pipe(retag(add=["a"])).subscribe(on_error=lambda error: events.append(repr(error)))
    empty: Observable[Alert] = reactivex.empty()
    empty.pipe(retag(add=["a"])).subscribe(on_completed=lambda: events.append("done"))
    assert events == ["ValueError('x')", "done"]
