"""`rxalerts run`: from standard input or a file to the channels of a falco.yaml."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.run import COMMAND, Run, alert, alerts, config, numbers, read_all, rxalerts, until

FILE = "file_output: {enabled: true, keep_alive: true, filename: ./events.txt}\n"
STDOUT = "stdout_output: {enabled: true}\n"


def test_alerts_go_to_stdout_and_nothing_else_does(tmp_path: Path) -> None:
    """Alerts stand on standard output, the summary on standard error, and the exit status is 0."""
    config(tmp_path, STDOUT + FILE)
    done = rxalerts("run", "-c", "falco.yaml", folder=tmp_path, stdin="".join(alerts(3)))
    assert done.returncode == 0
    assert done.stdout.decode() == "".join(f"10:20:05.408091526: Warning Shell opened (number={n})\n" for n in range(3))
    assert (tmp_path / "events.txt").read_bytes() == done.stdout
    assert "stdin: read 3, rejected 0" in done.stderr.decode()
    assert "file: delivered 3 of 3" in done.stderr.decode()


def test_an_alert_is_on_stdout_at_once(tmp_path: Path) -> None:
    """A reader of the pipe sees an alert while the stream goes on."""
    config(tmp_path, STDOUT)
    with Run("run", "-c", "falco.yaml", folder=tmp_path) as run:
        run.write(alerts(1))
        until(lambda: numbers(run.out) == [0], "the alert on standard output")
        assert run.process.poll() is None
        assert run.end() == 0


@pytest.mark.parametrize("flag", ["-U", "--unbuffered"])
def test_unbuffered_writes_a_kept_file_at_once(tmp_path: Path, flag: str) -> None:
    """-U shows each alert in a file that is kept open while the stream goes on."""
    config(tmp_path, FILE)
    with Run("run", "-c", "falco.yaml", flag, folder=tmp_path) as run:
        run.write(alerts(1))
        until(lambda: numbers(read_all(tmp_path / "events.txt")) == [0])
        assert run.end() == 0


def test_the_file_can_be_named_instead_of_stdin(tmp_path: Path) -> None:
    """--from PATH reads a recorded log once."""
    config(tmp_path, STDOUT)
    (tmp_path / "log.jsonl").write_text("".join(alerts(5)))
    done = rxalerts("run", "-c", "falco.yaml", "--from", "log.jsonl", folder=tmp_path)
    assert done.returncode == 0
    assert numbers(done.stdout.decode()) == [0, 1, 2, 3, 4]


def test_the_source_can_stand_in_the_file(tmp_path: Path) -> None:
    """rxalerts.source says where alerts come from, and --from goes before it."""
    config(tmp_path, STDOUT + "rxalerts: {source: one.jsonl}\n")
    (tmp_path / "one.jsonl").write_text(alert(1))
    (tmp_path / "two.jsonl").write_text(alert(2))
    assert numbers(rxalerts("run", "-c", "falco.yaml", folder=tmp_path).stdout.decode()) == [1]
    done = rxalerts("run", "-c", "falco.yaml", "--from", "two.jsonl", folder=tmp_path)
    assert numbers(done.stdout.decode()) == [2]


def test_json_can_be_switched_on_in_the_file_and_on_the_command_line(tmp_path: Path) -> None:
    """json_output: true and -o json_output=true give the same lines: those that came in."""
    lines = "".join(alerts(2))
    config(tmp_path, STDOUT)
    by_option = rxalerts("run", "-c", "falco.yaml", "-o", "json_output=true", folder=tmp_path, stdin=lines)
    config(tmp_path, STDOUT + "json_output: true\n")
    by_file = rxalerts("run", "-c", "falco.yaml", folder=tmp_path, stdin=lines)
    assert by_option.stdout == by_file.stdout == lines.encode()


def test_priority_filters_rules_and_lets_internal_alerts_pass(tmp_path: Path) -> None:
    """As in Falco, `priority` acts on rules; internal alerts always come through."""
    config(tmp_path, STDOUT + "priority: error\n")
    lines = alert(1, "Warning") + alert(2, "Error") + alert(3, "Debug", source="internal", output="Falco internal: x")
    done = rxalerts("run", "-c", "falco.yaml", folder=tmp_path, stdin=lines)
    assert numbers(done.stdout.decode()) == [2, 3]
    assert done.returncode == 0


def test_the_rate_limit_acts_on_all_channels_together(tmp_path: Path) -> None:
    """outputs.max_burst alerts pass, then outputs.rate; each channel gets the same ones, and the rest is told."""
    config(tmp_path, STDOUT + FILE + "outputs: {rate: 1, max_burst: 5}\n")
    done = rxalerts("run", "-c", "falco.yaml", folder=tmp_path, stdin="".join(alerts(50)))
    passed = numbers(done.stdout.decode())
    assert passed[:5] == [0, 1, 2, 3, 4]
    assert 5 <= len(passed) < 50
    assert numbers(read_all(tmp_path / "events.txt")) == passed
    assert f"{50 - len(passed)} skipped by outputs.rate" in done.stderr.decode()


def test_the_host_name_override_is_logged(tmp_path: Path) -> None:
    """FALCO_HOSTNAME is announced as Falco does."""
    config(tmp_path, STDOUT)
    done = rxalerts("run", "-c", "falco.yaml", folder=tmp_path, env={"FALCO_HOSTNAME": "cluster-7"})
    assert "Hostname value has been overridden via environment variable to: cluster-7" in done.stderr.decode()


@pytest.mark.parametrize(("level", "said"), [("info", True), ("warning", False), ("nonsense", True)])
def test_log_level_is_honoured(tmp_path: Path, level: str, said: bool) -> None:
    """Falco's log_level governs what is said on standard error; what is none of its values is passed over."""
    config(tmp_path, STDOUT + f"log_level: {level}\n")
    done = rxalerts("run", "-c", "falco.yaml", folder=tmp_path)
    assert ("rxalerts: ready" in done.stderr.decode()) is said


