"""What a spool keeps of an alert: its JSON, and its rendering if it was formatted before; and how that is written."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple, cast

from msgspec.json import encode

from rxalerts.alert import Alert
from rxalerts.format import JSON, Formatted
from rxalerts.wire import parse

# What a row costs beside its payload, roughly, in bytes.
OVERHEAD = 64


class Row(NamedTuple):
    """One alert in the spool: its JSON, and its rendering if it was formatted before (b"" means: the same)."""

    id: int
    priority: int
    at: float
    attempts: int
    alert: bytes
    data: bytes | None
    content_type: str | None

    @property
    def size(self) -> int:
        """What the row counts against the cap, in bytes."""
        return len(self.alert) + (len(self.data) if self.data else 0) + OVERHEAD


def as_row(row_id: int, item: Alert | Formatted, at: float) -> Row:
    """Return what is kept of an alert, formatted or not, that came at `at` (epoch seconds)."""
    if isinstance(item, Formatted):
        alert = item.alert
        text = JSON.render(alert)
        return Row(row_id, alert.priority, at, 0, text, b"" if item.data == text else item.data, item.content_type)
    return Row(row_id, item.priority, at, 0, JSON.render(item), None, None)


def as_rows(first_id: int, items: Sequence[Alert | Formatted], at: float) -> tuple[list[Row], list[int]]:
    """Return the same for several, with ids from `first_id` on, and the size of each."""
    numbered = enumerate(items, first_id)
    if not all([type(item) is Alert for item in items]):
        rows = [as_row(number, item, at) for number, item in numbered]
        return rows, [row.size for row in rows]
    lines = JSON.render_all(cast("Sequence[Alert]", items))
    pairs = zip(numbered, lines, strict=True)
    rows = [Row(number, item.priority, at, 0, line, None, None) for (number, item), line in pairs]
    return rows, [len(line) + OVERHEAD for line in lines]


def as_item(row: Row) -> Alert | Formatted:
    """Return the alert, formatted if it was."""
    alert = parse(row.alert)
    if row.content_type is None:
        return alert
    return Formatted(alert, row.data or row.alert, row.content_type)


NAMES = "id, priority, at, attempts, alert, data, content_type"
"""The columns of a `Row`, in its order."""

_INSERT = f"INSERT INTO alerts ({NAMES}) VALUES (?, ?, ?, ?, ?, ?, ?)"

# The same for rows that differ in nothing but their alert and its priority, as most do, in one step: while SQLite takes
# them apart, the interpreter's lock is free. Each number holds where an alert begins, its size and its priority.
_INSERT_ALIKE = f"""INSERT INTO alerts ({NAMES}) SELECT
?1 + key, value & 7, ?2, ?3, substr(?4, (value >> 28) + 1, value >> 3 & 0x1ffffff), ?5, ?6 FROM json_each(?7)"""

# So many rows, and so many bytes, at a step, and such priorities: all fit into their bits.
_MANY = 1000
_MANY_BYTES = 1 << 24
_LEVELS = frozenset(range(8))

# Part of every SQLite from then on.
_HAS_JSON = sqlite3.sqlite_version_info >= (3, 38)


def insert(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Write rows with ids in ascending order, in as few steps as can be."""
    for start in range(0, len(rows), _MANY):
        _insert(connection, rows[start : start + _MANY])


def _insert(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    ids, priorities, times, attempts, alerts, data, types = zip(*rows, strict=True)
    sizes = [len(alert) for alert in alerts]
    alike = ids[-1] - ids[0] == len(rows) - 1 and len({*zip(times, attempts, data, types, strict=True)}) == 1
    if not (alike and _HAS_JSON and _LEVELS.issuperset(priorities) and sum(sizes) <= _MANY_BYTES):
        connection.executemany(_INSERT, rows)
        return
    places = zip(accumulate(sizes, initial=0), sizes, priorities, strict=False)
    numbers = encode([begin << 28 | size << 3 | priority for begin, size, priority in places]).decode()
    same = (times[0], attempts[0], b"".join(alerts), data[0], types[0])
    connection.execute(_INSERT_ALIKE, (ids[0], *same, numbers))
