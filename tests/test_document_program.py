"""The user's document on the program output, example by example, with stand-ins for what would leave the machine."""

from __future__ import annotations

import http.server
import json
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from rxalerts.alert import Alert
from rxalerts.flow.backoff import Retry
from rxalerts.sinks.program import ProgramSink

pytestmark = pytest.mark.real

MESSAGE = "File below a known binary directory opened for writing (user=root file=/bin/hack)"
SOON = Retry(initial=0.02, maximum=0.05)


def need(*programs: str) -> None:
    """Skip the test if one of the programs is missing."""
    for program in programs:
        if shutil.which(program) is None:
            package = {"nc": "netcat-openbsd"}.get(program, program)
            pytest.skip(f"{program} is missing: apt-get install {package}")


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put stand-ins for mail and aws in front of PATH; each run adds its arguments and input to a file."""
    folder, record = tmp_path / "bin", tmp_path / "record"
    folder.mkdir()
    for name, script in {
        "mail": 'printf "mail %s|%s|%s|%s\\n" "$1" "$2" "$3" "$(cat)"',
        "aws": 'for each in "$@"; do printf "%s|" "$each"; done; echo',
    }.items():
        (folder / name).write_text(f"#!/bin/sh\n({script}) >> {record}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return record


def test_program_output_mail(record: Path) -> None:
    """`mail -s …`: one run for each alert, with the alert on its stdin."""
    with ProgramSink('mail -s "Falco Notification" someone@example.com', keep_alive=False) as sink:
        sink.on_next(Alert("Write below binary dir", "error", MESSAGE))
        sink.on_next(Alert("Write below binary dir", "error", "another"))
    one, other = record.read_text().splitlines()
    assert one.startswith("mail -s|Falco Notification|someone@example.com|")
    assert one.endswith(f": Error {MESSAGE}") and other.endswith(": Error another")


def test_program_output_xargs(record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`xargs -I {} aws …`: the alert as an argument; the shell expands ${region} and ${falco_sns_arn}."""
    need("xargs")
    monkeypatch.setenv("region", "eu-west-1")
    monkeypatch.setenv("falco_sns_arn", "arn:aws:sns:1")
    program = "xargs -I {} aws --region ${region} sns publish --topic-arn ${falco_sns_arn} --message {}"
    with ProgramSink(program, keep_alive=False) as sink:
        sink.on_next(Alert("Write below binary dir", "error", MESSAGE))
    words = record.read_text().strip().strip("|").split("|")
    assert words[:-1] == ["--region", "eu-west-1", "sns", "publish", "--topic-arn", "arn:aws:sns:1", "--message"]
    assert words[-1].endswith(f": Error {MESSAGE}")


class _Webhook(http.server.BaseHTTPRequestHandler):
    """Stands in for Slack: keeps what it is sent."""

    bodies: list[bytes]

    def do_POST(self) -> None:
        self.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[bytes]]]:
    """Serve a webhook on loopback; gives its URL and the bodies."""
    bodies: list[bytes] = []
    handler = type("Webhook", (_Webhook,), {"bodies": bodies})
    with http.server.HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/services/XXX", bodies
        server.shutdown()
        thread.join()


def test_posting_to_a_slack_incoming_webhook(webhook: tuple[str, list[bytes]]) -> None:
    """`jq '{text: .output}' | curl -d @- …` with json_output: one POST for each alert."""
    need("jq", "curl")
    url, bodies = webhook
    with ProgramSink(f"jq '{{text: .output}}' | curl -s -d @- -X POST {url} >&2", format="json") as sink:
        for message in (MESSAGE, 'quotes " and ünïcode'):
            sink.on_next(Alert("Write below binary dir", "error", message))
    texts = [json.loads(body)["text"] for body in bodies]
    assert [text.partition(": Error ")[2] for text in texts] == [MESSAGE, 'quotes " and ünïcode']
    assert sink.counts.failed == 0


def test_sending_alerts_to_a_network_channel() -> None:
    """`nc host port` with keep_alive: one connection for all alerts; it is made anew when it breaks."""
    need("nc")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        port = server.getsockname()[1]
        sink = ProgramSink(
            f"nc 127.0.0.1 {port}", keep_alive=True, format="json", unbuffered=True, retry=SOON, output_timeout=0.3
        )
        sink.on_next(Alert("one", "error", MESSAGE))
        with server.accept()[0] as peer, peer.makefile("rb") as lines:
            peer.settimeout(10)
            assert json.loads(lines.readline())["rule"] == "one"
            sink.on_next(Alert("two", "error", MESSAGE))
            assert json.loads(lines.readline())["rule"] == "two"
            peer.shutdown(socket.SHUT_RDWR)
        # nc notices when it writes; what it had read by then is nc's to lose.
        with _next_connection(server, sink) as peer, peer.makefile("rb") as lines:
            sink.on_next(Alert("four", "error", MESSAGE))
            while json.loads(lines.readline())["rule"] != "four":
                continue
        assert sink.close(10)


def _next_connection(server: socket.socket, sink: ProgramSink) -> socket.socket:
    """Send alerts until nc has found out and its successor has connected."""
    server.settimeout(0.05)
    for _ in range(200):
        sink.on_next(Alert("three", "error", MESSAGE))
        with suppress(TimeoutError):
            peer = server.accept()[0]
            peer.settimeout(10)
            return peer
    raise AssertionError("nc was not started again")
