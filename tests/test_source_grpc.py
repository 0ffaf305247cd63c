"""The gRPC source: from a stand-in for Falco that writes only when asked, and from another rxalerts."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import rxalerts as rxa
from rxalerts import Alert, sinks, sources
from rxalerts.errors import OptionError, SourceError
from rxalerts.flow.backoff import Retry
from rxalerts.flow.source import Source
from rxalerts.format import JSON
from rxalerts.sinks import CollectSink, GrpcSink
from rxalerts.testing import RecordingSink, check_source, eventually
from tests.support.certs import Pair, make_certs
from tests.support.falco_client import FalcoServer
from tests.support.http_clients import serving

ROOT = Path(__file__).parent.parent
QUICK = Retry(initial=0.01, maximum=0.05)


def alert(n: int, source: str = "syscall") -> Alert:
    """Return a numbered alert with string fields, as they come out of a text-mode Falco."""
    time_ns, tags = 1_600_000_000_000_000_001 + n, ("a", "b")
    fields = {"n": str(n)}
    return Alert(f"rule {n}", 4, f"alert {n}", fields, time=time_ns, source=source, tags=tags, hostname="h")


def line(one: Alert) -> str:
    """Describe an alert to the stand-in."""
    number = {"syscall": 0, "k8s_audit": 1, "internal": 2}.get(one.source, 3)
    return json.dumps(
        {
            "time_ns": one.time_ns, "priority": int(one.priority), "source_deprecated": number, "rule": one.rule,
            "output": one.output, "output_fields": one.output_fields, "hostname": one.hostname,
            "tags": list(one.tags), "source": one.source,
        }
    )  # fmt: skip


@pytest.fixture
def falco(tmp_path: Path) -> Iterator[Callable[..., FalcoServer]]:
    """Starts stand-ins for Falco, one after the other, all at the same address."""
    started: list[FalcoServer] = []
    log = tmp_path / "alerts"

    def start(alerts: list[Alert], *options: object) -> FalcoServer:
        stop()
        log.write_text("".join(line(one) + "\n" for one in alerts))
        started.append(FalcoServer(address(tmp_path), log, *options))
        return started[-1]

    def stop() -> None:
        while started:
            started.pop().__exit__(None, None, None)

    yield start
    stop()


def address(folder: Path) -> str:
    """Return the address of a socket in a folder."""
    return f"unix://{folder}/falco.sock"


def source(folder: Path, method: Any = "sub", retry: Retry = QUICK) -> Source[Alert]:
    """Return a source that looks often."""
    return sources.grpc(address(folder), method=method, poll=0.02, retry=retry)


@contextmanager
def running(stream: Source[Alert], sink: Any) -> Generator[None, None, None]:
    """Let a source emit into a sink on a thread of its own, until the block ends."""
    emitter = stream.emitter(sink)
    thread = threading.Thread(target=stream.feed, args=(sink, emitter), daemon=True)
    thread.start()
    try:
        yield
    finally:
        emitter.stop()
        thread.join(10)
    assert not thread.is_alive()


def got(sink: CollectSink[Any], count: int) -> None:
    """Wait until a sink has so many alerts."""
    eventually(lambda: len(sink.items) == count, f"{count} alerts", timeout=30)


@pytest.mark.parametrize("method", ["sub", "get"])
def test_it_keeps_the_rules(falco: Callable[..., FalcoServer], tmp_path: Path, method: str) -> None:
    """check_source against the stand-in: everything in order, waiting under pressure, ending when told to."""
    alerts = [alert(n) for n in range(40)]

    def fresh() -> Source[Alert]:
        falco(alerts)
        return source(tmp_path, method=method)

    check_source(fresh, expected=alerts)


@pytest.mark.parametrize("method", ["sub", "get"])
def test_it_asks_for_what_comes_later(falco: Callable[..., FalcoServer], tmp_path: Path, method: str) -> None:
    """A Falco writes only after a request: empty ones are sent while nothing comes."""
    server = falco([alert(0)])
    sink: CollectSink[Alert] = CollectSink()
    with running(source(tmp_path, method=method), sink):
        for n in range(1, 4):
            got(sink, n)
            server.say(line(alert(n, source="okta")))
        eventually(lambda: len(sink.items) == 4, "the last alert")
    sink.close()
    assert sink.items == [alert(0), *(alert(n, source="okta") for n in range(1, 4))]
    assert server.requests >= 2


@pytest.mark.parametrize("text", ["broken on purpose", ""], ids=["with a reason", "without a word"])
def test_it_comes_back_when_the_stream_breaks(falco: Callable[..., FalcoServer], tmp_path: Path, text: str) -> None:
    """A stream that ends with an error is opened again, and nothing that was written is missing."""
    falco([alert(n) for n in range(20)], "--break-after", 6, "--break-with", text)
    sink: CollectSink[Alert] = CollectSink()
    with running(source(tmp_path), sink):
        eventually(lambda: len(sink.items) == 20, "all alerts", timeout=30)
    sink.close()
    assert sink.items == [alert(n) for n in range(20)]


def test_it_waits_for_a_falco_that_is_not_there(
    falco: Callable[..., FalcoServer], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Before Falco has started, and while it restarts, the source tries again, and says so once."""
    sink: CollectSink[Alert] = CollectSink()
    with caplog.at_level(logging.WARNING, "rxalerts"), running(source(tmp_path), sink):
        eventually(lambda: "connecting again" in caplog.text, "the first attempt to fail")
        falco([alert(0)])
        eventually(lambda: len(sink.items) == 1, "the first alert", timeout=30)
        falco([alert(1)])
        eventually(lambda: len(sink.items) == 2, "the second alert", timeout=30)
    assert len([record for record in caplog.records if "connecting again" in record.message]) <= 3
    sink.close()


