"""The gRPC service on a TCP port: mutual TLS, and the methods beside the alerts."""

from __future__ import annotations

import shutil
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool

from rxalerts import Alert
from rxalerts._version import __version__
from rxalerts.flow.backoff import Retry
from rxalerts.sinks import GrpcSink
from rxalerts.testing import eventually
from tests.support.certs import Certs, Pair, make_certs
from tests.support.falco_client import Client
from tests.support.falco_messages import Version

QUICK = Retry(initial=0.01, maximum=0.05)


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Certs:
    """Certificates of every kind."""
    return make_certs(tmp_path_factory.mktemp("certs"))


def unopened(certs: Certs, server: Pair, **options: Any) -> GrpcSink:
    """Return a sink for a port of its own."""
    files = {"private_key": str(server.key), "cert_chain": str(server.cert), "root_certs": str(certs.ca)}
    options.update(files, retry=QUICK)
    return GrpcSink("127.0.0.1:0", **options)


def serving(certs: Certs, server: Pair | None = None, **options: Any) -> GrpcSink:
    """Return a sink that listens on a port of its own."""
    sink = unopened(certs, server or certs.server, **options)
    sink.start()
    eventually(lambda: sink.address, "the service to listen")
    return sink


@pytest.fixture
def sink(certs: Certs) -> Iterator[GrpcSink]:
    """A service with a good certificate, health and reflection."""
    with serving(certs, health=True, reflection=True, linger=0) as made:
        yield made


def files(certs: Certs, client: Pair | None) -> list[object]:
    """Return the options of a client that trusts the authority and shows a certificate."""
    shown: list[object] = [] if client is None else ["--cert", client.cert, "--key", client.key]
    return ["--ca", certs.ca, *shown]


def test_a_client_with_its_certificate_is_served(sink: GrpcSink, certs: Certs) -> None:
    """Mutual TLS, as Falco asks for on a port."""
    with Client(sink.address, "sub", *files(certs, certs.client)) as client:
        sink.on_next(Alert("r", "error", "m"))
        assert client.expect(1)[0]["rule"] == "r"


@pytest.mark.parametrize("shown", ["nothing", "a stranger's", "a self-signed one"])
def test_anybody_else_is_refused(sink: GrpcSink, certs: Certs, shown: str) -> None:
    """No certificate, one of another authority, one of its own: no alert."""
    pair = {"nothing": None, "a stranger's": certs.stranger, "a self-signed one": certs.self_signed}[shown]
    sink.on_next(Alert("r", "error", "m"))
    with Client(sink.address, "get", *files(certs, pair)) as client:
        client.wait()
        assert client.end == "UNAVAILABLE" and not client.alerts
    assert sink.stats().depth == 1 or sink.flush(5)


def test_there_is_no_plain_tcp(sink: GrpcSink) -> None:
    """Without TLS nothing is answered."""
    host, _, port = sink.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as plain:
        plain.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        # The server hangs up; what it may say before is no HTTP/2 but an alert of TLS.
        assert b"".join(iter(lambda: plain.recv(4096), b""))[:1] in (b"", b"\x15")


def test_missing_files_are_named_and_tried_again(certs: Certs, tmp_path: Path) -> None:
    """The service starts as soon as the certificate is there, and says until then which file is missing."""
    key = tmp_path / "server.key"
    pair = Pair(certs.server.cert, key, certs.server.both)
    with unopened(certs, pair) as sink:
        sink.start()
        eventually(lambda: sink.stats().last_error, "an error")
        assert "server.key" in str(sink.stats().last_error)
        shutil.copy(certs.server.key, key)
        eventually(lambda: sink.address, "the service to listen")


def test_reopen_takes_a_new_certificate_and_drops_nobody(certs: Certs, tmp_path: Path) -> None:
    """SIGHUP: who comes then sees the new certificate and must fit the new authority; who is there stays."""
    pair = Pair(tmp_path / "c", tmp_path / "k", tmp_path / "b")
    shutil.copy(certs.unknown_ca.cert, pair.cert)
    shutil.copy(certs.unknown_ca.key, pair.key)
    with serving(certs, pair) as sink:
        address = sink.address
        old = ["--ca", certs.other_ca, "--cert", certs.client.cert, "--key", certs.client.key]
        with Client(address, "sub", *old) as before:
            eventually(lambda: sink.subscribers, "the first client")
            shutil.copy(certs.server.cert, pair.cert)
            shutil.copy(certs.server.key, pair.key)
            assert sink.reopen(10) and sink.address == address
            with Client(address, "sub", *files(certs, certs.client)) as after:
                eventually(lambda: len(sink.subscribers) == 2, "the second client")
                sink.on_next(Alert("r", "error", "m"))
                assert before.expect(1) == after.expect(1)


