"""`rxalerts check`, `send-test`, `version` and the help."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.run import COMMAND, alert, config, read_all, rxalerts

FILE = "file_output: {enabled: true, keep_alive: true, filename: ./events.txt}\n"


def test_check_shows_the_effective_channels(tmp_path: Path) -> None:
    """A good file: status 0, a table of what each channel is told, overrides included, and what only Falco acts on."""
    config(
        tmp_path,
        FILE + "stdout_output: {enabled: true}\npriority: error\noutputs: {rate: 5, max_burst: 7}\n"
        "append_output: [{extra_output: x}]\nrules_files: []\n",
    )
    done = rxalerts("check", "falco.yaml", "-o", "json_output=true", folder=tmp_path)
    assert done.returncode == 0
    lines = [line.split() for line in done.stdout.decode().splitlines()]
    assert ["priority", "Error"] in lines
    assert ["rate", "limit", "5/s,", "7", "at", "once"] in lines
    assert ["file", "file", "format", "json"] in lines
    assert ["filename", "./events.txt"] in lines
    assert ["left", "to", "Falco", "append_output,", "rules_files"] in lines
    assert ["stdout", "stdout", "format", "json"] in lines


def test_check_masks_secrets(tmp_path: Path) -> None:
    """What may give access to something is shown as ***; of an address the host is left."""
    config(
        tmp_path,
        "http_output: {enabled: true, url: 'http://user:hush-hush@localhost/'}\n"
        "rxalerts: {channels: {http: {headers: {Authorization: hush-hush}}}}\n",
    )
    done = rxalerts("check", "falco.yaml", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "hush-hush" not in done.stdout.decode() + done.stderr.decode()
    assert "http://localhost/***" in done.stdout.decode()
    config(tmp_path, "http_output: {enabled: true, url: 'http://user:hush/hush@localhost/x?hush=1'}\n")
    assert b"hush" not in rxalerts("check", "falco.yaml", folder=tmp_path).stdout


def test_check_masks_secrets_that_come_from_variables(tmp_path: Path) -> None:
    """A program's or a template's variable that sounds like a secret is shown by its name, others by their value."""
    config(
        tmp_path,
        "program_output: {enabled: true, program: 'curl -H Auth:${API_TOKEN} ${HOST}'}\n"
        "http_output: {enabled: true, url: 'http://h/'}\n"
        "rxalerts: {channels: {http: {template: '{\"key\": \"${PD_KEY}\"}'}}}\n",
    )
    env = {"API_TOKEN": "hush-hush", "PD_KEY": "hush-hush-2", "HOST": "example"}
    shown = rxalerts("check", "falco.yaml", folder=tmp_path, env=env).stdout.decode()
    assert "curl -H Auth:${API_TOKEN} example" in shown and '{"key": "${PD_KEY}"}' in shown
    assert "hush-hush" not in shown


def test_check_shows_all_errors_at_once(tmp_path: Path) -> None:
    """Every error of the file and its included ones, with place; status 2 and no table."""
    (tmp_path / "more.yaml").write_text("output_timeout: soon\n")
    config(tmp_path, FILE + "priority: urgent\njson_output: perhaps\njsn_output: true\nconfig_files: [more.yaml]\n")
    done = rxalerts("check", "falco.yaml", folder=tmp_path)
    said = done.stderr.decode()
    assert done.returncode == 2
    for words in ("falco.yaml:2:", "falco.yaml:3:", "more.yaml:1:", "did you mean 'json_output'?", "3 errors"):
        assert words in said
    assert done.stdout == b""


def test_check_looks_at_the_source_too(tmp_path: Path) -> None:
    """A source that cannot be read is an error here, not at midnight."""
    config(tmp_path, FILE + "rxalerts: {source: missing.jsonl}\n")
    done = rxalerts("check", "falco.yaml", folder=tmp_path)
    assert done.returncode == 2
    assert "falco.yaml:2:20: error: rxalerts.source: missing.jsonl: no such file" in done.stderr.decode()


def test_check_opens_nothing(tmp_path: Path) -> None:
    """No file is made and no program is started by looking at a configuration."""
    config(tmp_path, FILE + "program_output: {enabled: true, keep_alive: true, program: touch started}\n")
    assert rxalerts("check", "falco.yaml", folder=tmp_path).returncode == 0
    assert sorted(os.listdir(tmp_path)) == ["falco.yaml"]


def test_send_test_goes_through_every_channel(tmp_path: Path) -> None:
    """One alert for each, whatever their priority; each result is told, and the status is 0."""
    config(
        tmp_path,
        FILE + "stdout_output: {enabled: true}\nprogram_output: {enabled: true, program: cat > got}\n"
        "rxalerts: {channels: {file: {priority: emergency}}}\n",
    )
    done = rxalerts("send-test", "-c", "falco.yaml", "--priority", "notice", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    for text in (done.stdout.decode(), read_all(tmp_path / "events.txt"), read_all(tmp_path / "got")):
        assert text.count(": Notice This is a test of the alert channels") == 1
    said = done.stderr.decode().splitlines()
    assert [line.split()[:2] for line in said] == [[name, "delivered"] for name in ("file", "stdout", "program")]


def test_send_test_tells_what_failed(tmp_path: Path) -> None:
    """A channel that fails: its reason, the others' success, and status 1."""
    config(tmp_path, FILE.replace("./events", "/no/such/folder/events") + "stdout_output: {enabled: true}\n")
    done = rxalerts("send-test", "-c", "falco.yaml", "--timeout", "1", folder=tmp_path)
    assert done.returncode == 1
    said = done.stderr.decode()
    assert "file    failed: " in said and "No such file" in said
    assert "stdout  delivered in" in said