def test_log_stderr_false_leaves_the_summary_only(tmp_path: Path) -> None:
    """With log_stderr: false the log does not go to standard error."""
    config(tmp_path, STDOUT + "log_stderr: false\nlog_syslog: false\n")
    done = rxalerts("run", "-c", "falco.yaml", folder=tmp_path)
    assert "ready" not in done.stderr.decode()


def test_a_closed_pipe_ends_the_run_cleanly(tmp_path: Path) -> None:
    """`rxalerts run | head -1` ends with 0: what nobody reads is not lost, and the summary says how much it is."""
    config(tmp_path, STDOUT)
    (tmp_path / "log.jsonl").write_text("".join(alerts(5000)))
    with Run("run", "-c", "falco.yaml", "--from", "log.jsonl", folder=tmp_path, stdout=subprocess.PIPE) as run:
        assert run.process.stdout is not None
        assert numbers(run.process.stdout.readline().decode()) == [0]
        run.process.stdout.close()
        assert run.end() == 0
        assert "unread: its reader left" in run.err


# -- as Falco's own program -------------------------------------------------------------------------------------

FALCO = """
trap 'stopping=1' {signal}
seq=0
say() {{ printf '{{"rule":"r","priority":"Error","output":"(number=%d)"}}\\n' $seq; seq=$((seq+1)); }}
say; touch started
while [ -z "$stopping" ]; do say; done
for i in $(seq 200); do say; done
echo $seq > said
"""


