"""What an attacker who writes a field of an alert, or looks at the machine, cannot do."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import logging
import os
import signal
import stat
import subprocess
import sys
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import rxalerts as rxa
from rxalerts import Alert
from rxalerts.cli.daemon import PidFile
from rxalerts.errors import AlertError, ConfigError
from rxalerts.sinks import FileSink, GrpcSink, HttpSink, ProgramSink, StdoutSink, SyslogSink
from rxalerts.testing import eventually
from tests.faults.places import QUICK, SyslogDaemon
from tests.support.falco_client import Client
from tests.support.http_clients import serving
from tests.support.http_servers import Endpoint, Reply
from tests.support.run import Run, config, read_all, rxalerts, until

FORGED = "00:00:00.000000000: Emergency forged by the attacker"
# Line ends of every kind, terminals' escapes, and what a shell would run.
PAYLOAD = f"x\n{FORGED}\r\n{FORGED}\x0b{FORGED}\x0c{FORGED}\x85{FORGED}\u2028{FORGED}\u2029\x1b[2J\x1b]0;t\x07\x9b2J\0"
SHELL = "$(touch pwned) `touch pwned`; touch pwned | touch pwned && touch pwned"
SECRET = "s3cr3t-t0ken"
AUDIT = Path(__file__).resolve().parent.parent / ".ci" / "audit.py"

BAD = set("\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\x1b\x07\x9b\0")
TEXT = "text"
JSON = "json"


def evil(**more: Any) -> Alert:
    """Return an alert of which every part that an attacker can reach is hostile."""
    fields = {"user.name": PAYLOAD, PAYLOAD: "x", "cmd": SHELL}
    values: dict[str, Any] = {"tags": (PAYLOAD,), "hostname": PAYLOAD, "source": PAYLOAD, **more}
    return Alert(f"rule {PAYLOAD}", "notice", f"{PAYLOAD} {SHELL}", fields, **values)


def one_clean_line(text: str, kind: str) -> None:
    """Check that a text is one line whatever takes it apart, and that a terminal only shows it."""
    assert text.endswith("\n")
    body = text[:-1]
    assert not BAD & set(body), sorted(BAD & set(body))
    assert len(body.splitlines()) == 1
    assert not body.startswith(FORGED)
    if kind == JSON:
        assert json.loads(body)["output_fields"]["user.name"] == PAYLOAD


@pytest.mark.parametrize("kind", [TEXT, JSON])
def test_no_line_can_be_forged_in_a_file_or_on_stdout(kind: str, tmp_path: Path) -> None:
    """The file and standard output hold one line for one alert, without control characters."""
    out = tmp_path / "stdout.txt"
    with out.open("wb") as stream, StdoutSink(stream=stream, format=kind) as stdout:
        stdout.on_next(evil())
    with FileSink(tmp_path / "file.txt", format=kind) as file:
        file.on_next(evil())
    for path in (out, tmp_path / "file.txt"):
        one_clean_line(path.read_bytes().decode(), kind)


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("kind", [TEXT, JSON])
def test_no_line_can_be_forged_for_a_program_and_no_shell_sees_it(kind: str, kept: bool, tmp_path: Path) -> None:
    """A program reads one line, and nothing of it is run."""
    with ProgramSink(f"cd {tmp_path}; cat > got.txt", keep_alive=kept, format=kind) as program:
        program.on_next(evil())
    one_clean_line((tmp_path / "got.txt").read_bytes().decode(), kind)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("kind", [TEXT, JSON])
def test_no_message_can_be_forged_for_syslog(kind: str, tmp_path: Path) -> None:
    """The daemon gets one message, in one line."""
    daemon = SyslogDaemon(tmp_path)
    with SyslogSink(path=str(tmp_path / "log"), format=kind) as sink:
        sink.on_next(evil())
    texts = daemon.texts
    eventually(lambda: texts, "the message")
    daemon.close()
    assert len(texts) == 1
    assert not BAD & set(texts[0].rstrip("\0\n"))


@pytest.mark.parametrize("kind", [TEXT, JSON])
def test_no_line_or_header_can_be_forged_over_http(kind: str) -> None:
    """A batch has one line for each alert; no header holds anything of an alert but its id."""
    with Endpoint() as endpoint:
        with HttpSink(endpoint.url, batch="ndjson", format=kind) as batched:
            for alert in (evil(), evil()):
                batched.on_next(alert)
        with HttpSink(endpoint.url, format=kind, retry=QUICK) as single:
            single.on_next(evil())
    lines = "".join(f"{request.text.rstrip()}\n" for request in endpoint.requests)
    assert len(lines.splitlines()) == 3
    for line in lines.split("\n")[:-1]:
        one_clean_line(f"{line}\n", kind)
    for request in endpoint.requests:
        assert request.path == "/alerts"
        assert not any("forged" in text or "touch" in text for item in request.headers.items() for text in item)


def test_no_alert_can_be_forged_over_grpc(tmp_path: Path) -> None:
    """A subscriber gets one message, whatever stands in it."""
    address = f"unix://{tmp_path}/falco.sock"
    with GrpcSink(address) as sink:
        sink.start()
        eventually(lambda: sink.address, "the service to listen")
        with Client(address, "sub") as client:
            eventually(lambda: sink.subscribers, "a subscriber", timeout=30)
            sink.on_next(evil())
            client.reach(1)
            assert len(client.alerts) == 1
            # A protobuf string has an end of its own: the output comes as it is, in one message.
            assert PAYLOAD in client.alerts[0]["output"]


def test_no_log_line_can_be_forged(caplog: pytest.LogCaptureFixture) -> None:
    """What an endpoint answers, and what an alert holds, appears in the log escaped or not at all."""
    with caplog.at_level(logging.DEBUG, "rxalerts"):
        with Endpoint(lambda _: Reply(400, body=PAYLOAD.encode())) as endpoint:
            with HttpSink(endpoint.url, retry=QUICK) as sink:
                sink.on_next(evil())
        list(rxa.read(io.BytesIO(PAYLOAD.encode()), on_bad="report"))
    for record in caplog.records:
        assert not BAD & set(record.getMessage()), record.getMessage()


def test_rejected_input_is_shown_escaped(tmp_path: Path) -> None:
    """The summary of a run repeats no control character of its input."""
    done = rxalerts("run", "-c", config(tmp_path, "stdout_output: {enabled: true}"), folder=tmp_path, stdin=PAYLOAD)
    shown = done.stderr.decode()
    assert not (BAD - {"\n"}) & set(shown)
    assert f"\n{FORGED}" not in shown


# -- secrets ------------------------------------------------------------------------------------------------


@pytest.fixture
def secretive(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """A configuration with secrets in every place where one may stand, and the folder of it."""
    (tmp_path / "token").write_text(SECRET)
    url = f"http://me:{SECRET}@127.0.0.1:1/services/{SECRET}?key={SECRET}"
    text = json.dumps(
        {
            "http_output": {"enabled": True, "url": "${HOOK}"},
            "stdout_output": {"enabled": False},
            "rxalerts": {
                "channels": {"http": {"headers": {"X-Api-Key": SECRET}, "retry": {"initial": 0.05, "maximum": 0.1}}}
            },
            "output_timeout": 300,
        }
    )
    os.environ["HOOK"] = url
    try:
        yield config(tmp_path, text), tmp_path
    finally:
        del os.environ["HOOK"]


def test_secrets_are_not_shown_by_check_logs_or_ps(secretive: tuple[Path, Path]) -> None:
    """`check`, a run against a dead endpoint, its log and its command line do not hold the secret."""
    path, folder = secretive
    checked = rxalerts("check", path, folder=folder)
    assert checked.returncode == 0, checked.stderr
    assert SECRET not in (checked.stdout + checked.stderr).decode()
    with Run("run", "-c", path, folder=folder) as run:
        run.ready()
        run.write(['{"rule":"r","priority":"notice","time":"2026-01-01T00:00:00Z","output":"x"}\n'])
        run.said("next attempt")
        line = Path(f"/proc/{run.process.pid}/cmdline").read_bytes().decode()
        run.signal(signal.SIGTERM)
        run.end()
        assert SECRET not in line
        assert SECRET not in run.err + run.out


def has_failed(sink: HttpSink) -> bool:
    """Tell whether an attempt has failed."""
    return sink.stats().failures > 0


def test_secrets_are_not_in_repr_or_errors(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A sink shows no secret, whatever went wrong with it."""
    (tmp_path / "token").write_text(SECRET)
    sink = HttpSink(
        f"http://me:{SECRET}@127.0.0.1:1/x?key={SECRET}",
        headers={"X-Key": SECRET},
        retry=QUICK,
    )
    other = HttpSink("http://127.0.0.1:1/x", token_file=tmp_path / "token", retry=QUICK)
    with caplog.at_level(logging.DEBUG):
        for each in (sink, other):
            each.on_next(Alert("r", "notice", "m"))
            until(partial(has_failed, each), "a failure")
            each.close(0.1)
            assert SECRET not in f"{each!r} {each} {each.stats()}"
    assert SECRET not in caplog.text


