"""The HTTP source against clients that are slow, many, broken, or made up by a fuzzer; over TLS; behind nginx."""

import gzip
import json
import resource
import shutil
import socket
import ssl
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rxalerts as rxa
from rxalerts import sinks
from rxalerts.flow import tls
from rxalerts.testing import RecordingSink, eventually
from tests.support.certs import Certs, make_certs
from tests.support.http_clients import line, request, serving
from tests.support.nginx import nginx


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Certs:
    """Certificates of every kind."""
    return make_certs(tmp_path_factory.mktemp("certs"))


def program(name: str) -> str:
    """Return the path of a program, or skip."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed (Debian: apt-get install {name})")
    return path


# -- slow, many, broken -------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [b"", b"POST / HT", b"POST / HTTP/1.1\r\nHost: x\r\nX-A: "])
def test_a_head_that_does_not_come_is_not_waited_for(start: bytes) -> None:
    """Nothing, or half a head: 408 after read_timeout, and the connection is closed."""
    with serving(read_timeout=0.3) as served, served.connect() as client:
        client.sendall(start)
        said = b""
        while part := client.recv(1000):
            said += part
        assert said.startswith(b"HTTP/1.1 408 ")
        assert served.post(line(0)).status == 200


def test_a_second_head_that_does_not_come_is_not_waited_for_either() -> None:
    """The limit is per request, not for the first one only; between two requests silence is fine."""
    with serving(read_timeout=0.3) as served, served.connect() as client:
        for part in (b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /ping HTTP/1.1\r\nHo"):
            client.sendall(part)
            answer = client.recv(1000)
        while part := client.recv(1000):
            answer += part
        assert b" 408 " in answer


def test_a_body_that_drips_is_not_waited_for() -> None:
    """The whole request has read_timeout, however often a byte comes."""
    with serving(read_timeout=0.3) as served, served.connect() as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
        ended = threading.Event()

        def drip() -> None:
            while not ended.wait(0.05):
                try:
                    client.send(b"x")
                except OSError:
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        said = b""
        # Head and body may come in two pieces.
        while b"0.3 s" not in said and (part := client.recv(1000)):
            said += part
        ended.set()
        thread.join()
        assert b" 408 " in said and b"did not come within 0.3 s" in said


@pytest.mark.parametrize("descriptors", [1000, 6])
def test_connections_are_limited(descriptors: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many gets 503, or one that leaves the channels too few descriptors; then there is room again."""

    def getrlimit(_: int) -> tuple[int, int]:
        return descriptors, descriptors

    monkeypatch.setattr(resource, "getrlimit", getrlimit)
    with serving(max_connections=3 if descriptors > 6 else 100) as served:
        crowd = [served.connect() for _ in range(3)]
        eventually(lambda: served.post("", "/ping", "GET").status == 503, "the limit")
        for client in crowd:
            client.close()
        eventually(lambda: served.post(line(0)).status == 200, "room")


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
        b"\0" * 1000,
    ],
)
def test_what_is_no_http_gets_400_or_nothing(data: bytes) -> None:
    """Broken requests end their own connection and nothing else."""
    with serving(read_timeout=1) as served:
        with served.connect() as client:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            try:
                said = client.recv(1000)
            except ConnectionResetError:
                said = b""
            assert said == b"" or said.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4"))
        assert served.post(line(0)).status == 200


def test_pipelined_requests_and_chunked_bodies() -> None:
    """Both are HTTP/1.1, and some clients use them."""
    body = line(0).encode()
    with serving() as served, served.connect() as client:
        one = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        chunk = b"%x\r\n%s\r\n" % (len(body) - 10, body[:-10]) + b"a\r\n%s\r\n0\r\n\r\n" % body[-10:]
        last = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + chunk
        client.sendall(one * 3 + last)
        said = b""
        while part := client.recv(10_000):
            said += part
        assert said.count(b"HTTP/1.1 200 OK") == 4 and said.count(b'{"accepted":1}') == 4


# -- other programs as clients ------------------------------------------------------------------------------


