"""Durable sinks: what was accepted is delivered, whatever happens to the process, the disk and the destination."""

import logging
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from rxalerts import Alert, OptionError
from rxalerts.config import load_config
from rxalerts.errors import SinkError
from rxalerts.flow.backoff import Retry
from rxalerts.flow.channel import Fatal, Retryable
from rxalerts.flow.durable import DurableMailbox
from rxalerts.flow.scope import Scope
from rxalerts.flow.sink import Sink
from rxalerts.flow.spool import Spool
from rxalerts.flow.spooling import PAUSE
from rxalerts.flow.spoolstatus import read_status
from rxalerts.flow.stats import DeadLetter, State
from rxalerts.format import JSON, TEXT, Formatted
from rxalerts.pipeline import run
from rxalerts.sinks import CollectSink, FileSink
from rxalerts.testing import RecordingSink
from tests.support.durably import Counter, alert, number_of, numbers, send, small_disk, wait_for

ROOT = Path(__file__).resolve().parent.parent
QUICK = Retry(initial=0.01, maximum=0.02)


def recording(folder: Path, **options: Any) -> RecordingSink[Any]:
    """Return a durable sink that records."""
    options.setdefault("retry", QUICK)
    return RecordingSink(name="kept", durable=folder, **options)


def backlog(folder: Path, name: str = "kept") -> list[int]:
    """Return the numbers of the alerts in a spool that nobody has open."""
    spool = Spool(str(folder / f"{name}.spool"))
    try:
        return [number_of(parse_row) for parse_row in (as_alert(row.alert) for row in spool.load(0, 1_000_000))]
    finally:
        spool.close()


def as_alert(data: bytes) -> Alert:
    """Return a stored alert."""
    from rxalerts.wire import parse

    return parse(data)


def mailbox_of(sink: Sink[Any]) -> DurableMailbox:
    """Return a durable sink's mailbox."""
    assert isinstance(sink.mailbox, DurableMailbox)
    return sink.mailbox


def letters(sink: Sink[Any]) -> list[DeadLetter]:
    """Collect the dead letters of a sink."""
    found: list[DeadLetter] = []
    sink.dead_letters.subscribe(found.append)
    return found


def balanced(sink: Sink[Any]) -> bool:
    """Tell whether the counts add up."""
    stats = sink.stats()
    return stats.received == stats.delivered + stats.rejected + sum(stats.dropped.values()) + stats.depth


# -- the ordinary life ----------------------------------------------------------------------------------------


def test_everything_is_delivered_once_and_in_order(tmp_path: Path) -> None:
    """Without a fault a durable sink does what a plain one does, and leaves an empty spool."""
    sink = recording(tmp_path, capacity=100)
    report = run([alert(number) for number in range(5000)], sink)
    assert numbers(sink.written) == list(range(5000))
    assert report.lost == 0 and balanced(sink)
    assert backlog(tmp_path) == []


