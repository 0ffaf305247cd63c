"""Each channel's destination failing in each way it can, one at a time and two at once, longer than the mailbox."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import rxalerts as rxa
from rxalerts import sources
from tests.faults.endpoints import FAULTS, BrokenEndpoint, WrongCertificate
from tests.faults.ledger import Case, Row, compare
from tests.faults.places import CAPACITY, DyingProgram, Frozen, FullDisk, NoFolder, Place, ReadOnly, SyslogDaemon
from tests.support.durably import wait_for
from tests.support.run import alert

Make = Callable[[Path], Place]

PLACES: dict[str, Make] = {
    **{name: partial(BrokenEndpoint, name=name) for name in FAULTS},
    "HTTP TLS failure": WrongCertificate,
    **{f"program dies {when}": partial(DyingProgram, when=when, kept=True) for when in ("before", "in", "after")},
    **{f"each dies {when}": partial(DyingProgram, when=when, kept=False) for when in ("before", "in", "after")},
    "full": FullDisk,
    "read-only": ReadOnly,
    "folder": NoFolder,
    "syslog": SyslogDaemon,
    "frozen": Frozen,
}

# What the kernel and gRPC keep for a frozen subscriber makes its fault begin later.
# A full file system still has room in a page that a file has begun.
_PADDING = {"frozen": 2000, "full": 500}


class Flow:
    """A source whose test can see how far it is, and where it waits.

    The first third comes at once; the rest when the destinations are broken.
    """

    def __init__(self, count: int, padding: int) -> None:
        self.count = count
        self.first = count // 3
        self.given = 0
        self.broken = threading.Event()
        self._padding = "x" * padding

    def __iter__(self) -> Iterator[rxa.Alert]:
        for number in range(self.count):
            if number == self.first:
                assert self.broken.wait(60)
            self.given = number + 1
            yield rxa.parse(alert(number).replace(f"(number={number})", f"(number={number}) {self._padding}"))


def suffer(names: tuple[str, ...], folder: Path, row: Row, count: int) -> None:
    """Send alerts to destinations that break together, and mend them once the source has been made to wait."""
    places = list[Place]()
    for index, name in enumerate(names):
        inner = folder / str(index)
        inner.mkdir(parents=True)
        places.append(PLACES[name](inner))
    flow = Flow(count, max(_PADDING.get(name, 0) for name in names))
    try:
        pipeline = rxa.Pipeline(sources.from_iterable(flow), *(place.sink for place in places)).start()
        for place in places:
            wait_for(partial(has_arrived, place, flow.first), what=f"the first third: {place.name}")
        for place in places:
            place.break_it()
        flow.broken.set()
        for place in places:
            wait_for(partial(is_broken, place, len(places)), 30, f"a full mailbox: {place.name}")
        wait_for(partial(is_pressed, places), 30, "the source to wait")
        row.check(flow.given < flow.count, f"{'+'.join(names)}: the source was not made to wait")
        for place in places:
            place.mend()
        for place in places:
            wait_for(partial(has_arrived, place, count), 30, f"the rest: {place.name}")
        report = pipeline.wait()
        row.check(not report.lost, f"{'+'.join(names)}: {report}")
    except AssertionError as error:
        row.wrong(f"{'+'.join(names)}: {error}; {[str(place.sink.stats()) for place in places]}, given {flow.given}")
        for place in places:
            place.sink.close(0.1)
    finally:
        for place in places:
            row.add(compare(range(count), place.got()), f"{'+'.join(names)}: {place.name}", doubles=place.doubles)
            place.close()


def has_arrived(place: Place, count: int) -> bool:
    """Tell whether so many different alerts have arrived."""
    return len(set(place.got())) == count


def is_broken(place: Place, places: int) -> bool:
    """Tell whether the fault has been felt, and the mailbox fills up, as far as another that breaks with it lets it."""
    stats = place.sink.stats()
    full = stats.depth >= CAPACITY or (stats.depth > CAPACITY // 2 and (place.sink.mailbox.pressing or places > 1))
    return (full or (place.progresses and places > 1)) and (stats.retried > 0 or place.stalls)


def is_pressed(places: list[Place]) -> bool:
    """Tell whether the source has to wait."""
    return any(place.sink.mailbox.pressing or place.sink.stats().depth >= CAPACITY for place in places)


def alone(name: str, folder: Path, full: bool) -> Row:
    """One destination breaks: once, or some times."""
    row = Row(f"{name}, alone", tries=5 if full else 1)
    for number in range(row.tries):
        suffer((name,), folder / str(number), row, _count(name, full))
    return row


def _count(name: str, full: bool) -> int:
    return {"frozen": 600, "full": 300}.get(name, 300 if full else 90)


def together(folder: Path, full: bool) -> Row:
    """Two destinations break at once: each pair, or a few of them."""
    pairs = [pair for pair in itertools.combinations(PLACES, 2) if not {"full", "read-only"} <= set(pair)]
    chosen = pairs if full else random.Random(6).sample(pairs, 6)
    row = Row("two destinations at once", tries=len(chosen))
    for number, pair in enumerate(chosen):
        suffer(pair, folder / str(number), row, max(_count(name, full) for name in pair))
    return row


CASES = [
    *(Case(f"{name}, alone", partial(alone, name)) for name in PLACES),
    Case("two destinations at once", together),
]
