"""Acknowledgements: what a source is told, and when: accepted means on disk, delivered means delivered."""

import asyncio
import json
import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from aiohttp import ClientSession

from rxalerts import Pipeline, route, run, sources
from rxalerts import operators as ops
from rxalerts.config import load_config
from rxalerts.errors import OptionError, SourceError
from rxalerts.flow.backoff import Retry
from rxalerts.flow.durable import DurableMailbox
from rxalerts.flow.sink import Sink
from rxalerts.flow.source import Source
from rxalerts.flow.watermark import Watermark
from rxalerts.format import Format
from rxalerts.sinks import CollectSink, FileSink
from rxalerts.sources._tail_position import SAVE_COUNT
from rxalerts.testing import RecordingSink
from rxalerts.wire import parse
from tests.support.durably import Counter, alert, number_of, numbers, send, wait_for

ROOT = Path(__file__).resolve().parent.parent
QUICK = Retry(initial=0.01, maximum=0.02)
Ack = Literal["accepted", "delivered"]


def recording(folder: Path | None = None, name: str = "kept", **options: Any) -> RecordingSink[Any]:
    """Return a sink that records, durable if it has a folder."""
    return RecordingSink(name=name, durable=folder if folder is not None else False, retry=QUICK, **options)


def stall(sink: Sink[Any], monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let a durable sink's disk be full until the returned function is called."""
    assert isinstance(sink.mailbox, DurableMailbox)
    spool = sink.mailbox._spool  # pyright: ignore[reportPrivateUsage]
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    real, full = spool.commit, threading.Event()
    full.set()

    def commit(*arguments: Any) -> None:
        if full.is_set():
            raise error
        real(*arguments)

    monkeypatch.setattr(spool, "commit", commit)
    return full.clear


# -- accepted -------------------------------------------------------------------------------------------------


def test_accepted_means_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mark that asks for acceptance is held until the transaction is through, however stuck the sink is."""
    sink = recording(tmp_path)
    sink.block()
    free = stall(sink, monkeypatch)
    mark = Counter(until_delivered=False)
    send(sink, map(alert, range(5)), mark)
    wait_for(lambda: isinstance(sink.mailbox, DurableMailbox) and sink.mailbox._complained)  # pyright: ignore
    assert (mark.held, mark.released) == ([1, 2, 3, 4, 5], [])
    free()
    wait_for(lambda: mark.released == [1, 2, 3, 4, 5])
    assert sink.written == []
    sink.release()
    sink.close()


def test_accepted_by_a_memory_sink_is_at_once() -> None:
    """Memory promises nothing across a crash: nobody waits for it."""
    sink = recording()
    sink.block()
    mark = Counter(until_delivered=False)
    send(sink, map(alert, range(5)), mark)
    assert mark.held == []
    sink.release()
    sink.close()


def test_accepted_waits_for_every_durable_sink(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With two durable sinks and a memory one, the slower disk decides."""
    one, other, plain = recording(tmp_path, "one"), recording(tmp_path, "other"), recording(None, "plain")
    for sink in (one, other, plain):
        sink.block()
    free = stall(other, monkeypatch)
    mark = Watermark(until_delivered=False)
    for sink in (one, other, plain):
        send(sink, map(alert, range(5)), mark)
    mark.emitted(5)
    wait_for(lambda: one.stats().spooled == 5)
    assert mark.committed == 0
    free()
    wait_for(lambda: mark.committed == 5)
    for sink in (one, other, plain):
        sink.release()
        sink.close()


def test_what_the_disk_never_took_is_not_acknowledged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sink that has to end while its disk is full counts what is lost, and does not say that it is there."""
    sink = recording(tmp_path)
    stall(sink, monkeypatch)
    mark = Counter(until_delivered=False)
    send(sink, map(alert, range(5)), mark)
    sink.close(0.2)
    assert mark.released == []
    assert sink.stats().dropped == {"shutdown": 5}


# -- delivered ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("durable", [True, False])
def test_delivered_means_confirmed(tmp_path: Path, durable: bool) -> None:
    """A mark that asks for delivery is held until the channel has confirmed, also through the disk."""
    sink = recording(tmp_path if durable else None, capacity=20)
    sink.block()
    mark = Counter(until_delivered=True)
    send(sink, map(alert, range(100 if durable else 10)), mark)
    if durable:
        wait_for(lambda: sink.stats().spooled == 100)
    assert mark.released == []
    sink.release()
    wait_for(lambda: len(mark.released) == len(mark.held))
    assert sorted(mark.released) == sorted(mark.held)
    sink.close()


def test_what_found_no_time_is_not_finished() -> None:
    """An alert that was dropped at the end is counted as lost, and its source is not told that it is done."""
    sink = recording(max_batch=1)
    sink.block()
    mark = Counter(until_delivered=True)
    send(sink, map(alert, range(3)), mark)
    assert sink.stuck.wait(10)
    sink.close(0.0)
    sink.release()
    sink.wait(10)
    assert mark.released == [1]
    assert sink.stats().dropped == {"shutdown": 2}


@pytest.mark.parametrize("durable", [True, False])
def test_a_kept_file_is_committed_when_it_is_flushed(tmp_path: Path, durable: bool) -> None:
    """A buffered file has delivered nothing before its checkpoint, which comes by itself within seconds."""
    sink = FileSink(tmp_path / "out", keep_alive=True, format="json", durable=tmp_path / "s" if durable else False)
    mark = Watermark()
    send(sink, map(alert, range(5)), mark)
    mark.emitted(5)
    wait_for(lambda: mark.committed)
    assert mark.committed == 5
    assert len((tmp_path / "out").read_bytes().splitlines()) == 5
    sink.close()


# -- sources --------------------------------------------------------------------------------------------------


def lines(numbers: range) -> bytes:
    """Return alerts as a log has them."""
    return b"".join(alert(number).to_json().encode() + b"\n" for number in numbers)


@pytest.mark.parametrize("ack", ["accepted", "delivered"])
def test_tail_saves_what_is_acknowledged(tmp_path: Path, ack: Ack) -> None:
    """With `accepted` the position passes what is on disk; with `delivered` it waits for the destination."""
    log, state = tmp_path / "log", tmp_path / "state"
    log.write_bytes(lines(range(50)))
    sink = recording(tmp_path / "spool")
    sink.block()
    pipeline = Pipeline(sources.tail(log, state=state, ack=ack, poll=0.01), sink, timeout=5).start()
    wait_for(lambda: sink.stats().spooled == 50)

    def offset() -> int:
        return json.loads(state.read_text())["offset"] if state.exists() else 0

    if ack == "accepted":
        wait_for(lambda: offset() == log.stat().st_size)
    else:
        assert offset() == 0
    sink.release()
    wait_for(lambda: offset() == log.stat().st_size)
    pipeline.stop()
    pipeline.wait()
    assert numbers(sink.written) == list(range(50))


def test_tail_saves_every_thousand_that_are_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much is read in a moment, the position lags behind what is on disk by two batches at most."""
    monkeypatch.setattr("rxalerts.sources._tail_position._SAVE", 1e9)
    log, state = tmp_path / "log", tmp_path / "state"
    log.write_bytes(lines(range(5000)))
    sink = recording(tmp_path / "spool")
    sink.block()
    pipeline = Pipeline(sources.tail(log, state=state, ack="accepted", poll=0.01), sink, timeout=5).start()
    wait_for(lambda: sink.stats().spooled == 5000)

    def saved() -> int:
        offset = json.loads(state.read_text())["offset"] if state.exists() else 0
        return log.read_bytes()[:offset].count(b"\n")

    wait_for(lambda: 5000 - saved() < 2 * SAVE_COUNT)
    sink.release()
    pipeline.stop()
    pipeline.wait()


@pytest.mark.parametrize("kind", ["tail", "replay"])
def test_the_position_is_saved_while_the_source_waits(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a sink that is slower than the source: what it delivers meanwhile does not come again after a crash."""
    monkeypatch.setattr("rxalerts.sources._bookmark._SAVE", 0.05)
    log, state = tmp_path / "log", tmp_path / "state"
    log.write_bytes(lines(range(1000)))
    sink = recording(capacity=100, max_batch=10)
    permits = threading.Semaphore(50)

    def wait(_: Any) -> bool:
        permits.acquire()
        return False

    sink.refuse(wait)
    source: Source[Any] = (
        sources.tail(log, state=state, poll=0.01) if kind == "tail" else sources.replay(log, resume=state)
    )
    pipeline = Pipeline(source, sink, timeout=5).start()

    def saved() -> int:
        told: dict[str, Any] = json.loads(state.read_text()) if state.exists() else {}
        return told["count"] if "count" in told else log.read_bytes()[: told.get("offset", 0)].count(b"\n")

    wait_for(lambda: saved() == 50)
    assert sink.mailbox.pressing
    permits.release(1000)
    if kind == "tail":
        wait_for(lambda: len(sink.written) == 1000)
        pipeline.stop()
    pipeline.wait()
    assert saved() == 1000 and numbers(sink.written) == list(range(1000))


def test_a_position_that_could_not_be_saved_is_saved_later(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its folder is away for a while: that is told once, and made good without another alert."""
    log, state = tmp_path / "log", tmp_path / "states" / "state"
    log.write_bytes(lines(range(10)))
    sink = recording(tmp_path / "spool")
    pipeline = Pipeline(sources.tail(log, state=state, poll=0.01), sink, timeout=5).start()
    wait_for(lambda: "trying again" in caplog.text and len(sink.written) == 10)
    state.parent.mkdir()
    wait_for(lambda: state.exists() and json.loads(state.read_text())["offset"] == log.stat().st_size)
    pipeline.stop()
    pipeline.wait()
    assert caplog.text.count("trying again") == 1


def post(url: str | None, body: bytes) -> tuple[int, float]:
    """Send a body; return the status and how many seconds it took."""
    assert url is not None

    async def send_it() -> tuple[int, float]:
        began = time.monotonic()
        async with ClientSession() as session, session.post(url, data=body) as answer:
            await answer.read()
            return answer.status, time.monotonic() - began

    return asyncio.run(send_it())


def test_http_accepted_answers_when_it_is_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """200 while the destination is stuck, because the alert is safe; 503 while the disk is full."""
    source = sources.http("127.0.0.1:0", ack="accepted", delivery_timeout=0.5)
    sink = recording(tmp_path)
    sink.block()
    pipeline = Pipeline(source, sink, timeout=5).start()
    source.wait_bound(10)
    assert post(source.url, lines(range(3)))[0] == 200
    assert sink.stats().spooled == 3
    free = stall(sink, monkeypatch)
    assert post(source.url, lines(range(3, 6)))[0] == 503
    free()
    # After a failure the file is tried again in a while, which may be longer than a request waits here.
    wait_for(lambda: sink.stats().spooled == 6)
    sink.release()
    assert post(source.url, lines(range(3, 6)))[0] == 200
    pipeline.stop()
    pipeline.wait()
    assert numbers(sink.written) == list(range(6))


def test_http_delivered_answers_when_it_is_delivered(tmp_path: Path) -> None:
    """503 while the destination is stuck; the same body again gets its 200 and is not doubled."""
    source = sources.http("127.0.0.1:0", ack="delivered", delivery_timeout=0.5)
    sink = recording(tmp_path)
    sink.block()
    pipeline = Pipeline(source, sink, timeout=5).start()
    source.wait_bound(10)
    assert post(source.url, lines(range(3)))[0] == 503
    sink.release()
    wait_for(lambda: len(sink.written) == 3)
    assert post(source.url, lines(range(3)))[0] == 200
    pipeline.stop()
    pipeline.wait()
    assert numbers(sink.written) == list(range(3))


# -- replay ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("speed", ["max", "1000000x"])
def test_a_replay_goes_on_where_it_was(tmp_path: Path, speed: str) -> None:
    """What was delivered is not played again; what was appended meanwhile is."""
    log, state = tmp_path / "log", tmp_path / "state"
    log.write_bytes(lines(range(30)))
    first, again, last = (CollectSink[Any]() for _ in range(3))
    run(sources.replay(log, resume=state, speed=speed), first)
    with log.open("ab") as file:
        file.write(lines(range(30, 40)))
    run(sources.replay(log, resume=state, speed=speed), again)
    run(sources.replay(log, resume=state, speed=speed), last)
    assert [numbers(sink.items) for sink in (first, again, last)] == [list(range(30)), list(range(30, 40)), []]


@pytest.mark.parametrize("ack", ["accepted", "delivered"])
def test_a_replay_that_was_stopped_loses_nothing(tmp_path: Path, ack: Ack) -> None:
    """Stopped in the middle, the next run brings exactly what the one before left, through two files and a filter."""
    chance = random.Random(5)
    for name in ("one", "other"):
        (tmp_path / name).write_bytes(b"".join(lines(range(n, n + 1)) for n in sorted(chance.sample(range(2000), 900))))
    files = [tmp_path / "one", tmp_path / "other"]
    options: dict[str, Any] = {"resume": tmp_path / "state", "since": 100, "until": 1900, "ack": ack}
    plain: CollectSink[Any] = CollectSink()
    run(sources.replay(files, since=100, until=1900), plain)
    delivered: list[int] = []
    for stop_at in (300, 400, 0):
        sink = recording(max_batch=7, capacity=50)
        source = sources.replay(files, **options)
        gate = _Gate(stop_at)
        pipeline = Pipeline(source, route(ops.where(gate), to=sink), timeout=0.0 if stop_at else None).start()
        if stop_at:
            assert gate.reached.wait(20)
            pipeline.stop()
            gate.opened.set()
        pipeline.wait()
        delivered += numbers(sink.written)
    expected = [number for number in numbers(plain.items) if number % 5]
    if ack == "delivered":
        assert delivered == expected
    else:
        # A memory sink accepts at once: what it held at the end is gone, and nothing comes twice.
        assert delivered == sorted(delivered) and set(delivered) <= set(expected)


class _Gate:
    """Lets through what is no multiple of five; at the one with this number the stream stands until it is opened."""

    def __init__(self, stop_at: int) -> None:
        self._left = stop_at
        self.reached, self.opened = threading.Event(), threading.Event()

    def __call__(self, item: Any) -> bool:
        if number_of(item) % 5 == 0:
            return False
        self._left -= 1
        if self._left == 0:
            self.reached.set()
            assert self.opened.wait(20)
        return True


_REPLAY = """
import sys
from rxalerts import run, sources
from rxalerts.sinks import FileSink
folder, ack, durable = sys.argv[1], sys.argv[2], sys.argv[3] == "durable"
spool = folder + "/s" if durable else False
sink = FileSink(folder + "/out", name="kept", format="json", keep_alive=True, durable=spool)
run(sources.replay(folder + "/log", resume=folder + "/state", ack=ack), sink)
"""


@pytest.mark.parametrize(("ack", "durable"), [("accepted", True), ("delivered", True), ("delivered", False)])
def test_a_replay_that_is_killed_loses_nothing(tmp_path: Path, ack: str, durable: bool) -> None:
    """kill -9 at random moments: after the last run every alert is in the file, in order but for what came twice."""
    (tmp_path / "log").write_bytes(lines(range(60_000)))
    chance = random.Random(9)
    out, command = tmp_path / "out", [sys.executable, "-c", _REPLAY, str(tmp_path), ack, "durable" if durable else ""]
    for _ in range(3):
        _killed_at(command, out, chance.randrange(100_000, 1_500_000))
    assert subprocess.run(command, cwd=ROOT).returncode == 0
    found = [number_of(parse(line)) for line in out.read_bytes().splitlines() if line.endswith(b"}")]
    assert list(dict.fromkeys(found)) == list(range(60_000))


def _killed_at(command: list[str], out: Path, step: int) -> None:
    """Run a command until its output has grown by so many bytes, and kill it."""
    before = out.stat().st_size if out.exists() else 0
    child = subprocess.Popen(command, cwd=ROOT)
    wait_for(lambda: child.poll() is not None or (out.exists() and out.stat().st_size > before + step))
    child.kill()
    child.wait()


def test_a_position_in_other_files_is_refused(tmp_path: Path) -> None:
    """Another file, another limit, one of several that has grown: the message says what to do."""
    log, other, state = tmp_path / "log", tmp_path / "other", tmp_path / "state"
    log.write_bytes(lines(range(10)))
    other.write_bytes(lines(range(10)))
    run(sources.replay([log, other], resume=state), CollectSink[Any]())
    attempts: list[tuple[list[Path], dict[str, Any]]] = [([log], {}), ([log, other], {"since": 5})]
    for files, limits in attempts:
        with pytest.raises(SourceError, match="remove it to begin anew"):
            sources.replay(files, resume=state, **limits)
    other.write_bytes(lines(range(11)))
    with pytest.raises(SourceError, match="files that have changed"):
        sources.replay([log, other], resume=state)
    state.write_text("no state")
    with pytest.raises(SourceError, match="is no saved position"):
        sources.replay([log, other], resume=state)
    with pytest.raises(OptionError, match="standard input"):
        sources.replay("-", resume=state)


def test_the_command_resumes(tmp_path: Path) -> None:
    """`rxalerts replay --resume STATE`."""
    log = tmp_path / "log"
    log.write_bytes(lines(range(5)))
    code = "from rxalerts.cli import main; main()"
    command = [sys.executable, "-c", code, "replay", "--json", "--resume", "state", "log"]
    first = subprocess.run(command, cwd=tmp_path, capture_output=True)
    again = subprocess.run(command, cwd=tmp_path, capture_output=True)
    assert (first.returncode, again.returncode) == (0, 0)
    assert (first.stdout, again.stdout) == (lines(range(5)), b"")


# -- operators that hold alerts -------------------------------------------------------------------------------


@pytest.mark.parametrize("ack", ["accepted", "delivered"])
def test_operators_that_hold_alerts_take_part(tmp_path: Path, ack: Ack) -> None:
    """What waits in a buffer is not acknowledged; what comes out of it is, when it is where it should be."""
    log, state = tmp_path / "log", tmp_path / "state"
    log.write_bytes(lines(range(7)))
    sink: CollectSink[Any] = CollectSink()
    source = sources.tail(log, state=state, ack=ack, poll=0.01)
    pipeline = Pipeline(source, route(ops.buffer(5), to=sink), timeout=5).start()
    wait_for(lambda: len(sink.items) == 1)

    def committed() -> int:
        if not state.exists():
            return 0
        return log.read_bytes()[: json.loads(state.read_text())["offset"]].count(b"\n")

    wait_for(lambda: committed() == 5)
    with log.open("ab") as file:
        file.write(lines(range(7, 12)))
    wait_for(lambda: committed() == 10)
    pipeline.stop()
    pipeline.wait()
    assert committed() == 12
    assert [len(batch) for batch in sink.items] == [5, 5, 2]


# -- ids ------------------------------------------------------------------------------------------------------


def test_the_id_is_the_same_in_every_process(tmp_path: Path) -> None:
    """It stands for the content: read again, in another process, it is the same; another alert has another."""
    one = alert(1)
    code = "import sys; from rxalerts.wire import parse; print(parse(sys.stdin.buffer.read()).id)"
    again = subprocess.run([sys.executable, "-c", code], input=one.to_json().encode(), capture_output=True, cwd=ROOT)
    assert again.stdout.decode().strip() == one.id
    assert len({alert(number).id for number in range(1000)}) == 1000
    assert one.replace(output_fields={"n": 2}).id != one.id


def test_json_has_the_id_on_request() -> None:
    """In its place among the sorted keys; what is read back keeps it, however it is changed on the way."""
    one = alert(1)
    line = Format(json=True, include_id=True).render(one)
    body = json.loads(line)
    assert body["id"] == one.id and list(body) == sorted(body)
    assert json.loads(Format(json=True).render(one)).keys() == body.keys() - {"id"}
    read = parse(line)
    assert read.id == one.id
    assert json.loads(Format(json=True, include_id=True, include_output=False).render(read))["id"] == one.id
    assert parse(b'{"rule":"r","priority":"error","id":"mine"}').id != "mine"


def test_the_id_survives_the_spool(tmp_path: Path) -> None:
    """After a restart an alert is sent with the id that it had, so that its receiver can drop doubles."""
    sink = recording(tmp_path)
    sink.block()
    send(sink, map(alert, range(20)))
    wait_for(lambda: sink.stats().spooled == 20)
    sink.close(0.0)
    again = recording(tmp_path)
    again.start()
    again.close()
    assert [item.id for item in again.written] == [alert(number).id for number in range(20)]
    sink.release()
    sink.wait(10)


def test_a_configuration_asks_for_ids(tmp_path: Path) -> None:
    """`rxalerts.include_id: true` puts the id into the JSON of every channel."""
    path = tmp_path / "falco.yaml"
    path.write_text(
        f"json_output: true\nfile_output: {{enabled: true, filename: {tmp_path}/out}}\nrxalerts: {{include_id: true}}\n"
    )
    sink = load_config(path).channels[0].build()
    sink.on_next(alert(1))
    sink.close()
    assert json.loads((tmp_path / "out").read_bytes())["id"] == alert(1).id