def test_no_more_than_two_batches_come_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While deletions are not on disk yet, the sink goes two batches ahead of them, and then waits."""
    sink = recording(tmp_path, max_batch=5)
    spool = mailbox_of(sink)._spool  # pyright: ignore[reportPrivateUsage]
    real, free = spool.commit, threading.Event()

    def commit(rows: Any, deleted: Any, failed: Any = ()) -> None:
        if deleted:
            assert free.wait(20)
        real(rows, deleted, failed)

    monkeypatch.setattr(spool, "commit", commit)
    send(sink, map(alert, range(100)))
    wait_for(lambda: len(sink.written) >= 10)
    wait_for(lambda: not mailbox_of(sink).has_mail(), what="the sink to wait")
    assert len(sink.written) == 10 and sink.stats().depth > 80
    free.set()
    sink.close()
    assert numbers(sink.written) == list(range(100))


def test_formatted_alerts_keep_their_bytes(tmp_path: Path) -> None:
    """What was formatted before it came is delivered as it was, after a restart too."""
    one = alert(1)
    items: list[Any] = [
        Formatted(one, JSON.render(one), "application/json"),
        Formatted(one, TEXT.render(one), "text/plain"),
        Formatted(one, b"", "text/plain"),
        one,
    ]
    sink = recording(tmp_path, capacity=10)
    sink.fail(OSError("down"), times=None)
    send(sink, items)
    sink.close(0.2)
    again = recording(tmp_path)
    again.start()
    wait_for(lambda: len(again.written) == 4)
    again.close()
    assert [type(item) for item in again.written] == [Formatted, Formatted, Formatted, Alert]
    assert [getattr(item, "data", None) for item in again.written[:2]] == [JSON.render(one), TEXT.render(one)]
    assert again.written[3] == one


def test_writes_are_grouped(tmp_path: Path) -> None:
    """Many alerts share one transaction, and a lone one does not wait for others."""
    sink = recording(tmp_path)
    send(sink, map(alert, range(20_000)))
    sink.flush()
    assert mailbox_of(sink).transactions < 2000
    began = time.monotonic()
    send(sink, [alert(1)])
    sink.flush()
    assert time.monotonic() - began < 1.0
    sink.close()


def test_delivered_means_deleted(tmp_path: Path) -> None:
    """A confirmed alert leaves the disk while the sink lives."""
    sink = recording(tmp_path)
    send(sink, map(alert, range(100)))
    sink.flush()
    wait_for(lambda: mailbox_of(sink).spooled == 0)
    assert sink.stats().spooled == 0
    sink.close()


def test_what_is_only_in_the_channels_buffer_stays_on_disk(tmp_path: Path) -> None:
    """A buffered channel has delivered nothing until it was flushed."""
    sink = recording(tmp_path, buffered=True)
    sink.fail(OSError("no space"), on="flush", times=None)
    send(sink, map(alert, range(10)))
    wait_for(lambda: sink.stats().spooled == 10)
    sink.close(0.3)
    assert sink.stats().spooled == 10
    assert backlog(tmp_path) == list(range(10))


@pytest.mark.parametrize("together", [False, True])
def test_items_that_are_no_alerts_are_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, together: bool
) -> None:
    """Only alerts can be kept on disk: others are counted and reported, and the sink goes on."""
    sink = recording(tmp_path)
    found = letters(sink)
    if together:
        with Scope(None, 0):
            sink.on_batch(["text", alert(1)])
    else:
        send(sink, ["text", alert(1)])
    sink.close()
    assert numbers(sink.written) == [1]
    assert sink.stats().dropped == {"no alert": 1}
    assert [letter.item for letter in found] == ["text"]
    assert "str cannot be kept on disk" in caplog.text
    assert balanced(sink)


# -- restarts -------------------------------------------------------------------------------------------------


def test_the_backlog_goes_first_after_a_restart(tmp_path: Path) -> None:
    """What was not delivered comes before what is new, in its order, and only once."""
    sink = recording(tmp_path, capacity=50)
    sink.fail(Retryable("down"), times=None)
    send(sink, map(alert, range(50)))
    wait_for(lambda: mailbox_of(sink).spooled == 50)
    assert sink.close(0.0)
    assert sink.stats().spooled == 50 and sink.stats().lost == 0 and balanced(sink)
    again = recording(tmp_path, capacity=20)
    send(again, map(alert, range(50, 90)))
    again.close()
    assert numbers(again.written) == list(range(90))
    assert again.stats().received == 90 and balanced(again)


def test_order_holds_with_a_window_that_is_smaller_than_the_backlog(tmp_path: Path) -> None:
    """Alerts that pass through the file only, because the window is full, keep their place."""
    sink = recording(tmp_path, capacity=10, max_batch=3)
    sink.block()
    thread = threading.Thread(target=run, args=([alert(number) for number in range(3000)], sink))
    thread.start()
    wait_for(lambda: mailbox_of(sink).spooled >= 2980)
    sink.release()
    thread.join(30)
    assert not thread.is_alive()
    assert numbers(sink.written) == list(range(3000))
    assert balanced(sink)


def test_attempts_and_pauses_survive_a_restart(tmp_path: Path) -> None:
    """A pause that was begun before the end is waited for after it, and the attempts go on counting."""
    retry = Retry(initial=0.01, maximum=30.0)
    sink = recording(tmp_path, retry=retry)
    sink.fail(Retryable("come back later", after=3.0), times=None)
    send(sink, [alert(1)])
    wait_for(lambda: sink.state is State.BACKOFF)
    due = time.time() + 3.0
    sink.close(0.0)
    again = recording(tmp_path, retry=retry)
    found = letters(again)
    again.refuse(lambda _: True)
    assert 0 < mailbox_of(again).due <= 3.0
    again.start()
    wait_for(lambda: again.stats().rejected == 1)
    assert time.time() >= due - 0.1
    assert [letter.attempts for letter in found] == [2]
    again.close()


_CHILD = """
import os, sys
from rxalerts.flow.backoff import Retry
from rxalerts.sinks import FileSink
from rxalerts.testing import RecordingSink
from tests.support.durably import alert, send, wait_for
folder, begin = sys.argv[1], int(sys.argv[2])
class Ack:
    until_delivered = False
    def hold(self, seq): pass
    def release(self, seq): os.write(1, b"%d\\n" % (begin + seq - 1))
