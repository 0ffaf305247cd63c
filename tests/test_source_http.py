"""The HTTP source: what it accepts, what it answers, and what that promises."""

import gzip
import json
import logging
import threading
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

import rxalerts as rxa
from rxalerts import Alert, sinks, sources, wire
from rxalerts.errors import OptionError
from rxalerts.flow.source import Source
from rxalerts.sources._http import HttpSource, parse_address
from rxalerts.testing import RecordingSink, check_source, eventually
from tests.support.http_clients import Answer, Served, line, request, serving


def rules(served: Served) -> list[str]:
    """Return the rules of what has arrived, once it is delivered."""
    (sink,) = served.sinks
    assert isinstance(sink, sinks.CollectSink)
    assert sink.flush(10)
    return [alert.rule for alert in sink.items]


def feed(count: int, source: HttpSource) -> None:
    """Post numbered alerts to a source as soon as it listens, again while it says 503."""
    body = "\n".join(line(number) for number in range(count))
    assert source.wait_bound(20)
    deadline = time.monotonic() + 20
    while source.url is not None and time.monotonic() < deadline:
        try:
            if request(source.url, body).status == 200:
                return
        except OSError:
            return  # it has ended


def test_keeps_the_rules_of_a_source() -> None:
    """check_source: everything, in order; waits under pressure; ends when told to."""

    def make() -> Source[Any]:
        source = sources.http("127.0.0.1:0", hold=0.2, stop_timeout=1)
        threading.Thread(target=feed, args=(30, source), daemon=True).start()
        return source

    check_source(make)


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (line(0), 1),
        (line(0) + "\n", 1),
        ("\n".join(map(line, range(100))), 100),
        ("[" + ",".join(map(line, range(7))) + "]", 7),
        (json.dumps(json.loads(line(0)), indent=2), 1),
        ("\ufeff" + line(0), 1),
        (line(0).encode("utf-16"), 1),
        (gzip.compress(line(0).encode()), 1),
        ("10:20:05.408091526: Warning Sensitive file opened (user=root)", 1),
        ("10:20:05.408091526: Warning Sensitive file opened (user=root)\n" * 3, 3),
    ],
)
def test_accepts_what_clients_send(body: str | bytes, count: int) -> None:
    """One alert, NDJSON, an array, pretty JSON, marks, UTF-16, unlabelled gzip, text; whatever the type says."""
    with serving() as served:
        for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded", ""):
            answer = served.post(body, Content_Type=kind)
            assert (answer.status, answer.json) == (200, {"accepted": count})
        assert len(rules(served)) == 4 * count


def test_gzip_by_header() -> None:
    """Content-Encoding, several members, damaged data."""
    data = gzip.compress(line(0).encode() + b"\n") + gzip.compress(line(1).encode())
    with serving() as served:
        assert served.post(data, Content_Encoding="gzip").json == {"accepted": 2}
        assert served.post(data[:-9], Content_Encoding="gzip").status == 400
        assert served.post("no gzip", Content_Encoding="x-gzip").status == 400
        answer = served.post(data, Content_Encoding="br")
        assert (answer.status, answer.headers["accept-encoding"]) == (415, "gzip")
        assert rules(served) == ["Rule 0", "Rule 1"]


def test_bad_input_is_named_and_the_good_is_taken() -> None:
    """400 with index, line, key and reason of each piece that is no alert; the others are in."""
    body = "\n".join([line(0), '{"rule": "r", "priority": "loud", "time": "2026-01-01T00:00:00Z"}', line(1), "{", ""])
    with serving() as served:
        answer = served.post(body)
        assert answer.status == 400
        assert (answer.json["accepted"], answer.json["rejected"]) == (2, 2)
        first, second = answer.json["rejects"]
        assert (first["index"], first["line"], first["key"]) == (1, 2, "priority") and "loud" in first["reason"]
        assert (second["index"], second["line"]) == (3, 4)
        assert rules(served) == ["Rule 0", "Rule 1"]
        stats = served.source.stats()
        assert (stats.read, stats.rejected, len(stats.first_rejects)) == (2, 2, 2)
        for empty in ("", "\n\n", "[]"):
            answer = served.post(empty)
            assert (answer.status, answer.json) == (400, {"error": "no alert in the body", "accepted": 0})