# -- modes and links ----------------------------------------------------------------------------------------


def mode(path: Path) -> int:
    """Return a file's permissions."""
    return stat.S_IMODE(path.stat().st_mode)


def test_files_and_sockets_have_the_stated_modes(tmp_path: Path) -> None:
    """The alerts' file follows the umask; spools are the user's own; the gRPC socket has the mode that it was given."""
    before = os.umask(0o027)
    try:
        with FileSink(tmp_path / "events.txt", durable=str(tmp_path / "spool")) as file:
            file.on_next(Alert("r", "notice", "m"))
            assert file.flush(20)
            spooled = list((tmp_path / "spool").iterdir())
            assert spooled and all(mode(path) == 0o600 for path in spooled), spooled
        assert mode(tmp_path / "events.txt") == 0o640
        with GrpcSink(f"unix://{tmp_path}/falco.sock", socket_mode="0600") as sink:
            sink.start()
            eventually(lambda: sink.address, "the service to listen")
            assert mode(tmp_path / "falco.sock") == 0o600
        pid = PidFile(str(tmp_path / "pid"))
        pid.write()
        assert mode(tmp_path / "pid") == 0o640
        pid.remove()
    finally:
        os.umask(before)


def test_links_are_handled_as_documented(tmp_path: Path) -> None:
    """A link at the output path is followed and stays; one at the pidfile is refused and its target untouched."""
    target, link = tmp_path / "target", tmp_path / "link"
    link.symlink_to(target)
    with FileSink(link) as file:
        file.on_next(Alert("r", "notice", "m"))
    assert link.is_symlink() and read_all(target).endswith("Notice m\n")
    before = target.read_bytes()
    with pytest.raises(ConfigError, match="symbolic link"):
        PidFile(str(link))
    assert target.read_bytes() == before


