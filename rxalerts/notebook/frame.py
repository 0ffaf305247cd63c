"""Alerts -> polars DataFrame, and back."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, cast

from reactivex import Observable

from rxalerts import jsonvalues
from rxalerts.alert import Alert
from rxalerts.flow.pulling import pulled
from rxalerts.flow.source import Source
from rxalerts.format import Formatted
from rxalerts.notebook.columns import Kind, common, json_of, kind_of, rest_of, text_of
from rxalerts.notebook.extras import load
from rxalerts.notebook.palette import ORDER
from rxalerts.record import strip_prefix
from rxalerts.sources import replay
from rxalerts.sources._replay import expand
from rxalerts.wire import read

if TYPE_CHECKING:
    import polars

__all__ = ["BASE", "Alerts", "Fields", "frame", "from_frame"]

Alerts = str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | Observable[Any] | Iterable[Alert]
Fields = Literal["all"] | Iterable[str]

BASE = ("time", "priority", "rule", "hostname", "source", "tags", "output", "message", "output_fields", "extra")
"""The columns that every frame has; the fields follow."""

_CHUNK = 2_000


def frame(alerts: Alerts, fields: Fields = "all", *, chunk: int = _CHUNK) -> polars.DataFrame:
    """Return alerts as a polars DataFrame, one row each, in their order.

    Arguments:
        alerts: a path, several, or a pattern; a source or any Observable that ends; alerts.
        fields: which output fields become columns: ``"all"``, or their names (``[]``: none).
        chunk: how many alerts are held as Python objects at a time.

    ========================== =================================================================================
    ``time``                   ``Datetime("ns", "UTC")``
    ``priority``               ``Enum``, from ``Emergency`` up to ``Debug``: sorts by urgency, and ``<=`` works
    ``rule hostname source``   ``String``; ``""`` where the alert has none
    ``tags``                   ``List(String)``
    ``output``                 ``String``: the whole line of text
    ``message``                ``String``, null where it is the output without its time and priority
    ``output_fields``          ``String``: what the columns of the fields do not hold exactly, as JSON; mostly null
    ``extra``                  ``String``: unknown top-level keys as JSON, or null
    each field                 ``Boolean``, ``Int64``, ``Float64`` or ``String``, as all its values are; ``UInt64`` if
                               there are some beyond ``Int64`` and none below 0. Values without a common type, numbers
                               beyond 64 bits, lists and objects become ``String``: texts as they are, else JSON
    ========================== =================================================================================

    A field that is null in the alert is null in its column and ``null`` in ``output_fields``; one that the alert lacks
    is null in its column alone. A field with the name of a column above has none of its own. So nothing is lost, and
    `from_frame` gives equal alerts.

    Raises:
        MissingPackageError: polars is not installed.
        OSError: a file cannot be read.
        ValueError: a live source, which never ends; a time outside of the years 1677 to 2262.

    Memory: the frame itself, some 1.5 kB for an alert with 25 fields, and one chunk. ``frame(…).to_pandas()`` needs
    pandas and pyarrow (``pip install 'rxalerts[pandas]'``). It makes floats of integers between nulls, inexact above
    2⁵³: ``to_pandas(use_pyarrow_extension_array=True)`` keeps them.

    >>> table = frame([Alert("Shell", "notice", "A shell", {"proc.pid": 2**63})])
    >>> table["proc.pid"].dtype, table["proc.pid"][0]
    (UInt64, 9223372036854775808)
    """
    wanted = None if fields == "all" else list(dict.fromkeys(fields))
    if isinstance(fields, str) and wanted is not None:
        raise ValueError(f'fields={fields!r}: must be "all" or several names, as in [{fields!r}]')
    if chunk < 1:
        raise ValueError(f"chunk={chunk}: must be 1 or more")
    table = _Table(load("polars", "a frame"), wanted)
    stream = _each(alerts)
    while batch := list(islice(stream, chunk)):
        table.add(batch)
    return cast("polars.DataFrame", table.finish())


def _each(alerts: Alerts) -> Iterator[Alert]:
    if isinstance(alerts, str | os.PathLike):
        # One file needs no merging by time, and so no thread.
        alerts = replay(alerts) if len(paths := expand(alerts)) > 1 else read(paths[0])
    elif isinstance(alerts, Sequence) and alerts and isinstance(alerts[0], str | os.PathLike):
        alerts = replay(cast("Sequence[str]", alerts))
    if isinstance(alerts, Source) and alerts.live:
        raise ValueError(f"{alerts.name} never ends: end it, as with source.pipe(reactivex.operators.take(n))")
    each: Iterable[Any] = pulled(alerts) if isinstance(alerts, Observable) else cast("Iterable[Any]", alerts)
    for item in each:
        alert = item.alert if isinstance(item, Formatted) else item
        if not isinstance(alert, Alert):
            raise TypeError(f"a frame is made of alerts, not of {type(alert).__name__}")
        yield alert


class _Table:
    """Grows by chunks; the columns of the fields get their types in the end."""

    def __init__(self, polars: Any, wanted: list[str] | None) -> None:
        self._pl = polars
        self._wanted = wanted
        self._nothing = polars.Series([None], dtype=polars.String)
        self._base: list[Any] = []
        self._chunks: list[dict[str, tuple[Kind, Any]]] = []
        # By field, in order of their appearance: the kind of all so far, whether there is a negative integer.
        self._kinds: dict[str, tuple[Kind, bool]] = dict.fromkeys(self._columns(wanted or ()), (Kind.NONE, False))

    @staticmethod
    def _columns(names: Iterable[str]) -> list[str]:
        return [name for name in names if name not in BASE]

    def add(self, alerts: list[Alert]) -> None:
        """Append a chunk."""
        fields = [alert.output_fields for alert in alerts]
        if self._wanted is not None:
            names = list(self._kinds)
        else:
            names = self._columns(dict.fromkeys(name for each in fields for name in each))
        chunk: dict[str, tuple[Kind, Any]] = {}
        inexact: set[str] = set()
        for name in names:
            values = [each.get(name) for each in fields]
            kind = kind_of(values)
            if kind is Kind.NONE and self._wanted is None and name not in self._kinds:
                self._kinds[name] = (Kind.NONE, False)
            if kind is Kind.MIXED:
                inexact.add(name)
                values = [text_of(value) for value in values]
            chunk[name] = (kind, self._series(name, kind, values))
            self._note(name, kind, values)
        self._chunks.append(chunk)
        self._base.append(self._base_columns(alerts, fields, frozenset(names), inexact))

    def _note(self, name: str, kind: Kind, values: list[Any]) -> None:
        before, negative = self._kinds.get(name, (Kind.NONE, False))
        negative = negative or (kind is Kind.INT and any(value is not None and value < 0 for value in values))
        self._kinds[name] = (common(before, kind, negative), negative)

    def _base_columns(
        self, alerts: list[Alert], fields: list[dict[str, Any]], names: frozenset[str], inexact: set[str]
    ) -> Any:
        pl = self._pl
        rest = [rest_of(each, names, inexact) for each in fields]
        texts: dict[str, list[Any]] = {
            "output": [alert.output for alert in alerts],
            "message": [_own_message(alert) for alert in alerts],
            "output_fields": rest,
            "extra": [json_of(alert.extra) for alert in alerts],
        }
        return pl.DataFrame(
            [
                pl.Series("time", _times(alerts), pl.Int64).cast(pl.Datetime("ns", "UTC")),
                pl.Series("priority", [ORDER[alert.priority] for alert in alerts], pl.Enum(list(ORDER))),
                self._shared("rule", [alert.rule for alert in alerts], pl.String),
                self._shared("hostname", [alert.hostname for alert in alerts], pl.String),
                self._shared("source", [alert.source for alert in alerts], pl.String),
                self._shared("tags", [alert.tags for alert in alerts], pl.List(pl.String)),
                *(self._series(name, Kind.MIXED, values) for name, values in texts.items()),
            ]
        )

    def _series(self, name: str, kind: Kind, values: list[Any]) -> Any:
        if kind is Kind.NONE or (kind is Kind.MIXED and not any(value is not None for value in values)):
            return self._nulls(name, len(values))
        if kind is Kind.TEXT:
            return self._shared(name, values, self._pl.String)
        return self._pl.Series(name, values, self._dtype(kind))

    def _shared(self, name: str, values: list[Any], dtype: Any) -> Any:
        """Return a column in which equal texts are stored once: most columns have few different ones."""
        places: dict[Any, int] = {}
        indices = [places.setdefault(value, len(places)) for value in values]
        return self._pl.Series(name, list(places), dtype).gather(indices)

    def _nulls(self, name: str, height: int) -> Any:
        """Return a column of nulls; all of them are parts of one."""
        if len(self._nothing) < height:
            self._nothing = self._nothing.new_from_index(0, height)
        return self._nothing.head(height).alias(name)

    def _dtype(self, kind: Kind) -> Any:
        pl = self._pl
        types = {Kind.BOOL: pl.Boolean, Kind.INT: pl.Int64, Kind.UINT: pl.UInt64, Kind.FLOAT: pl.Float64}
        return types.get(kind, pl.String)

    def finish(self) -> Any:
        """Return the whole frame."""
        pl = self._pl
        if not self._base:
            self.add([])
        parts: list[Any] = []
        # Chunk by chunk, and each one let go of, so that no second copy of it all exists.
        while self._base:
            parts.append(self._part(self._base.pop(0), self._chunks.pop(0)))
        return pl.concat(parts, rechunk=False)

    def _part(self, base: Any, chunk: dict[str, tuple[Kind, Any]]) -> Any:
        pl = self._pl
        columns: list[Any] = []
        for name, (kind, _) in self._kinds.items():
            own, series = chunk.get(name, (Kind.NONE, None))
            if series is None:
                columns.append(self._nulls(name, base.height).cast(self._dtype(kind)))
            elif self._dtype(own) == self._dtype(kind):
                columns.append(series)
            elif own is Kind.NONE or kind is Kind.UINT:
                columns.append(series.cast(self._dtype(kind)))
            else:
                # What was exact in this chunk is text in the whole: the values move to where they stay exact.
                values: list[Any] = series.to_list()
                base = self._keep(base, name, values, own)
                columns.append(pl.Series(name, [text_of(value) for value in values], pl.String))
        return base.with_columns(columns)

    def _keep(self, base: Any, name: str, values: list[Any], kind: Kind) -> Any:
        if kind in (Kind.TEXT, Kind.MIXED):
            return base
        before: list[str | None] = base["output_fields"].to_list()
        after = [
            rest if value is None else json_of({**(jsonvalues.decode(rest.encode()) if rest else {}), name: value})
            for rest, value in zip(before, values, strict=True)
        ]
        return base.with_columns(self._pl.Series("output_fields", after, self._pl.String))


def _times(alerts: list[Alert]) -> list[int]:
    times = [alert.time_ns for alert in alerts]
    if times and not (-(1 << 63) < min(times) and max(times) < 1 << 63):
        wrong = next(alert for alert in alerts if not -(1 << 63) < alert.time_ns < 1 << 63)
        raise ValueError(
            f"time {wrong.time} of rule {wrong.rule!r}: a frame holds the years 1677 to 2262: leave it out, as with "
            "sources.replay(…, since='1970-01-01', until='2262-01-01')"
        )
    return times


def _own_message(alert: Alert) -> str | None:
    message = alert.message
    return message if message != strip_prefix(alert.output) else None


def from_frame(table: polars.DataFrame) -> Iterator[Alert]:
    """Yield the alerts of a frame, in the order of its rows.

    Arguments:
        table: what `frame` returned, all of it or some rows and columns. ``time`` and ``priority`` are needed; every
            column that `frame` does not name is an output field.

    Of a whole frame the alerts are equal to those that it was made of.

    Raises:
        ValueError: ``time`` or ``priority`` is missing.

    >>> alerts = [Alert("Shell", "notice", "A shell", {"proc.pid": 7, "user.name": None})]
    >>> list(from_frame(frame(alerts))) == alerts
    True
    """
    missing = [name for name in ("time", "priority") if name not in table.columns]
    if missing:
        raise ValueError(f"this frame has no column {' and none '.join(missing)}: rxalerts.frame makes one")
    pl = load("polars", "a frame")
    names = [name for name in table.columns if name not in BASE]
    exact = table.with_columns(pl.col("time").cast(pl.Datetime("ns", "UTC")).dt.epoch("ns"))
    for row in exact.iter_rows(named=True):
        yield _alert(row, names)


def _alert(row: dict[str, Any], names: list[str]) -> Alert:
    fields = {name: value for name in names if (value := row[name]) is not None}
    rest: str | None = row.get("output_fields")
    if rest:
        fields.update(jsonvalues.decode(rest.encode()))
    extra: str | None = row.get("extra")
    output: str | None = row.get("output")
    message: str | None = row.get("message")
    alert = Alert(
        row.get("rule") or "",
        row["priority"],
        message if message is not None else "" if output is None else strip_prefix(output),
        fields,
        output=output,
        time=row["time"],
        source=row.get("source") or "",
        tags=row.get("tags") or (),
        hostname=row.get("hostname") or "",
        extra=jsonvalues.decode(extra.encode()) if extra else None,
    )
    return alert
