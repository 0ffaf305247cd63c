"""What `enrich` applies: computed fields, constants, rows of tables."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, cast

from rxalerts.alert import Alert
from rxalerts.errors import OptionError
from rxalerts.operators._arguments import must_call
from rxalerts.operators._editing import Change

Row = Mapping[str, Any]


Added = Mapping[str, Any] | Alert | None


Table = str | Path | Mapping[str, Row]


_TEXTS: Final = ("rule", "source", "hostname", "output", "message", "time")


def enriching(
    compute: Callable[[Alert], Added] | Mapping[str, Any] | None,
    *,
    table: Table | None = None,
    by: str | None = None,
    replace: bool = True,
    fields: Mapping[str, Any] | None = None,
) -> Change:
    """Give the function that `enrich` applies."""
    constants = dict(fields or {})
    if isinstance(compute, Mapping):
        constants = {**compute, **constants}
        compute = None
    if compute is not None:
        must_call("enrich(compute)", compute)
    if (table is None) != (by is None):
        raise OptionError("enrich", "table and by are given together or not at all")
    if table is None and compute is None and not constants:
        raise OptionError("enrich", "nothing to add: give fields, a callable or a table")
    rows = {} if table is None or by is None else load_table(table, by)
    look_up = alert_value(by) if by is not None else None

    def change(alert: Alert) -> Alert:
        key = look_up(alert) if look_up is not None else None
        added = {**rows.get(key, {}), **constants} if key is not None else constants
        if compute is not None:
            computed = compute(alert)
            if isinstance(computed, Alert):
                alert, computed = computed, None
            added = {**added, **(computed or {})}
        return _with_fields(alert, added, replace)

    return change


def _with_fields(alert: Alert, added: Mapping[str, Any], replace: bool) -> Alert:
    old = alert.output_fields
    if not replace:
        added = {key: value for key, value in added.items() if old.get(key) is None}
    return alert.replace(output_fields={**old, **added}) if added else alert


def alert_value(name: str) -> Callable[[Alert], str | None]:
    """Give the function that reads a value of an alert as text: a built-in or an output field.

    >>> alert_value("priority")(Alert("r", "error")), alert_value("proc.pid")(Alert("r"))
    ('Error', None)
    """
    if name in _TEXTS:
        return attrgetter(name)
    if name == "priority":
        return lambda alert: alert.priority.label

    def field(alert: Alert) -> str | None:
        value: object = alert.output_fields.get(name)
        return value if isinstance(value, str) or value is None else _key(value)

    return field


def _key(value: object) -> str:
    return json.dumps(value) if isinstance(value, bool | list | dict) else str(value)


def load_table(table: Table, by: str) -> dict[str, dict[str, Any]]:
    """Read a table of rows by their key. Raises OptionError."""
    if isinstance(table, Mapping):
        return {str(key): dict(row) for key, row in table.items()}
    path = Path(table)
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = _from_json(text, by) if path.suffix.lower() == ".json" else _from_csv(text, by)
    except (OSError, ValueError, csv.Error) as error:
        raise OptionError("table", f"{path}: {error}") from None
    loaded = dict[str, dict[str, Any]]()
    for line, key, row in rows:
        if key in loaded:
            raise OptionError("table", f"{path}: {line}: {by} {key!r} stands there twice")
        loaded[key] = row
    return loaded


Rows = list[tuple[str, str, dict[str, Any]]]


def _from_csv(text: str, by: str) -> Rows:
    reader = csv.DictReader(text.splitlines(keepends=True), strict=True)
    if by not in (reader.fieldnames or ()):
        raise ValueError(f"no column {by}; there are {', '.join(reader.fieldnames or ()) or 'none'}")
    rows: Rows = []
    for row in reader:
        if None in row:
            raise ValueError(f"line {reader.line_num}: more values than columns")
        key = row.pop(by)
        rows.append((f"line {reader.line_num}", key, {name: value for name, value in row.items() if value}))
    return rows


def _from_json(text: str, by: str) -> Rows:
    content: object = json.loads(text)
    if isinstance(content, dict):
        pairs = list(cast("dict[str, object]", content).items())
        return [(f"key {key!r}", key, _row(row, f"key {key!r}")) for key, row in pairs]
    if not isinstance(content, list):
        raise ValueError("neither an object of rows nor a list of rows")
    rows: Rows = []
    for number, item in enumerate(cast("list[object]", content), start=1):
        row = _row(item, f"row {number}")
        if by not in row:
            raise ValueError(f"row {number}: no {by}; there are {', '.join(row) or 'none'}")
        key = row.pop(by)
        rows.append((f"row {number}", key if isinstance(key, str) else _key(key), row))
    return rows


def _row(value: object, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{place}: not an object of fields")
    return dict(cast("dict[str, Any]", value))
