"""The user's document on Falco's alerts, statement by statement, with `rxalerts run` in Falco's place.

Standard output, file, syslog, program and JSON; the statements on HTTP and gRPC are in tests of their own.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
from functools import partial
from pathlib import Path

import pytest

from tests.support.run import Run, alerts, config, has, numbers, read_all, rxalerts, until

LINE = (
    "10:20:05.408091526: Warning Sensitive file opened for reading by non-trusted program "
    "(user=root command=cat /etc/shadow file=/etc/shadow)"
)
TEXT = LINE.partition(": Warning ")[2]
CLASSIC = (
    '{"output":"16:31:56.746609046: Error File below a known binary directory opened for writing '
    '(user=root command=touch /bin/hack file=/bin/hack)","priority":"Error","rule":"Write below binary dir",'
    '"time":"2017-10-09T23:31:56.746609046Z", "output_fields": {"evt.time":1507591916746609046,'
    '"fd.name":"/bin/hack","proc.cmdline":"touch /bin/hack","user.name":"root"}}'
)
SAMPLE = json.dumps(
    {
        "output": LINE,
        "priority": "Warning",
        "rule": "Read sensitive file untrusted",
        "time": "2026-06-07T10:20:05.408091526Z",
        "output_fields": {"user.name": "root", "proc.cmdline": "cat /etc/shadow", "fd.name": "/etc/shadow"},
    }
) + "\n"  # fmt: skip


def run(folder: Path, text: str, stdin: str = SAMPLE, *arguments: str, env: dict[str, str] | None = None) -> str:
    """Run one configuration over some input to its end; everything must be delivered."""
    config(folder, text)
    done = rxalerts("run", "-c", "falco.yaml", *arguments, folder=folder, stdin=stdin, env=env)
    assert done.returncode == 0, done.stderr.decode()
    return str(done.stdout.decode())


def stand_in(folder: Path, name: str, script: str) -> dict[str, str]:
    """Put a program of that name at the head of the path; returns the environment that finds it."""
    (folder / "bin").mkdir(exist_ok=True)
    path = folder / "bin" / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}


def open_files(pid: int) -> list[str]:
    """Return what a process has open."""
    folder = Path(f"/proc/{pid}/fd")
    found: list[str] = []
    for fd in os.listdir(folder):
        try:
            found.append(os.readlink(folder / fd))
        except FileNotFoundError:
            continue
    return found


# -- "Standard output" ------------------------------------------------------------------------------------------

STDOUT = "stdout_output:\n  enabled: true\n"


def test_stdout_one_line_is_printed_for_each_alert(tmp_path: Path) -> None:
    """'When configured to send alerts over standard output, one line is printed for each alert' (the sample)."""
    assert run(tmp_path, STDOUT, SAMPLE * 3) == f"{LINE}\n" * 3


def test_stdout_is_useful_for_what_captures_it(tmp_path: Path) -> None:
    """'Useful with Fluentd or Logstash, which capture logs': a reader of the pipe has each line at once."""
    config(tmp_path, STDOUT)
    with Run("run", "-c", "falco.yaml", folder=tmp_path, stdout=subprocess.PIPE) as command:
        assert command.process.stdout is not None
        for _ in range(3):
            command.write([SAMPLE])
            assert command.process.stdout.readline().decode() == LINE + "\n"
        assert command.end() == 0


@pytest.mark.parametrize("flag", ["-d", "--daemon"])
def test_stdout_messages_are_discarded_in_the_background(tmp_path: Path, flag: str) -> None:
    """'When run in the background with the -d/--daemon option, standard output messages are discarded.'"""
    text = STDOUT + "file_output:\n  enabled: true\n  filename: ./events.txt\n"
    assert run(tmp_path, text, SAMPLE, flag) == ""
    until(lambda: read_all(tmp_path / "events.txt") == LINE + "\n", "the alert in the file, by the background process")


# -- "File output" ----------------------------------------------------------------------------------------------

FILE = "file_output:\n  enabled: true\n  keep_alive: false\n  filename: ./events.txt\n"
KEPT = FILE.replace("false", "true")


def test_file_a_message_is_written_for_each_alert(tmp_path: Path) -> None:
    """'A message is written to the file for each alert. The format is very similar to standard output's.'"""
    printed = run(tmp_path, STDOUT + FILE, SAMPLE * 3)
    assert read_all(tmp_path / "events.txt") == printed == f"{LINE}\n" * 3


