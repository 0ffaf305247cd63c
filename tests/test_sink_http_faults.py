"""The HTTP sink against servers and networks that misbehave, and its secrets."""

import logging
import socket
import subprocess
import threading
import time
from base64 import b64encode
from pathlib import Path

import pytest

import rxalerts as rxa
from rxalerts import sinks
from rxalerts.flow.backoff import Retry
from rxalerts.testing import eventually
from tests.support.http_servers import Endpoint, Reply, Request, replies
from tests.support.nginx import nginx
from tests.test_sink_http import FAST, alerts, rules


def test_a_hanging_endpoint_is_repeated_then_backed_off() -> None:
    """max_consecutive_timeouts calls again at once, as Falco 0.41, then the circuit opens; nothing is lost."""
    asked: list[float] = []

    def script(request: Request) -> Reply:
        asked.append(time.monotonic())
        return Reply(how="hang") if len(asked) <= 4 else Reply()

    with Endpoint(script) as endpoint:
        sink = sinks.HttpSink(endpoint.url, timeout=0.1, max_consecutive_timeouts=2, retry=FAST, output_timeout=60)
        with sink:
            sink.on_next(alerts(1)[0])
            assert sink.flush(10)
        stats = sink.stats()
    assert (stats.delivered, len(asked)) == (1, 5)
    # Three calls make one failure; from then on each probe is a single call.
    assert stats.retried == 2


def test_a_hanging_endpoint_is_reported_as_blocked() -> None:
    """One write that takes longer than output_timeout is counted, even while alerts keep coming."""
    with Endpoint(lambda request: Reply(how="hang")) as endpoint:
        sink = sinks.HttpSink(endpoint.url, in_flight=2, output_timeout=0.2, timeout=30)
        for alert in alerts(3):
            sink.on_next(alert)
        eventually(lambda: sink.stats().blocked, "the report")
        began = time.monotonic()
        sink.close(0.2)
        assert time.monotonic() - began < 3
    assert sink.stats().lost + sink.stats().depth == 3


def test_a_reset_connection_is_retried() -> None:
    """RST in place of an answer: tried again on a new connection, in order."""
    reset = Reply(how="reset")
    with Endpoint(replies(Reply(), reset, reset, reset, Reply(), reset)) as endpoint:
        report = rxa.run(alerts(5), sinks.HttpSink(endpoint.url, format="json", retry=FAST))
    assert rules(endpoint.bodies) == [f"Rule {n}" for n in range(5)]
    assert report.lost == 0


def test_an_idle_connection_that_was_closed_is_no_failure() -> None:
    """The server closes what it said it keeps: the alert goes over a new connection at once."""
    with Endpoint(lambda request: Reply(how="close")) as endpoint, sinks.HttpSink(endpoint.url) as sink:
        for number, alert in enumerate(alerts(5), 1):
            sink.on_next(alert)
            assert sink.flush(10)
            assert len(endpoint.requests) == number
        assert sink.stats().failures == 0
    assert endpoint.connections == 5


@pytest.mark.parametrize("how", ["reset", "raw"])
def test_only_a_kept_connection_is_worth_a_second_try(how: str) -> None:
    """Hung up on when it may have been idle too long: again at once. On a new connection: a failure, sent once."""
    with Endpoint(replies(Reply(), Reply(how=how))) as endpoint, sinks.HttpSink(endpoint.url) as sink:
        for alert in alerts(2):
            sink.on_next(alert)
            assert sink.flush(10)
        assert sink.stats().failures == sink.stats().retried == 0
    asked: list[str] = []

    def script(request: Request) -> Reply:
        asked.append(request.path)
        return Reply(how=how)

    with Endpoint(script) as endpoint:
        rxa.run(alerts(1), sinks.HttpSink(endpoint.url, retry=Retry(attempts=1)))
    assert len(asked) == 1