sink = FileSink(folder + "/out", name="kept", durable=folder, format="json", capacity=200, max_batch=20)
number = begin
while True:
    send(sink, [alert(number)], Ack(), start=number - begin)
    number += 1
    if number % 50 == 0:
        wait_for(lambda: sink.mailbox.depth < 2000)
"""


def killed(folder: Path, begin: int, acknowledged: int) -> list[int]:
    """Let a process send alerts, kill it after so many acknowledgements; return the numbers acknowledged."""
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(folder), str(begin)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert child.stdout is not None
    lines = [child.stdout.readline() for _ in range(acknowledged)]
    child.kill()
    rest = child.stdout.read()
    child.stdout.close()
    child.wait()
    # The last line may be torn: then nobody has read it.
    return [int(line) for line in b"".join([*lines, rest]).split(b"\n")[:-1]]


@pytest.mark.timeout(120)
def test_nothing_acknowledged_is_lost_by_kill_9(tmp_path: Path) -> None:
    """After each of several kills at random moments every alert that was acknowledged is delivered, in order."""
    chance = random.Random(11)
    expected: list[int] = []
    begin = 0
    for _ in range(4):
        expected += killed(tmp_path, begin, chance.randrange(20, 1500))
        begin += 1_000_000
    last = FileSink(tmp_path / "out", name="kept", durable=tmp_path, format="json")
    last.start()
    assert last.close(30)
    found = [as_number(line) for line in (tmp_path / "out").read_bytes().splitlines() if line.endswith(b"}")]
    assert set(expected) <= set(found), "missing"
    firsts = list(dict.fromkeys(found))
    assert firsts == sorted(firsts), "out of order"
    assert len(found) - len(firsts) <= 4 * 200, "more doubled than one window for each kill"


def as_number(line: bytes) -> int:
    """Return the number of an alert that was written as JSON."""
    return number_of(as_alert(line))


def test_a_failed_sink_keeps_its_backlog(tmp_path: Path) -> None:
    """A durable sink that gave up leaves what it has in the spool, for the next start."""
    sink = recording(tmp_path)
    sink.fail(Fatal("wrong password"), times=None)
    send(sink, map(alert, range(20)))
    wait_for(lambda: sink.state is State.FAILED)
    sink.close()
    assert sink.stats().spooled == 20
    again = recording(tmp_path)
    again.start()
    again.close()
    assert numbers(again.written) == list(range(20))


def test_closing_with_a_big_backlog_and_little_time_loses_nothing(tmp_path: Path) -> None:
    """What the timeout does not suffice for is on disk when close returns, however stuck the channel is."""
    sink = recording(tmp_path, capacity=20_000)
    sink.block()
    send(sink, map(alert, range(20_000)))
    assert sink.stuck.wait(10)
    assert not sink.close(0.0)
    assert backlog_while_stuck(tmp_path) == list(range(20_000))
    sink.release()
    assert sink.wait(10)


def backlog_while_stuck(folder: Path) -> list[int]:
    """Return the backlog; the lock says that the spool was let go."""
    return backlog(folder)


def test_a_sink_that_was_never_started_lets_its_file_go(tmp_path: Path) -> None:
    """Closing gives the lock back."""
    recording(tmp_path).close()
    recording(tmp_path).close()


def test_two_sinks_of_one_name_are_refused(tmp_path: Path) -> None:
    """The constructor says which file is in use, and by whom."""
    sink = recording(tmp_path)
    with pytest.raises(SinkError, match=r"kept\.lock: in use by another sink of this process"):
        recording(tmp_path)
    sink.close()


def test_a_forked_child_leaves_the_file_alone(tmp_path: Path) -> None:
    """The child's copy of the sink is closed; the parent's goes on, and its lock ends with the parent's sink."""
    sink = recording(tmp_path)
    sink.block()
    send(sink, map(alert, range(10)))
    wait_for(lambda: mailbox_of(sink).spooled == 10)
    child = os.fork()
    if child == 0:
        os._exit(0 if sink.state is State.CLOSED and sink.mailbox.depth == 0 else 1)
    assert os.waitpid(child, 0)[1] == 0
    sink.release()
    sink.close()
    assert numbers(sink.written) == list(range(10))
    recording(tmp_path).close()


