"""An alert that a collector has put a mark or a record around comes out as if it had stood alone."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any, cast

import pytest

from rxalerts.alert import Alert
from rxalerts.wire import Decoder, Rejected

NS = 1704104405408091526
STAMP = "2024-01-01T10:20:05.408091526Z"
TEXT = '10:20:05.408091526: Warning Shell "opened" (user=root command=cat {"a":1} \\x tty=<NA>)'
JSON = Alert(
    "Shell opened",
    "Warning",
    'Shell "opened" (user=röot)',
    {"evt.time": NS, "user.uid": 4294967295, "big": 2**64 + 1, "n": None, "x": [1.5, {"y": "}"}]},
    time=NS,
    tags=["a"],
    hostname="h",
).to_json()


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put the machine into UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def decode(data: str | bytes, max_record: int = 1 << 20, step: int = 0) -> list[Alert | Rejected]:
    """Return the pieces of a log that is being written now."""
    data = data.encode() if isinstance(data, str) else data
    decoder = Decoder(max_record=max_record)
    found: list[Alert | Rejected] = []
    for start in range(0, len(data), step or len(data)):
        found += decoder.feed(data[start : start + (step or len(data))])
        assert len(decoder.ends) <= len(found)
    found += decoder.close()
    assert decoder.rejected == sum(isinstance(piece, Rejected) for piece in found)
    return found


def alone(line: str) -> Alert:
    """Return the alert in a line that has nothing around it."""
    decoder = Decoder(date=date(2024, 1, 1))
    (alert,) = decoder.feed(line.encode() + b"\n")
    assert isinstance(alert, Alert)
    return alert


def record(**keys: Any) -> Callable[[str], str]:
    """Return what makes a record of a line; "LINE" stands for the line, "OBJECT" for its object."""

    def filled(value: object, line: str) -> object:
        if value == "LINE":
            return line
        if value == "OBJECT":
            return json.loads(line) if line.startswith("{") else line
        if isinstance(value, dict):
            return {key: filled(item, line) for key, item in cast("dict[str, object]", value).items()}
        return [filled(item, line) for item in cast("list[object]", value)] if isinstance(value, list) else value

    return lambda line: json.dumps(filled(keys, line))


def mark(text: str, behind: str = "") -> Callable[[str], str]:
    """Return what puts something in front of a line, and behind it."""
    return lambda line: text + line + behind


WRAPPERS: dict[str, Callable[[str], str]] = {
    "cri": mark(f"{STAMP} stdout F "),
    "cri with offset": mark("2024-01-01T11:20:05.408091526+01:00 stderr F "),
    "docker json-file": lambda line: json.dumps({"log": line + "\n", "stream": "stdout", "time": STAMP}),
    "docker with labels": record(log="LINE", stream="stdout", attrs={"a": "b"}, time=STAMP),
    "docker in cri": lambda line: f"{STAMP} stdout F " + json.dumps({"log": line + "\n", "stream": "s", "time": STAMP}),
    "syslog in docker": lambda line: json.dumps(
        {"log": f"<12>Jan  1 10:20:05 h falco[1]: {line}\n", "stream": "stdout", "time": STAMP}
    ),
    "journald": record(MESSAGE="LINE", PRIORITY="4", _COMM="falco", __REALTIME_TIMESTAMP="1704104405408091"),
    "journald bytes": lambda line: json.dumps(
        {"__CURSOR": "s", "__REALTIME_TIMESTAMP": "1704104405408091", "MESSAGE": list(line.encode())}
    ),
    "journalctl short": mark("Jan  1 10:20:05 node-1.example falco[12]: "),
    "journalctl short-precise": mark("Jan 01 10:20:05.408091 node falco[12]: "),
    "journalctl short-iso": mark("2024-01-01T10:20:05+0000 node falco[12]: "),
    "journalctl short-full": mark("Mon 2024-01-01 10:20:05 UTC node falco[12]: "),
    "journalctl short-unix": mark("1704104405.408091 node falco[12]: "),
    "journalctl of a container": mark("2024-01-01T10:20:05+0000 node 3f2a1b0c9d8e[12]: "),
    "kubectl --prefix": mark("[pod/falco-7x8hw/falco] "),
    "kubectl --prefix --timestamps": mark(f"[pod/falco-7x8hw/falco] {STAMP} "),
    "docker logs -t": mark(f"{STAMP} "),
    "docker compose": mark("falco-1  | "),
    "docker compose, colours": mark("\x1b[36mfalco-1  | \x1b[0m", "\x1b[0m"),
    "docker compose -t": mark(f"falco-1  | {STAMP} "),
    "colours": mark("\x1b[33m", "\x1b[0m"),
    "fluent bit": record(date=1704104405.408092, log="LINE", kubernetes={"pod_name": "falco-1"}),
    "fluent bit, cri": record(time=STAMP, stream="stdout", logtag="F", log="LINE"),
    "fluent bit, message": record(date=STAMP, message="LINE", priority="5", syslog_identifier="falco"),
    "fluentd": mark("2024-01-01T10:20:05+00:00\tkube.falco.log\t"),
    "fluentd record": lambda line: "2024-01-01T10:20:05+00:00\tfalco\t" + json.dumps({"message": line}),
    "fluent pair": lambda line: "[1704104405.408, " + json.dumps({"log": line}) + "]",
    "fluent pairs": lambda line: '[["falco", 1704104405, ' + json.dumps({"log": line}) + "]]",
    "logstash": record(**{"@timestamp": STAMP, "@version": "1", "message": "LINE", "event": {"original": "LINE"}}),
    "elasticsearch": record(_index="falco", _id="1", _score=1, _source="OBJECT"),
    "elasticsearch of filebeat": record(_index="f", _source={"@timestamp": STAMP, "message": "LINE"}),
    "elasticsearch answer": record(took=1, timed_out=False, hits={"total": 1, "hits": [{"_source": "OBJECT"}]}),
    "loki push": record(streams=[{"stream": {"app": "falco"}, "values": [[str(NS), "LINE"]]}]),
    "loki answer": record(status="success", data={"result": [{"stream": {}, "values": [[str(NS), "LINE"]]}]}),
    "logcli": mark(STAMP + ' {app="falco", job="a\\"b"} '),
    "logcli jsonl": record(labels={}, line="LINE", timestamp=STAMP),
    "falcosidekick ui": record(event="OBJECT", outputs=["webui"]),
    "cloudwatch": record(timestamp=1704104405408, message="LINE", ingestionTime=1704104405500, eventId="1"),
    "cloudwatch answer": record(events=[{"timestamp": 1704104405408, "message": "LINE"}], nextForwardToken="f/1"),
    "cloudwatch subscription": record(messageType="DATA_MESSAGE", logEvents=[{"id": "1", "message": "LINE"}]),
    "splunk hec": record(time=1704104405.408, host="h", event="OBJECT"),
    "splunk hec, text": record(time="1704104405.408", event="LINE"),
    "splunk export": record(preview=False, result={"_raw": "LINE", "_time": STAMP}),
    "google cloud": record(insertId="1", jsonPayload="OBJECT", timestamp=STAMP),
    "google cloud text": record(insertId="1", textPayload="LINE", timestamp=STAMP),
    "gelf": record(version="1.1", host="h", short_message="LINE", level=4, timestamp=1704104405.4),
    "sns": record(Type="Notification", Message="LINE", Timestamp=STAMP),
    "cloudevent": record(specversion="1.0", type="falco", time=STAMP, data="OBJECT"),
    "opentelemetry": record(
        resourceLogs=[{"scopeLogs": [{"logRecords": [{"timeUnixNano": str(NS), "body": {"stringValue": "LINE"}}]}]}]
    ),
}


@pytest.mark.parametrize("line", [JSON, TEXT], ids=["json", "text"])
@pytest.mark.parametrize("name", WRAPPERS)
def test_an_alert_in_a_wrapper(name: str, line: str) -> None:
    """Every value is the one that the alert had alone; the time in the wrapper gives a text alert its day."""
    wrapped = WRAPPERS[name](line)
    for data in (f"{wrapped}\n{wrapped}\n", f"{wrapped}\r\n{wrapped}"):
        for step in (0, 1):
            found = decode(data, step=step)
            assert all(isinstance(piece, Alert) for piece in found), found
            wanted = alone(line)
            if line is TEXT and not _has_day(wrapped):
                alerts = [piece for piece in found if isinstance(piece, Alert)]
                found = [alert.replace(time=wanted.time_ns, output=wanted.output) for alert in alerts]
            assert found == [wanted, wanted]


def _has_day(wrapped: str) -> bool:
    return any(part in wrapped for part in ("2024-01-01T", "1704104405", "2024-01-01 "))


LONG = 40_000
BIG = Alert("Big", "Error", "m", {"a": "x" * LONG, "b": 'q"\\'}, time=NS, output=f"m{'ö' * LONG}").to_json()
BIG_TEXT = TEXT.replace("cat", "cat " + "y" * LONG)


def cri(line: str, stream: str = "stdout", size: int = 16384) -> list[str]:
    """Return the lines that a container runtime makes of one."""
    parts = [line[start : start + size] for start in range(0, len(line), size)]
    return [f"{STAMP} {stream} {'F' if part is parts[-1] else 'P'} {part}\n" for part in parts]


def docker(line: str, stream: str = "stdout", size: int = 16384) -> list[str]:
    """Return the records that Docker makes of one line."""
    line += "\n"
    parts = [line[start : start + size] for start in range(0, len(line), size)]
    return [json.dumps({"log": part, "stream": stream, "time": STAMP}) + "\n" for part in parts]


@pytest.mark.parametrize("split", [cri, docker])
@pytest.mark.parametrize("line", [BIG, BIG_TEXT], ids=["json", "text"])
def test_split_lines_are_joined(split: Callable[..., list[str]], line: str) -> None:
    """What the runtime split comes out whole, though the streams' parts are mixed and others stand between."""
    out, err = split(line), split(line, "stderr")
    mixed = [part for pair in zip(out, err, strict=True) for part in pair]
    short = split(TEXT, "stderr")
    wanted, other = alone(line), alone(TEXT)
    assert decode("".join(out + err)) == [wanted, wanted]
    assert decode("".join(mixed)) == [wanted, wanted]
    assert decode("".join([*out[:-1], *short, out[-1]])) == [other, wanted]
    assert decode("".join(mixed), step=4099) == [wanted, wanted]


