"""Dead letters on disk: nothing that a sink gives up is gone, and sending it again neither loses nor doubles it."""

import os
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from rxalerts import Alert
from rxalerts.errors import SinkError
from rxalerts.flow import deadbox
from rxalerts.flow.backoff import Retry
from rxalerts.flow.channel import Fatal, Retryable
from rxalerts.flow.deadletters import DeadLetters, Letter, letter_for
from rxalerts.flow.spool import Spool
from rxalerts.flow.stats import State
from rxalerts.format import JSON, Formatted
from rxalerts.testing import RecordingSink
from tests.support.durably import Counter, alert, number_of, numbers, send, wait_for

QUICK = Retry(initial=0.01, maximum=0.02)


def letter(number: int, *, last: float = 1000.0, size: int = 0) -> Letter:
    """Return a letter."""
    return letter_for(alert(number, size=size), "rejected", f"detail {number}", 1, last - 10, last)


@pytest.fixture
def store(tmp_path: Path) -> DeadLetters:
    """An empty store."""
    return DeadLetters(str(tmp_path / "kept.dead"))


@pytest.fixture(autouse=True)
def quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for letters that are to be sent again more often than once a second."""
    monkeypatch.setattr(deadbox, "POLL", 0.05)


def recording(folder: Path, **options: Any) -> RecordingSink[Any]:
    """Return a sink that keeps its dead letters and records."""
    options.setdefault("retry", QUICK)
    options.setdefault("dead_store", folder)
    return RecordingSink(name="kept", **options)


# -- the store ------------------------------------------------------------------------------------------------


def test_a_letter_comes_back_as_it_was(store: DeadLetters) -> None:
    """Alert, formatted bytes, reason, detail, attempts and both times."""
    one = alert(1)
    store.change(
        added=[
            letter_for(one, "rejected", "HTTP 400", 3, 10.5, 20.5),
            letter_for(Formatted(one, b"text", "text/plain"), "failed", "", 1, 1.0, 2.0),
            letter_for(Formatted(one, JSON.render(one), "application/json"), "failed", "", 1, 1.0, 2.0),
        ]
    )
    first, second, third = store.select("ORDER BY id")
    assert first.item == one
    assert (first.reason, first.detail, first.attempts, first.first, first.last) == (
        "rejected",
        "HTTP 400",
        3,
        10.5,
        20.5,
    )
    assert [getattr(each.item, "data", None) for each in (second, third)] == [b"text", JSON.render(one)]
    assert stat.S_IMODE(os.stat(store.path).st_mode) == 0o600


def test_nothing_is_made_before_the_first_letter(store: DeadLetters) -> None:
    """Looking into a store that is not there finds nothing and makes no file."""
    assert store.select() == [] and store.counts() == {"kept": 0} and store.changed == 0
    assert store.want("") == store.purge("") == 0
    store.expire()
    assert not os.path.exists(store.path)


def test_the_size_limit_removes_the_oldest_and_counts(store: DeadLetters) -> None:
    """Beyond the limit the oldest go; how many went is remembered."""
    size = letter(10).size
    small = DeadLetters(store.path, max_bytes=5 * size)
    for number in range(10, 30):
        small.change(added=[letter(number)])
    assert numbers(small.select("ORDER BY id")) == list(range(25, 30))
    counts = small.counts()
    assert (counts["kept"], counts["size"], counts["bytes"]) == (5, 15, 5 * size)


def test_the_age_limit_counts_from_the_last_try(store: DeadLetters) -> None:
    """What was tried last too long ago goes, and is counted."""
    aging = DeadLetters(store.path, max_age=100)
    aging.change(added=[letter(1, last=1000.0), letter(2, last=1150.0)], now=lambda: 1001.0)
    aging.expire(now=lambda: 1099.0)
    assert numbers(aging.select()) == [1, 2]
    aging.expire(now=lambda: 1101.0)
    assert numbers(aging.select()) == [2]
    assert aging.counts()["age"] == 1


def test_purging_counts_apart_from_delivering(store: DeadLetters) -> None:
    """How letters went can be told afterwards."""
    store.change(added=[letter(number) for number in range(5)])
    assert store.purge("WHERE id <= 2") == 2
    store.change(delivered=[3, 99])
    counts = store.counts()
    assert (counts["kept"], counts["asked"], counts["delivered"]) == (2, 2, 1)


def test_two_processes_use_it_at_the_same_time(store: DeadLetters) -> None:
    """One opened per operation, in rollback-journal mode: concurrent writers lose nothing."""
    code = (
        "import sys; from rxalerts.flow.deadletters import DeadLetters\n"
        "from tests.test_dead_letters import letter\n"
        "for n in range(100): DeadLetters(sys.argv[1]).change(added=[letter(n)])"
    )
    root = Path(__file__).resolve().parent.parent
    others = [subprocess.Popen([sys.executable, "-c", code, store.path], cwd=root) for _ in range(2)]
    for number in range(100):
        store.change(added=[letter(number)])
    assert [other.wait() for other in others] == [0, 0]
    assert store.counts()["kept"] == 300


def test_a_damaged_store_is_set_aside(store: DeadLetters, caplog: pytest.LogCaptureFixture) -> None:
    """Garbage is kept under another name, reported and replaced."""
    Path(store.path).write_bytes(b"no database " * 500)
    store.change(added=[letter(1)])
    assert numbers(store.select()) == [1]
    assert "set aside as" in caplog.text


# -- what a sink puts there -----------------------------------------------------------------------------------


def test_what_is_rejected_is_kept(tmp_path: Path, store: DeadLetters) -> None:
    """With reason, attempts and times; the rest is delivered."""
    sink = recording(tmp_path)
    sink.refuse(lambda item: number_of(item) % 2 == 0)
    before = time.time()
    send(sink, map(alert, range(10)))
    sink.close()
    found = store.select("ORDER BY id")
    assert numbers(found) == [0, 2, 4, 6, 8]
    assert numbers(sink.written) == [1, 3, 5, 7, 9]
    assert {each.reason for each in found} == {"rejected"} and all(each.detail for each in found)
    assert all(before <= each.first <= each.last <= time.time() and each.attempts == 1 for each in found)


def test_the_first_try_is_when_attempts_began_to_fail(tmp_path: Path, store: DeadLetters) -> None:
    """A letter that was tried for a while before it was rejected says so."""
    sink = recording(tmp_path)
    sink.fail(Retryable("down"), times=3)
    sink.refuse(lambda _: True)
    send(sink, [alert(1)])
    sink.close()
    (found,) = store.select()
    assert found.attempts == 4
    assert found.first < found.last


def test_what_a_memory_sink_gives_up_is_kept(tmp_path: Path, store: DeadLetters) -> None:
    """Everything in a sink that failed, and what comes for it later."""
    sink = recording(tmp_path)
    sink.fail(Fatal("wrong password"), times=None)
    send(sink, map(alert, range(100)))
    wait_for(lambda: sink.state is State.FAILED)
    send(sink, map(alert, range(100, 120)))
    wait_for(lambda: store.counts()["kept"] == 120)
    assert sorted(numbers(store.select())) == list(range(120))
    assert {(each.reason, each.detail) for each in store.select()} == {("failed", "wrong password")}
    sink.close()


def test_attempts_exhausted_is_giving_up(tmp_path: Path, store: DeadLetters) -> None:
    """A retry limit ends in the dead letters, not in nothing."""
    sink = recording(tmp_path, retry=Retry(initial=0.01, maximum=0.01, attempts=3))
    sink.fail(OSError("down"), times=None)
    send(sink, map(alert, range(5)))
    wait_for(lambda: store.counts()["kept"] == 5)
    assert {each.reason for each in store.select()} == {"failed"}
    sink.close()


def test_what_a_policy_drops_is_not_kept(tmp_path: Path, store: DeadLetters) -> None:
    """Overflow is a choice, and what found no time at the end is no dead letter either."""
    sink = recording(tmp_path, capacity=5, on_full="drop_oldest")
    sink.block()
    send(sink, map(alert, range(100)))
    sink.close(0.0)
    sink.release()
    sink.wait(10)
    assert store.counts()["kept"] == 0
    assert sink.stats().dropped.get("overflow", 0) > 80


def test_first_into_the_store_then_out_of_the_spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the store cannot be written, a rejected alert of a durable sink stays in its spool."""
    sink = recording(tmp_path, durable=tmp_path, dead_store=None)
    assert sink.dead_box is not None

    def refuse(*_: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(DeadLetters, "change", refuse)
        sink.refuse(lambda item: number_of(item) == 1)
        send(sink, map(alert, range(3)))
        wait_for(lambda: sink.stats().rejected == 1 and sink.stats().spooled == 1)
        sink.close(1.0)
    spool = Spool(str(tmp_path / "kept.spool"))
    assert spool.count == 1
    spool.close()
    again = recording(tmp_path, durable=tmp_path, dead_store=None)
    again.refuse(lambda _: True)
    again.start()
    again.close()
    store = DeadLetters(str(tmp_path / "kept.dead"))
    assert numbers(store.select()) == [1]
    spool = Spool(str(tmp_path / "kept.spool"))
    assert spool.count == 0
    spool.close()


def test_an_awaited_alert_is_finished_when_its_letter_is_on_disk(tmp_path: Path, store: DeadLetters) -> None:
    """A source that waits for delivery is told after the letter was written."""
    sink = recording(tmp_path)
    sink.refuse(lambda _: True)
    seen: list[int] = []

    class Looking(Counter):
        def release(self, seq: int) -> None:
            seen.append(store.counts()["kept"])

    send(sink, [alert(1)], Looking(until_delivered=True))
    wait_for(lambda: seen)
    assert seen == [1]
    sink.close()


def test_a_durable_sink_that_failed_keeps_its_backlog_in_the_spool(tmp_path: Path) -> None:
    """What is on disk already is not copied to the dead letters."""
    sink = recording(tmp_path, durable=tmp_path, dead_store=None)
    sink.fail(Fatal("no"), times=None)
    send(sink, map(alert, range(10)))
    wait_for(lambda: sink.state is State.FAILED)
    sink.close()
    assert DeadLetters(str(tmp_path / "kept.dead")).counts()["kept"] == 0
    assert sink.stats().spooled == 10


def test_no_store_unless_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain sink writes nothing anywhere."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    sink: RecordingSink[Any] = RecordingSink()
    assert sink.dead_box is None
    sink.refuse(lambda _: True)
    send(sink, [alert(1)])
    sink.close()
    assert list(tmp_path.iterdir()) == []


def test_the_store_belongs_to_one_sink(tmp_path: Path) -> None:
    """Who runs is known by the lock: a second sink of the name is refused, then the lock is free."""
    sink = recording(tmp_path)
    with pytest.raises(SinkError, match="another sink of this process"):
        recording(tmp_path)
    sink.close()
    recording(tmp_path).close()


# -- sending again --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("durable", [False, True])
def test_wanted_letters_are_delivered_and_removed(tmp_path: Path, store: DeadLetters, durable: bool) -> None:
    """A running sink picks up what was marked, whoever marked it, and deletes it when it is delivered."""
    store.change(added=[letter(number) for number in range(300)])
    sink = recording(tmp_path, capacity=50, durable=tmp_path if durable else False)
    sink.start()
    store.want("WHERE id <= 200")
    wait_for(lambda: store.counts()["kept"] == 100)
    wait_for(lambda: len(sink.written) == 200)
    assert sorted(numbers(sink.written)) == list(range(200))
    assert numbers(store.select("ORDER BY id")) == list(range(200, 300))
    stats = sink.stats()
    sink.close()
    assert stats.received == stats.delivered == 200


@pytest.mark.parametrize("durable", [False, True])
def test_what_fails_again_keeps_its_row(tmp_path: Path, store: DeadLetters, durable: bool) -> None:
    """Attempts and the last try are updated, the first try stays; nothing is doubled."""
    store.change(added=[letter(number) for number in range(3)])
    sink = recording(tmp_path, durable=tmp_path if durable else False)
    sink.refuse(lambda item: number_of(item) == 1)
    sink.start()
    store.want("")
    wait_for(lambda: store.counts()["kept"] == 1 and store.select()[0].attempts == 2)
    (left,) = store.select()
    assert (number_of(left), left.wanted, left.first) == (1, 0, 990.0)
    assert left.last > 1000
    sink.close()
    assert len(store.select()) == 1


def test_a_letter_is_only_removed_when_it_is_flushed(tmp_path: Path, store: DeadLetters) -> None:
    """In the channel's own buffer it is not delivered yet."""
    store.change(added=[letter(1)])
    sink = recording(tmp_path, buffered=True)
    sink.fail(OSError("no space"), on="flush", times=None)
    sink.start()
    store.want("")
    wait_for(lambda: sink.stats().failures > 0)
    assert store.counts()["kept"] == 1
    sink.mend()
    wait_for(lambda: store.counts()["kept"] == 0)
    sink.close()
    assert numbers(sink.written) == [1]


@pytest.mark.parametrize("durable", [False, True])
def test_an_end_in_the_middle_loses_nothing(tmp_path: Path, store: DeadLetters, durable: bool) -> None:
    """Letters under way when the sink ends stay in the store, still wanted, and go out at the next start."""
    options: dict[str, Any] = {"durable": tmp_path if durable else False, "max_batch": 1}
    store.change(added=[letter(number) for number in range(20)])
    store.want("")
    sink = recording(tmp_path, **options)
    sink.block()
    sink.start()
    assert sink.stuck.wait(10)
    sink.stop(0.0)
    sink.release()
    assert sink.wait(20)
    left = store.select()
    assert len(left) == 20 - len(sink.written) and all(each.wanted for each in left)
    again = recording(tmp_path, **options)
    again.start()
    wait_for(lambda: store.counts()["kept"] == 0)
    again.close()
    assert sorted(numbers([*sink.written, *again.written])) == list(range(20))


def test_more_than_the_mailbox_holds_goes_piece_by_piece(tmp_path: Path, store: DeadLetters) -> None:
    """Letters that are sent again take no room from others: they wait in the store."""
    store.change(added=[letter(number) for number in range(500)])
    store.want("")
    sink = recording(tmp_path, capacity=10, on_full="drop_oldest")
    sink.start()
    wait_for(lambda: store.counts()["kept"] == 0)
    sink.close()
    assert sorted(numbers(sink.written)) == list(range(500))
    assert sink.stats().dropped == {}


def test_what_fails_again_is_tried_once(
    tmp_path: Path, store: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A letter that is rejected again while others are sent is not sent a second time, and not taken for delivered."""
    store.change(added=[letter(number) for number in range(300)])
    store.want("")
    monkeypatch.setattr(deadbox, "_AGAIN", 5)
    sink = recording(tmp_path, capacity=10_000)
    sink.refuse(lambda _: True)
    sink.start()
    wait_for(lambda: not store.wanted(0, 1))
    sink.close()
    assert {letter.attempts for letter in store.select()} == {2}
    counts = store.counts()
    assert (counts["kept"], counts.get("delivered", 0), sink.stats().rejected) == (300, 0, 300)


def test_purged_while_under_way(tmp_path: Path, store: DeadLetters) -> None:
    """A letter that was removed by hand does not come back when it fails again."""
    store.change(added=[letter(1)])
    store.want("")
    sink = recording(tmp_path)
    sink.block()
    sink.refuse(lambda _: True)
    sink.start()
    assert sink.stuck.wait(10)
    assert store.purge("") == 1
    sink.release()
    sink.close()
    assert store.select() == []


class Broken:
    """Lets no dead letter be written until it is mended."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._real, self._broken = DeadLetters.change, threading.Event()
        self._broken.set()
        monkeypatch.setattr(deadbox, "_WAITING", 10)
        monkeypatch.setattr(deadbox, "_PAUSE", 0.01)

        def change(*args: Any, **named: Any) -> None:
            if self._broken.is_set():
                raise sqlite3.OperationalError("database or disk is full")
            self._real(*args, **named)

        monkeypatch.setattr(DeadLetters, "change", change)

    def mend(self) -> None:
        """Work again."""
        self._broken.clear()


@pytest.mark.parametrize("durable", [False, True])
def test_a_store_that_cannot_keep_up_makes_the_source_wait(
    tmp_path: Path, store: DeadLetters, monkeypatch: pytest.MonkeyPatch, durable: bool
) -> None:
    """Nothing more is tried, and so rejected, than can be kept: what comes waits in the mailbox, and none is lost."""
    broken = Broken(monkeypatch)
    sink = recording(tmp_path, durable=tmp_path if durable else False, max_batch=5)
    sink.refuse(lambda _: True)
    send(sink, map(alert, range(50)))
    wait_for(lambda: sink.stats().rejected >= 10)
    assert not sink.flush(0.1)
    assert sink.stats().rejected <= 15
    broken.mend()
    sink.close()
    assert sorted(numbers(store.select())) == list(range(50))


def test_what_a_failed_sink_refuses_and_cannot_be_kept_is_counted(
    tmp_path: Path, store: DeadLetters, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """All that it had is kept; of what comes later as much as memory has room for, the rest is told and counted."""
    broken = Broken(monkeypatch)
    sink = recording(tmp_path, capacity=20)
    sink.block("open")
    send(sink, map(alert, range(20)))
    assert sink.stuck.wait(10)
    sink.fail(Fatal("gone"), times=None)
    sink.release()
    wait_for(lambda: sink.state.ended)
    send(sink, map(alert, range(20, 100)))
    broken.mend()
    wait_for(lambda: store.counts().get("unkept"))
    assert numbers(store.select("ORDER BY id")) == list(range(30))
    assert store.counts()["unkept"] == 70
    assert "70 letters were not kept" in caplog.text


def test_other_items_are_not_kept(tmp_path: Path, store: DeadLetters) -> None:
    """Only alerts can be stored; a rejected item of another kind is reported as ever."""
    sink: RecordingSink[Any] = recording(tmp_path)
    sink.refuse(lambda _: True)
    send(sink, ["text", Alert("r")])
    sink.close()
    assert store.counts()["kept"] == 1
