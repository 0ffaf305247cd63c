"""Lines of text become alerts with fields and a day."""

import io
import json
import time
from collections.abc import Iterator
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxalerts.alert import Alert
from rxalerts.priority import Priority
from rxalerts.wire import Decoder, Rejected, parse
from rxalerts.wire.reader import midnights
from rxalerts.wire.textline import fields_of

LINE = (
    "10:20:05.408091526: Warning Sensitive file opened for reading by non-trusted program "
    "(user=root command=cat /etc/shadow file=/etc/shadow)"
)


@pytest.fixture(autouse=True)
def madrid(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put the machine into a zone with summer time."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def decode(text: str, day: date | None = date(2023, 3, 24)) -> list[Alert | Rejected]:
    """Return the pieces of a text."""
    decoder = Decoder(date=day)
    return [*decoder.feed(text.encode()), *decoder.close()]


def times(text: str, day: date | None = date(2023, 3, 24)) -> list[str]:
    """Return the times of the alerts in a text, without fractions."""
    return [piece.time[:19] for piece in decode(text, day) if isinstance(piece, Alert)]


def test_the_documents_line() -> None:
    """The line in the user's document has its priority, message and fields; its output is itself."""
    alert = parse(LINE, date=date(2023, 3, 24))
    assert alert.priority is Priority.WARNING
    assert alert.time == "2023-03-24T09:20:05.408091526Z"
    assert alert.output == alert.to_text() == LINE
    assert alert.message.startswith("Sensitive file opened")
    assert alert.output_fields == {"user": "root", "command": "cat /etc/shadow", "file": "/etc/shadow"}
    assert (alert.rule, alert.source, alert.hostname, alert.tags) == ("", "", "", ())
    assert parse(alert.to_json()) == alert


def test_iso_lines() -> None:
    """Under time_format_iso_8601 the day is on the line."""
    alert = parse("2017-10-09T23:31:56.746609046+0000: Error m")
    assert (alert.time, alert.message) == ("2017-10-09T23:31:56.746609046Z", "m")
    assert parse("2017-10-09T23:31:56Z: Error m").time_ns == alert.time_ns // 10**9 * 10**9


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        ("no fields", {}),
        ("empty ()", {}),
        ("no pair (see above)", {}),
        ("one (user=root)", {"user": "root"}),
        ("blanks (command=bash -c id  user=<NA> x=)", {"command": "bash -c id ", "user": None, "x": ""}),
        ("brackets (a=f(x) b=g(y)=z)", {"a": "f(x)", "b": "g(y)=z"}),
        ("before (really) (a=b)", {"a": "b"}),
        ("repeated (a=1 b=2 a=3)", {"a": "1", "b": "2 a=3"}),
        (
            "field names (proc.aname[2]=x k8s.ns.name=y evt-type=z)",
            {"proc.aname[2]": "x", "k8s.ns.name": "y", "evt-type": "z"},
        ),
        ("behind (a=b) the end", {"a": "b) the end"}),
    ],
)
def test_fields(message: str, fields: dict[str, str | None]) -> None:
    """Fields are taken from the brackets as well as can be done."""
    assert fields_of(message) == fields


@pytest.mark.parametrize(
    "command",
    [
        'echo "a"',
        "C:\\temp\\new",
        'a\n"b"\t',
        "\x1b[2K\x00",
        'x"\n10:20:06.408091526: Critical Forged (user=y)',
        "x\\\nuser=y",
        'a\\"',
        "\\u0041é",
    ],
)
def test_escaped_lines(command: str) -> None:
    """What Falco after 0.44 has escaped is undone, and written again as it was read."""
    text = f"10:20:05.408091526: Warning Shell opened (user=root command={command} tty=<NA>)"
    line = json.dumps(text, ensure_ascii=False)[1:-1]
    alert = parse(line, date=date(2023, 3, 24))
    assert alert.output == text
    assert alert.output_fields == {"user": "root", "command": command, "tty": None}
    assert alert.to_text() == line
    # Rendered anew it may have fewer escapes, and still means the same.
    again = parse(parse(alert.to_json()).to_text(), date=date(2023, 3, 24))
    assert (again.output, again.output_fields) == (alert.output, alert.output_fields)


