"""Ten times what a sink can take, for every policy: exact counts, and who is dropped for whom."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import rxalerts as rxa
from rxalerts import Alert, sources
from rxalerts.flow.channel import Batch, Channel
from rxalerts.flow.mailbox import Overflow
from rxalerts.flow.sink import ThreadSink
from rxalerts.flow.stats import DeadLetter
from rxalerts.priority import Priority
from tests.faults.ledger import Case, Row, compare
from tests.support.durably import alert, number_of

# Alerts a second that the sink takes, and how many times as many come.
RATE = 300
TIMES = 10
CAPACITY = 50

# Most of what comes is unimportant, but the critical ones alone are more than the sink can take.
_MIX = ("debug", "debug", "notice", "critical", "debug")


@dataclass(eq=False, repr=False)
class SlowSink(ThreadSink[Alert]):
    """Takes RATE alerts a second, one at a time, and notes what happens in which order."""

    channel_name: ClassVar[str] = "slow"
    events: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]], init=False)

    def make_channel(self) -> Channel:
        return _SlowChannel(self)


class _SlowChannel(Channel):
    def __init__(self, sink: SlowSink) -> None:
        self._sink = sink
        self._next = time.monotonic()

    def write(self, batch: Batch[Alert]) -> None:
        for item in batch.items:
            self._sink.events.append(("taken", number_of(item)))
            self._next = max(self._next, time.monotonic() - 0.05) + 1 / RATE
            threading.Event().wait(max(0.0, self._next - time.monotonic()))


class Flood:
    """Gives alerts at the rate, for some seconds; notes each one before it goes in."""

    def __init__(self, sink: SlowSink, seconds: float) -> None:
        self._sink = sink
        self._seconds = seconds
        self.given = 0

    def __iter__(self) -> Iterator[Alert]:
        began = time.monotonic()
        while (now := time.monotonic() - began) < self._seconds:
            while self.given < now * RATE * TIMES:
                number = self.given
                self.given += 1
                self._sink.events.append(("given", number))
                yield alert(number, _MIX[number % len(_MIX)])
            threading.Event().wait(0.01)


def flood(policy: Overflow, seconds: float, row: Row) -> None:
    """Flood one sink and compare: what was neither delivered nor counted is missing."""
    common: dict[str, Any] = {"capacity": CAPACITY, "max_batch": 1, "on_full": policy, "name": str(policy)}
    sink = SlowSink(**common)
    buried: list[int] = []

    def bury(letter: DeadLetter) -> None:
        number = number_of(letter.item)
        sink.events.append(("dropped", number))
        buried.append(number)

    sink.dead_letters.subscribe(bury)
    source = Flood(sink, seconds)
    report = rxa.Pipeline(sources.from_iterable(source), sink).start().wait()
    stats = report.sinks[sink.name]
    delivered = [number for what, number in sink.events if what == "taken"]
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
        check_lowest(sink.events, row)


def check_lowest(events: list[tuple[str, int]], row: Row) -> None:
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
    before = resident()
    with ThreadPoolExecutor(len(Overflow)) as pool:
        for done in [pool.submit(flood, policy, seconds, row) for policy in Overflow]:
            done.result()
    grown = (resident() - before) / 1024
    # What this test notes about every alert is the most of it.
    allowed = 30 + seconds * RATE * TIMES * len(Overflow) * 400 / (1 << 20)
    row.check(grown < allowed, f"memory grew by {grown:.0f} MiB, {allowed:.0f} allowed")
    row.note = f"memory +{grown:.0f} MiB, the test's own notes included"
    return row


CASES = [Case("overload", overload)]
