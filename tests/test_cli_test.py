"""`rxalerts test`: pipelines tested by their users, without Python."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rxalerts.cli import main

CONFIG = """\
stdout_output: {enabled: true}
file_output: {enabled: true, filename: ./never/written.txt}
rxalerts:
  channels:
    file: {priority: error, format: json}
  outputs:
    - {channel: file, name: shells, filename: ./x, where: proc.name = bash, suppress_repeats: {within: 10, key: rule}}
"""

TESTS = """\
tests:
  - name: shells
    alerts:
      - {rule: Shell, priority: warning, message: A shell, output_fields: {proc.name: bash}}
      - {rule: Shell, priority: warning, message: A shell, output_fields: {proc.name: bash}}
      - {rule: Ping, priority: debug}
    expect:
      stdout: [Shell, Shell, Ping]
      file: 0
      shells: ["Shell", "rxalerts: repeats"]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in a folder with a configuration; the time zone that the command sets is put back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TZ", "America/New_York")
    (tmp_path / "falco.yaml").write_text(CONFIG)
    (tmp_path / "tests.yaml").write_text(TESTS)
    time.tzset()
    return tmp_path


def check(tests: str | None = None, *options: str) -> Result:
    """Write the tests and run the command in this process."""
    if tests is not None:
        Path("tests.yaml").write_text(tests)
    return CliRunner().invoke(main, ["test", "tests.yaml", "-c", "falco.yaml", *options])


def test_what_is_as_expected_is_ok(folder: Path) -> None:
    """Status 0; conditions and summaries run as they would live, and nothing is opened."""
    done = check()
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == ["ok      shells", "1 test, 0 failed"]
    assert not (folder / "never").exists() and not (folder / "x").exists()


def test_a_difference_is_shown_line_by_line() -> None:
    """Status 1, and for each channel what was expected only (-) and what came only (+)."""
    done = check(TESTS.replace("[Shell, Shell, Ping]", "[Shell, Ping, Pong]").replace("file: 0", "file: 2"))
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        "FAILED  shells",
        "        file:",
        "          expected 2 alerts, got 0:",
        "        stdout:",
        "          expected 3 alerts, got 3; by rule:",
        "            + Shell",
        "              Shell",
        "              Ping",
        "            - Pong",
        "1 test, 1 failed",
    ]


def test_lines_and_bytes_are_compared_exactly() -> None:
    """With the times and the host that a test's alerts have by default: the same on every machine."""
    tests = """\
- name: text
  alerts:
    - {rule: Shell, priority: error, message: A shell}
  expect:
    stdout: {bytes: "00:00:00.000000000: Error A shell\\n", count: 1}
    file:
      lines:
        - '{"hostname":"localhost","output":"00:00:00.000000000: Error A shell","output_fields":{},"priority":"Error",\
"rule":"Shell","source":"syscall","tags":[],"time":"2026-01-01T00:00:00.000000000Z"}'
"""
    done = check(tests)
    assert done.exit_code == 0, done.output
    done = check(tests.replace("A shell\\n", "A shell "))
    assert done.exit_code == 1
    assert "expected 34 bytes, got 34:" in done.stdout
    assert "+ 00:00:00.000000000: Error A shell\\n" in done.stdout


def test_alerts_can_be_lines_or_a_log(folder: Path) -> None:
    """What Falco wrote can be pasted, or named, relative to the tests."""
    line = "16:31:56.746609046: Error File below a known binary directory opened for writing (user=root)"
    (folder / "log.txt").write_text(f"{line}\n{line}\n")
    assert check(f'- {{alerts: ["{line}"], expect: {{stdout: 1}}}}').exit_code == 0
    assert check("- {alerts: log.txt, expect: {stdout: 2}}").exit_code == 0


def test_what_acts_on_all_channels_acts_here_too() -> None:
    """Falco's priority and outputs.rate, by the alerts' times, not by the clock."""
    tests = "- {alerts: [{rule: a}, {rule: b, priority: debug}, {rule: c}, {rule: d}], expect: {stdout: [a, c]}}"
    options = ("-o", "priority=notice", "-o", "outputs.rate=1", "-o", "outputs.max_burst=1")
    assert check(tests.replace("[a, c]", "[a, c, d]"), *options).exit_code == 0
    same_time = tests.replace("{rule: c}", "{rule: c, time: 2026-01-01T00:00:00Z}")
    assert check(same_time.replace("[a, c]", "[a, d]"), *options).exit_code == 0


@pytest.mark.parametrize(
    ("tests", "words"),
    [
        ("- {alerts: [], expect: {stdut: 1}}", "did you mean 'stdout'"),
        ("- {alerts: [], expect: {}}", "at least one channel"),
        ("- {alrts: [], expect: {stdout: 1}}", "did you mean 'alerts'"),
        ("- {alerts: [{rule: x, prority: y}], expect: {stdout: 1}}", "did you mean 'priority'"),
        ("- {alerts: [{rule: x, priority: y}], expect: {stdout: 1}}", "priority"),
        ("- {alerts: [no alert], expect: {stdout: 1}}", "alerts[0]"),
        ("- {alerts: missing.txt, expect: {stdout: 1}}", "missing.txt"),
        ("- {alerts: [], expect: {stdout: {lines: 3}}}", "list of texts"),
        ("- {alerts: [], expect: {stdout: {count: many}}}", "whole number"),
        ("- {alerts: [], expect: {stdout: {bytes: 3}}}", "write a text"),
        ("tests: {}", "list of tests"),
        ("- {", "tests.yaml"),
    ],
)
def test_a_wrong_test_is_wrong_usage(tests: str, words: str) -> None:
    """Status 2, and file, test and remedy in the message."""
    done = check(tests)
    assert done.exit_code == 2
    assert "tests.yaml" in done.stderr and words in done.stderr


def test_a_wrong_configuration_is_wrong_usage() -> None:
    """Status 2, with the configuration's own message."""
    Path("falco.yaml").write_text("stdout_output: {enabled: maybe}\n")
    done = check()
    assert done.exit_code == 2 and "falco.yaml:1:26" in done.stderr