def test_an_old_falco(falco: Callable[..., FalcoServer], tmp_path: Path) -> None:
    """0.24 to 0.29 know no tags, and a number for the source only."""
    falco([alert(0, source="k8s_audit"), alert(1, source="whatever")], "--old")
    sink: CollectSink[Alert] = CollectSink()
    with running(source(tmp_path), sink):
        eventually(lambda: len(sink.items) == 2, "the alerts")
    sink.close()
    found: list[Any] = sink.items
    assert [(one.source, one.tags) for one in found] == [("k8s_audit", ()), ("plugin", ())]


def test_what_is_no_alert_is_counted(falco: Callable[..., FalcoServer], tmp_path: Path) -> None:
    """A broken message is reported with its number, and the stream goes on."""
    server = falco([alert(0)])
    server.say(json.dumps({"bytes": "ffff"}))
    server.say(line(alert(1)))
    stream, sink = source(tmp_path), CollectSink[Alert]()
    with running(stream, sink):
        eventually(lambda: len(sink.items) == 2, "the good alerts")
    sink.close()
    stats = stream.stats()
    assert stats.rejected == 1 and "message 2: is no falco.outputs.response" in stats.first_rejects[0]


def test_a_server_without_the_service_is_an_error(falco: Callable[..., FalcoServer], tmp_path: Path) -> None:
    """Trying again would be of no use: the stream ends with SourceError."""
    falco([], "--unimplemented")
    ends: list[Exception] = []
    done = threading.Event()

    def failed(error: Exception) -> None:
        ends.append(error)
        done.set()

    source(tmp_path).subscribe(on_error=failed)
    assert done.wait(10)
    assert isinstance(ends[0], SourceError) and "falco.outputs.service" in str(ends[0])


def test_it_gives_up_when_told_to(tmp_path: Path) -> None:
    """With a limit of attempts the stream ends with an error that says what was wrong."""
    done = threading.Event()
    errors: list[str] = []

    def failed(error: Exception) -> None:
        errors.append(str(error))
        done.set()

    source(tmp_path, retry=Retry(initial=0.01, maximum=0.01, attempts=3)).subscribe(on_error=failed)
    assert done.wait(20)
    assert "gave up after 3 attempts" in errors[0]


def test_under_pressure_it_stops_reading(tmp_path: Path) -> None:
    """With a stuck sink the alerts stay with the sender, and come in order when it moves again."""
    count = 4000
    sink: RecordingSink[Alert] = RecordingSink(capacity=4, max_batch=2)
    sink.block()
    with GrpcSink(address(tmp_path)) as sender:
        sender.start()
        stream = source(tmp_path)
        with running(stream, sink):
            eventually(lambda: sender.subscribers, "the subscription")
            for n in range(count):
                sender.on_next(alert(n, source="x" * 900))
            assert sender.flush(30)
            eventually(lambda: sink.stuck.is_set() and sender.subscribers[0].sent > 20, "the window to be full")
            assert stream.stats().read <= 6 and sender.subscribers[0].waiting > count // 2
            sink.release()
            eventually(lambda: len(sink.written) == count, "all alerts", timeout=30)
    sink.close()
    assert [one.rule for one in sink.written] == [f"rule {n}" for n in range(count)]