# -- the size cap ---------------------------------------------------------------------------------------------


def capped(folder: Path, on_full: str, **options: Any) -> RecordingSink[Any]:
    """Return a sink that is stuck, whose spool holds about 100 alerts."""
    size = len(JSON.render(alert(100, "critical"))) + 64
    sink = recording(folder, capacity=40, max_batch=10, on_full=on_full, spool_bytes=100 * size, **options)
    sink.block()
    return sink


def test_at_the_cap_block_makes_the_source_wait(tmp_path: Path) -> None:
    """Nothing is lost and nothing dropped: the source waits until the sink has made room."""
    sink = capped(tmp_path, "block")
    thread = threading.Thread(target=run, args=([alert(number) for number in range(1000)], sink))
    thread.start()
    assert sink.stuck.wait(10)
    wait_for(lambda: sink.mailbox.pressing)
    assert sink.stats().depth <= 100 + 40 + 1
    assert sink.stats().dropped == {}
    sink.release()
    thread.join(30)
    assert not thread.is_alive()
    assert numbers(sink.written) == list(range(1000))
    assert balanced(sink)


def settled(sink: Sink[Any], count: int) -> None:
    """Wait until so many alerts are dropped or on disk."""
    wait_for(lambda: sink.stats().spooled + sum(sink.stats().dropped.values()) >= count)


def test_at_the_cap_drop_newest_refuses(tmp_path: Path) -> None:
    """What came first stays; each refusal is counted and in the dead letters."""
    sink = capped(tmp_path, "drop_newest")
    found = letters(sink)
    for number in range(300):
        send(sink, [alert(number)])
        # Until the file is full, each goes there before the next one comes.
        wait_for(lambda: sink.stats().spooled == sink.stats().depth or sink.stats().spooled >= 100)
    sink.release()
    sink.close()
    written = numbers(sink.written)
    dropped = [number_of(letter.item) for letter in found]
    assert written == sorted(written) and written[:100] == list(range(100))
    assert sorted(written + dropped) == list(range(300))
    assert sink.stats().dropped == {"overflow": len(dropped)} and balanced(sink)


