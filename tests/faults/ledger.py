"""Compare what went in with what came out, by id, and print the table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Comparison:
    """What became of numbered alerts at one destination.

    Attributes:
        sent: how many went in.
        missing: those that never came out.
        doubled: every further arrival of one that had come out already.
        out_of_order: first arrivals behind one that was sent later.
        strangers: what came out and never went in.
    """

    sent: int
    missing: list[int]
    doubled: list[int]
    out_of_order: list[int]
    strangers: list[int]


def compare(sent: Sequence[int], got: Iterable[int]) -> Comparison:
    """Compare the ids that were sent, in their order, with those that arrived.

    >>> compare([1, 2, 3, 4], [1, 3, 2, 3, 9])
    Comparison(sent=4, missing=[4], doubled=[3], out_of_order=[2], strangers=[9])
    """
    place = {number: index for index, number in enumerate(sent)}
    seen: set[int] = set()
    result = Comparison(len(sent), [], [], [], [])
    furthest = -1
    for number in got:
        if number not in place:
            result.strangers.append(number)
        elif number in seen:
            result.doubled.append(number)
        else:
            seen.add(number)
            if place[number] < furthest:
                result.out_of_order.append(number)
            furthest = max(furthest, place[number])
    result.missing = [number for number in sent if number not in seen]
    return result


@dataclass
class Row:
    """A line of the table: the sums over all tries and destinations of one fault.

    Attributes:
        lost_on_purpose: how many of the missing a policy has dropped, and counted.
        problems: what must not be; empty when the fault was survived.
        note: figures worth a look.
    """

    fault: str
    tries: int = 0
    alerts: int = 0
    missing: int = 0
    doubled: int = 0
    out_of_order: int = 0
    lost_on_purpose: int = 0
    problems: list[str] = field(default_factory=list[str])
    note: str = ""

    def add(self, found: Comparison, what: str, *, doubles: int = 0, dropped: int = 0) -> None:
        """Add a comparison.

        Arguments:
            what: the destination, for problems.
            doubles: how many are allowed.
            dropped: how many were dropped and counted: exactly so many must be missing.
        """
        self.alerts += found.sent
        self.missing += len(found.missing)
        self.lost_on_purpose += dropped
        self.doubled += len(found.doubled)
        self.out_of_order += len(found.out_of_order)
        if len(found.missing) != dropped:
            self.wrong(f"{what}: {len(found.missing)} missing, {dropped} counted as dropped: {found.missing[:5]}")
        if len(found.doubled) > doubles:
            self.wrong(f"{what}: {len(found.doubled)} doubled, {doubles} allowed: {found.doubled[:5]}")
        if found.out_of_order:
            self.wrong(f"{what}: {len(found.out_of_order)} out of order: {found.out_of_order[:5]}")
        if found.strangers:
            self.wrong(f"{what}: {len(found.strangers)} that were never sent: {found.strangers[:5]}")

    def wrong(self, what: str) -> None:
        """Note a problem."""
        self.problems.append(what)

    def check(self, holds: object, what: str) -> None:
        """Note a problem unless something holds."""
        if not holds:
            self.wrong(what)


@dataclass(frozen=True)
class Case:
    """A fault: `run(folder, full)` does everything and returns the row; `only_full`: too long for the short form."""

    name: str
    run: Callable[[Path, bool], Row]
    only_full: bool = False


_HEAD = ("fault", "tries", "alerts in", "missing", "doubled", "out of order", "note")


def table(rows: Sequence[Row]) -> str:
    """Return the table; what a policy dropped on purpose stands beside the missing as `(counted)`."""
    cells: list[tuple[str, ...]] = [_HEAD]
    for row in rows:
        missing = f"{row.missing} ({row.lost_on_purpose} counted)" if row.lost_on_purpose else str(row.missing)
        note = f"FAILED {row.note}" if row.problems else row.note
        cells.append(
            (row.fault, str(row.tries), str(row.alerts), missing, str(row.doubled), str(row.out_of_order), note)
        )
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)