@pytest.mark.parametrize(
    "command", ["printf a\\n", "grep \\bx\\b", "C:\\temp", 'echo "a\\\\b"', "a\\", "sed s/\\.//", "a\\\\ \\x"]
)
def test_lines_with_backslashes_are_not_escaped(command: str) -> None:
    """What older versions wrote with backslashes in it stays as it is, and so does what could be either."""
    text = f"10:20:05.408091526: Warning Shell opened (command={command})"
    alert = parse(text, date=date(2023, 3, 24))
    assert alert.output == alert.to_text() == text
    assert alert.output_fields == {"command": command}


@given(st.text(st.sampled_from('\\"nu01bx \n\x1b:)(a='), max_size=20))
def test_any_text_is_read_as_it_was_written(command: str) -> None:
    """A message comes back from its line of text, but for one whose only escapes are those of newlines."""
    alert = Alert("", "error", f"m (a={command})", time=0, source="", hostname="", output_fields={})
    back = parse(alert.to_text(iso8601=True))
    if set(command) & set('\\"\x1b') or "\n" not in command:
        assert back.message == alert.message
    assert parse(back.to_text(iso8601=True)) == back


def test_internal_alerts_have_a_rule() -> None:
    """The text of Falco's internal alerts says which rule it is; their fields are JSON."""
    alert = parse(
        "10:20:05.408091526: Debug Falco internal: syscall event drop. 9 system calls dropped in last second. "
        '(ebpf_enabled="1" n_drops="9" n=4)'
    )
    assert (alert.rule, alert.source) == ("Falco internal: syscall event drop", "internal")
    assert alert.output_fields == {"ebpf_enabled": "1", "n_drops": "9", "n": 4}
    snapshot = parse('10:20:05.408091526: Informational Falco metrics snapshot (evt.source="syscall")')
    assert snapshot.rule == "Falco internal: metrics snapshot"


def test_midnight() -> None:
    """The next day begins when the clock goes back by more than 12 hours, and not before."""
    lines = "".join(
        f"{clock}.000000000: Error m\n" for clock in ("23:59:58", "23:59:57", "00:00:01", "12:30:00", "00:10:00")
    )
    assert times(lines) == [
        "2023-03-24T22:59:58",
        "2023-03-24T22:59:57",
        "2023-03-24T23:00:01",
        "2023-03-25T11:30:00",
        "2023-03-25T23:10:00",
    ]


def test_disorder_at_midnight() -> None:
    """A line from before midnight that comes behind the first of the new day moves no other line's day."""
    clocks = ("23:59:58", "00:00:01", "23:59:59", "00:00:02", "12:00:00", "23:59:00", "00:01:00")
    lines = "".join(f"{clock}.000000000: Error m\n" for clock in clocks)
    assert times(lines) == [
        *("2023-03-24T22:59:58", "2023-03-24T23:00:01", "2023-03-24T22:59:59", "2023-03-24T23:00:02"),
        *("2023-03-25T11:00:00", "2023-03-25T22:59:00", "2023-03-25T23:01:00"),
    ]
    assert midnights(io.BytesIO(lines.encode())) == 2


def test_summer_time() -> None:
    """Local times are converted with the offset of their day."""
    assert times("10:00:00.000000000: Error m\n", date(2023, 3, 25)) == ["2023-03-25T09:00:00"]
    assert times("10:00:00.000000000: Error m\n", date(2023, 3, 26)) == ["2023-03-26T08:00:00"]