def test_a_handshake_that_never_ends_holds_nobody_up(sink: GrpcSink, certs: Certs) -> None:
    """A client that connects and says nothing is no client; the others are served."""
    host, _, port = sink.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10):
        test_a_client_with_its_certificate_is_served(sink, certs)


def test_http2_is_agreed_on(sink: GrpcSink, certs: Certs) -> None:
    """ALPN says h2, which gRPC clients insist on."""
    context = ssl.create_default_context(cafile=str(certs.ca))
    context.load_cert_chain(certs.client.cert, certs.client.key)
    context.set_alpn_protocols(["h2"])
    host, _, port = sink.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        with context.wrap_socket(raw, server_hostname="localhost") as tls:
            assert tls.selected_alpn_protocol() == "h2"


@pytest.fixture
def channel(sink: GrpcSink, certs: Certs) -> Iterator[Any]:
    """A connection of grpcio's, without generated code: bytes in, bytes out."""
    credentials = grpc.ssl_channel_credentials(
        certs.ca.read_bytes(), certs.client.key.read_bytes(), certs.client.cert.read_bytes()
    )
    with grpc.secure_channel(sink.address, credentials) as made:
        yield made


def test_version(channel: Any) -> None:
    """falco.version.service tells our version."""
    answer = Version.FromString(channel.unary_unary("/falco.version.service/version")(b"", timeout=10))
    assert answer.version == __version__
    assert __version__.startswith(f"{answer.major}.{answer.minor}")


def test_health(channel: Any) -> None:
    """Check knows the whole and each service; Watch stays until the service ends."""
    check = channel.unary_unary("/grpc.health.v1.Health/Check")
    name = b"falco.outputs.service"
    assert check(b"", timeout=10) == check(b"\x0a" + bytes([len(name)]) + name, timeout=10) == b"\x08\x01"
    with pytest.raises(grpc.RpcError) as caught:
        check(b"\x0a\x01x", timeout=10)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    watch = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"\x0a\x01x")
    assert next(watch) == b"\x08\x03"
    watch.cancel()


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection(channel: Any, version: str) -> None:
    """It lists the services, and gives the files of each, with what they import."""
    path = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
    names = (b"falco.outputs.service", b"falco.version.service", b"grpc.health.v1.Health")
    questions = [b"\x3a\x00", b"\x22\x01x", *(b"\x22" + bytes((len(name),)) + name for name in names)]
    services, missing, *files = list(channel.stream_stream(path)(iter(questions)))
    assert all(name in services for name in names) and b"reflection" not in services
    assert b"not found" in missing
    # Field 4 of the answer holds the files, each as field 1.
    answers = [descriptor_pb2.FileDescriptorProto.FromString(first_file(file)) for file in files]
    methods = [[method.name for method in answer.service[0].method] for answer in answers]
    assert methods == [["sub", "get"], ["version"], ["Check", "Watch"]]
    pool = descriptor_pool.DescriptorPool()
    pool.Add(answers[2])
    assert pool.FindMethodByName("grpc.health.v1.Health.Watch").input_type.fields_by_name["service"].number == 1


def first_file(answer: bytes) -> bytes:
    """Return the first file of a reflection answer (which begins with the question)."""
    parts: list[bytes] = []
    for field in (4, 1):
        place = 0
        while place < len(answer):
            key, size, place = answer[place] >> 3, 0, place + 1
            for shift in range(0, 35, 7):
                size |= (answer[place] & 0x7F) << shift
                place += 1
                if answer[place - 1] < 0x80:
                    break
            if key == field:
                parts.append(answer[place : place + size])
                break
            place += size
        answer = parts[-1]
    return answer


def test_what_there_is_not_is_said(channel: Any) -> None:
    """An unknown method ends with UNIMPLEMENTED, and the connection goes on."""
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/falco.outputs.service/put")(b"", timeout=10)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    test_version(channel)


def test_many_calls_on_one_connection(channel: Any, sink: GrpcSink) -> None:
    """Several subscriptions and other calls share a connection, and one that does not read holds no other up."""
    subscribe = channel.stream_stream("/falco.outputs.service/sub")
    calls = [subscribe(iter([b""])) for _ in range(5)]
    eventually(lambda: len(sink.subscribers) == 5, "five subscriptions")

    def feed() -> None:
        for n in range(2000):
            sink.on_next(Alert(str(n), 3, "x" * 900))

    feeder = threading.Thread(target=feed)
    feeder.start()
    for _ in range(2000):
        next(calls[0])
    test_version(channel)
    feeder.join(30)
    for call in calls:
        call.cancel()
    eventually(lambda: not sink.subscribers, "the subscriptions to end")
