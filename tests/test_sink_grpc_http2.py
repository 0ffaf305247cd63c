"""The gRPC service below gRPC: windows, cancelled calls, compression, deadlines, floods."""

from __future__ import annotations

import gzip
import logging
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from h2.errors import ErrorCodes

from rxalerts import Alert
from rxalerts.flow.stats import State
from rxalerts.sinks import GrpcSink
from rxalerts.testing import eventually
from tests.support.http2_client import EMPTY, SUB, Http2Client

CHECK = "/grpc.health.v1.Health/Check"


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where the socket is."""
    return str(tmp_path / "falco.sock")


@pytest.fixture
def sink(path: str) -> Iterator[GrpcSink]:
    """A service that listens."""
    with GrpcSink(f"unix://{path}", health=True, linger=0.1, capacity=1000) as sink:
        sink.start()
        eventually(lambda: sink.address, "the service to listen")
        yield sink


def send(sink: GrpcSink, count: int, size: int = 0) -> None:
    """Send alerts of a size, and wait until the service has taken them over."""
    for n in range(count):
        sink.on_next(Alert("rule", "notice", f"{n} " + "x" * size))
    assert sink.flush(10)


def feed(sink: GrpcSink, count: int) -> None:
    """Send numbered alerts, the last one of them marked."""
    for n in range(count):
        last = "last" if n == count - 1 else ""
        sink.on_next(Alert("rule", "notice", "x" * 1000, {"n": f"#{n}#"}, source=last))


def subscribe(client: Http2Client, sink: GrpcSink) -> int:
    """Subscribe and wait until the service knows."""
    before = len(sink.subscribers)
    stream = client.call(SUB, EMPTY)
    client.flush()
    eventually(lambda: len(sink.subscribers) == before + 1, "the subscription")
    return stream


def framed(message: bytes, *, packed: bool = False) -> bytes:
    """Return a message with its length in front."""
    return bytes((packed,)) + len(message).to_bytes(4, "big") + message


def messages(data: bytes) -> int:
    """Count the whole messages in what came."""
    count = 0
    while len(data) >= 5 and len(data) >= 5 + (size := int.from_bytes(data[1:5], "big")):
        data, count = data[5 + size :], count + 1
    return count


def test_a_wide_window_is_not_filled_at_once(sink: GrpcSink, path: str) -> None:
    """A client that may be sent everything and reads slowly keeps its connection, and gets everything."""
    send(sink, 120, 50_000)
    with Http2Client(path, window=1 << 30) as client:
        subscribe(client, sink)
        while len(client.data) < 120 * 50_000 or messages(client.data) < 120:
            client.read()
            client.flush()
    assert sink.stats().lost == 0


def test_a_call_cancelled_at_once_ends_alone(sink: GrpcSink, path: str) -> None:
    """A call and its end in one packet are no reason to drop the connection and the other calls on it."""
    with Http2Client(path) as client:
        subscribe(client, sink)
        for code in (ErrorCodes.CANCEL, ErrorCodes.NO_ERROR):
            client.http.reset_stream(client.call(SUB, EMPTY), code)
            client.http.reset_stream(client.call("/nothing/here", EMPTY), code)
        client.flush()
        send(sink, 1)
        while not client.data:
            assert client.read(), "the service hung up"


def test_a_client_that_says_goodbye_is_let_go(
    sink: GrpcSink, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """GOAWAY ends the subscription without an error, and what it did not get waits for the next one."""
    with Http2Client(path) as client:
        subscribe(client, sink)
        client.http.close_connection()
        client.flush()
        eventually(lambda: not sink.subscribers, "the client to be gone")
    send(sink, 1)
    assert sink.stats().depth == 1
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_what_clients_do_not_take_is_rejected(sink: GrpcSink, path: str) -> None:
    """An alert beyond the 4 MiB that gRPC clients take does not keep the next one from its alerts."""
    letters: list[str] = []
    sink.dead_letters.subscribe(lambda letter: letters.append(letter.reason))
    send(sink, 1, 5 << 20)
    send(sink, 1)
    with Http2Client(path) as client:
        client.http.reset_stream(subscribe(client, sink), ErrorCodes.CANCEL)
        client.flush()
        eventually(lambda: letters == ["rejected"], "the dead letter")
    with Http2Client(path) as client:
        subscribe(client, sink)
        while not messages(client.data):
            assert client.read(), "the service hung up"
    assert sink.stats().rejected == 1


def test_a_first_client_may_come_at_the_end(path: str) -> None:
    """What waits for somebody is still fetched for `linger` seconds when the sink closes; then it is counted."""
    with GrpcSink(f"unix://{path}", linger=10) as sink:
        send(sink, 3)
        sink.stop()
        eventually(lambda: sink.state is State.DRAINING, "the end to begin")
        with Http2Client(path) as client:
            stream = client.call(SUB, EMPTY)
            client.flush()
            assert client.status(stream)["grpc-status"] == "0"
            assert messages(client.data) == 3
        assert sink.wait(5)
    assert sink.stats().lost == 0


@pytest.mark.parametrize("mode", ["fan_out", "competing"])
def test_every_alert_is_accounted_for_when_a_stuck_client_leaves(
    path: str, mode: Literal["fan_out", "competing"], caplog: pytest.LogCaptureFixture
) -> None:
    """With `block`, the alert that waited for room is handed to the next one, or dropped and counted: not forgotten."""
    count = 300
    caplog.set_level(logging.INFO, "rxalerts")
    with GrpcSink(f"unix://{path}", mode=mode, on_full="block", capacity=4, linger=5) as sink:
        sink.start()
        eventually(lambda: sink.address, "the service to listen")
        with Http2Client(path) as stuck:
            subscribe(stuck, sink)
            feeder = threading.Thread(target=feed, args=(sink, count))
            feeder.start()
            # Its window of 64 KiB is used up, its queue is full, and so is the mailbox behind it.
            eventually(lambda: sink.subscribers[0].sent > 50 and sink.subscribers[0].waiting == 4, "a full queue")
            eventually(lambda: sink.mailbox.depth >= 4, "the stream to wait for the client")
        with Http2Client(path) as client:
            client.call(SUB, EMPTY)
            client.flush()
            while not client.data.endswith(b"last"):
                assert client.read(), "the service hung up"
                client.flush()
        feeder.join(10)
    found = [int(number) for number in re.findall(rb"#(\d+)#", client.data)]
    assert found == list(range(found[0], count))
    sent = int(re.findall(r"left after (\d+) alerts", caplog.text)[0])
    assert sent + len(found) + sink.stats().lost == count


def test_a_packed_request_is_read(sink: GrpcSink, path: str) -> None:
    """gzip requests are taken, and the answer says that they are; what cannot be unpacked ends its call alone."""
    request = b"\x0a\x15falco.outputs.service"
    with Http2Client(path) as client:
        good = client.call(CHECK, framed(gzip.compress(request), packed=True), end=True)
        client.flush()
        assert client.status(good)["grpc-status"] == "0"
        assert client.data == framed(b"\x08\x01")
        for bad in (b"no gzip", gzip.compress(bytes(1 << 20))):
            stream = client.call(CHECK, framed(bad, packed=True), end=True)
            client.flush()
            assert client.status(stream)["grpc-status"] == "13"


def test_a_deadline_is_kept(sink: GrpcSink, path: str) -> None:
    """A subscription ends with DEADLINE_EXCEEDED when its time is over, whether its client is alive or not."""
    with Http2Client(path) as client:
        stream = client.call(SUB, EMPTY, headers=[("grpc-timeout", "50m")])
        client.flush()
        assert client.status(stream)["grpc-status"] == "4"
        assert not sink.subscribers


def test_other_requests_have_their_status(sink: GrpcSink, path: str) -> None:
    """What is no gRPC gets HTTP's 415, an unknown method UNIMPLEMENTED without a body."""
    with Http2Client(path) as client:
        other = client.http.get_next_available_stream_id()
        head = [(":method", "POST"), (":scheme", "http"), (":authority", "h"), (":path", SUB)]
        client.http.send_headers(other, [*head, ("content-type", "text/plain")], end_stream=True)
        client.flush()
        assert client.status(other)[":status"] == "415"
        unknown = client.call("/falco.outputs.service/nope", EMPTY)
        client.flush()
        found = client.status(unknown)
        assert (found[":status"], found["grpc-status"]) == ("200", "12")