def test_mutual_tls(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With the wrong certificate it is refused and says so; with the right one, put there later, it is served."""
    certs = make_certs(tmp_path / "certs")
    shown = Pair(tmp_path / "client.crt", tmp_path / "client.key", tmp_path / "both")

    def show(pair: Pair) -> None:
        shown.cert.write_bytes(pair.cert.read_bytes())
        shown.key.write_bytes(pair.key.read_bytes())

    show(certs.stranger)
    files = (str(certs.server.key), str(certs.server.cert), str(certs.ca))
    with GrpcSink("127.0.0.1:0", *files) as sender, caplog.at_level(logging.WARNING, "rxalerts"):
        sender.start()
        eventually(lambda: sender.address, "the service to listen")
        sender.on_next(alert(0))
        stream = sources.grpc(
            f"grpc://{sender.address}", ca=certs.ca, cert=shown.cert, key=shown.key, poll=0.02, retry=QUICK
        )
        sink: CollectSink[Alert] = CollectSink()
        with running(stream, sink):
            eventually(lambda: "UNAVAILABLE" in caplog.text, "the refusal")
            assert not sink.items
            show(certs.client)
            eventually(lambda: sink.items, "the alert", timeout=30)
        sink.close()
    assert sink.items == [alert(0)]


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ({"address": "somewhere"}, "address"),
        ({"address": ""}, "address"),
        ({"address": "unix:///x", "ca": "c"}, "ca"),
        ({"address": "h:1", "cert": "c"}, "key"),
        ({"address": "h:1", "method": "pub"}, "method"),
        ({"address": "h:1", "poll": 0}, "poll"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], key: str) -> None:
    """A wrong argument is an OptionError that names it."""
    with pytest.raises(OptionError) as caught:
        sources.grpc(**arguments)
    assert caught.value.key == key


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_chain(tmp_path: Path, form: str) -> None:
    """replay → gRPC sink → gRPC source → file: value for value; with json to the number, else as far as texts go."""
    alerts = list(rxa.read(ROOT / "examples" / "alerts.jsonl"))
    target = tmp_path / "out.jsonl"
    out = sinks.FileSink(target, format="json")
    with GrpcSink(address(tmp_path), format=form) as sender:
        sender.start()
        with running(source(tmp_path), out):
            eventually(lambda: sender.subscribers, "the subscription")
            report = rxa.run(sources.replay(ROOT / "examples" / "alerts.jsonl"), rxa.route(to=sender))
            assert report.lost == 0
            eventually(lambda: out.stats().delivered == len(alerts), "everything in the file", timeout=30)
        out.close()
    found = list(rxa.read(target))
    assert len(found) == len(alerts) > 20
    for one, original in zip(found, alerts, strict=True):
        if form == "json":
            assert JSON.render(one) == JSON.render(original)
            continue
        fields = {key: value for key, value in original.output_fields.items() if isinstance(value, str)}
        assert {key: one.output_fields[key] for key in fields} == fields
        assert one.output_fields.keys() == original.output_fields.keys()
        # About itself Falco sends what its other channels print.
        assert one.output == (original.to_text() if original.source == "internal" else original.output)
        same = ("rule", "priority", "time_ns", "tags", "hostname")
        assert [getattr(one, key) for key in same] == [getattr(original, key) for key in same]
        assert one.source == (original.source or "syscall")


def test_the_whole_chain(tmp_path: Path) -> None:
    """replay → HTTP sink → HTTP source → gRPC sink → gRPC source → file: the file equals the input."""
    log, target = ROOT / "examples" / "alerts.jsonl", tmp_path / "out.jsonl"
    alerts = list(rxa.read(log))
    out = sinks.FileSink(target, format="json")
    service = GrpcSink(address(tmp_path), format="json")
    service.start()
    with running(source(tmp_path), out):
        eventually(lambda: service.subscribers, "the subscription")
        with serving(service) as served:
            report = rxa.run(sources.replay(log), sinks.HttpSink(served.url, format="json"))
            assert report.lost == 0
        eventually(lambda: out.stats().delivered == len(alerts), "everything in the file", timeout=30)
    out.close()
    assert [JSON.render(one) for one in rxa.read(target)] == [JSON.render(one) for one in alerts]