def test_a_kept_connection_that_hangs_is_not_asked_twice_by_us() -> None:
    """A request that timed out may have been taken: only max_consecutive_timeouts repeats it."""
    asked: list[str] = []

    def script(request: Request) -> Reply:
        asked.append(request.path)
        return Reply() if len(asked) == 1 else Reply(how="hang")

    with Endpoint(script) as endpoint:
        retry = Retry(attempts=1)
        rxa.run(alerts(2), sinks.HttpSink(endpoint.url, timeout=0.2, max_consecutive_timeouts=0, retry=retry))
    assert len(asked) == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\x1b[2J\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 500 \x1b[31mred\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=["no HTTP", "no length", "no chunk", "a hostile reason"],
)
def test_what_is_no_http_is_told_in_one_harmless_line(answer: bytes) -> None:
    """Neither the secrets of our url nor what a stranger sent get into the log as they are."""
    with Endpoint(lambda request: Reply(body=answer, how="raw")) as endpoint:
        url = f"{endpoint.url}/SECRET?key=SECRET".replace("//", "//me:SECRET@")
        report = rxa.run(alerts(1), sinks.HttpSink(url, retry=Retry(attempts=1)))
    told = report.sinks["http"].last_error or ""
    assert f"127.0.0.1:{endpoint.port}/alerts" in told
    assert "SECRET" not in told and told.isprintable()


@pytest.mark.parametrize("how", ["drip", "head"])
def test_a_slow_body_behind_a_200_does_not_undo_it(how: str) -> None:
    """The status has said that the alert is taken: no double, and no waiting for the rest."""
    with Endpoint(lambda request: Reply(body=b"x" * 200, how=how)) as endpoint:
        began = time.monotonic()
        report = rxa.run(alerts(2), sinks.HttpSink(endpoint.url, format="json"))
        assert time.monotonic() - began < 8
    assert rules(endpoint.bodies) == ["Rule 0", "Rule 1"]
    assert report.delivered == 2


def test_a_head_a_byte_at_a_time_times_out() -> None:
    """A server that drips its status line is as good as dead: `timeout` is for the whole request."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ended = threading.Event()

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                for byte in b"HTTP/1.1 200 OK\r\n" * 100:
                    if ended.wait(0.05):
                        return
                    connection.send(bytes((byte,)))

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        sink = sinks.HttpSink(
            f"http://127.0.0.1:{server.getsockname()[1]}/", timeout=0.3, max_consecutive_timeouts=0,
            retry=Retry(initial=0.01, attempts=1),
        )  # fmt: skip
        report = rxa.run(alerts(1), sink)
        ended.set()
        thread.join(5)
    assert "no answer within 0.3 s" in (report.sinks["http"].last_error or "")


def test_a_huge_response_is_not_read_to_its_end() -> None:
    """Neither memory nor time goes into what a server says beyond the first 64 KiB."""
    with Endpoint(lambda request: Reply(body=b"x" * (8 << 20))) as endpoint:
        report = rxa.run(alerts(3), sinks.HttpSink(endpoint.url))
    assert report.delivered == 3


def test_echo_prints_responses(capsys: pytest.CaptureFixture[str]) -> None:
    """As Falco does with echo."""
    with Endpoint(lambda request: Reply(body=b"thank you\n")) as endpoint:
        rxa.run(alerts(1), sinks.HttpSink(endpoint.url, echo=True))
        assert capsys.readouterr().out == "thank you\n"
        rxa.run(alerts(1), sinks.HttpSink(endpoint.url))
        assert capsys.readouterr().out == ""


def test_an_alert_that_cannot_be_rendered_stops_nobody() -> None:
    """It is a dead letter of its own."""
    with Endpoint() as endpoint, sinks.HttpSink(endpoint.url, format="json", in_flight=2) as sink:
        for item in [alerts(1)[0], "no alert", alerts(2)[1]]:
            sink.on_next(item)
        sink.flush(10)
        assert sink.stats().rejected == 1
    assert sorted(rules(endpoint.bodies)) == ["Rule 0", "Rule 1"]


def test_secrets_come_from_elsewhere_and_stay_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Bearer from a file, read again on reopen; basic from the environment or the url; in no log, repr or error."""
    caplog.set_level(logging.DEBUG)
    token = tmp_path / "token"
    token.write_text("geheim-1\n")
    shown: list[str] = []
    with Endpoint(replies(Reply(503), Reply(), Reply(), Reply(401, {}, b"who are you"))) as endpoint:
        with sinks.HttpSink(endpoint.url, token_file=token, retry=FAST, headers={"X-Key": "geheim-2"}) as sink:
            sink.on_next(alerts(1)[0])
            assert sink.flush(10)
            token.write_text("geheim-3")
            sink.reopen(10)
            for alert in alerts(2):
                sink.on_next(alert)
            sink.flush(10)
            shown += [repr(sink), str(sink.stats())]
        assert [r.headers["authorization"] for r in endpoint.requests] == ["Bearer geheim-1", "Bearer geheim-3"]
        assert endpoint.requests[0].headers["x-key"] == "geheim-2"
        monkeypatch.setenv("PASSWORD", "geheim-4")
        rxa.run(alerts(1), sinks.HttpSink(endpoint.url, username="falco", password_env="PASSWORD"))
        url = endpoint.url.replace("http://", "http://falco:geheim-5@")
        rxa.run(alerts(1), sinks.HttpSink(url))
    expected = ["Basic " + b64encode(f"falco:geheim-{n}".encode()).decode() for n in (4, 5)]
    assert [request.headers["authorization"] for request in endpoint.requests[2:]] == expected
    failing = sinks.HttpSink(url, retry=Retry(initial=0.01, attempts=1))
    shown += [str(rxa.run(alerts(1), failing)), repr(failing), failing.stats().last_error or "", caplog.text]
    assert "geheim" not in "".join(shown)


def test_a_missing_secret_fails_at_once() -> None:
    """An environment variable that is not there will not come: the sink is FAILED, and says which."""
    report = rxa.run(alerts(1), sinks.HttpSink("http://127.0.0.1:1/", token_env="NO_SUCH_VARIABLE"))
    assert "NO_SUCH_VARIABLE is not set" in (report.sinks["http"].last_error or "")
    assert report.sinks["http"].state == "failed"


def test_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """http_proxy is used, no_proxy is left out, a proxy that is not there is named."""
    asked: list[str] = []

    def script(request: Request) -> Reply:
        asked.append(request.path)
        return Reply()

    for name in ("no_proxy", "NO_PROXY", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Endpoint(script) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        rxa.run(alerts(1), sinks.HttpSink("http://falco.invalid/alerts"))
        assert asked == ["http://falco.invalid/alerts"]
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        rxa.run(alerts(1), sinks.HttpSink(proxy.url))
        assert asked[1:] == ["/alerts"]
        monkeypatch.setenv("no_proxy", f"127.0.0.1:{proxy.port}")
        rxa.run(alerts(1), sinks.HttpSink(proxy.url))
        assert asked[2:] == ["/alerts"]
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    report = rxa.run(alerts(1), sinks.HttpSink("http://falco.invalid/", retry=Retry(initial=0.01, attempts=1)))
    assert "cannot connect to the proxy: Connection refused" in (report.sinks["http"].last_error or "")
    monkeypatch.setenv("http_proxy", "socks5://me:SECRET@127.0.0.1:1")
    told = rxa.run(alerts(1), sinks.HttpSink("http://falco.invalid/")).sinks["http"].last_error or ""
    assert "asks for a socks5 proxy" in told and "SECRET" not in told


@pytest.mark.real
def test_through_nginx(tmp_path: Path) -> None:
    """A reverse proxy in between: keep-alive, gzip, its own limit on bodies, and 502 while the backend is away."""
    with Endpoint() as endpoint:
        port = endpoint.port
        config = f"location / {{ proxy_pass http://127.0.0.1:{port}; }} client_max_body_size 10k;"
        with nginx(tmp_path, config) as url:
            sink = sinks.HttpSink(url, format="json", in_flight=8, compress_uploads=True, retry=FAST)
            assert rxa.run(alerts(200), sink).delivered == 200
            big = rxa.Alert("Big", "notice", "x", {"field": "y" * 20_000})
            report = rxa.run([big, *alerts(2)], sinks.HttpSink(url, format="json"))
            assert (report.sinks["http"].rejected, report.delivered) == (1, 2)
            assert sorted(rules(endpoint.bodies)) == sorted(f"Rule {n}" for n in [*range(200), 0, 1])
    with nginx(tmp_path, config) as url, sinks.HttpSink(url, retry=FAST) as sink:
        sink.on_next(alerts(1)[0])
        eventually(lambda: "HTTP 502" in (sink.stats().last_error or ""), "502")
        sink.close(0.1)


def test_curl_sees_what_we_send() -> None:
    """The sink's requests and curl's, with the headers that Falco's libcurl sends, are alike."""
    with Endpoint() as endpoint:
        rxa.run(alerts(1), sinks.HttpSink(endpoint.url, format="json"))
        try:
            command = ["curl", "-sS", "-A", "falcosecurity/falco", "-H", "Content-Type: application/json", "-d"]
            subprocess.run([*command, endpoint.bodies[0], endpoint.url], check=True, timeout=20)
        except FileNotFoundError:
            pytest.skip("curl is not installed")
    ours, curls = endpoint.requests
    assert ours.body == curls.body
    assert ours.headers.keys() - {"x-alert-id"} == curls.headers.keys()
    assert {name: ours.headers[name] for name in curls.headers} == curls.headers