# -- bombs --------------------------------------------------------------------------------------------------


def test_a_zip_bomb_is_refused_by_the_http_source() -> None:
    """A body that unpacks to more than max_body gets 413, and the next client is served."""
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()
    assert len(bomb) < 1 << 17
    with serving(max_body=1 << 20) as served:
        assert served.post(bomb, Content_Encoding="gzip").status == 413
        assert served.post(evil().to_json()).status == 200


def test_a_zip_bomb_in_a_log_needs_no_memory(tmp_path: Path) -> None:
    """A gzipped log without line ends is read in pieces, and rejected."""
    with gzip.open(tmp_path / "bomb.gz", "wb", 1) as bomb:
        for _ in range(16):
            bomb.write(b"[" * (1 << 20))
    with rxa.read(tmp_path / "bomb.gz", on_bad="report") as reader:
        assert list(reader) == [] and reader.rejected >= 1


def test_the_audit_finds_what_is_not_as_it_was_packed(tmp_path: Path) -> None:
    """A file that was changed or is gone, and a package from nowhere, fail the check of what is installed."""
    good = base64.urlsafe_b64encode(hashlib.sha256(b"good").digest()).rstrip(b"=").decode()
    info = tmp_path / "thing-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: thing\nVersion: 1\n")
    (info / "RECORD").write_text(f"a.py,sha256={good},4\nb.py,sha256={good},4\nc.py,sha256={good},4\n")
    for name, text in (("a", "good"), ("b", "evil")):
        (tmp_path / f"{name}.py").write_text(text)
    (info / "direct_url.json").write_text('{"url": "https://example.com/thing"}')
    done = subprocess.run([sys.executable, AUDIT, tmp_path], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "thing: b.py: changed since it was installed",
        "thing: c.py: No such file or directory",
        "thing: from https://example.com/thing, and no package index",
    ]


@pytest.mark.parametrize(
    "value",
    ["[" * 100_000 + "]" * 100_000, '{"a":' * 100_000 + "1" + "}" * 100_000, "9" * 100_000, "1e999", "-1e999999999"],
    ids=["lists", "maps", "digits", "infinity", "exponent"],
)
def test_deep_nesting_and_huge_numbers_are_bounded(value: str, tmp_path: Path) -> None:
    """Such a field is refused, or goes through as it is; it never ends the program."""
    text = (
        f'{{"rule":"r","priority":"notice","time":"2026-01-01T00:00:00Z","output":"x","output_fields":{{"a":{value}}}}}'
    )
    try:
        alert = rxa.parse(text)
    except AlertError:
        return
    with FileSink(tmp_path / "out", format=JSON) as sink:
        sink.on_next(alert)
    with FileSink(tmp_path / "text") as sink:
        sink.on_next(alert)
    assert sink.stats().delivered + sink.stats().rejected == 1


def test_a_yaml_bomb_is_a_problem_of_the_file(tmp_path: Path) -> None:
    """Aliases that multiply are found before they do, and `check` says so."""
    levels = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 12))
    path = config(tmp_path, f"l0: &l0 [x]\n{levels}\nfile_output: {{enabled: true, filename: x}}\n")
    done = rxalerts("check", path, folder=tmp_path)
    assert done.returncode == 2 and b"Traceback" not in done.stderr