@pytest.mark.parametrize("keep", ["  keep_alive: false\n", ""], ids=["false", "default"])
def test_file_is_opened_and_closed_for_each_alert(tmp_path: Path, keep: str) -> None:
    """'keep_alive false (the default): for each alert the file is opened for appending, written and closed.'"""
    config(tmp_path, FILE.replace("  keep_alive: false\n", keep))
    path = tmp_path / "events.txt"
    with Run("run", "-c", "falco.yaml", folder=tmp_path) as command:
        command.write(alerts(1))
        until(lambda: numbers(read_all(path)) == [0])
        until(lambda: str(path) not in open_files(command.process.pid), "the file to be closed")
        path.rename(tmp_path / "moved.txt")
        command.write(alerts(1, 1))
        until(lambda: numbers(read_all(path)) == [1], "the next alert in a new file, without any signal")
        assert command.end() == 0
    assert numbers(read_all(tmp_path / "moved.txt")) == [0]


@pytest.mark.parametrize("keep", ["true", "false"])
def test_file_is_not_rotated_or_truncated(tmp_path: Path, keep: str) -> None:
    """'The file is not rotated or truncated': what stood in it stays, whatever comes."""
    (tmp_path / "events.txt").write_text("from before\n")
    run(tmp_path, FILE.replace("false", keep), SAMPLE * 1000)
    run(tmp_path, FILE.replace("false", keep), SAMPLE)
    assert read_all(tmp_path / "events.txt") == "from before\n" + f"{LINE}\n" * 1001
    assert [path.name for path in tmp_path.glob("events*")] == ["events.txt"]


def test_file_is_kept_open_with_keep_alive(tmp_path: Path) -> None:
    """'keep_alive true: the file is opened before the first alert and kept open for all subsequent alerts.'"""
    config(tmp_path, KEPT)
    path = tmp_path / "events.txt"
    with Run("run", "-c", "falco.yaml", "-U", folder=tmp_path) as command:
        command.write(alerts(1))
        until(lambda: numbers(read_all(path)) == [0])
        assert str(path) in open_files(command.process.pid)
        path.rename(tmp_path / "moved.txt")
        command.write(alerts(1, 1))
        until(lambda: numbers(read_all(tmp_path / "moved.txt")) == [0, 1], "the next alert in the same file")
        assert command.end() == 0
    assert not path.exists()


@pytest.mark.parametrize("flag", [None, "-U", "--unbuffered"])
def test_file_output_is_buffered_unless_unbuffered(tmp_path: Path, flag: str | None) -> None:
    """'Output is buffered and flushed only on close. (This can be changed with --unbuffered.)'"""
    config(tmp_path, KEPT + "rxalerts:\n  outputs:\n  - {channel: file, name: now, filename: now.txt}\n")
    with Run("run", "-c", "falco.yaml", *([flag] if flag else []), folder=tmp_path) as command:
        command.write(alerts(20))
        # The other file shows that the alerts have gone through.
        until(lambda: len(numbers(read_all(tmp_path / "now.txt"))) == 20)
        if flag:
            until(lambda: len(numbers(read_all(tmp_path / "events.txt"))) == 20)
        else:
            assert read_all(tmp_path / "events.txt") == ""
        assert command.end() == 0
    assert numbers(read_all(tmp_path / "events.txt")) == list(range(20))