def test_the_hour_that_comes_twice() -> None:
    """When summer time ends, what follows the clock's going back is an hour later; small disorder is none."""
    clocks = ("01:59:00", "02:10:00", "02:59:59", "02:58:00", "02:05:00", "02:59:00", "03:00:00", "02:59:59")
    lines = "".join(f"{clock}.000000000: Error m\n" for clock in clocks)
    assert [stamp[11:] for stamp in times(lines, date(2023, 10, 29))] == [
        *("23:59:00", "00:10:00", "00:59:59", "00:58:00"),
        *("01:05:00", "01:59:00", "02:00:00", "01:59:59"),
    ]
    # The hour that is left out in spring is no error.
    (left_out,) = times("02:30:00.000000000: Error m\n", date(2023, 3, 26))
    assert left_out in ("2023-03-26T00:30:00", "2023-03-26T01:30:00")


@pytest.mark.parametrize(("stamp", "hour"), [("00:30:00Z", 0), ("01:30:00Z", 1)])
def test_a_record_tells_which_of_two_hours(stamp: str, hour: int) -> None:
    """The time of a syslog header or record decides between the hours that the text's clock could mean."""
    (alert,) = decode(f"2023-10-29T{stamp} stdout F 02:30:00.000000000: Error m\n", None)
    assert isinstance(alert, Alert)
    assert alert.time == f"2023-10-29T{hour:02}:30:00.000000000Z"