@pytest.mark.real
def test_curl(tmp_path: Path) -> None:
    """-d, --data-binary with a gzip file, and a large body, for which curl asks first (Expect: 100-continue)."""
    curl = program("curl")
    packed = tmp_path / "alerts.gz"
    packed.write_bytes(gzip.compress("\n".join(map(line, range(50))).encode()))
    large = tmp_path / "large.jsonl"
    large.write_text("\n".join(map(line, range(20_000))))
    with serving() as served:

        def said(*arguments: str) -> Any:
            command = [curl, "-sS", "--max-time", "30", served.url, *arguments]
            return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)

        assert said("-d", line(0)) == {"accepted": 1}
        assert said("-H", "Content-Encoding: gzip", "--data-binary", f"@{packed}") == {"accepted": 50}
        assert said("--data-binary", f"@{large}") == {"accepted": 20_000}
        assert said("-H", "Expect: 100-continue", "-d", line(0)) == {"accepted": 1}
        assert said("-F", "file=@" + str(packed))["error"].startswith("multipart/form-data")


@pytest.mark.real
def test_openssl_s_client(certs: Certs) -> None:
    """TLS as another implementation sees it: verified, 1.2 and newer, and a client certificate when asked for."""
    openssl = program("openssl")
    head = f"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(line(0))}\r\n\r\n"
    options = {"tls_cert": certs.server.cert, "tls_key": certs.server.key, "tls_client_ca": certs.ca}
    with serving(**options) as served:
        assert served.url.startswith("https://127.0.0.1:")

        def said(*arguments: object) -> str:
            command = [openssl, "s_client", "-connect", f"127.0.0.1:{served.port}", "-CAfile", certs.ca]
            command += ["-verify_return_error", "-ign_eof", "-quiet", *arguments]
            run = subprocess.run(
                [*map(str, command)], input=(head + line(0)).encode(), capture_output=True, timeout=20
            )
            return run.stdout.decode()

        mine = ("-cert", certs.client.cert, "-key", certs.client.key)
        assert said(*mine).startswith("HTTP/1.1 200 OK")
        assert said(*mine, "-tls1_2").startswith("HTTP/1.1 200 OK")
        assert said("-cert", certs.stranger.cert, "-key", certs.stranger.key) == ""
        assert said() == ""
        assert said(*mine, "-tls1_1") == ""


def test_reopen_changes_the_certificate_and_drops_no_connection(certs: Certs, tmp_path: Path) -> None:
    """SIGHUP: who is connected goes on, who comes sees the new certificate; broken files change nothing."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"

    def install(pair: Any) -> None:
        cert.write_bytes(pair.cert.read_bytes())
        key.write_bytes(pair.key.read_bytes())

    install(certs.server)
    known = tls.ClientTls(ca_cert=certs.ca).context()
    with serving(tls_cert=cert, tls_key=key) as served:
        with known.wrap_socket(served.connect(), server_hostname="localhost") as client:

            def ping() -> None:
                client.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
                said = b""
                while not said.endswith(b"pong"):
                    said += client.recv(1000)

            ping()
            install(certs.wrong_host)
            served.source.reopen()
            with pytest.raises(ssl.SSLCertVerificationError):
                request(served.url, line(0), context=known)
            cert.write_text("half a certi")
            served.source.reopen()
            with pytest.raises(ssl.SSLCertVerificationError):
                request(served.url, line(0), context=known)
            install(certs.server)
            served.source.reopen()
            assert request(served.url, line(0), context=known).status == 200
            ping()


@pytest.mark.real
def test_behind_nginx_with_the_sink_in_front(certs: Certs, tmp_path: Path) -> None:
    """HTTP sink → nginx that ends TLS → HTTP source: every alert, over connections that are kept."""
    sink: sinks.CollectSink[rxa.Alert] = sinks.CollectSink()
    with serving(sink) as served:
        config = (
            f"ssl_certificate {certs.server.cert}; ssl_certificate_key {certs.server.key};"
            f"location / {{ proxy_pass {served.url}; proxy_http_version 1.1; proxy_set_header Connection ''; }}"
        )
        with nginx(tmp_path / "nginx", config, listen="ssl") as url:
            alerts = [rxa.Alert(f"Rule {n}", "notice", f"message {n}", time=n) for n in range(500)]
            https = url.replace("http://", "https://")
            report = rxa.run(alerts, sinks.HttpSink(https, format="json", in_flight=8, ca_cert=certs.ca))
            assert (report.lost, report.delivered) == (0, 500)
        assert sink.flush(10)
        assert sorted(alert.time_ns for alert in sink.items) == list(range(500))


@pytest.mark.parametrize("chunked", [False, True], ids=["a length", "chunks"])
def test_a_client_that_leaves_in_the_middle_is_no_news(chunked: bool, caplog: pytest.LogCaptureFixture) -> None:
    """Half a body and the end of the connection: nothing is taken, nothing is logged, and others are served."""
    kind = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 500"
    with serving() as served:
        for _ in range(3):
            with served.connect() as client:
                client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n" + kind + b"\r\n\r\n5\r\n{")
                assert served.post("", "/ping", "GET").status == 200
        eventually(lambda: served.post(line(0)).status == 200, "an answer")
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "WARNING")]


def test_what_waits_is_bounded_in_bytes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small packed bodies that are large when unpacked get 503 while as much as may be is held already."""
    monkeypatch.setattr("rxalerts.sources._http_server._ALL_BODIES", 150_000)
    sink: RecordingSink[rxa.Alert] = RecordingSink(capacity=1, max_batch=1)
    sink.block()
    body = gzip.compress(("\n".join(map(line, range(3))) + " " * 99_000).encode())
    with serving(sink, hold=15) as served:
        answers: list[int] = []
        held = threading.Thread(target=lambda: answers.append(served.post(body).status))
        held.start()
        eventually(lambda: sink.mailbox.depth > 1, "the first to be held")
        refused = served.post(body)
        assert (refused.status, refused.json["error"]) == (503, "too many large bodies at once")
        sink.release()
        held.join(10)
        assert answers == [200] and served.post(body).status == 200


