"""`rxalerts top`: a live screen in a terminal, lines of text elsewhere."""

import signal
from pathlib import Path

from rxalerts import Alert
from rxalerts.cli.watching import Rates
from tests.support.pty_run import Terminal
from tests.support.run import Run, alert, alerts, config, numbers, read_all, rxalerts, until


def test_a_screen_in_a_terminal(tmp_path: Path) -> None:
    """Rate, priorities and rules of what comes; q ends it, and screen, cursor and settings are as they were."""
    log = tmp_path / "log"
    log.write_text("".join(alerts(5)) + Alert("Evil \x1b]0;x\x07 [red]rule", "critical").to_json() + "\njunk\n")
    with Terminal("top", "--from", f"tail:{log}?start=beginning", folder=tmp_path) as terminal:
        terminal.shows("6 alerts")
        terminal.shows("1 no alert")
        terminal.shows("Critical")
        terminal.shows("Shell")
        terminal.shows(r"Evil \x1b]0;x\x07 [red]rule")
        with log.open("a") as file:
            file.write(alert(7, "Error"))
        terminal.shows("7 alerts")
        assert terminal.settings != terminal.before
        terminal.press("xq")
        assert terminal.end() == 0
        terminal.shows("read 7, rejected 1")
        assert terminal.settings == terminal.before
        assert terminal.raw.rindex("\x1b[?1049l") > terminal.raw.rindex("\x1b[?1049h")
        assert terminal.raw.rindex("\x1b[?25h") > terminal.raw.rindex("\x1b[?25l")


def test_no_colours_if_they_are_not_wanted(tmp_path: Path) -> None:
    """With NO_COLOR the screen says the same without them; the last state stays when the log has ended."""
    (tmp_path / "log").write_text("".join(alerts(3)))
    with Terminal("top", "--from", "log", folder=tmp_path, env={"NO_COLOR": "1"}) as terminal:
        assert terminal.end() == 0
        terminal.shows("log: read 3")
        after = terminal.raw.rpartition("\x1b[?1049l")[2]
        assert "3 alerts" in after and "███" in after
        assert "[38;" not in terminal.raw and "[48;" not in terminal.raw


def test_ctrl_c_ends_it(tmp_path: Path) -> None:
    """The terminal is as it was."""
    (tmp_path / "log").touch()
    with Terminal("top", "--from", "tail:log", folder=tmp_path) as terminal:
        terminal.shows("0 alerts")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.end() == 0
        assert terminal.settings == terminal.before
        assert "\x1b[?1049l" in terminal.raw


def test_channels_fare(tmp_path: Path) -> None:
    """With -c alerts are delivered, but for standard output; counts and errors are shown, on 80 columns too."""
    config(
        tmp_path,
        "json_output: true\nbuffered_outputs: false\nstdout_output: {enabled: true}\noutput_timeout: 300\n"
        "file_output: {enabled: true, keep_alive: true, filename: ./events.txt}\n"
        "http_output: {enabled: true, url: 'http://127.0.0.1:9/'}\n",
    )
    (tmp_path / "log").write_text("".join(alerts(20)))
    arguments = ("top", "-c", "falco.yaml", "--from", "tail:log?start=beginning")
    with Terminal(*arguments, folder=tmp_path, env={"COLUMNS": "80"}) as terminal:
        terminal.shows("20 alerts")
        terminal.shows("backoff")
        terminal.shows("waiting")
        until(lambda: len(numbers(read_all(tmp_path / "events.txt"))) == 20)
        terminal.press("q")
        assert terminal.end() == 1
        assert "stdout" not in terminal.text
        terminal.shows("http: delivered 0 of 20")


def test_lines_elsewhere(tmp_path: Path) -> None:
    """Without a terminal there is a line each interval and one at the end, without control characters."""
    done = rxalerts("top", folder=tmp_path, stdin="".join(alerts(3)) + alert(4, "Critical") + "junk\n")
    assert done.returncode == 0
    last = done.stdout.decode().splitlines()[-1]
    assert "4 alerts  Critical 1  Warning 3  no alert 1" in last
    assert b"\x1b" not in done.stdout
    with Run("top", "--interval", "0.1", folder=tmp_path) as run:
        run.write(alerts(2))
        until(lambda: run.out.count("2 alerts  Warning 2") > 1)
        run.signal(signal.SIGTERM)
        assert run.process.wait(30) in (0, 1)


def test_lines_with_channels(tmp_path: Path) -> None:
    """Each channel's state, what waits and what is lost."""
    config(tmp_path, "file_output: {enabled: true, keep_alive: true, filename: ./events.txt}\n")
    done = rxalerts("top", "-c", "falco.yaml", folder=tmp_path, stdin="".join(alerts(3)))
    assert done.returncode == 0
    assert "file closed waiting 0 lost 0" in done.stdout.decode()
    assert numbers(read_all(tmp_path / "events.txt")) == [0, 1, 2]


def test_wrong_usage(tmp_path: Path) -> None:
    """Overrides without a configuration, a source that is none, standard output as the only channel."""
    config(tmp_path, "stdout_output: {enabled: true}\n")
    for arguments, words in (
        (("-o", "a=b"), "-c"),
        (("--from", "carrier-pigeon://x"), "unknown scheme"),
        (("-c", "falco.yaml"), "stdout is the only channel"),
    ):
        done = rxalerts("top", *arguments, folder=tmp_path)
        assert done.returncode == 2, done.stderr
        assert words in done.stderr.decode()


def test_rates_are_those_of_the_last_seconds() -> None:
    """A look that comes late spreads what came over its seconds; those of a minute ago are forgotten."""
    now = [100.0]
    rates = Rates(clock=lambda: now[0])
    assert rates.over(10) == 0
    now[0] += 1
    rates.look(10)
    assert (rates.over(1), rates.over(10), rates.line()) == (10, 10, "█")
    now[0] += 2.5
    rates.look(14)
    assert (rates.over(1), rates.over(2), rates.over(10)) == (2, 2, 14 / 3)
    now[0] += 1000
    rates.look(14)
    assert rates.over(60) == 0