@pytest.mark.parametrize("capacity", [40, 400])
def test_at_the_cap_drop_oldest_makes_room(tmp_path: Path, capacity: int) -> None:
    """The oldest that the sink has not in its hands go, from the window too; the newest stay."""
    sink = capped(tmp_path, "drop_oldest")
    sink.close(0)
    size = len(JSON.render(alert(100, "critical"))) + 64
    sink = recording(tmp_path, capacity=capacity, max_batch=10, on_full="drop_oldest", spool_bytes=100 * size)
    sink.block()
    found = letters(sink)
    send(sink, [alert(0)])
    assert sink.stuck.wait(10)
    for number in range(1, 400):
        send(sink, [alert(number)])
        settled(sink, number + 1)
    assert mailbox_of(sink)._spool.bytes <= 100 * size  # pyright: ignore[reportPrivateUsage]
    sink.release()
    sink.close()
    written = numbers(sink.written)
    dropped = [number_of(letter.item) for letter in found]
    assert written == sorted(written)
    assert written[-90:] == list(range(310, 400)) and written[0] == 0
    assert sorted(written + dropped) == list(range(400))
    assert sink.stats().dropped == {"overflow": len(dropped)} and balanced(sink)


@pytest.mark.parametrize("capacity", [40, 400])
def test_at_the_cap_drop_lowest_keeps_the_urgent(tmp_path: Path, capacity: int) -> None:
    """No Critical is dropped while a Debug is there, whether it is new, in the window or only on disk."""
    size = len(JSON.render(alert(100, "critical"))) + 64
    sink = recording(tmp_path, capacity=capacity, max_batch=10, on_full="drop_lowest", spool_bytes=100 * size)
    sink.block()
    found = letters(sink)
    send(sink, [alert(0, "debug")])
    assert sink.stuck.wait(10)
    chance = random.Random(3)
    kinds = ["debug", *(chance.choice(["critical", "debug", "debug", "notice"]) for _ in range(299))]
    for number in range(1, 300):
        send(sink, [alert(number, kinds[number])])
        settled(sink, number + 1)
    sink.release()
    sink.close()
    written = numbers(sink.written)
    dropped = [number_of(letter.item) for letter in found]
    assert sorted(written + dropped) == list(range(300))
    assert {kinds[number] for number in dropped} <= {"debug", "notice"}
    assert all(number in written for number in range(300) if kinds[number] == "critical")
    assert written == sorted(written) and balanced(sink)


def test_what_is_in_memory_at_the_end_is_written_beyond_the_cap(tmp_path: Path) -> None:
    """At the end there is nobody left to wait: the cap gives way rather than an alert."""
    sink = capped(tmp_path, "block")
    send(sink, map(alert, range(300)))
    assert sink.stuck.wait(10)
    wait_for(lambda: sink.mailbox.pressing)
    sink.close(0.0)
    assert sink.stats().lost == 0
    assert backlog(tmp_path) == list(range(300))
    sink.release()
    assert sink.wait(10)


# -- the disk -------------------------------------------------------------------------------------------------