# -- made up by a fuzzer, from our own description ----------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def from_schema(schema: dict[str, Any], schemas: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return what makes values for a schema of the description, right ones and nearly right ones."""
    if "$ref" in schema:
        return from_schema(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "oneOf" in schema:
        return st.one_of([from_schema(each, schemas) for each in schema["oneOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"]) | JSON
    kind = schema.get("type")
    if isinstance(kind, list):
        return st.none() | from_schema({**schema, "type": kind[0]}, schemas)
    if kind == "array":
        return st.lists(from_schema(schema["items"], schemas), max_size=4)
    if kind == "object":
        known = {name: from_schema(each, schemas) for name, each in schema.get("properties", {}).items()}
        required = {name: known[name] for name in schema.get("required", ())}
        exact = st.fixed_dictionaries(required, optional={n: s for n, s in known.items() if n not in required})
        anything = st.dictionaries(st.text(max_size=8), JSON, max_size=4)
        return exact | st.fixed_dictionaries({}, optional=known) | anything
    if schema.get("format") == "date-time":
        return st.datetimes().map(lambda moment: moment.isoformat() + "Z") | st.text(max_size=30)
    return st.text(max_size=30) if kind == "string" else JSON


def test_fuzz_against_the_description() -> None:
    """No 5xx, no crash, and every answer one that /openapi.json describes."""
    with serving(max_body=100_000) as served:
        api = served.post("", "/openapi.json", "GET").json
        post = api["paths"]["/"]["post"]
        schema = post["requestBody"]["content"]["application/json"]["schema"]
        value = from_schema(schema, api["components"]["schemas"])
        encoded = value.map(lambda each: json.dumps(each).encode("utf-8", "surrogatepass"))
        bodies = encoded | st.lists(encoded, max_size=4).map(b"\n".join) | st.binary(max_size=300)
        kinds = st.sampled_from([*post["requestBody"]["content"], "image/png", "", "\xff", "text/plain; charset=x"])
        names = st.sampled_from(["POST"] * 8 + ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])

        @settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(bodies, kinds, st.sampled_from(["", "gzip", "deflate"]), st.booleans(), names)
        def fuzz(body: bytes, kind: str, encoding: str, packed: bool, method: str) -> None:
            if packed:
                body = gzip.compress(body)
            answer = served.post(body, method=method, Content_Type=kind, Content_Encoding=encoding)
            allowed = set(post["responses"]) if method == "POST" else {"405"}
            assert str(answer.status) in allowed and answer.status < 500, answer
            if method == "POST" and answer.status == 400:
                assert answer.json["error"]

        fuzz()
        report = served.pipeline.report()
        assert report.errors == ()


def test_a_request_under_way_is_ended_in_order_when_the_source_stops() -> None:
    """Half a body has come: the rest is read, the answer given (503: the source ends), the connection closed."""
    with serving(stop_timeout=10) as served, served.connect() as client:
        body = line(0).encode()
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:10])
        assert served.post("", "/ping", "GET").status == 200
        served.pipeline.stop()
        eventually(lambda: not _listens(served.port), "the source to stop listening")
        client.sendall(body[10:])
        said = b""
        while part := client.recv(1000):
            said += part
        assert b" 503 " in said and b'"accepted": 0' in said


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