@pytest.mark.parametrize("name", ["TERM", "INT"])
def test_nothing_is_lost_when_falco_and_we_get_the_signal_together(tmp_path: Path, name: str) -> None:
    """On a signal to the whole group we read on until Falco, which drains its own queue, has closed the pipe."""
    config(tmp_path, FILE)
    (tmp_path / "falco.sh").write_text(FALCO.format(signal=name))
    program = f"sh falco.sh | {' '.join(map(_quoted, COMMAND))} run -c falco.yaml; echo $? > status"
    # The shell in between ignores the signal, as systemd would; those in the pipe do not.
    script = f"trap : {name}; ({program}) 2> log"
    with Run(folder=tmp_path, command=["sh", "-c", script]) as run:
        until(lambda: "ready" in read_all(tmp_path / "log") and (tmp_path / "started").exists())
        os.killpg(run.process.pid, signal.Signals[f"SIG{name}"])
        until((tmp_path / "said").exists)
        run.end()
        said = int(until(lambda: read_all(tmp_path / "said").strip()))
        until(lambda: "delivered" in read_all(tmp_path / "log"))
    assert numbers(read_all(tmp_path / "events.txt")) == list(range(said)), read_all(tmp_path / "log")


def _quoted(word: str) -> str:
    return '"' + word.replace('"', '\\"') + '"'


def test_a_writer_that_goes_on_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """A signal to us alone: the end comes within output_timeout, and what is left in the pipe is told."""
    config(tmp_path, FILE + "output_timeout: 400\n")
    with subprocess.Popen(
        ["sh", "-c", f"while :; do echo '{alert(1).strip()}' || exit; done"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as falco:
        assert falco.stdout is not None
        with Run("run", "-c", "falco.yaml", folder=tmp_path, stdin=falco.stdout) as run:
            falco.stdout.close()
            run.ready()
            run.signal(signal.SIGTERM)
            status = run.end(10)
            delivered = len(numbers(read_all(tmp_path / "events.txt")))
            assert f"stdin: read {delivered}," in run.err
            assert (status == 1) == ("bytes unread" in run.err)


def test_an_ignored_signal_stays_ignored(tmp_path: Path) -> None:
    """`trap '' TERM` before the program keeps it alive, as the document says one may do."""
    config(tmp_path, FILE)
    command = ["sh", "-c", 'trap "" TERM; exec "$@"', "sh", *COMMAND, "run", "-c", "falco.yaml"]
    with Run(folder=tmp_path, command=command) as run:
        run.ready()
        run.signal(signal.SIGTERM)
        run.write(alerts(3))
        assert run.end() == 0
    assert numbers(read_all(tmp_path / "events.txt")) == [0, 1, 2]


# -- bad input --------------------------------------------------------------------------------------------------


def test_a_rejected_record_loses_nothing_else(tmp_path: Path) -> None:
    """What is no alert is told, with its line; the others are delivered, and the exit status stays 0."""
    config(tmp_path, STDOUT)
    done = rxalerts("run", "-c", "falco.yaml", folder=tmp_path, stdin=alert(1) + "{broken\n" + alert(2))
    assert numbers(done.stdout.decode()) == [1, 2]
    assert "rejected 1" in done.stderr.decode() and "line 2" in done.stderr.decode()
    assert done.returncode == 0


def test_strict_and_rejects(tmp_path: Path) -> None:
    """--strict makes the exit status 1; --rejects keeps the bytes, behind what an earlier run has kept."""
    config(tmp_path, STDOUT)
    for _ in range(2):
        done = rxalerts(
            "run", "-c", "falco.yaml", "--strict", "--rejects", "bad", folder=tmp_path, stdin="{broken\n" + alert(2)
        )
        assert done.returncode == 1
        assert numbers(done.stdout.decode()) == [2]
    assert (tmp_path / "bad").read_text() == "{broken\n" * 2


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stdout_output: {enabled: true\n", ["falco.yaml:", "not YAML"]),
        (BOMB + STDOUT, ["falco.yaml:", "values"]),
        (STDOUT + "json_output: true\njson_output: false\n", ["falco.yaml:3:1", "json_output", "twice"]),
        ("stdout_output: [enabled]\n", ["falco.yaml:1:16", "stdout_output", "write a map"]),
        ("json_output: true\n", ["No output configured", "stdout_output.enabled"]),
        ("file_output: {enabled: true}\n", ["file output enabled but no filename"]),
        (FILE + "rxalerts: {channels: {file: {keep_alive: false}}}\n", ["contradicts", "keep_alive"]),
        (STDOUT + "config_files: [falco.yaml]\n", ["falco.yaml"]),
        (STDOUT + "priority: urgent\n", ["priority", "emergency", "debug"]),
        (STDOUT + "output_timeout: soon\n", ["output_timeout"]),
        (STDOUT + "rxalerts: {source: 'gopher://x'}\n", ["gopher", "tail"]),
    ],
    ids=[
        "no-yaml",
        "bomb",
        "twice",
        "list",
        "no-channel",
        "no-filename",
        "contradiction",
        "loop",
        "priority",
        "time",
        "source",
    ],
)
def test_a_wrong_configuration_is_refused_with_place_and_remedy(tmp_path: Path, text: str, words: list[str]) -> None:
    """Each kind of wrong configuration: exit status 2, and a message that names the thing; nothing is written."""
    config(tmp_path, text)
    done = rxalerts("run", "-c", "falco.yaml", folder=tmp_path, stdin=alert(1))
    assert done.returncode == 2
    assert [word for word in words if word not in done.stderr.decode()] == []
    assert "Traceback" not in done.stderr.decode()
    assert done.stdout == b""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-c", "missing.yaml"], ["missing.yaml", "cannot be read", "permissions"]),
        (["-c", "."], ["is a directory"]),
        (["-c", "falco.yaml", "-o", "json_output"], ["json_output", "key"]),
        (["-c", "falco.yaml", "--from", "missing.jsonl"], ["missing.jsonl", "no such file"]),
        (["-c", "falco.yaml", "--from", "tail:"], ["tail", "name what to read"]),
        (["-c", "falco.yaml", "--from", "http://127.0.0.1:1/?speed=3"], ["speed", "tls_cert"]),
        (["-c", "falco.yaml", "--from", "kafka://x"], ["unknown scheme kafka", "tail"]),
        (["-c", "falco.yaml", "--rejects", "no/such/folder"], ["--rejects", "no/such/folder"]),
        (["-c", "falco.yaml", "-P", "no/such/folder"], ["--pidfile", "no/such/folder"]),
        (["-c", "falco.yaml", "-d"], ["stdout is the only channel", "background"]),
        (["-c", "falco.yaml", "--form", "-"], ["--form"]),
    ],
)
def test_wrong_usage_is_refused(tmp_path: Path, arguments: list[str], words: list[str]) -> None:
    """Each kind of wrong usage: exit status 2, and a message that names the thing and what is right."""
    config(tmp_path, STDOUT)
    done = rxalerts("run", *arguments, folder=tmp_path, stdin=alert(1))
    assert done.returncode == 2
    assert [word for word in words if word not in done.stderr.decode()] == []
    assert "Traceback" not in done.stderr.decode()