def test_file_is_closed_and_reopened_on_sigusr1(tmp_path: Path) -> None:
    """'Falco closes and reopens its file output when it receives the SIGUSR1 signal': buffered alerts go to the old."""
    config(tmp_path, KEPT)
    with Run("run", "-c", "falco.yaml", folder=tmp_path) as command:
        command.write(alerts(5))
        until((tmp_path / "events.txt").exists)
        (tmp_path / "events.txt").rename(tmp_path / "events.txt.1")
        command.signal(signal.SIGUSR1)
        until((tmp_path / "events.txt").exists, "the new file")
        command.write(alerts(5, 5))
        assert command.end() == 0
    old, new = (numbers(read_all(tmp_path / name)) for name in ("events.txt.1", "events.txt"))
    assert old + new == list(range(10)) and new[-5:] == list(range(5, 10))


# -- "Syslog output" --------------------------------------------------------------------------------------------


def syslog(folder: Path, stdin: str, count: int) -> list[str]:
    """Run over some input with a syslog daemon's socket; returns the messages."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(str(folder / "log"))
        daemon.settimeout(30)
        messages: list[str] = []

        def receive() -> None:
            messages.extend(daemon.recv(1 << 16).decode() for _ in range(count))

        # A queue of datagrams is short: somebody has to read while we write.
        reader = threading.Thread(target=receive)
        reader.start()
        run(folder, "syslog_output:\n  enabled: true\nrxalerts: {channels: {syslog: {path: ./log}}}\n", stdin)
        reader.join(30)
    return messages


def test_syslog_a_message_is_sent_for_each_alert(tmp_path: Path) -> None:
    """'A syslog message is sent for each alert': ident falco, and the text of the document's sample."""
    messages = syslog(tmp_path, SAMPLE * 3, 3)
    assert messages == [f"<12>Jun  7 10:20:05 falco: {TEXT}"] * 3


def test_syslog_facility_is_user_and_the_priority_is_the_rules(tmp_path: Path) -> None:
    """'A facility of LOG_USER. The rule's priority is used as the priority of the syslog message': all eight."""
    names = ["Emergency", "Alert", "Critical", "Error", "Warning", "Notice", "Informational", "Debug"]
    lines = "".join(SAMPLE.replace('"priority": "Warning"', f'"priority": "{name}"') for name in names)
    user = 1
    messages = syslog(tmp_path, lines, 8)
    assert [message[: message.index(">") + 1] for message in messages] == [f"<{user * 8 + n}>" for n in range(8)]


# -- "Program output" -------------------------------------------------------------------------------------------


def program(command: str, *, keep_alive: bool = False) -> str:
    """Return a configuration with a program, quoted as YAML wants it."""
    return (
        f"program_output:\n  enabled: true\n  keep_alive: {str(keep_alive).lower()}\n  program: {json.dumps(command)}\n"
    )


def test_program_is_started_for_each_alert_mail_example(tmp_path: Path) -> None:
    """'For each alert Falco runs the program mail -s ... and writes the alert to it' (stand-in for mail)."""
    env = stand_in(tmp_path, "mail", 'echo "$1|$2|$3|$(cat)" >> sent')
    run(tmp_path, program('mail -s "Falco Notification" someone@example.com'), SAMPLE * 3, env=env)
    assert read_all(tmp_path / "sent") == f"-s|Falco Notification|someone@example.com|{LINE}\n" * 3


def test_program_only_one_can_be_configured(tmp_path: Path) -> None:
    """'Only a single program output can be configured at a time': a second one in Falco's section is an error."""
    config(tmp_path, program("cat") + program("cat"))
    done = rxalerts("run", "-c", "falco.yaml", folder=tmp_path)
    assert done.returncode == 2 and "program_output" in done.stderr.decode()


def test_program_xargs_example(tmp_path: Path) -> None:
    """'xargs can pass the Falco event with an argument' (stand-in for aws; the variables are the environment's)."""
    env = stand_in(tmp_path, "aws", 'printf "%s|" "$@" >> sent')
    text = program("xargs -I {} aws --region ${region} sns publish --topic-arn ${falco_sns_arn} --message {}")
    run(tmp_path, text, SAMPLE, env={**env, "region": "eu-north-1", "falco_sns_arn": "arn:aws:sns:x"})
    assert read_all(tmp_path / "sent").split("|")[:-1] == [
        "--region", "eu-north-1", "sns", "publish", "--topic-arn", "arn:aws:sns:x", "--message", LINE,
    ]  # fmt: skip


