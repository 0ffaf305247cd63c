"""The HTTP sink: what it sends, and what it does with every kind of answer."""

import json
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from email.utils import formatdate
from functools import partial
from pathlib import Path

import pytest

import rxalerts as rxa
from rxalerts import Alert, sinks
from rxalerts.errors import OptionError
from rxalerts.flow.backoff import Retry
from rxalerts.flow.stats import DeadLetter, State
from rxalerts.operators import to_json
from rxalerts.testing import SinkFactory, check_sink, eventually
from tests.support.http_servers import Endpoint, Reply, Request, replies

FAST = Retry(initial=0.01, maximum=0.05)


def alerts(count: int) -> list[Alert]:
    """Return numbered alerts."""
    return [
        Alert(f"Rule {n}", "warning", f"message {n}", {"n": n}, time=1_700_000_000_000_000_000 + n, hostname="h")
        for n in range(count)
    ]


def rules(bodies: list[str]) -> list[str]:
    """Return the rules of JSON bodies, one alert each."""
    return [json.loads(body)["rule"] for body in bodies]


def test_keeps_the_rules_of_a_sink() -> None:
    """check_sink: Reactive Streams, balanced counts, retry, no leak."""
    with Endpoint() as endpoint:
        check_sink(partial(sinks.HttpSink, endpoint.url, in_flight=4))


def test_keeps_the_rules_of_a_sink_with_batches() -> None:
    """The same with several alerts per request."""
    with Endpoint() as endpoint:
        check_sink(partial(sinks.HttpSink, endpoint.url, batch="ndjson", batch_count=2, batch_seconds=0.02))


def test_posts_text_as_falco_does() -> None:
    """The line without a newline, as text/plain, with Falco's user agent."""
    alert = alerts(1)[0]
    with Endpoint() as endpoint, sinks.HttpSink(endpoint.url) as sink:
        sink.on_next(alert)
        assert sink.flush(10)
    (request,) = endpoint.requests
    assert (request.method, request.path, request.text) == ("POST", "/alerts", alert.to_text())
    assert request.headers["content-type"] == "text/plain"
    assert request.headers["user-agent"] == "falcosecurity/falco"
    assert request.headers["accept"] == "*/*"
    assert request.headers["content-length"] == str(len(alert.to_text().encode()))
    assert request.headers["x-alert-id"] == alert.id


def test_posts_json_and_what_is_formatted_already() -> None:
    """A format of the sink's own, and an operator's, give the same."""
    alert = alerts(1)[0]
    with Endpoint() as endpoint:
        rxa.run([alert], sinks.HttpSink(endpoint.url, format="json"))
        rxa.run([alert], rxa.route(to_json(), to=sinks.HttpSink(endpoint.url, user_agent="me/1")))
    assert endpoint.bodies == [alert.to_json()] * 2
    assert [request.headers["content-type"] for request in endpoint.requests] == ["application/json"] * 2
    assert endpoint.requests[1].headers["user-agent"] == "me/1"


def test_strict_order_with_one_in_flight() -> None:
    """One connection, one request at a time, in the order of the alerts."""
    with Endpoint() as endpoint:
        report = rxa.run(alerts(200), sinks.HttpSink(endpoint.url, format="json"))
    assert rules(endpoint.bodies) == [f"Rule {n}" for n in range(200)]
    assert (endpoint.connections, endpoint.most_at_once, report.lost) == (1, 1, 0)


def test_several_in_flight_and_nobody_waits_for_the_slowest() -> None:
    """While one request hangs, the others go on through the other connections."""
    release = threading.Event()

    def script(request: Request) -> Reply:
        if '"Rule 0"' in request.text:
            release.wait(10)
        return Reply()

    with Endpoint(script) as endpoint, sinks.HttpSink(endpoint.url, format="json", in_flight=4) as sink:
        for alert in alerts(100):
            sink.on_next(alert)
        eventually(lambda: len(endpoint.requests) == 99, "the 99 others")
        assert endpoint.most_at_once <= 4 and endpoint.connections <= 4
        eventually(lambda: sink.stats().delivered == 99, "the 99 others to be settled")
        release.set()
        assert sink.flush(10)
    assert sorted(rules(endpoint.bodies)) == sorted(f"Rule {n}" for n in range(100))