@pytest.mark.parametrize("split", [cri, docker])
def test_nothing_behind_a_split_is_an_alert(split: Callable[..., list[str]]) -> None:
    """A command line with a forged alert in it, right where the runtime cuts, stays a command line."""
    head = "10:20:05.408091526: Warning Shell (command="
    forged = "10:20:06.000000000: Critical Forged (user=root)"
    line = head + "z" * (16384 - len(head)) + forged
    assert decode("".join(split(line))) == [alone(line)]


@pytest.mark.parametrize("split", [cri, docker])
def test_a_split_line_is_bounded(split: Callable[..., list[str]]) -> None:
    """A line that is too long in all is one reject, at its first part; what follows is read."""
    found = decode("".join([*split(BIG_TEXT), *split(JSON)]), max_record=30_000)
    assert [type(piece) for piece in found] == [Rejected, Alert]
    assert isinstance(found[0], Rejected)
    assert (found[0].line, found[0].offset, found[0].reason) == (1, 0, "longer than max_record (30000 bytes)")


@pytest.mark.parametrize("split", [cri, docker])
def test_reading_goes_on_in_front_of_a_split_line(split: Callable[..., list[str]]) -> None:
    """While the rest of a line is missing, no piece ends behind its beginning; then the last part's end counts."""
    between = split(TEXT, "stderr")[0]
    before = f"{STAMP} stderr F {TEXT}\n"
    first, *rest = split(BIG_TEXT)
    decoder = Decoder(date=date(2024, 1, 1))
    assert len(decoder.feed((before + first + between).encode())) == 2
    assert decoder.ends == [len(before)] * 2
    assert decoder.feed("".join(rest).encode()) == [alone(BIG_TEXT)]
    whole = len("".join((before, first, between, *rest)))
    assert whole - 1 <= decoder.ends[0] <= whole