def test_methods_paths_types_and_sizes() -> None:
    """405, 404, 415, 413, each with what a client needs to do better."""
    with serving(path="/falco", max_body=1000) as served:
        assert served.post(line(0), "/falco/").status == 200
        answer = served.post("", "/falco", "GET")
        assert (answer.status, answer.headers["allow"]) == (405, "POST")
        assert served.post(line(0), "/").json == {"error": "alerts go to /falco"}
        assert served.post("x", "/falco", Content_Type="multipart/form-data; boundary=x").status == 415
        assert served.post("x", "/falco", Content_Type="image/png").status == 415
        assert served.post(line(0) + " " * 1000, "/falco").status == 413
        assert served.post(gzip.compress(b" " * 2000), "/falco", Content_Encoding="gzip").status == 413
        refused = served.post(line(1), "/falco", X_Big="x" * 20_000)
        assert refused.status == 431 and "8190 bytes" in refused.json["error"]
        assert refused.headers["server"] == "rxalerts"
        assert served.post("", "/healthz", "POST").status == 405
        assert rules(served) == ["Rule 0"]


def test_any_path_by_default_and_the_pages() -> None:
    """As falcosidekick: every path takes alerts, but for those of the pages."""
    with serving() as served:
        assert served.post(line(0), "/some/where?x=1").status == 200
        health = served.post("", "/healthz", "GET")
        assert (health.body, health.headers["content-type"]) == (b'{"status": "ok"}', "application/json")
        assert served.post("", "/ping", "GET").body == b"pong"
        api = served.post("", "/openapi.json", "GET").json
        assert set(api["paths"]) == {"/", "/healthz", "/ping"}
        assert rules(served) == ["Rule 0"]


def test_a_gzip_bomb_is_bounded() -> None:
    """256 megabytes of zeros in a quarter of one: 413, soon; a thousand and one empty members: 400."""
    bomb = gzip.compress(b"\0" * (64 << 20), 1)
    with serving() as served:
        began = time.monotonic()
        assert served.post(bomb * 4, Content_Encoding="gzip").status == 413
        assert served.post(gzip.compress(b"") * 1001, Content_Encoding="gzip").status == 400
        assert time.monotonic() - began < 5


