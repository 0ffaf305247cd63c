"""`rxalerts run --from …`: every scheme of the table, started, stopped and reloaded as a service."""

import signal
import urllib.request
from functools import partial
from pathlib import Path

from tests.support.run import Run, Stream, alerts, config, has, is_alive, numbers, read_all, until

FILE = "file_output: {enabled: true, keep_alive: true, filename: ./events.txt}\n"


def test_tail_goes_on_where_it_was(tmp_path: Path) -> None:
    """tail:PATH follows a file; with ?state= a restart delivers what came meanwhile, and nothing twice."""
    config(tmp_path, FILE)
    log, events = tmp_path / "falco.log", tmp_path / "events.txt"
    log.write_text("".join(alerts(10)))
    for round in range(1, 4):
        with Run("run", "-c", "falco.yaml", "-U", "--from", "tail:falco.log?state=state", folder=tmp_path) as run:
            with log.open("a") as file:
                file.writelines(alerts(10, round * 10))
            until(partial(has, events, round * 10 + 10))
            run.signal(signal.SIGTERM)
            assert run.process.wait(30) == 0
    assert numbers(read_all(events)) == list(range(40))


def test_tail_with_reloads_under_load(tmp_path: Path) -> None:
    """Channels are exchanged while a file is followed: each alert once, in order, and the position is saved."""
    config(tmp_path, FILE)
    log = tmp_path / "falco.log"
    with Run("run", "-c", "falco.yaml", "-U", "--from", "tail:falco.log?state=state", folder=tmp_path) as run:
        run.ready()
        with log.open("a") as file:
            for number in range(5):
                file.writelines(alerts(1000, number * 1000))
                file.flush()
                config(tmp_path, FILE.replace("events", f"events{number % 2}"))
                run.signal(signal.SIGHUP)
                run.said("reloaded: exchanged file", number + 1)
        until(lambda: "state" in {path.name for path in tmp_path.iterdir()}, "the saved position")
        everything = [tmp_path / name for name in ("events.txt", "events0.txt", "events1.txt")]
        until(lambda: len(numbers(read_all(*everything))) == 5000)
        run.signal(signal.SIGTERM)
        assert run.process.wait(30) == 0
    assert sorted(numbers(read_all(*everything))) == list(range(5000))


def test_http_serves_and_survives_a_reload(tmp_path: Path) -> None:
    """http://HOST:PORT takes what Falco's http_output posts; SIGHUP exchanges channels without refusing a post."""
    config(tmp_path, FILE)
    with Run("run", "-c", "falco.yaml", "-U", "--from", "http://127.0.0.1:0/", folder=tmp_path) as run:
        run.ready()
        url = next(word for word in run.err.split() if word.startswith("http://"))
        for number in range(60):
            if number % 20 == 10:
                config(tmp_path, FILE.replace("events", f"events{number}"))
                run.signal(signal.SIGHUP)
            request = urllib.request.Request(url, data="".join(alerts(1, number)).encode())
            with urllib.request.urlopen(request, timeout=30) as answer:
                assert answer.status == 200
        run.said("reloaded: exchanged file", 3)
        run.signal(signal.SIGTERM)
        assert run.process.wait(30) == 0
        assert not is_alive(run.process.pid)
    assert sorted(numbers(read_all(*tmp_path.glob("events*.txt")))) == list(range(60))


def test_grpc_source_waits_for_falco_and_stops_on_a_signal(tmp_path: Path) -> None:
    """unix://PATH is Falco's gRPC output; while nobody listens there the command waits, and obeys signals."""
    config(tmp_path, FILE)
    with Run("run", "-c", "falco.yaml", "--from", f"unix://{tmp_path}/falco.sock", folder=tmp_path) as run:
        run.ready()
        run.signal(signal.SIGTERM)
        assert run.process.wait(30) == 0


def test_the_http_sink_takes_part_in_a_pause(tmp_path: Path) -> None:
    """A reload while a source on the shared event loop is held: neither it nor the loop's sinks are stuck."""
    config(tmp_path, FILE + "http_output: {enabled: true, url: 'http://127.0.0.1:9/'}\noutput_timeout: 300\n")
    with Run("run", "-c", "falco.yaml", folder=tmp_path) as run:
        run.ready()
        with Stream(run, 3000):
            config(tmp_path, FILE + "output_timeout: 300\n")
            run.signal(signal.SIGHUP)
            run.said("reloaded: exchanged")
        assert run.end() in (0, 1)
    assert numbers(read_all(tmp_path / "events.txt")) == list(range(3000))
