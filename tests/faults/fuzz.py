"""Mutated records, texts, conditions and configurations: none crashes, hangs or takes a neighbour along."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import rxalerts as rxa
from rxalerts import sinks, sources
from rxalerts.config import read_config
from rxalerts.errors import AlertError, RxAlertsError
from rxalerts.operators.condition import ConditionError, compile_condition
from rxalerts.wire import Decoder, parse
from tests.faults.ledger import Case, Row, compare
from tests.support.run import alert, numbers

# What a mutation makes of its own number stays below those of the neighbours.
FIRST = 1_000_000

# Nothing may take longer than this, on a busy machine.
HANG = 5.0

_NASTY = (
    b"\x00", b"\xff", b"\r", b"\n", b"{", b"}", b"[", b"]", b'"', b"\\", b"\\u", b"\\ud800", b":", b",", b"1e999",
    b"-", b"9" * 400, b"[" * 200, b"null", b"\x1b[2J", "\u2028".encode(),
    b"\xef\xbb\xbf", b"NaN", b"'", b"#", b"&a", b"*a",
)  # fmt: skip

RECORDS = (
    alert(-1).rstrip("\n").encode(),
    b"10:20:05.408091526: Warning Shell opened (user=root cmd=sh -c ls)",
    b"2026-06-07T10:20:05.408091526+0000: Error File below /etc opened (file=/etc/x)",
    b"<13>Jun  7 10:20:05 host falco: Notice Shell opened (user=root)",
    alert(-2, output_fields={"a": {"b": [1, 2.5, None, True, "x\u2028y"]}}).rstrip("\n").encode(),
)
CONDITIONS = (
    b"proc.name in (bash, sh) and not (fd.name startswith /etc or user.name = root)",
    b"priority <= warning and tags intersects (shell, 'a b') and rule regex '^a(b|c)+$'",
    b"output_fields[x] contains 'it''s' or evt.time > 2026-01-01T00:00:00Z and proc.aname[2] glob *sh",
)
CONFIGS = (
    b"json_output: true\nfile_output:\n  enabled: true\n  filename: ./x.txt\nrxalerts:\n  channels:\n    file:\n"
    b"      where: proc.name = bash\n      capacity: 10\n      retry: {initial: 1, maximum: 2}\n",
    b'priority: warning\nhttp_output: {enabled: true, url: "http://localhost:1/"}\nrxalerts:\n  outputs:\n'
    b"    - channel: file\n      name: a\n      filename: b\n      rate_limit: {rate: 1, burst: 2, key: rule}\n",
)


def mutated(draw: random.Random, seed: bytes) -> bytes:
    """Return some bytes with up to six changes."""
    data = bytearray(seed)
    for _ in range(draw.randint(1, 6)):
        place = draw.randrange(len(data) + 1)
        match draw.randrange(6):
            case 0:
                data[place:place] = draw.choice(_NASTY)
            case 1:
                data[place : place + draw.randint(1, 12)] = b""
            case 2:
                data[place : place + 1] = bytes((draw.randrange(256),))
            case 3:
                data[place:place] = data[place : place + draw.randint(1, 40)]
            case 4:
                del data[place:]
            case _:
                data[place : place + 1] = draw.choice(_NASTY)
    return bytes(data)


def timed(row: Row, what: str, data: bytes, step: Callable[[], object]) -> None:
    """Run a step; an unexpected exception or a long time is a problem."""
    began = time.monotonic()
    try:
        step()
    except Exception as error:
        row.wrong(f"{what}: {type(error).__name__}: {error}: {data!r}")
    row.check(time.monotonic() - began < HANG, f"{what}: took {time.monotonic() - began:.1f} s: {data!r}")


def found_in(lines: Iterable[object]) -> list[int]:
    """Return the numbers of the good neighbours among what a decoder made."""
    return [
        number for item in lines if isinstance(item, rxa.Alert) for number in numbers(item.output) if number >= FIRST
    ]


def fuzz_reader(folder: Path, full: bool) -> Row:
    """Each mutated record stands between two good ones, and the stream is cut into random pieces."""
    row = Row("fuzz: reader", tries=40_000 if full else 800)
    draw = random.Random("reader")
    for number in range(FIRST, FIRST + 2 * row.tries, 2):
        data = mutated(draw, draw.choice(RECORDS))
        text = alert(number).encode() + data + b"\n" + alert(number + 1).encode()
        got: list[int] = []

        def step(text: bytes = text, got: list[int] = got) -> None:
            decoder, rest = Decoder(), text
            while rest:
                cut = draw.randint(1, 300)
                got += found_in(decoder.feed(rest[:cut]))
                rest = rest[cut:]
            got += found_in(decoder.close())

        timed(row, "reader", data, step)
        row.add(compare([number, number + 1], got), f"reader, neighbours of {data!r}")
    return row


def fuzz_parsers(folder: Path, full: bool) -> Row:
    """Parse one text or condition after the other: a value or the one kind of error."""
    row = Row("fuzz: text and condition parser", tries=40_000 if full else 800)
    draw = random.Random("parsers")
    sample = parse(RECORDS[0])

    def as_alert(data: bytes) -> None:
        try:
            parse(data).to_json()
        except AlertError:
            row.note = "refused with a reason or read"

    def as_condition(data: bytes) -> None:
        try:
            compile_condition(data.decode("utf-8", "replace"))(sample)
        except ConditionError:
            row.note = "refused with a reason or read"

    for number in range(row.tries):
        step, seeds = (as_condition, CONDITIONS) if number % 2 else (as_alert, RECORDS)
        data = mutated(draw, draw.choice(seeds))
        timed(row, "parser", data, lambda step=step, data=data: step(data))  # type: ignore[misc]
    return row


def fuzz_config(folder: Path, full: bool) -> Row:
    """Read configurations: problems are listed, nothing is raised but ConfigError."""
    row = Row("fuzz: configuration", tries=10_000 if full else 200)
    draw = random.Random("config")
    path = folder / "falco.yaml"

    def step() -> None:
        try:
            read_config(str(path))
        except RxAlertsError:
            row.note = "refused with a reason or read"

    for _ in range(row.tries):
        data = mutated(draw, draw.choice(CONFIGS))
        path.write_bytes(data)
        timed(row, "configuration", data, step)
    return row


def fuzz_http(folder: Path, full: bool) -> Row:
    """Post mutated bodies over one connection, each between two good alerts."""
    row = Row("fuzz: HTTP source", tries=10_000 if full else 200)
    draw = random.Random("http")
    sink = sinks.CollectSink[rxa.Alert]()
    source = sources.http("127.0.0.1:0")
    pipeline = rxa.Pipeline(source, sink).start()
    assert source.wait_bound(20)
    parts = urlsplit(str(source.url))
    client = HTTPConnection(str(parts.hostname), parts.port, timeout=HANG)
    wanted: list[int] = []
    try:
        for number in range(FIRST, FIRST + 2 * row.tries, 2):
            data = mutated(draw, draw.choice(RECORDS))

            def step(number: int = number, data: bytes = data) -> None:
                client.request("POST", "/", alert(number).encode() + data + b"\n" + alert(number + 1).encode())
                response = client.getresponse()
                response.read()
                row.check(response.status in (200, 400), f"HTTP: status {response.status} for {data!r}")

            timed(row, "HTTP", data, step)
            wanted += (number, number + 1)
    finally:
        client.close()
        pipeline.stop()
        pipeline.wait()
    row.add(compare(wanted, found_in(sink.items)), "HTTP")
    return row


CASES = [
    Case("fuzz: reader", fuzz_reader),
    Case("fuzz: parsers", fuzz_parsers),
    Case("fuzz: configuration", fuzz_config),
    Case("fuzz: HTTP source", fuzz_http),
]