def test_a_split_line_without_end() -> None:
    """A line whose end never came is read as far as it goes: JSON is rejected, with the bytes of all its parts."""
    (torn,) = decode("".join(cri(BIG)[:2]))
    assert isinstance(torn, Rejected)
    assert torn.reason == "a split line, but no alert inside: torn or broken JSON"
    assert torn.raw.startswith(f"{STAMP} stdout P {{".encode())
    assert decode("".join(docker(TEXT)).replace("\\n", "")) == [alone(TEXT)]


def test_docker_records_without_newlines() -> None:
    """Records whose newlines somebody has cut off are alerts of their own, not parts."""
    for line in (JSON, TEXT):
        data = "".join(docker(line) * 3).replace("\\n", "")
        assert decode(data) == [alone(line)] * 3
        for other in ("hello", "Fri Feb  7 12:30:28 2020: Falco initialized"):
            mixed = "".join([*docker(other), *docker(JSON), *docker(other), *docker(line)]).replace("\\n", "")
            assert [piece for piece in decode(mixed) if isinstance(piece, Alert)] == [alone(JSON), alone(line)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"log":"hello\\n","stream":"s"}', "a record of Docker, Fluent Bit or Fluentd, but no alert inside: not"),
        ('{"MESSAGE":null,"_PID":"1"}', "priority: missing"),
        ('{"_source":{"a":1}}', "a document of Elasticsearch or OpenSearch, but no alert inside: missing"),
        ('{"message":"hello","@timestamp":"x"}', "a record of Fluentd, Logstash, Filebeat, Vector or CloudWatch, but"),
        ('"2024-01-01","{""output"":""x""}"', "not an alert: it looks like a row of CSV"),
        ("[0] falco: [1704104405.1, {}]", "not an alert: it looks like Fluent Bit's standard output"),
        ("_SYSTEMD_UNIT=falco.service", "not an alert: it looks like journalctl's export"),
        ("<html><body>", "not an alert: it looks like markup"),
        ("level=info msg=x", "not an alert: it looks like logfmt"),
        ("Jan  1 10:20:05 h sshd[1]: Error: Failed (user=root)", "a syslog message of another program, and no alert"),
        ("<86>Jan  1 10:20:05 falco-1 sudo: session (user=root)", "a syslog message of another program, and no alert"),
    ],
)
def test_what_is_rejected_has_a_name(line: str, reason: str) -> None:
    """What holds no alert, or has a form that is not read, is rejected once; the reason says what it looks like."""
    (piece,) = decode(line + "\n")
    assert isinstance(piece, Rejected)
    assert piece.text.removeprefix("priority: ").startswith(reason.removeprefix("priority: "))
    assert piece.raw == line.encode()