@pytest.mark.parametrize(
    "bad",
    [
        "program_output: {enabled: true, program: /does/not/exist}\n",
        "program_output: {enabled: true, keep_alive: true, program: sleep 1000}\n",
        "program_output: {enabled: true, program: head -c 1048576 /dev/zero >&2; cat > /dev/null}\n",
        "syslog_output: {enabled: true}\nrxalerts: {channels: {syslog: {address: 'udp://no.such.host.invalid:514'}}}\n",
        "rxalerts: {outputs: [{channel: file, name: lost, filename: /no/such/folder/events.txt}]}\n",
    ],
    ids=["no-program", "reads-nothing", "chatty", "no-host", "no-folder"],
)
def test_one_bad_channel_costs_the_others_nothing(tmp_path: Path, bad: str) -> None:
    """Whatever is wrong with one channel, the others deliver everything, and the end comes in time."""
    config(tmp_path, FILE + bad + "output_timeout: 500\n")
    with Run("run", "-c", "falco.yaml", "-U", folder=tmp_path) as run:
        run.ready()
        run.write(alerts(300))
        until(lambda: len(numbers(read_all(tmp_path / "events.txt"))) == 300)
        run.signal(signal.SIGTERM)
        status = run.end(10)
        assert numbers(read_all(tmp_path / "events.txt")) == list(range(300))
        assert "Traceback" not in run.err
        assert status == (1 if ", lost " in run.err else 0)