def test_a_full_disk_makes_the_source_wait_and_loses_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the disk is full the source waits, it looks rarely, and all goes on when there is space."""
    with small_disk(tmp_path / "disk", "16m") as disk:
        (disk / "ballast").write_bytes(b"x" * 15_000_000)
        sink = recording(disk, capacity=500)
        spool = mailbox_of(sink)._spool  # pyright: ignore[reportPrivateUsage]
        looks = Mock(side_effect=spool.space)
        monkeypatch.setattr(spool, "space", looks)
        sink.block()
        thread = threading.Thread(target=run, args=([alert(number, size=500) for number in range(3000)], sink))
        thread.start()
        wait_for(lambda: "full; the source waits" in caplog.text and sink.mailbox.pressing)
        before = looks.call_count
        began = time.monotonic()
        wait_for(lambda: looks.call_count >= before + 3)
        assert time.monotonic() - began >= 2 * PAUSE * 0.9, "it spins"
        assert sink.stats().dropped == {}
        (disk / "ballast").unlink()
        sink.release()
        thread.join(30)
        assert not thread.is_alive()
        assert numbers(sink.written) == list(range(3000))
        assert balanced(sink)


def remove(folder: Path) -> None:
    """As somebody who tidies up."""
    shutil.rmtree(folder)


def replace_by_a_folder(folder: Path) -> None:
    """As somebody who moves files about."""
    (folder / "kept.spool").rename(folder / "elsewhere")
    (folder / "kept.spool").mkdir()


def replace_by_another(folder: Path) -> None:
    """As somebody who plays a backup back."""
    (folder / "kept.spool").unlink()
    (folder / "kept.spool").write_bytes(b"something else")


@pytest.mark.parametrize("harm", [remove, replace_by_a_folder, replace_by_another])
def test_a_file_that_is_taken_away_is_written_anew(
    tmp_path: Path, harm: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    """While it waits, with all that it held: what was accepted is there at the next start."""
    folder = tmp_path / "spool"
    sink = recording(folder)
    sink.block()
    send(sink, map(alert, range(50)))
    wait_for(lambda: mailbox_of(sink).spooled == 50)
    harm(folder)
    wait_for(lambda: "written anew, with 50 alerts" in caplog.text)
    send(sink, map(alert, range(50, 60)))
    wait_for(lambda: mailbox_of(sink).spooled == 60)
    sink.close(0.0)
    sink.release()
    assert backlog(folder) == list(range(60))


def test_a_file_that_cannot_be_written_anew_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its place cannot be used any more: nothing further is accepted, and at the end what is gone is told."""
    folder = tmp_path / "spool"
    sink = recording(folder)
    sink.fail(OSError("away"), times=None)
    send(sink, map(alert, range(50)))
    wait_for(lambda: mailbox_of(sink).spooled == 50)
    shutil.rmtree(folder)
    folder.write_text("")
    wait_for(lambda: "the source waits until it can be used" in caplog.text)
    mark = Counter(until_delivered=False)
    send(sink, map(alert, range(50, 60)), mark)
    sink.close(0.0)
    assert sink.stats().dropped == {"removed": 50, "shutdown": 10}
    assert sink.stats().spooled == 0 and mark.released == [] and balanced(sink)


@pytest.mark.parametrize(
    ("disk_size", "capacity", "size", "count"),
    [("1m", 100, 400, 8000), ("4m", 100, 400, 8000), ("2m", 1000, 3000, 1500), ("4m", 1000, 3000, 1500)],
)
def test_a_spool_gets_out_of_the_file_system_that_it_has_filled(
    tmp_path: Path, disk_size: str, capacity: int, size: int, count: int
) -> None:
    """It deletes what was delivered, or begins anew when all was, and goes on with what the source held back."""
    with small_disk(tmp_path / "disk", disk_size) as disk:
        sink = recording(disk, capacity=capacity)
        sink.fail(OSError("away"), times=None)
        items = [alert(number, size=size) for number in range(count)]
        source = threading.Thread(target=run, args=(items, sink))
        source.start()
        wait_for(lambda: sink.mailbox.pressing and sink.stats().failures > 3)
        assert sink.stats().received < count
        sink.mend()
        source.join(30)
        assert numbers(sink.written) == list(range(count))
        assert sink.stats().lost == 0