def test_program_is_run_through_a_shell(tmp_path: Path) -> None:
    """'The program is run through a shell, so a command pipeline can be given to add further formatting.'"""
    run(tmp_path, program("sed 's/^/** /' | tr a-z A-Z >> out"), SAMPLE * 2)
    assert read_all(tmp_path / "out") == f"** {LINE.upper()}\n" * 2


def test_program_is_kept_with_keep_alive(tmp_path: Path) -> None:
    """'keep_alive true: spawns the program before the first alert ... The pipe is kept open for subsequent alerts.'"""
    config(tmp_path, program("echo started >> starts; exec cat >> out", keep_alive=True))
    with Run("run", "-c", "falco.yaml", "-U", folder=tmp_path) as command:
        for number in range(3):
            command.write(alerts(1, number))
            until(partial(has, tmp_path / "out", number + 1))
        assert command.end() == 0
    assert read_all(tmp_path / "starts") == "started\n"


@pytest.mark.parametrize("flag", [None, "--unbuffered"])
def test_program_output_is_buffered_unless_unbuffered(tmp_path: Path, flag: str | None) -> None:
    """'Output is buffered and flushed only on close. (This can be changed with --unbuffered.)'"""
    config(tmp_path, program("exec cat >> out", keep_alive=True) + FILE)
    with Run("run", "-c", "falco.yaml", *([flag] if flag else []), folder=tmp_path) as command:
        command.write(alerts(20))
        until(lambda: len(numbers(read_all(tmp_path / "events.txt"))) == 20)
        if flag:
            until(lambda: len(numbers(read_all(tmp_path / "out"))) == 20)
        else:
            assert read_all(tmp_path / "out") == ""
        assert command.end() == 0
    assert numbers(read_all(tmp_path / "out")) == list(range(20))


def test_program_is_in_our_process_group_and_gets_our_signals(tmp_path: Path) -> None:
    """'In the same process group ... receives all signals.'"""
    text = "trap 'echo TERM >> signals' TERM; ps -o pgid= -p $$ > group; while read line; do echo $line >> out; done"
    config(tmp_path, program(text, keep_alive=True))
    with Run("run", "-c", "falco.yaml", "-U", folder=tmp_path) as command:
        command.write(alerts(3))
        until(lambda: len(numbers(read_all(tmp_path / "out"))) == 3)
        assert int(read_all(tmp_path / "group")) == os.getpgid(command.process.pid)
        os.killpg(command.process.pid, signal.SIGTERM)
        until(lambda: read_all(tmp_path / "signals") == "TERM\n", "the program's own SIGTERM")
        command.end()
    assert numbers(read_all(tmp_path / "out")) == [0, 1, 2]


def test_program_that_overrides_the_handler_shuts_down_cleanly(tmp_path: Path) -> None:
    """'To ignore SIGTERM, so as to allow a clean shutdown of buffered output, override the signal handler.'"""
    config(tmp_path, program("trap '' TERM; touch ready; exec cat >> out", keep_alive=True) + FILE)
    with Run("run", "-c", "falco.yaml", folder=tmp_path) as command:
        command.write(alerts(50))
        until(partial(has, tmp_path / "events.txt", 50))
        until((tmp_path / "ready").exists)
        os.killpg(command.process.pid, signal.SIGTERM)
        assert command.end() == 0, command.err
    assert numbers(read_all(tmp_path / "out")) == list(range(50))


