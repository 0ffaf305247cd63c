"""Alerts as they stand in a spool: their JSON, and their rendering if they were formatted before they came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from rxalerts.alert import Alert
from rxalerts.flow.spool import OVERHEAD, Row
from rxalerts.format import JSON, Formatted
from rxalerts.wire import parse


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