def test_an_alert_that_comes_while_others_are_under_way_is_sent_at_once() -> None:
    """No convoy: a free slot takes it, although the earlier write is not over."""
    release = threading.Event()
    seen: list[str] = []

    def script(request: Request) -> Reply:
        seen.append(request.text)
        release.wait(10)
        return Reply()

    with Endpoint(script) as endpoint, sinks.HttpSink(endpoint.url, format="json", in_flight=3) as sink:
        for number, alert in enumerate(alerts(3)):
            sink.on_next(alert)
            eventually(lambda: len(seen) == number + 1, f"request {number}")  # noqa: B023
        release.set()


def test_keep_alive_false_closes_after_each_request() -> None:
    """A connection per request, and the server is told."""
    with Endpoint() as endpoint:
        rxa.run(alerts(5), sinks.HttpSink(endpoint.url, keep_alive=False))
    assert endpoint.connections == 5
    assert {request.headers["connection"] for request in endpoint.requests} == {"close"}


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_retries_what_may_work_later(status: int) -> None:
    """Statuses that mean later: the same alert again, and nothing lost or out of order."""
    with Endpoint(replies(Reply(), Reply(status), Reply(status))) as endpoint:
        report = rxa.run(alerts(5), sinks.HttpSink(endpoint.url, format="json", retry=FAST))
    assert rules(endpoint.bodies) == [f"Rule {n}" for n in range(5)]
    assert report.lost == 0 and report.sinks["http"].retried > 0


@pytest.mark.parametrize("date", [False, True])
def test_honours_retry_after(date: bool) -> None:
    """Seconds, or a date: not before then, whatever the backoff says."""
    value = formatdate(time.time() + 2, usegmt=True) if date else "1"
    with Endpoint(replies(Reply(429, {"Retry-After": value}))) as endpoint:
        began = time.monotonic()
        with sinks.HttpSink(endpoint.url, retry=FAST) as sink:
            sink.on_next(alerts(1)[0])
            assert sink.flush(10)
    # A date has whole seconds only.
    assert time.monotonic() - began >= (0.9 if date else 1.0)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_rejects_what_will_never_work(status: int) -> None:
    """Other 4xx: to the dead letters, with the beginning of the response, on one line; the others go on."""
    body = b'no "such" thing\n\x1b[2Jand more' + b"x" * 1000
    letters: list[DeadLetter] = []
    sink = sinks.HttpSink("http://127.0.0.1:1", format="json")
    with Endpoint(lambda request: Reply(status, {}, body) if '"Rule 1"' in request.text else Reply()) as endpoint:
        sink = sinks.HttpSink(endpoint.url, format="json")
        sink.dead_letters.subscribe(letters.append)
        report = rxa.run(alerts(3), sink)
    assert rules(endpoint.bodies) == ["Rule 0", "Rule 2"]
    assert report.sinks["http"].rejected == 1
    (letter,) = letters
    assert letter.reason == "rejected" and letter.item.rule == "Rule 1"
    assert f"HTTP {status}" in letter.detail and 'no \\"such\\" thing\\n\\u001b[2Jand more' in letter.detail
    assert len(letter.detail) < 400


def test_batches_as_ndjson() -> None:
    """By count, and the rest when its time is over; gzip if asked for."""
    with Endpoint() as endpoint:
        sink = sinks.HttpSink(
            endpoint.url, format="json", batch="ndjson", batch_count=4, batch_seconds=0.1, compress_uploads=True
        )
        report = rxa.run(alerts(10), sink)
    assert report.lost == 0
    assert [len(body.splitlines()) for body in endpoint.bodies] == [4, 4, 2]
    assert rules("\n".join(endpoint.bodies).splitlines()) == [f"Rule {n}" for n in range(10)]
    assert {request.headers["content-type"] for request in endpoint.requests} == {"application/x-ndjson"}
    assert {request.headers["content-encoding"] for request in endpoint.requests} == {"gzip"}


def test_batches_by_bytes_and_as_an_array() -> None:
    """No request is larger than it may be; an array is JSON."""
    size = len(alerts(1)[0].to_json()) + 2
    with Endpoint() as endpoint:
        rxa.run(alerts(7), sinks.HttpSink(endpoint.url, format="json", batch="array", batch_bytes=2 * size))
    assert [[alert["rule"] for alert in json.loads(body)] for body in endpoint.bodies] == [
        ["Rule 0", "Rule 1"], ["Rule 2", "Rule 3"], ["Rule 4", "Rule 5"], ["Rule 6"],
    ]  # fmt: skip