def test_program_is_closed_and_reopened_on_sigusr1(tmp_path: Path) -> None:
    """'Since Falco 0.10.0 ... closes and reopens ... when it receives the SIGUSR1 signal': the program too."""
    config(tmp_path, program("trap '' USR1; exec cat > out.$$", keep_alive=True))
    with Run("run", "-c", "falco.yaml", folder=tmp_path) as command:
        command.write(alerts(5))
        until(lambda: len(list(tmp_path.glob("out.*"))) == 1)
        command.signal(signal.SIGUSR1)
        until(lambda: len(list(tmp_path.glob("out.*"))) == 2, "the second program")
        command.write(alerts(5, 5))
        assert command.end() == 0
    assert sorted(numbers(read_all(*tmp_path.glob("out.*")))) == list(range(10))


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is missing: apt-get install jq")
def test_program_slack_example(tmp_path: Path) -> None:
    """'Posting to a Slack incoming webhook': real jq, stand-in for curl."""
    env = stand_in(tmp_path, "curl", 'printf "%s|" "$@" >> arguments; cat >> body')
    command = "jq '{text: .output}' | curl -d @- -X POST https://hooks.slack.com/services/XXX"
    run(tmp_path, "json_output: true\n" + program(command), SAMPLE, env=env)
    assert json.loads(read_all(tmp_path / "body")) == {"text": LINE}
    assert read_all(tmp_path / "arguments") == "-d|@-|-X|POST|https://hooks.slack.com/services/XXX|"


@pytest.mark.skipif(shutil.which("nc") is None, reason="nc is missing: apt-get install netcat-openbsd")
def test_program_network_channel_example(tmp_path: Path) -> None:
    """'Sending alerts to a network channel': `nc`, kept alive, has one connection for all alerts."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        received: list[bytes] = []

        def serve() -> None:
            with server.accept()[0] as connection:
                connection.settimeout(30)
                while chunk := connection.recv(1 << 16):
                    received.append(chunk)

        reader = threading.Thread(target=serve)
        reader.start()
        # -N: end the connection at the end of the input, as traditional nc does.
        text = program(f"nc -N 127.0.0.1 {server.getsockname()[1]}", keep_alive=True)
        run(tmp_path, "json_output: true\n" + text, "".join(alerts(100)))
        reader.join(30)
    assert numbers(b"".join(received).decode()) == list(range(100))


# -- "JSON output" ----------------------------------------------------------------------------------------------


def test_json_for_all_channels(tmp_path: Path) -> None:
    """'For all output channels, JSON output can be switched on': one object on one line, the same for each."""
    text = "json_output: true\n" + STDOUT + FILE + program("cat >> out")
    printed = run(tmp_path, text, SAMPLE * 2)
    assert read_all(tmp_path / "events.txt") == read_all(tmp_path / "out") == printed
    for line in printed.splitlines():
        assert json.loads(line) == json.loads(SAMPLE)


def test_json_on_the_command_line(tmp_path: Path) -> None:
    """'... in the configuration file or on the command line.'"""
    assert json.loads(run(tmp_path, STDOUT, SAMPLE, "-o", "json_output=true")) == json.loads(SAMPLE)


def test_json_properties(tmp_path: Path) -> None:
    """'time, rule, priority, output, output_fields': the time in ISO 8601, the fields by name."""
    body = json.loads(run(tmp_path, STDOUT + "json_output: true\n", LINE + "\n"))
    assert {"time", "rule", "priority", "output", "output_fields"} - body.keys() <= {"rule"}
    assert body["time"].endswith("Z") and "T" in body["time"]
    assert body["output"] == LINE and body["priority"] == "Warning"
    assert body["output_fields"]["file"] == "/etc/shadow"


def test_json_the_documents_sample(tmp_path: Path) -> None:
    """The document's own JSON alert, byte for byte, with `style: classic`; with the default, value for value."""
    format = "rxalerts: {channels: {stdout: {format: {json: true, style: classic}}}}\n"
    assert run(tmp_path, STDOUT + format, CLASSIC + "\n") == CLASSIC + "\n"
    assert json.loads(run(tmp_path, STDOUT + "json_output: true\n", CLASSIC + "\n")) == json.loads(CLASSIC)
