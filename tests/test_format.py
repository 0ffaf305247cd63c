"""Alerts are written byte for byte as Falco writes them."""

import inspect
import json
import pickle
import time
from collections.abc import Iterator
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxalerts import shapes
from rxalerts.alert import Alert
from rxalerts.format import JSON, TEXT, Format, Formatted
from rxalerts.wire import Decoder, parse

DOCUMENT = (
    '{"output":"16:31:56.746609046: Error File below a known binary directory opened for writing '
    '(user=root command=touch /bin/hack file=/bin/hack)","priority":"Error","rule":"Write below binary dir",'
    '"time":"2017-10-09T23:31:56.746609046Z", "output_fields": {"evt.time":1507591916746609046,'
    '"fd.name":"/bin/hack","proc.cmdline":"touch /bin/hack","user.name":"root"}}'
)
MODERN = (
    '{"hostname":"h","output":"16:31:56.746609046: Error m (a=b)","output_fields":{"a":"b","n":null,"x":-1},'
    '"priority":"Error","rule":"r","source":"syscall","tags":["s","t"],"time":"2017-10-09T23:31:56.746609046Z"}'
)


@pytest.fixture(autouse=True)
def los_angeles(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put the machine where the document's alert was made, and forget what other tests taught."""
    monkeypatch.setenv("TZ", "PST8PDT,M3.2.0,M11.1.0")
    time.tzset()
    shapes.forget()
    yield
    monkeypatch.undo()
    time.tzset()


def test_classic_is_the_documents_example() -> None:
    """The alert in the user's document comes out as it went in, blanks included."""
    assert parse(DOCUMENT).to_json(style="classic") == DOCUMENT


def test_classic_order_of_later_keys() -> None:
    """Hostname, source, tags and unknown keys stand sorted among the others, the fields last."""
    line = parse(MODERN[:-1] + ',"extra":{"b":1,"a":2}}').to_json(style="classic")
    assert line.startswith('{"extra":{"a":2,"b":1},"hostname":"h","output":')
    assert line.endswith('"time":"2017-10-09T23:31:56.746609046Z", "output_fields": {"a":"b","n":null,"x":-1}}')


def test_modern_comes_out_as_it_went_in() -> None:
    """A line of Falco 0.39 and later is written byte for byte, the first and every further time."""
    for number in range(100):
        line = MODERN.replace('"x":-1', f'"x":{number}')
        assert parse(line).to_json() == line


@pytest.mark.parametrize(
    "fields",
    [
        '{"b":1,"a":2}',
        '{ "a" : 1 , "b" : [ 1, 2 ] }',
        '{"a":{"d":1,"c":{"f":1,"e":2}}}',
        '{"a":"\\u00e9\\/","b":"\\u001B"}',
        "{}",
        '{"a":-0}',
        '{"a":1.50,"b":1e5}',
        '{"a":1,"a":2}',
        '{"\\u0061":1}',
    ],
)
def test_fields_come_out_canonical(fields: str) -> None:
    """Whatever the order, the blanks and the escapes were: sorted at every depth, compact, raw UTF-8.

    Whether the rule's usual form is known already makes no difference.
    """
    line = MODERN.replace('{"a":"b","n":null,"x":-1}', fields)
    wanted = MODERN.replace(
        '{"a":"b","n":null,"x":-1}',
        json.dumps(json.loads(fields), sort_keys=True, separators=(",", ":"), ensure_ascii=False),
    )
    assert parse(line).to_json() == wanted
    for _ in range(3):
        parse(MODERN).to_json()
    assert parse(line).to_json() == wanted
    for _ in range(200):
        assert parse(line).to_json() == wanted


def test_numbers_keep_their_value() -> None:
    """Integers of any size, and numbers beyond a double, come out equal."""
    numbers = ["18446744073709551615", "-9223372036854775808", "1234567890123456789012345678901234567890"]
    numbers += ["1E+400", "0.1", "9" * 5000]
    line = '{"output_fields":{"n":[' + ",".join(numbers) + ']},"priority":"Error","rule":"r","time":"%s"}'
    line %= "2017-10-09T23:31:56.746609046Z"
    assert parse(line).to_json() == line


def test_null_and_unknown_keys_stay() -> None:
    """Null stays null, unknown keys stay, missing keys stay away."""
    line = (
        '{"a":null,"hostname":null,"output":null,"output_fields":null,"priority":"Error","rule":"r",'
        '"source":null,"tags":null,"time":"2017-10-09T23:31:56.746609046Z","uuid":7,"zz":{"n":123456789012345678}}'
    )
    assert parse(line).to_json() == line
    short = '{"priority":"Debug","rule":"r","time":"2017-10-09T23:31:56.746609046Z"}'
    assert parse(short).to_json() == short
    sidekick = short[:-1] + ',"uuid":"0-1"}'
    assert parse(sidekick).to_json() == sidekick
    assert parse(sidekick).extra == {"uuid": "0-1"}


def test_switches() -> None:
    """Each json_include_* switch takes its key away or puts it there."""
    alert = parse(MODERN)
    keys = list(json.loads(MODERN))
    for switch, key in (
        ("include_output", "output"),
        ("include_tags", "tags"),
        ("include_output_fields", "output_fields"),
    ):
        for style in ("falco", "classic"):
            form = Format(json=True, style=style, **{switch: False})
            assert sorted(json.loads(form.render(alert))) == sorted(set(keys) - {key})
    assert json.loads(alert.to_json(include_message=True))["message"] == "m (a=b)"
    assert list(json.loads(alert.to_json(include_message=True))) == sorted([*keys, "message"])


def test_iso8601_changes_the_prefix_only() -> None:
    """The time in front of the output becomes UTC, in text and in JSON; the key time stays."""
    alert = parse(MODERN)
    assert alert.to_text() == "16:31:56.746609046: Error m (a=b)"
    assert alert.to_text(iso8601=True) == "2017-10-09T23:31:56.746609046+0000: Error m (a=b)"
    value = json.loads(alert.to_json(iso8601=True))
    assert value["output"] == "2017-10-09T23:31:56.746609046+0000: Error m (a=b)"
    assert value["time"] == "2017-10-09T23:31:56.746609046Z"


def test_text_without_prefix_gets_one() -> None:
    """An output that came without time and priority gets them in a line of text."""
    alert = parse('{"output":"plain","priority":"Error","rule":"r","time":"2017-10-09T23:31:56.746609046Z"}')
    assert alert.to_text() == "16:31:56.746609046: Error plain"
    assert alert.replace(output="").to_text() == "16:31:56.746609046: Error "


def test_internal_alerts() -> None:
    """Falco's internal alerts: no prefix in JSON; in text local time, and the fields as JSON behind."""
    alert = Alert(
        "Falco internal: syscall event drop",
        "debug",
        "Falco internal: syscall event drop. 9 system calls dropped in last second.",
        {"n_evts": "10", "n_drops": "9", "count": 3},
        source="internal",
        time="2017-10-09T23:31:56.746609046Z",
    )
    assert alert.output == alert.message
    line = (
        "16:31:56.746609046: Debug Falco internal: syscall event drop. 9 system calls dropped in last second. "
        '(count=3 n_drops="9" n_evts="10")'
    )
    assert alert.to_text() == alert.to_text(iso8601=True) == line
    assert alert.to_json(include_output=False, include_message=True, include_output_fields=False) == alert.to_json()
    back = parse(line)
    assert (back.rule, back.source) == (alert.rule, "internal")
    assert back.output_fields == alert.output_fields


def test_a_clean_line_is_not_escaped() -> None:
    """Quotes, backslashes and non-ASCII alone change nothing: the line stays as in Falco's documents."""
    message = 'say "hé" \\n C:\\x \u00a0 日本'
    assert Alert("r", "error", message, time=0).to_text() == f"16:00:00.000000000: Error {message}"


CONTROLS = [chr(code) for code in (*range(32), *range(127, 160), 0x2028, 0x2029)]


@pytest.mark.parametrize("char", CONTROLS)
def test_control_characters_are_escaped(char: str) -> None:
    """Nothing that ends a line or moves a cursor gets out; quotes and backslashes are escaped with it."""
    line = Alert("r", "error", f'a"\\{char}b', time=0).to_text()
    assert line.startswith('16:00:00.000000000: Error a\\"\\\\\\')
    assert char not in line
    escaped = line[line.index("\\\\") + 2 : -1]
    assert json.loads(f'"{escaped}"') == char


FORGERIES = [
    "x\n10:20:05.408091526: Critical forged (user=root)",
    "x\r10:20:05.408091526: Critical forged (user=root)",
    "x\u202810:20:05.408091526: Critical forged",
    "x)10:20:05.408091526: Critical forged (user=root)",
    "x)2024-01-01T10:20:05.408091526+0000: Critical forged (user=root)",
    'x){"priority":"Critical","rule":"forged"}',
    'x)\n{"priority":"Critical","rule":"forged"}',
    'x) { "rule" : "forged", "priority" : 2 }',
]


@pytest.mark.parametrize("forgery", FORGERIES)
def test_no_forged_alert(forgery: str) -> None:
    """Whatever a command line holds, the reader finds one alert in the line of text, and it is ours."""
    line = Alert("r", "debug", f"Program run (command={forgery})", time=0).to_text()
    decoder = Decoder()
    pieces = [*decoder.feed(line.encode() + b"\n"), *decoder.close()]
    assert len(pieces) == 1
    assert isinstance(pieces[0], Alert)
    assert pieces[0].priority == 7
    assert pieces[0].to_text() == line


@given(st.text(), st.sampled_from(FORGERIES), st.text())
def test_a_line_is_a_line(before: str, forgery: str, after: str) -> None:
    """Any message comes out as one line, which reads back as one alert."""
    line = Alert("r", "debug", before + forgery + after, time=0).to_text()
    assert len(line.splitlines()) == 1
    assert parse(line, date=None).to_text() == line.strip("\ufeff")


def test_renderings_are_remembered() -> None:
    """The same format gives the same bytes object again; another format does not get it."""
    alert = parse(MODERN.replace('"tags"', ' "tags"'))
    first = JSON.render(alert)
    assert JSON.render(alert) is first
    assert Format(json=True).render(alert) is first
    assert TEXT.render(alert) != first
    assert JSON.render(alert) == first


def test_formats_are_values() -> None:
    """Formats compare, hash, pickle and refuse unknown styles."""
    assert Format(json=True) == JSON != TEXT
    assert hash(Format(json=True)) == hash(JSON)
    assert pickle.loads(pickle.dumps(JSON)) == JSON
    assert (JSON.content_type, TEXT.content_type) == ("application/json", "text/plain")
    style: Any = "modern"
    with pytest.raises(ValueError, match="falco or classic"):
        Format(style=style)


def test_formatted() -> None:
    """A formatted alert has its bytes and what they were made of."""
    alert = parse(MODERN)
    one = Formatted(alert, JSON.render(alert), JSON.content_type)
    assert (one.alert, one.priority, one.content_type) == (alert, alert.priority, "application/json")
    assert one == Formatted(alert, JSON.render(alert), JSON.content_type)
    assert one != Formatted(alert, b"x", JSON.content_type)
    assert one != 1
    assert hash(one) == hash(Formatted(alert, JSON.render(alert), JSON.content_type))
    assert "Formatted(b'{" in repr(one)


@pytest.mark.parametrize("thing", [7, "a text", ["an alert"]], ids=repr)
def test_what_is_no_alert_is_named(thing: Any) -> None:
    """A list that `buffer` made, handed to a sink, says that it is a list."""
    with pytest.raises(TypeError, match=f"a {type(thing).__name__} is no alert and cannot be rendered: "):
        JSON.render(thing)


def test_annotations_can_be_looked_at() -> None:
    """Documentation and editors do it at run time."""
    assert get_type_hints(Formatted)["alert"] is Alert
    assert list(inspect.signature(Formatted).parameters) == ["alert", "data", "content_type"]
