"""Ten times what a sink can take, for every policy: exact counts, and who is dropped for whom."""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from reactivex import operators as rx

import rxalerts as rxa
from rxalerts import Alert, sources
from rxalerts.flow.channel import Batch, Channel
from rxalerts.flow.overflow import Overflow
from rxalerts.flow.sink import ThreadSink
from rxalerts.flow.stats import DeadLetter
from rxalerts.priority import Priority
from tests.faults.ledger import Case, Row, compare
from tests.support.durably import alert, number_of

# Alerts a second that the sink takes, and how many times as many come.
RATE = 300
TIMES = 10
CAPACITY = 50

# What the memory may grow by between a fifth of the time and the end, in MiB.
GROWTH = 10

# Most of what comes is unimportant, but the critical ones alone are more than the sink can take.
_MIX = ("debug", "debug", "notice", "critical", "debug")


class Notes:
    """What happened to which alert, in order: in eight bytes each, so that the memory of what is tested shows."""

    KINDS = ("given", "taken", "dropped")

    def __init__(self) -> None:
        self._notes = array("q")

    def add(self, kind: str, number: int) -> None:
        """Note one."""
        self._notes.append(number * len(self.KINDS) + self.KINDS.index(kind))

    def __iter__(self) -> Iterator[tuple[str, int]]:
        for note in self._notes:
            number, kind = divmod(note, len(self.KINDS))
            yield self.KINDS[kind], number

    def of(self, kind: str) -> list[int]:
        """Return the numbers of one kind."""
        return [number for what, number in self if what == kind]


@dataclass(eq=False, repr=False)
class SlowSink(ThreadSink[Alert]):
    """Takes RATE alerts a second, one at a time, and notes what happens in which order."""

    channel_name: ClassVar[str] = "slow"
    notes: Notes = field(default_factory=lambda: Notes(), init=False)

    def make_channel(self) -> Channel:
        return _SlowChannel(self)


class _SlowChannel(Channel):
    def __init__(self, sink: SlowSink) -> None:
        self._sink = sink
        self._next = time.monotonic()

    def write(self, batch: Batch[Alert]) -> None:
        for item in batch.items:
            self._sink.notes.add("taken", number_of(item))
            self._next = max(self._next, time.monotonic() - 0.05) + 1 / RATE
            threading.Event().wait(max(0.0, self._next - time.monotonic()))


class Flood:
    """Gives alerts at the rate, for some seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.given = 0

    def __iter__(self) -> Iterator[Alert]:
        began = time.monotonic()
        while (now := time.monotonic() - began) < self._seconds:
            while self.given < now * RATE * TIMES:
                number = self.given
                self.given += 1
                yield alert(number, _MIX[number % len(_MIX)])
            threading.Event().wait(0.01)


def flood(policy: Overflow, seconds: float, row: Row, over: threading.Event) -> None:
    """Flood one sink and compare: what was neither delivered nor counted is missing."""
    common: dict[str, Any] = {"capacity": CAPACITY, "max_batch": 1, "on_full": policy, "name": str(policy)}
    sink = SlowSink(**common)

    def bury(letter: DeadLetter) -> None:
        sink.notes.add("dropped", number_of(letter.item))

    sink.dead_letters.subscribe(bury)

    def note(item: Alert) -> None:
        """Note each one before it goes in."""
        sink.notes.add("given", number_of(item))

    source = Flood(seconds)
    report = rxa.Pipeline(sources.from_iterable(source), rxa.route(rx.do_action(note), to=sink)).start().wait()
    # Only now, when the memory has been looked at, is there more to keep.
    over.wait()
    stats = report.sinks[sink.name]
    delivered, buried = sink.notes.of("taken"), sink.notes.of("dropped")
    dropped = sum(stats.dropped.values())
    received = stats.received
    # FAIL ends the sink: what came later was not for it any more.
    row.add(compare(range(received), delivered), str(policy), dropped=dropped)
    row.check(sorted(delivered + buried) == list(range(received)), f"{policy}: delivered and dropped are not all")
    row.check(len(buried) == dropped, f"{policy}: {len(buried)} dead letters, {dropped} counted")
    if policy is Overflow.BLOCK:
        row.check(not dropped, f"{policy}: {dropped} dropped")
    else:
        row.check(dropped > 0, f"{policy}: nothing was dropped: no overload")
    if policy is not Overflow.FAIL:
        row.check(received == source.given, f"{policy}: {received} received of {source.given}")
    if policy is Overflow.DROP_LOWEST:
        check_lowest(sink.notes, row)


def check_lowest(events: Iterable[tuple[str, int]], row: Row) -> None:
    """Check that no critical alert was dropped while a debug one waited."""
    waiting: set[int] = set()
    for what, number in events:
        priority = Priority.parse(_MIX[number % len(_MIX)])
        if what == "given" and priority is Priority.DEBUG:
            waiting.add(number)
        elif what != "given":
            waiting.discard(number)
        # One may be in the sink's hands and not noted yet.
        if what == "dropped" and priority is Priority.CRITICAL and len(waiting) > 1:
            row.wrong(f"drop_lowest: critical {number} was dropped while {len(waiting)} debug ones waited")
            return


def resident() -> int:
    """Return how much memory this process has, in KiB."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


def overload(folder: Path, full: bool) -> Row:
    """All policies at the same time, each with a source and a sink of its own."""
    seconds = 60.0 if full else 1.0
    row = Row("overload, 10 x the sink's rate", tries=len(Overflow))
    over = threading.Event()
    with ThreadPoolExecutor(len(Overflow)) as pool:
        floods = [pool.submit(flood, policy, seconds, row, over) for policy in Overflow]
        # What has been made once is there after a fifth of the time; nothing may come on top of it but the notes.
        over.wait(seconds / 5)
        before = resident()
        over.wait(seconds * 3 / 4)
        grown = (resident() - before) / 1024
        over.set()
        for done in floods:
            done.result()
    notes = 0.75 * seconds * RATE * TIMES * len(Overflow) * 2 * 8 / (1 << 20)
    row.check(grown < notes + GROWTH, f"memory grew by {grown:.1f} MiB, of which {notes:.1f} are the test's own notes")
    row.note = f"memory +{grown:.1f} MiB, {notes:.1f} of it the test's own notes"
    return row


CASES = [Case("overload", overload)]