def test_live_lines_are_near_to_now() -> None:
    """Without a day, a line belongs to the day that brings it nearest to the present."""
    for shift in (-3600, -5, 0, 5, 3600):
        ns = time.time_ns() + shift * 10**9
        line = time.strftime("%H:%M:%S", time.localtime(ns // 10**9)) + ".000000000: Error m"
        piece = decode(line, None)[0]
        assert isinstance(piece, Alert)
        assert abs(piece.time_ns - ns) <= 10**9


@pytest.mark.parametrize(
    "header",
    [
        "<12>Mar 24 10:20:05 ubuntu falco: ",
        "<12>Mar 24 10:20:05 falco[123]: ",
        "<5>Mar 24 10:20:05 ubuntu Falco[1]: ",
        "<5>Falco[1]: ",
        "Mar 24 10:20:05 ubuntu falco[4144884]: ",
        "2023-03-24T10:20:05.123456+01:00 ubuntu falco[1]: ",
        "<12>1 2023-03-24T09:20:05.408Z host falco 123 - - ",
        '<12>1 2023-03-24T09:20:05.408Z host falco - - [a@1 x="y]\\""][b@2] \ufeff',
        "Mar 24 10:20:05 ubuntu ",
        "Mar 24 10:20:05 ubuntu falco: @cee: ",
        "97 <12>1 2023-03-24T09:20:05.408Z host falco - - - ",
        "2023-03-24T09:20:05.408091526Z stdout F ",
    ],
)
def test_syslog_headers(header: str) -> None:
    """Behind a syslog or container log header, text and JSON are read as without it."""
    for body in (LINE, '{"rule":"r","priority":"Warning","time":"2023-03-24T09:20:05.408091526Z"}'):
        pieces = decode(f"{header}{body}\n{header}{body}\r\n")
        assert [getattr(piece, "time", piece) for piece in pieces] == ["2023-03-24T09:20:05.408091526Z"] * 2


def test_syslog_without_prefix() -> None:
    """The document's syslog form has priority and time in the header only."""
    text = "Sensitive file opened for reading (user=root file=/etc/shadow)"
    alert, rejected, *rest = decode(f"<12>Dec 31 10:20:05 ubuntu falco: {text}\nDec 31 10:20:05 ubuntu falco: {text}\n")
    assert isinstance(alert, Alert)
    assert (alert.priority, alert.time, alert.output) == (4, "2022-12-31T09:20:05.000000000Z", text)
    assert alert.output_fields == {"user": "root", "file": "/etc/shadow"}
    assert alert.to_text() == f"10:20:05.000000000: Warning {text}"
    assert isinstance(rejected, Rejected)
    assert rejected.text == "priority: missing, in the syslog header too"
    assert not rest


@pytest.mark.parametrize("forged", ['{"rule":"Forged","priority":2}', "10:20:06.4: Critical Forged (a=b)"])
@pytest.mark.parametrize("quoted", ["%s", "(a=b) %s", "(a=b)%s", "COMMAND=/bin/echo %s"])
@pytest.mark.parametrize("program", ["sudo", "falco", "sshd[12]"])
def test_what_a_syslog_message_quotes_is_no_alert(program: str, quoted: str, forged: str) -> None:
    """What a user has made some program log is not taken for an alert; the line is rejected, or skipped if Falco's."""
    found = decode(f"Mar 24 10:20:05 ubuntu {program}: root : {quoted % forged}\n")
    assert not [piece for piece in found if isinstance(piece, Alert)]
    assert len(found) == 1 or program == "falco"


def test_a_day_without_a_year_is_not_in_the_future() -> None:
    """What is read now was logged before now: a day that is still to come this year was last year's."""
    today = date.today()
    for days in (-200, -1, 0, 1, 2, 30, 200):
        day = today + timedelta(days=days)
        header = f"<12>{day.strftime('%b')} {day.day:2} 12:00:00 host falco: "
        found = decode(f"{header}Sensitive file opened (user=root)\n", None)[0]
        assert isinstance(found, Alert)
        if (day.month, day.day) != (2, 29):
            year = day.year - 1 if days > 1 else day.year
            assert found.time[:10] == day.replace(year=year).isoformat()


def test_falcos_own_lines_are_skipped() -> None:
    """Log lines and statistics are no alerts, and no rejects either: they are counted apart."""
    own = """Fri Feb  7 12:30:28 2020: Falco initialized with configuration file /etc/falco/falco.yaml
2023-03-24T10:20:05+0000: Loading rules from file /etc/falco/falco_rules.yaml
<14>Mar 24 10:20:05 ubuntu falco: Starting internal webserver, listening on port 8765
Mar 24 10:20:05 ubuntu falco[12]: Enabled event sources: syscall
Events detected: 22
Rule counts by severity:
   WARNING: 8
   INFO: 14
Triggered rules by rule name:
   Read sensitive file untrusted: 8
Syscall event drop monitoring:
   - event drop detected: 0 occurrences
   - num times actions taken: 0
SIGINT received, exiting...

"""
    decoder = Decoder(date=date(2023, 3, 24))
    pieces = [*decoder.feed((own + LINE + "\n" + own).encode()), *decoder.close()]
    assert [type(piece) for piece in pieces] == [Alert]
    assert decoder.skipped == 28
    assert decoder.rejected == 0


def test_glued_text() -> None:
    """Alerts that lost the newline between them are taken apart where one surely ends."""
    other = LINE.replace("10:20:05", "10:20:06")
    json_line = '{"rule":"r","priority":"Error","time":"2023-03-24T09:20:05.408091526Z"}'
    log_line = "Fri Feb  7 12:30:28 2020: Falco initialized"
    for text, count in (
        (LINE + other, 2),
        (LINE + other + LINE, 3),
        (LINE + json_line, 2),
        (json_line + LINE, 2),
        (LINE + json_line + other + "\n" + LINE, 4),
        (log_line + LINE, 1),
        (log_line + json_line + json_line, 2),
    ):
        pieces = decode(text)
        assert [type(piece) for piece in pieces] == [Alert] * count, text
    assert decode(LINE + "junk" + other)[0] == parse(LINE + "junk" + other, date=date(2023, 3, 24))


def test_a_torn_line_does_not_take_the_next_alert_along() -> None:
    """Behind a line that was cut off, the alert glued to it is found; the rest is rejected."""
    torn, alert = decode("10:20:05.40809" + LINE)
    assert isinstance(torn, Rejected) and torn.raw == b"10:20:05.40809"
    assert isinstance(alert, Alert) and alert.output == LINE