def test_a_batch_waits_for_its_time_and_no_longer() -> None:
    """Two alerts of a hundred: sent together when batch_seconds are over, or when somebody flushes."""
    with Endpoint() as endpoint:
        sink = sinks.HttpSink(endpoint.url, batch="ndjson", batch_seconds=0.2)
        with sink:
            began = time.monotonic()
            for alert in alerts(2):
                sink.on_next(alert)
            eventually(lambda: endpoint.requests, "the batch")
            assert time.monotonic() - began >= 0.2
            assert sink.stats().blocked == 0
        slow = sinks.HttpSink(endpoint.url, batch="ndjson", batch_seconds=60)
        with slow:
            slow.on_next(alerts(1)[0])
            assert slow.flush(10)
    assert [len(body.splitlines()) for body in endpoint.bodies] == [2, 1]


def test_a_refused_batch_is_halved_until_the_culprit_is_found() -> None:
    """The other alerts of its request arrive."""
    with Endpoint(lambda request: Reply(422) if '"Rule 5"' in request.text else Reply()) as endpoint:
        report = rxa.run(alerts(16), sinks.HttpSink(endpoint.url, format="json", batch="ndjson", batch_count=16))
    arrived = rules("\n".join(endpoint.bodies).splitlines())
    assert arrived == [f"Rule {n}" for n in range(16) if n != 5]
    assert (report.sinks["http"].rejected, report.sinks["http"].delivered) == (1, 15)


def test_a_batch_that_is_refused_as_a_whole_is_sent_once() -> None:
    """A wrong path or password is no alert's fault: all go to the dead letters, without a search in halves."""
    asked: list[str] = []

    def script(request: Request) -> Reply:
        asked.append(request.path)
        return Reply(401)

    with Endpoint(script) as endpoint:
        report = rxa.run(alerts(16), sinks.HttpSink(endpoint.url, format="json", batch="ndjson", batch_count=16))
    assert (report.sinks["http"].rejected, len(asked)) == (16, 1)


def test_template() -> None:
    """Slack's body without a program in between; values are escaped."""
    alert = Alert("R", "error", 'a "quoted"\nline', {"proc.name": "sh", "n": 3}, tags=["t"], time=0, hostname="h")
    text = '{"text": $message, "blocks": [{"title": "$priority: ${proc.name}/${n}/${none}"}], "n": ${n}, "$$": $tags}'
    with Endpoint() as endpoint:
        rxa.run([alert], sinks.HttpSink(endpoint.url, template=text))
    assert json.loads(endpoint.bodies[0]) == {
        "text": 'a "quoted"\nline', "blocks": [{"title": "Error: sh/3/"}], "n": 3, "$": ["t"],
    }  # fmt: skip
    assert endpoint.requests[0].headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"template": '{"text": $nothing}'}, "no \\$nothing"),
        ({"template": '{"text": "$output}'}, "template: is no JSON"),
        ({"batch": "xml"}, "batch: must be one of"),
        ({"in_flight": 0}, "in_flight: must be 1 or more"),
        ({"timeout": 0}, "timeout: must be more than 0"),
        ({"max_consecutive_timeouts": 256}, "0 to 255"),
        ({"headers": {"Host": "x"}}, "Host is set by the sink"),
        ({"headers": {"X-A": "a\r\nX-B: b"}}, "control characters"),
        ({"headers": {"X A": "a"}}, "no name of a header"),
        ({"token_env": "A", "token_file": "B"}, "one of them"),
        ({"token_env": "A", "username": "u"}, "not both"),
        ({"password_env": "A"}, "username: is empty"),
        ({"url": "ftp://x/"}, "http://host"),
        ({"url": ""}, "url: is empty"),
        ({"url": "http://h/geheim/a b"}, "url: has a blank"),
        ({"url": "http://u:geheim@[::1/"}, "url: is no url"),
    ],
)
def test_options_are_checked(options: dict[str, object], message: str) -> None:
    """A wrong option is named at once, without its value if that may be a secret."""
    with pytest.raises(OptionError, match=message) as caught:
        sinks.HttpSink(**{"url": "http://h/", **options})  # type: ignore[arg-type]
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("written", "sent"),
    [("/a%2Fb%zz?sig=a%2Bb%2F%3D+c&x=1;y", "/a%2Fb%zz?sig=a%2Bb%2F%3D+c&x=1;y"), ("/ä?q=ü", "/%C3%A4?q=%C3%BC")],
    ids=["as it is", "not ASCII"],
)
def test_the_url_is_sent_as_it_is_written(written: str, sent: str) -> None:
    """Nothing in it is escaped anew: a signature in the query may be over the very characters."""
    with Endpoint() as endpoint:
        rxa.run(alerts(1), sinks.HttpSink(endpoint.url.replace("/alerts", written)))
        assert endpoint.requests[0].path == sent