FORGED = '{"rule":"Forged","priority":"Critical","time":"2024-01-01T00:00:00Z"}'


@pytest.mark.parametrize(
    "value",
    [
        json.dumps({"log": FORGED + "\n", "stream": "stdout"}),
        f"x\n{STAMP} stdout F {FORGED}",
        f"x)\n{json.dumps({'MESSAGE': FORGED})}",
        f"x\n[pod/a/b] {FORGED}",
        f"x\nfalco-1  | {TEXT}",
        f"x\n{TEXT}",
    ],
)
def test_no_wrapper_in_a_field_makes_an_alert(value: str) -> None:
    """What an attacker writes into a field stays there: in JSON, and in a text alert that is one record."""
    alert = Alert("r", "error", f"Shell (command={value})", {"log": value, "message": value}, time=NS, hostname="h")
    plain = alert.to_json()
    line = f"10:20:05.408091526: Error Shell (command={value})"
    for name, wrap in WRAPPERS.items():
        assert decode(wrap(plain) + "\n") == [alert], name
        if wrap(line).startswith("{") and name not in ("elasticsearch", "falcosidekick ui"):
            (found,) = decode(wrap(line) + "\n")
            assert isinstance(found, Alert) and found.message == f"Shell (command={value})", name


@pytest.mark.parametrize("forged", [FORGED, TEXT])
@pytest.mark.parametrize("name", [name for name in WRAPPERS if name not in ("colours", "syslog in docker")])
def test_what_other_programs_lines_quote_is_no_alert(name: str, forged: str) -> None:
    """A line of another container that has an alert in its middle is one reject; Falco's own log is skipped."""
    found = decode(WRAPPERS[name](f"GET /?q={forged}") + "\n")
    assert all(isinstance(piece, Rejected) for piece in found)
    assert len(found) == (0 if "falco[" in WRAPPERS[name]("") and forged == FORGED else 1)


def test_records_in_records_end() -> None:
    """Records in records in records are opened up to a limit; then they are rejected."""
    line = JSON
    for _ in range(4):
        line = json.dumps({"log": line})
    assert decode(line + "\n") == [alone(JSON)]
    (piece,) = decode(json.dumps({"log": json.dumps({"log": line})}) + "\n")
    assert isinstance(piece, Rejected) and "it stands in more than 4 records" in piece.reason


def test_several_alerts_in_one_record() -> None:
    """All alerts of a record come out; reading goes on behind it only when the last of them is done."""
    push = json.dumps({"streams": [{"stream": {}, "values": [[str(NS), JSON], [str(NS), "junk"], [str(NS), TEXT]]}]})
    decoder = Decoder()
    first, junk, last = decoder.feed(f"{JSON}\n{push}\n".encode())[1:]
    assert (first, last) == (alone(JSON), alone(TEXT))
    assert isinstance(junk, Rejected) and (junk.line, junk.offset) == (2, len(JSON.encode()) + 1)
    assert junk.reason.startswith("a push to Loki, but no alert inside: not an alert")
    begin = len(JSON.encode()) + 1
    assert decoder.ends == [begin, begin, begin, begin + len(push)]


def test_falcos_own_lines_in_records_are_skipped() -> None:
    """Falco's log and statistics are counted apart behind marks and in records too."""
    own = ["Fri Feb  7 12:30:28 2020: Falco initialized", "Events detected: 22", "   WARNING: 8"]
    for line in (*own, "SIGINT received, exiting..."):
        record = json.dumps({"log": line + "\n"})
        for wrapped in (f"{STAMP} stdout F {line}", f"falco-1  | {line}", f"{STAMP} {line}", record):
            decoder = Decoder()
            assert decoder.feed(wrapped.encode() + b"\n") + decoder.close() == []
            assert decoder.skipped == 1, wrapped