def test_token() -> None:
    """401 without it; bearer, or the password of basic auth, with it; pages are free."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HTTP_TOKEN", "geheim")
        with serving(token_env="HTTP_TOKEN") as served:
            wrongs = ("", "Bearer", "Bearer geheim2", "Basic Z2VoZWlt", "Basic x", "geheim")
            for wrong in (*wrongs, "Bearer \xff", "Bearer ä".encode().decode("latin-1")):
                headers = {"Authorization": wrong} if wrong else {}
                answer = served.post(line(0), **headers)
                assert answer.status == 401 and answer.headers["www-authenticate"].startswith("Bearer")
            assert served.post(line(0), Authorization="Bearer geheim").status == 200
            assert served.post(line(1), Authorization="Basic ZmFsY286Z2VoZWlt").status == 200
            assert served.post("", "/healthz", "GET").status == 200
            assert rules(served) == ["Rule 0", "Rule 1"]
        assert "geheim" not in repr(served.source)


@pytest.mark.parametrize("content", [b"", b" \n", b"a\nb", b"caf\xe9"], ids=["empty", "blank", "lines", "no UTF-8"])
def test_a_token_that_cannot_be_one_is_refused(tmp_path: Path, content: bytes) -> None:
    """At the start and at a reopen, without showing it; the one before stays in use."""
    file = tmp_path / "token"
    file.write_bytes(content)
    ends: list[Exception] = []
    sources.http("127.0.0.1:0", token_file=file).subscribe(on_error=ends.append)
    eventually(lambda: ends, "the refusal")
    assert "is empty, has control characters, or is no UTF-8" in str(ends[0])
    file.write_text("geheim")
    with serving(token_file=file) as served:
        file.write_bytes(content)
        served.source.reopen()
        assert served.post(line(0), Authorization="Bearer geheim").status == 200


def full_sink(capacity: int) -> RecordingSink[Alert]:
    """Return a sink whose destination is stuck until it is released."""
    sink: RecordingSink[Alert] = RecordingSink(capacity=capacity, max_batch=1)
    sink.block()
    return sink


def test_under_pressure_503_says_what_is_in_and_a_retry_takes_the_rest() -> None:
    """Nothing is lost and nothing doubled by a client that sends the same body until it is told 200."""
    sink = full_sink(4)
    body = "\n".join([*map(line, range(6)), "{}", *map(line, range(6, 20))])
    with serving(sink, hold=0.1) as served:
        answer = served.post(body)
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        taken = answer.json["accepted"]
        assert taken == 5 and "same body" in answer.json["error"]
        assert served.source.stats().read == taken
        again = served.post(body)
        assert (again.status, again.json["accepted"]) == (503, taken)
        other = served.post(line(99))
        assert (other.status, other.json["accepted"]) == (503, 0)
        sink.release()
        answers: list[Answer] = []

        def insist() -> bool:
            answers.append(served.post(body))
            return answers[-1].status != 503

        eventually(insist, "an answer that is no 503")
        # The one bad piece makes it 400, and it is counted once.
        assert (answers[-1].status, answers[-1].json["accepted"], answers[-1].json["rejected"]) == (400, 20, 1)
        assert sink.flush(10)
        assert served.source.stats().rejected == 1
    assert [alert.rule for alert in sink.written] == [f"Rule {n}" for n in range(20)]


def test_a_held_request_is_answered_as_soon_as_there_is_room() -> None:
    """Not at the end of `hold`."""
    sink = full_sink(2)
    with serving(sink, hold=15) as served:
        answers: list[Answer] = []
        thread = threading.Thread(target=lambda: answers.append(served.post("\n".join(map(line, range(9))))))
        thread.start()
        eventually(lambda: sink.mailbox.depth > 2, "the full mailbox")
        assert answers == []
        sink.release()
        thread.join(10)
    assert [answer.status for answer in answers] == [200]
    assert [alert.rule for alert in sink.written] == [f"Rule {n}" for n in range(9)]


def test_held_requests_are_limited() -> None:
    """Beyond max_held: 503 at once, whatever `hold` says."""
    sink = full_sink(1)
    with serving(sink, hold=15, max_held=2) as served:
        eventually(lambda: served.post(line(0)).status == 200 and sink.mailbox.depth > 1, "the full mailbox")
        answers: list[Answer] = []
        threads = [threading.Thread(target=lambda: answers.append(served.post(line(1)))) for _ in range(5)]
        for thread in threads:
            thread.start()
        # Two of the five are held, for a long time; the others are told so without delay.
        eventually(lambda: len(answers) == 3, "three answers", timeout=10)
        assert {(answer.status, answer.json["accepted"]) for answer in answers} == {(503, 0)}
        assert all("too many" in answer.json["error"] for answer in answers)
        sink.release()
        for thread in threads:
            thread.join(10)
        assert [answer.status for answer in answers[3:]] == [200, 200]


def test_a_client_that_leaves_while_it_is_held_has_sent_nothing() -> None:
    """It will come again: what it had sent must not go in as well."""
    sink = full_sink(1)
    with serving(sink, hold=15) as served:
        eventually(lambda: served.post(line(0)).status == 200 and sink.mailbox.depth > 1, "the full mailbox")
        read = served.source.stats().read
        with served.connect() as client:
            body = line(77).encode()
            client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            assert served.post("", "/ping", "GET").status == 200
        # An answer that comes later than the end of that connection; only then there is room.
        assert served.post("", "/ping", "GET").status == 200
        sink.release()
        assert served.post(line(1)).status == 200
        assert sink.flush(10)
        assert served.source.stats().read == read + 1


def test_ack_delivered_waits_for_every_sink() -> None:
    """200 when all have delivered, 503 when that takes too long; a client that comes back waits on, without doubles."""
    slow = full_sink(100)
    fast: sinks.CollectSink[Alert] = sinks.CollectSink()
    with serving(slow, fast, ack="delivered", delivery_timeout=0.3) as served:
        body = "\n".join(map(line, range(3)))
        answer = served.post(body)
        assert (answer.status, answer.json["accepted"]) == (503, 3)
        assert "not delivered within 0.3 s" in answer.json["error"]
        slow.release()
        eventually(lambda: served.post(body).status == 200, "200")
        assert [alert.rule for alert in slow.written] == ["Rule 0", "Rule 1", "Rule 2"]
        assert fast.flush(10) and len(fast.items) == 3
        assert served.post(line(9)).status == 200
        assert [alert.rule for alert in slow.written][3:] == ["Rule 9"]


@pytest.mark.parametrize("alerts", [1, 3], ids=["nothing is delivered", "a mailbox presses"])
def test_falco_is_answered_before_its_two_seconds_are_over(alerts: int) -> None:
    """A dead sink: 503 with Retry-After after 1.5 s, whatever it is that is waited for."""
    sink = full_sink(1)
    with serving(sink, ack="delivered") as served:
        began = time.monotonic()
        answer = served.post("\n".join(map(line, range(alerts))))
        assert 1.3 < time.monotonic() - began < 4
        assert answer.status == 503 and answer.headers["retry-after"] == "1"
        sink.release()


def test_stop_does_not_wait_for_idle_clients() -> None:
    """A client that keeps its connection for the next alert, as Falco does, does not hold up the end."""
    with serving(stop_timeout=10) as served:
        client = HTTPConnection(served.host, served.port, timeout=20)
        client.request("POST", "/", line(0))
        assert client.getresponse().read() == b'{"accepted":1}'
        began = time.monotonic()
        served.pipeline.stop()
        served.pipeline.wait()
        assert time.monotonic() - began < 3
        client.close()


def test_ack_delivered_with_a_buffered_file(tmp_path: Path) -> None:
    """A file that is kept open and buffered is flushed for the sake of who waits."""
    path = tmp_path / "alerts.jsonl"
    file = sinks.FileSink(path, keep_alive=True, format="json")
    with serving(file, ack="delivered", delivery_timeout=10) as served:
        assert served.post(line(0)).status == 200
        assert path.read_text().count("\n") == 1


def test_stop_answers_what_is_held_and_closes() -> None:
    """Held requests get 503 at once, idle connections are closed, and the sinks get what was taken."""
    sink = full_sink(1)
    with serving(sink, hold=15, stop_timeout=3) as served:
        answers: list[Answer] = []
        thread = threading.Thread(target=lambda: answers.append(served.post("\n".join(map(line, range(5))))))
        thread.start()
        eventually(lambda: sink.mailbox.depth > 1, "the full mailbox")
        idle = served.connect()
        began = time.monotonic()
        served.pipeline.stop()
        thread.join(10)
        assert time.monotonic() - began < 3
        assert (answers[0].status, "stopping" in answers[0].json["error"]) == (503, True)
        # Closed; refused if it had not been seen yet; reset if it had not even been accepted.
        try:
            assert idle.recv(100)[:12] in (b"", b"HTTP/1.1 503")
        except ConnectionResetError:
            assert answers
        idle.close()
        sink.release()
        report = served.pipeline.wait()
    assert len(sink.written) == answers[0].json["accepted"] == report.read


def test_an_address_in_use_is_named() -> None:
    """With what to do about it."""
    with serving() as served:
        report = rxa.run(sources.http(f"127.0.0.1:{served.port}", name="second"), sinks.CollectSink[Alert]())
    (error,) = report.errors
    assert f"second: cannot listen on 127.0.0.1:{served.port}: Address already in use" in error and "ss -ltnp" in error


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("2801", ("127.0.0.1", 2801, False, "")),
        (":2802", ("127.0.0.1", 2802, False, "")),
        ("0.0.0.0:80", ("0.0.0.0", 80, False, "")),
        ("[::1]:2801", ("::1", 2801, False, "")),
        ("http://localhost", ("localhost", 2801, False, "")),
        ("https://10.0.0.1:443/falco", ("10.0.0.1", 443, True, "/falco")),
    ],
)
def test_addresses(address: str, expected: tuple[str, int, bool, str]) -> None:
    """host:port, port, or url; loopback unless told otherwise."""
    assert parse_address(address) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"address": "ftp://x"}, "address: 'ftp://x': must be"),
        ({"address": "127.0.0.1:x"}, "address"),
        ({"address": "https://127.0.0.1"}, "tls_cert: is empty: https needs"),
        ({"tls_client_ca": "x"}, "tls_cert: is empty"),
        ({"ack": "maybe"}, "ack: must be accepted or delivered"),
        ({"hold": 0}, "hold: must be more than 0"),
        ({"max_body": 0}, "max_body: must be 1 or more"),
        ({"path": "falco"}, "path: must begin with /"),
        ({"token_env": "A", "token_file": "B"}, "one of them"),
    ],
)
def test_options_are_checked(options: dict[str, Any], message: str) -> None:
    """A wrong option is named at once."""
    with pytest.raises(OptionError, match=message):
        sources.http(**options)


def test_listening_wide_without_protection_is_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    """Loopback is quiet; everything else without TLS and token is not."""
    with caplog.at_level(logging.WARNING), serving():
        assert "beyond this machine" not in caplog.text
    source = sources.http("0.0.0.0:0")
    pipeline = rxa.Pipeline(source, sinks.CollectSink[Alert](), timeout=5).start()
    assert source.wait_bound(10)
    pipeline.stop()
    pipeline.wait()
    assert "listens on 0.0.0.0, beyond this machine, without TLS and a token" in caplog.text


@pytest.mark.parametrize(
    "options",
    [{}, {"batch": "ndjson", "compress_uploads": True}, {"batch": "array", "batch_count": 7}],
)
def test_the_whole_way(tmp_path: Path, root: Path, options: dict[str, Any]) -> None:
    """replay → HTTP sink → HTTP source → file: the file equals the input, value for value."""
    log = root / "examples" / "alerts.jsonl"
    path = tmp_path / "out.jsonl"
    sent = list(wire.read(log))
    with serving(sinks.FileSink(path, format="json")) as served:
        report = rxa.run(sources.replay(log), sinks.HttpSink(served.url, format="json", **options))
        assert (report.lost, report.delivered) == (0, len(sent))
    assert list(wire.read(path)) == sent
