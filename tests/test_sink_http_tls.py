"""The HTTP sink over TLS: whom it trusts, what it shows, and what it says when that fails."""

import logging
import ssl
from pathlib import Path

import pytest

import rxalerts as rxa
from rxalerts import sinks
from rxalerts.flow import tls
from rxalerts.flow.backoff import Retry
from rxalerts.testing import eventually
from tests.support.certs import Certs, Pair, make_certs
from tests.support.http_servers import Endpoint
from tests.test_sink_http import alerts

ONCE = Retry(initial=0.01, attempts=1)


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Certs:
    """Certificates of every kind."""
    return make_certs(tmp_path_factory.mktemp("certs"))


def serve(pair: Pair, client_ca: Path | None = None) -> Endpoint:
    """Return an endpoint with this certificate."""
    return Endpoint(context=tls.server_context(pair.cert, pair.key, client_ca or ""))


def failure(url: str, **options: object) -> str:
    """Send one alert and return why it was not delivered."""
    report = rxa.run(alerts(1), sinks.HttpSink(url, retry=ONCE, **options))  # type: ignore[arg-type]
    assert report.delivered == 0
    return report.sinks["http"].last_error or ""


@pytest.mark.parametrize("key", ["ca_cert", "ca_bundle", "ca_path"])
def test_a_valid_certificate(certs: Certs, key: str) -> None:
    """Each of the three ways to name an authority works, by name and by address."""
    with serve(certs.server) as endpoint:
        options = {key: certs.ca_path if key == "ca_path" else certs.ca}
        rxa.run(alerts(2), sinks.HttpSink(endpoint.url, **options))  # type: ignore[arg-type]
        rxa.run(alerts(1), sinks.HttpSink(endpoint.url.replace("127.0.0.1", "localhost"), **options))  # type: ignore[arg-type]
    assert len(endpoint.requests) == 3


def test_precedence(certs: Certs) -> None:
    """ca_cert before ca_bundle before ca_path, and exactly one of them."""
    with serve(certs.server) as endpoint:
        report = rxa.run(alerts(1), sinks.HttpSink(endpoint.url, ca_cert=certs.ca, ca_bundle=certs.other_ca))
        assert report.delivered == 1
        assert "not trusted" in failure(endpoint.url, ca_cert=certs.other_ca, ca_bundle=certs.ca, ca_path=certs.ca_path)
        assert "not trusted" in failure(endpoint.url, ca_bundle=certs.other_ca, ca_path=certs.ca_path)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("self_signed", "self-signed: set ca_cert to a file with that certificate"),
        ("expired", "has expired"),
        ("not_yet", "not valid yet"),
        ("wrong_host", "for another host"),
        ("unknown_ca", "authority that is not trusted here: set ca_cert to the authority's file"),
    ],
)
def test_a_bad_certificate_is_refused_and_the_message_says_why(certs: Certs, kind: str, message: str) -> None:
    """Refused, nothing sent, retried later; the words say which and what to set. insecure takes it."""
    with serve(getattr(certs, kind)) as endpoint:
        told = failure(endpoint.url, ca_cert=certs.ca)
        assert message in told and f"https://127.0.0.1:{endpoint.port}" in told
        assert endpoint.requests == []
        report = rxa.run(alerts(1), sinks.HttpSink(endpoint.url, insecure=True))
        assert report.delivered == 1


def test_the_system_decides_when_nothing_is_named(certs: Certs) -> None:
    """Without a ca_ option the system's authorities count, and ours is none of them."""
    with serve(certs.server) as endpoint:
        assert "set ca_cert" in failure(endpoint.url)


def test_a_self_signed_certificate_can_be_named(certs: Certs) -> None:
    """As the message says."""
    with serve(certs.self_signed) as endpoint:
        report = rxa.run(alerts(1), sinks.HttpSink(endpoint.url, ca_cert=certs.self_signed.cert))
    assert report.delivered == 1


def test_mutual_tls(certs: Certs) -> None:
    """A client certificate, when it is asked for; without one, or with a stranger's, the message says so."""
    with serve(certs.server, certs.ca) as endpoint:
        known = {"ca_cert": certs.ca, "mtls": True}
        sink = sinks.HttpSink(endpoint.url, client_cert=certs.client.cert, client_key=certs.client.key, **known)  # type: ignore[arg-type]
        assert rxa.run(alerts(3), sink).delivered == 3
        # With TLS 1.3 the server refuses after the handshake: now and then our first write breaks before we are told.
        assert any("set mtls, client_cert and client_key" in failure(endpoint.url, ca_cert=certs.ca) for _ in range(20))
        stranger = {"client_cert": certs.stranger.cert, "client_key": certs.stranger.key}
        refused = "does not accept our client certificate"
        assert any(refused in failure(endpoint.url, **known, **stranger) for _ in range(20))


