"""Alerts as tables, CSV and Parquet, and back: what `convert` writes, and every command that reads logs reads."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import click

from rxalerts.alert import Alert
from rxalerts.errors import AlertError
from rxalerts.jsonvalues import decode, encode
from rxalerts.record import strip_prefix

_COLUMNS = ("time", "priority", "rule", "source", "hostname", "tags", "output", "output_fields", "message", "extra")

# No text in an alert is longer; the module's own bound is 128 KiB.
_LONGEST = 1 << 26


def write_csv(alerts: Iterable[Alert], path: str) -> None:
    """Write one row for each alert; fields and unknown keys are JSON, and so are tags that a blank would part."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(_COLUMNS)
        rows.writerows(map(_row, alerts))


def _row(alert: Alert) -> tuple[str, ...]:
    tags = " ".join(alert.tags)
    if tags.split() != list(alert.tags) or tags.startswith("["):
        tags = encode(list(alert.tags)).decode()
    message = "" if alert.message == strip_prefix(alert.output) else alert.message
    extra = encode(alert.extra).decode() if alert.extra else ""
    known = (alert.time, str(alert.priority), alert.rule, alert.source, alert.hostname, tags, alert.output)
    return *known, encode(alert.output_fields).decode(), message, extra


def write_parquet(alerts: Iterable[Alert], path: str) -> None:
    """Write one column for each output field; needs the extra `notebook`."""
    from rxalerts.notebook.frame import frame

    table = frame(alerts, fields="all")
    from polars.exceptions import PolarsError

    with open(path, "wb") as file:  # a folder that is not there is an OSError, as everywhere
        try:
            table.write_parquet(file)
        except PolarsError as error:
            raise click.ClickException(f"{path} cannot be written: {error}") from None


def read_csv(path: str) -> Iterator[Alert]:
    """Read what `write_csv` wrote, with columns left out or in another order; raises ValueError with the line."""
    csv.field_size_limit(_LONGEST)
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        try:
            missing = {"time", "priority"} - set(rows.fieldnames or ())
            if missing:
                raise ValueError(f"no column {' and none '.join(sorted(missing))}: `rxalerts convert` writes them")
            for row in rows:
                yield _alert({key: value for key, value in row.items() if value})
        except (AlertError, ValueError, csv.Error) as error:
            raise ValueError(f"{path}: line {max(1, rows.line_num)}: {error}") from None


def _alert(row: dict[str, str]) -> Alert:
    tags, output, message = row.get("tags", ""), row.get("output", ""), row.get("message")
    extra: dict[str, Any] | None = decode(row["extra"].encode()) if "extra" in row else None
    return Alert(
        row.get("rule", ""),
        row["priority"],
        strip_prefix(output) if message is None else message,
        decode(row.get("output_fields", "{}").encode()),
        output=output,
        time=row["time"],
        source=row.get("source", ""),
        tags=decode(tags.encode()) if tags.startswith("[") else tags.split(),
        hostname=row.get("hostname", ""),
        extra=extra,
    )


def read_parquet(path: str) -> Iterator[Alert]:
    """Read what `write_parquet` wrote; needs the extra `notebook`."""
    from rxalerts.notebook.extras import load
    from rxalerts.notebook.frame import from_frame

    polars = load("polars", "Parquet")
    try:
        with open(path, "rb") as file:
            table = polars.read_parquet(file)
        yield from from_frame(table)
    except (AlertError, ValueError, polars.exceptions.PolarsError) as error:
        raise ValueError(f"{path}: {error}") from None


def table_reader(path: str) -> Callable[[str], Iterator[Alert]] | None:
    """Return what reads a table with a name that ends so, or None for a log."""
    return {".csv": read_csv, ".parquet": read_parquet}.get(os.path.splitext(path)[1].lower())