def test_the_backlog_goes_out_while_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading needs no space: what is on disk is delivered even when nothing can be written."""
    sink = recording(tmp_path, capacity=10)
    sink.block()
    send(sink, map(alert, range(200)))
    wait_for(lambda: mailbox_of(sink).spooled == 200)
    box = mailbox_of(sink)

    full_error = sqlite3.OperationalError("database or disk is full")
    full_error.sqlite_errorcode = sqlite3.SQLITE_FULL
    with monkeypatch.context() as patch:

        def refuse(*_: Any) -> None:
            raise full_error

        patch.setattr(box._spool, "commit", refuse)  # pyright: ignore[reportPrivateUsage]
        sink.release()
        wait_for(lambda: len(sink.written) == 200)
    assert numbers(sink.written) == list(range(200))
    wait_for(lambda: box.spooled == 0)
    sink.close()
    assert backlog(tmp_path) == []


def test_a_spool_that_cannot_be_opened_is_a_clear_error(tmp_path: Path) -> None:
    """The constructor raises SinkError that names folder and remedy."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match="set spool_dir to a folder of your own"):
        recording(tmp_path / "file")


def test_damage_met_while_running_costs_only_what_it_hits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Garbage in the middle of the backlog: the file is replaced, the rest is delivered, what is gone is counted."""
    sink = recording(tmp_path)
    sink.fail(OSError("down"), times=None)
    send(sink, (alert(number, size=400) for number in range(5000)))
    wait_for(lambda: mailbox_of(sink).spooled == 5000)
    sink.close(0.0)
    path = tmp_path / "kept.spool"
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2 // 4096 * 4096)
        file.write(b"\xff" * 8192)
    again = recording(tmp_path, capacity=100)
    found = letters(again)
    again.start()
    with caplog.at_level(logging.ERROR, "rxalerts"):
        again.close(30)
    written = numbers(again.written)
    lost = again.stats().dropped.get("damaged", 0)
    assert written == sorted(set(written))
    assert len(written) + lost == 5000 and 0 < lost < 40
    assert "set aside as" in caplog.text and f"{lost} alerts were lost" in caplog.text
    assert balanced(again) and found == []


# -- configuration --------------------------------------------------------------------------------------------


def test_a_configuration_makes_channels_durable(tmp_path: Path) -> None:
    """`durable: true` and `rxalerts.spool_dir` in falco.yaml; reading it opens no file."""
    path = tmp_path / "falco.yaml"
    path.write_text(
        f"file_output: {{enabled: true, filename: {tmp_path}/out.txt}}\n"
        f"rxalerts:\n  spool_dir: {tmp_path}/spool\n"
        "  channels:\n    file:\n      durable: true\n      spool_bytes: 100000\n"
    )
    config = load_config(path)
    assert not (tmp_path / "spool").exists()
    sink = config.channels[0].build()
    assert (tmp_path / "spool" / "file.spool").exists()
    assert (sink.spool_bytes, sink.durable) == (100_000, True)
    sink.on_next(alert(1))
    sink.close()
    assert "number 1" in (tmp_path / "out.txt").read_text()
    # It can be read again while the sink runs.
    second = config.channels[0].build()
    load_config(path)
    second.close()


def test_a_folder_of_its_own(tmp_path: Path) -> None:
    """`durable` may name the folder; names do not lead out of it."""
    sink: CollectSink[Any] = CollectSink(name="../x/y", durable=tmp_path / "own")
    assert Path(sink.spool_path()).parent == tmp_path / "own"
    sink.close()


def test_latest_and_durable_contradict(tmp_path: Path) -> None:
    """A mailbox that keeps one alert has no backlog."""
    with pytest.raises(OptionError, match="latest makes no sense with durable"):
        recording(tmp_path, on_full="latest")


def test_the_status_of_a_running_spool_can_be_read(tmp_path: Path) -> None:
    """Backlog, bytes and the oldest alert's age are in a file beside the spool, soon after they change."""
    sink = recording(tmp_path)
    sink.block()
    before = time.time()
    send(sink, map(alert, range(100)))
    path = sink.spool_path()
    wait_for(lambda: (status := read_status(path)) is not None and status.backlog == 100)
    status = read_status(path)
    assert status is not None
    assert (status.name, status.pid) == ("kept", os.getpid())
    assert status.bytes > 100 * 100 and status.oldest is not None and before - 1 <= status.oldest <= time.time()
    sink.release()
    wait_for(lambda: (status := read_status(path)) is not None and status.backlog == 0)
    sink.close()