def test_redirects_within_the_origin_are_followed() -> None:
    """As POST, with the body; a loop ends."""

    def script(request: Request) -> Reply:
        if request.path == "/loop":
            return Reply(307, {"Location": "/loop"})
        return Reply() if request.path == "/there" else Reply(302, {"Location": "/there"})

    with Endpoint(script) as endpoint:
        rxa.run(alerts(1), sinks.HttpSink(endpoint.url, format="json"))
        assert [(request.method, request.path) for request in endpoint.requests] == [("POST", "/there")]
        sink = sinks.HttpSink(endpoint.url.replace("/alerts", "/loop"), retry=Retry(initial=0.01, attempts=1))
        report = rxa.run(alerts(1), sink)
    assert "redirects in a row" in (report.sinks["http"].last_error or "")


def test_redirects_elsewhere_are_not_followed() -> None:
    """Another origin gets neither alerts nor secrets; the message says where to."""
    with Endpoint() as other, Endpoint(lambda request: Reply(308, {"Location": other.url})) as endpoint:
        report = rxa.run(alerts(1), sinks.HttpSink(endpoint.url, retry=Retry(initial=0.01, attempts=1)))
        assert other.requests == []
    error = report.sinks["http"].last_error or ""
    assert "not the same origin" in error and f"127.0.0.1:{other.port}" in error


def test_a_dead_endpoint_opens_the_circuit_and_a_probe_closes_it() -> None:
    """Closed, open, half-open with one alert, closed; nothing is lost."""
    down = threading.Event()
    down.set()
    probes: list[int] = []

    def script(request: Request) -> Reply:
        if down.is_set():
            probes.append(1)
            return Reply(503)
        return Reply()

    with Endpoint(script) as endpoint:
        sink = sinks.HttpSink(endpoint.url, in_flight=8, retry=Retry(initial=0.02, maximum=0.02))
        with sink:
            assert sink.circuit == "closed"
            for alert in alerts(50):
                sink.on_next(alert)
            eventually(lambda: sink.circuit == "open", "the open circuit")
            assert sink.state is State.BACKOFF
            before = len(probes)
            eventually(lambda: len(probes) >= before + 3, "probes")
            assert endpoint.most_at_once <= 8
            down.clear()
            assert sink.flush(10)
            assert sink.circuit == "closed"
            assert sink.stats().delivered == 50


def test_connection_refused_is_retried_and_named() -> None:
    """Nobody listens: the message says where and what."""
    sink = sinks.HttpSink("http://127.0.0.1:1/path/secret?key=secret", retry=Retry(initial=0.01, attempts=2))
    report = rxa.run(alerts(1), sink)
    error = report.sinks["http"].last_error or ""
    assert "http://127.0.0.1:1/path/…: cannot connect" in error and "secret" not in error
    assert report.lost == 1


def test_a_name_that_does_not_resolve_is_named() -> None:
    """The same for DNS."""
    sink = sinks.HttpSink("http://no-such-host.invalid/", retry=Retry(initial=0.01, attempts=1))
    report = rxa.run(alerts(1), sink)
    assert "http://no-such-host.invalid/: cannot connect" in (report.sinks["http"].last_error or "")


@contextmanager
def surroundings(folder: Path) -> Generator[SinkFactory]:
    """A server that takes everything, for tests/test_sink_contract.py."""
    with Endpoint() as endpoint:
        yield partial(sinks.HttpSink, endpoint.url)