def test_files_that_cannot_be_used_are_named(certs: Certs, tmp_path: Path) -> None:
    """A missing file, and one that is no certificate."""
    with serve(certs.server) as endpoint:
        assert "/no/such/ca.pem: No such file" in failure(endpoint.url, ca_cert="/no/such/ca.pem")
        junk = tmp_path / "junk.pem"
        junk.write_text("no certificate")
        assert f"{junk}: no authority in PEM form" in failure(endpoint.url, ca_cert=junk)
        assert "/etc/ssl/certs/client.crt" in failure(endpoint.url, ca_cert=certs.ca, mtls=True)
        assert "/no/such/folder: no such folder" in failure(endpoint.url, ca_path="/no/such/folder")


def test_http_where_https_is_spoken_and_the_other_way_round(certs: Certs) -> None:
    """Both mistakes are named."""
    with Endpoint() as endpoint:
        assert "does not speak TLS" in failure(endpoint.url.replace("http://", "https://"), timeout=5)


def test_reopen_reads_certificates_again_and_drops_no_connection(certs: Certs, tmp_path: Path) -> None:
    """SIGHUP: unchanged files keep the connection; changed ones are for new connections; broken ones are reported."""
    authority = tmp_path / "ca.pem"
    authority.write_bytes(certs.ca.read_bytes())
    context = tls.server_context(certs.server.cert, certs.server.key)
    with Endpoint(context=context) as endpoint, sinks.HttpSink(endpoint.url, ca_cert=authority) as sink:

        def send(number: int) -> None:
            sink.on_next(alerts(number + 1)[number])
            assert sink.flush(10)
            assert len(endpoint.requests) == number + 1

        send(0)
        assert sink.reopen(10)
        send(1)
        assert endpoint.connections == 1
        # The server's certificate changes too: what is connected goes on, what is new needs the new authority.
        authority.write_bytes(certs.self_signed.cert.read_bytes())
        context.load_cert_chain(certs.self_signed.cert, certs.self_signed.key)
        assert sink.reopen(10)
        send(2)
        assert endpoint.connections == 2
        assert sink.stats().failures == 0


def test_insecure_is_warned_about(certs: Certs, caplog: pytest.LogCaptureFixture) -> None:
    """Once, by name."""
    with caplog.at_level(logging.WARNING), serve(certs.expired) as endpoint:
        rxa.run(alerts(3), sinks.HttpSink(endpoint.url, insecure=True))
    assert [r.getMessage() for r in caplog.records if "insecure" in r.getMessage()] == [
        f"http: insecure: the certificate of {endpoint.url} is not checked"
    ]


def test_a_broken_certificate_on_reopen_keeps_what_works(
    certs: Certs, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A half-written file must not stop alerts that flow."""
    authority = tmp_path / "ca.pem"
    authority.write_bytes(certs.ca.read_bytes())
    with serve(certs.server) as endpoint, sinks.HttpSink(endpoint.url, ca_cert=authority) as sink:
        sink.on_next(alerts(1)[0])
        assert sink.flush(10)
        authority.write_text("half a certi")
        sink.reopen(10)
        sink.on_next(alerts(2)[1])
        assert sink.flush(10)
        assert endpoint.connections == 1
    eventually(lambda: "not reopened" in caplog.text, "the report", timeout=1)


def test_old_versions_of_tls_are_not_spoken(certs: Certs) -> None:
    """1.2 is the oldest, on both sides."""
    contexts = [tls.ClientTls(ca_cert=certs.ca).context(), tls.server_context(certs.server.cert, certs.server.key)]
    assert [context.minimum_version for context in contexts] == [ssl.TLSVersion.TLSv1_2] * 2


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("TLSV1_ALERT_PROTOCOL_VERSION", "before 1.2"),
        ("UNSUPPORTED_PROTOCOL", "before 1.2"),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", "(set mtls, client_cert and client_key), or has no cipher"),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "set mtls"),
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", "renew client_cert"),
        ("TLSV1_ALERT_UNKNOWN_CA", "does not accept our client certificate"),
        ("TLSV1_ALERT_INTERNAL_ERROR", "the TLS handshake failed: "),
    ],
)
def test_what_a_server_says_in_a_handshake_is_put_into_words(reason: str, words: str) -> None:
    """Each alert of TLS says what is wrong, and what to set where something can be set."""
    assert words in (tls.explain(ssl.SSLError(1, f"[SSL: {reason}]")) or "")