@pytest.fixture(autouse=True)
def no_threads_left() -> Iterator[None]:
    """Every spool thread ends with its sink."""
    before = set(threading.enumerate())
    yield
    wait_for(
        lambda: not [
            thread
            for thread in threading.enumerate()
            if thread.name.startswith("rxalerts-spool") and thread not in before
        ]
    )


def test_a_spool_that_cannot_begin_anew_at_once_does_so_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a disk that others fill, all is delivered: its place is made good when there is space, and nothing is lost."""
    sink = recording(tmp_path, capacity=10)
    sink.block()
    send(sink, (alert(number, size=2000) for number in range(300)))
    wait_for(lambda: mailbox_of(sink).spooled == 300)
    sink.release()
    wait_for(lambda: mailbox_of(sink).spooled == 0 and len(sink.written) == 300)
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL
    spool = mailbox_of(sink)._spool  # pyright: ignore[reportPrivateUsage]

    def refuse(*_: Any, **__: Any) -> None:
        raise full

    with monkeypatch.context() as patch:
        patch.setattr(spool, "commit", refuse)
        patch.setattr("rxalerts.flow.spool.connect", refuse)
        send(sink, [alert(300)])
        wait_for(lambda: not (tmp_path / "kept.spool").exists())
        mark = Counter(until_delivered=False)
        send(sink, [alert(301)], mark)
    wait_for(lambda: len(sink.written) == 302)
    assert mark.released and (tmp_path / "kept.spool").exists()
    assert numbers(sink.written) == list(range(302)) and not sink.stats().dropped
    sink.close()
    assert backlog(tmp_path) == []


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_lowest", "block"])
def test_a_backlog_above_a_cap_that_was_lowered_is_delivered(tmp_path: Path, policy: str) -> None:
    """Nothing new comes: there is nothing to drop anything for, and the sink goes on."""
    first = recording(tmp_path)
    first.block()
    send(first, (alert(number, size=400) for number in range(1000)))
    wait_for(lambda: mailbox_of(first).spooled == 1000)
    first.close(0.0)
    first.release()
    first.wait(10)
    done = len(first.written)
    again = recording(tmp_path, on_full=policy, spool_bytes=50_000, capacity=100, max_batch=50)
    again.start()
    wait_for(lambda: mailbox_of(again).spooled == 0)
    again.close()
    assert set(numbers(again.written)) | set(range(done)) == set(range(1000))
    assert not again.stats().dropped and balanced(again)


def test_a_damaged_row_that_has_to_go_costs_only_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Chosen as the one to drop for others, it is counted like any other, and the sink goes on."""
    size = len(JSON.render(alert(100, "notice"))) + 64
    options: dict[str, Any] = {"capacity": 20, "max_batch": 5, "on_full": "drop_lowest"}
    first = recording(tmp_path)
    first.fail(OSError("away"), times=None)
    send(first, (alert(number) for number in range(100)))
    wait_for(lambda: mailbox_of(first).spooled == 100)
    first.close(0.0)
    with sqlite3.connect(tmp_path / "kept.spool") as connection:
        connection.execute("UPDATE alerts SET alert = x'7b', priority = 7 WHERE id = 80")
    connection.close()
    again = recording(tmp_path, **options, spool_bytes=101 * size)
    again.fail(OSError("away"), times=None)
    for number in range(100, 160):
        send(again, [alert(number)])
        settled(again, number + 1)
    again.mend()
    again.close()
    assert "row 80 is damaged" in caplog.text
    stats = again.stats()
    assert stats.received == 160 == stats.delivered + stats.lost and balanced(again)