def test_send_test_refuses_an_unknown_priority(tmp_path: Path) -> None:
    """--priority names the choices."""
    config(tmp_path, FILE)
    done = rxalerts("send-test", "-c", "falco.yaml", "--priority", "urgent", folder=tmp_path)
    assert done.returncode == 2 and "emergency" in done.stderr.decode().lower()


@pytest.mark.parametrize("command", ["run", "replay", "check", "send-test", "version"])
def test_the_help_of_each_command_has_an_example(tmp_path: Path, command: str) -> None:
    """Whoever asks for help sees one way that works."""
    done = rxalerts(command, "--help", folder=tmp_path)
    assert done.returncode == 0
    assert f"rxalerts {command}" in done.stdout.decode().partition("Example: ")[2].replace("\n", " ")


def test_the_command_runs_as_a_module(tmp_path: Path) -> None:
    """`python -m rxalerts` is the same, under the same name, where the command is not on the path."""
    done = subprocess.run(
        [sys.executable, "-m", "rxalerts", "run", "--wrong"], cwd=tmp_path, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 2 and b"Usage: rxalerts run" in done.stderr


def test_version(tmp_path: Path) -> None:
    """The version, on one line."""
    from rxalerts import __version__

    assert rxalerts("version", folder=tmp_path).stdout.decode() == f"rxalerts {__version__}\n"


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    """The list of commands needs no network library, no YAML and no reactivex operators at work."""
    script = (
        "import sys\nfrom rxalerts.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print([name for name in ('aiohttp', 'grpc', 'google.protobuf', 'yaml', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_replay_delivers_to_the_channels_of_a_configuration(tmp_path: Path) -> None:
    """replay -c sends a recorded log where live alerts would go, with -o on top."""
    config(tmp_path, FILE + "stdout_output: {enabled: true}\n")
    (tmp_path / "log").write_text(alert(1) + alert(2, "Debug"))
    done = rxalerts("replay", "log", "-c", "falco.yaml", "-o", "priority=warning", folder=tmp_path)
    assert done.returncode == 0
    assert done.stdout.decode() == read_all(tmp_path / "events.txt")
    assert done.stdout.decode().count("(number=1)") == 1 and "(number=2)" not in done.stdout.decode()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-c", "falco.yaml", "--json"], "contradict -c"),
        (["-c", "falco.yaml", "--to", "x"], "contradict -c"),
        (["-o", "json_output=true"], "name one with -c"),
        (["--speed", "fast"], "speed"),
    ],
)
def test_replay_refuses_contradictions(tmp_path: Path, arguments: list[str], words: str) -> None:
    """Two options that exclude each other are named, with what to do instead."""
    config(tmp_path, FILE)
    (tmp_path / "log").write_text(alert(1))
    done = rxalerts("replay", "log", *arguments, folder=tmp_path)
    assert done.returncode == 2 and words in done.stderr.decode()


def test_replay_without_a_configuration_prints(tmp_path: Path) -> None:
    """Text on standard output by default, JSON with --json, a file with --to."""
    (tmp_path / "log").write_text(alert(1))
    assert rxalerts("replay", "log", folder=tmp_path).stdout.decode().endswith("Shell opened (number=1)\n")
    assert rxalerts("replay", "log", "--json", folder=tmp_path).stdout.decode() == alert(1)
    assert rxalerts("replay", "log", "--json", "--to", "out", folder=tmp_path).stdout == b""
    assert (tmp_path / "out").read_text() == alert(1)


def test_replay_stops_on_a_signal_with_a_report(tmp_path: Path) -> None:
    """Ctrl-C in the middle of a paced replay: what was read is delivered, and the summary tells how much."""
    if shutil.which("timeout") is None:
        pytest.skip("timeout (Debian: coreutils) is missing")
    (tmp_path / "log").write_text(alert(1) + alert(2, time="2026-06-07T11:20:05Z"))
    began = time.monotonic()
    done = subprocess.run(
        ["timeout", "-s", "INT", "2", *COMMAND, "replay", "log", "--speed", "1"],
        cwd=tmp_path,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert time.monotonic() - began < 10
    assert done.stdout.decode().count("number=1") == 1
    assert "stdout: delivered 1 of 1" in done.stderr.decode()