@pytest.mark.parametrize("start", [b"", b"PRI * HTTP/2.0\r\n"], ids=["nothing", "half a greeting"])
def test_who_does_not_greet_is_let_go(
    sink: GrpcSink, path: str, start: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection on which HTTP/2 does not begin in time takes no client's place; one that has begun stays."""
    monkeypatch.setattr("rxalerts.sinks._grpc_connection._HELLO", 0.1)
    with Http2Client(path) as client, socket.socket(socket.AF_UNIX) as silent:
        subscribe(client, sink)
        silent.settimeout(10)
        silent.connect(path)
        silent.sendall(start)
        while silent.recv(1000):
            continue  # its own greeting, then the end
        send(sink, 1)
        while not client.data:
            assert client.read(), "the service hung up"


@pytest.mark.parametrize("kind", ["ping", "settings", "reset"])
def test_a_flood_is_bounded(sink: GrpcSink, path: str, kind: str) -> None:
    """Who asks without end and reads nothing loses the connection; resets cost no task; others are served."""
    with Http2Client(path) as flood, Http2Client(path) as client:
        subscribe(client, sink)
        for _ in range(2000):
            if kind == "ping":
                flood.http.ping(b"12345678")
            elif kind == "settings":
                flood.http.update_settings({})
            else:
                flood.http.reset_stream(flood.call(SUB, EMPTY), ErrorCodes.CANCEL)
        flood.flush()
        send(sink, 1)
        while not client.data:
            assert client.read(), "the service hung up"
        assert len(sink.subscribers) == 1
        if kind == "reset":
            while flood.read():
                continue  # until it hangs up
