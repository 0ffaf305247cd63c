"""Charts of alerts. They are counted before they are drawn: a chart holds some hundred rows, however many alerts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast
from zoneinfo import ZoneInfo

from rxalerts.notebook.extras import load
from rxalerts.notebook.frame import Alerts, frame
from rxalerts.notebook.palette import COLOURS, ORDER

if TYPE_CHECKING:
    import altair
    import polars

__all__ = ["heatmap", "timeline", "top"]

_WIDTH = 640
_BINS = 120
_FEW = 12  # bars, or alerts, that would have an axis with fractions or nothing but one bar
_LABEL = 200  # characters of a value that a chart keeps

# Widths of a bar of the timeline: seconds, as polars says it, and as people do.
_STEPS: tuple[tuple[int, str, str], ...] = (
    (1, "1s", "second"),
    (5, "5s", "5 seconds"),
    (15, "15s", "15 seconds"),
    (60, "1m", "minute"),
    (300, "5m", "5 minutes"),
    (900, "15m", "15 minutes"),
    (3600, "1h", "hour"),
    (3 * 3600, "3h", "3 hours"),
    (6 * 3600, "6h", "6 hours"),
    (24 * 3600, "1d", "day"),
    (7 * 24 * 3600, "1w", "week"),
    (28 * 24 * 3600, "4w", "4 weeks"),
    (364 * 24 * 3600, "52w", "52 weeks"),
)

# What people say, and the columns that hold it; the second kind comes from text logs.
_NAMES: dict[str, tuple[str, ...]] = {
    "rule": ("rule",),
    "container": ("container.name", "container.id", "container"),
    "pod": ("k8s.pod.name", "k8s.pod", "k8s_pod_name"),
    "namespace": ("k8s.ns.name", "k8s.ns", "k8s_ns"),
    "command": ("proc.cmdline", "command"),
    "process": ("proc.name", "process"),
    "user": ("user.name", "user"),
    "image": ("container.image.repository", "image", "container_image"),
}

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def timeline(alerts: polars.DataFrame | Alerts, *, title: str = "", zone: str = "UTC") -> altair.Chart:
    """Draw alerts over time, stacked by priority.

    Arguments:
        alerts: what `frame` returned, or anything that it takes.
        title: above the chart (default: how many alerts there are, and when).
        zone: the time zone of the axis and the tooltips, such as ``Europe/Berlin``.

    Bars are as wide as it takes for at most some 120 of them: from a second to a year.

    Raises:
        MissingPackageError: polars or altair is not installed.
    """
    alt, pl = load("altair", "a chart"), load("polars", "a chart")
    table = _table(alerts, [])
    every, unit = _step(table)
    begin = pl.col("time").dt.convert_time_zone(zone).dt.truncate(every)
    counts = table.group_by(begin.alias("start"), "priority").len().sort("start", "priority")
    span = timedelta(seconds=next(seconds for seconds, name, _ in _STEPS if name == every))
    rows: list[dict[str, Any]] = []
    for at, priority, count in counts.iter_rows():
        # The zone's own time as if it were UTC: vega then draws it as it is, wherever the reader is.
        start, end = f"{_naive(at)}Z", f"{_naive(at + span)}Z"
        base = rows[-1]["top"] if rows and rows[-1]["start"] == start else 0
        row = {"start": start, "end": end, "from": start[:-1].replace("T", " "), "base": base, "top": base + count}
        rows.append(row | {"priority": priority, "alerts": count})
    return cast(
        "altair.Chart",
        _base(alt, rows, title or _summary(table, zone))
        .mark_rect(stroke="#555", strokeWidth=0.3)
        .encode(
            x=alt.X("start:T", title=f"time ({zone})", scale=_scale(alt, rows, span), axis=_axis(alt, table)),
            x2="end:T",
            y=alt.Y("base:Q", title=f"alerts per {unit}", axis=_counts(alt, rows, "top")),
            y2="top:Q",
            color=_colour(alt),
            tooltip=[
                "from:N",
                "priority:N",
                alt.Tooltip("alerts:Q", title=f"alerts per {unit}", format=","),
            ],
        ),
    )


def top(
    alerts: polars.DataFrame | Alerts, by: str | Sequence[str] = "rule", n: int = 10, *, title: str = ""
) -> altair.Chart:
    """Draw what occurs most often, with its priorities.

    Arguments:
        alerts: what `frame` returned, or anything that it takes.
        by: ``rule``, ``container``, ``pod``, ``namespace``, ``command``, ``process``, ``user``, ``image`` (each by
            the names that it has in JSON and in text logs), or the name of any column or output field; of several
            names the first that an alert has counts.
        n: how many bars.
        title: above the chart (default: what is shown, and its share of all alerts).

    Raises:
        MissingPackageError: polars or altair is not installed.
        ValueError: the frame has no such column.
    """
    alt, pl = load("altair", "a chart"), load("polars", "a chart")
    if n < 1:
        raise ValueError(f"n={n}: must be 1 or more")
    names = _NAMES.get(by, (by,)) if isinstance(by, str) else tuple(by)
    # In an expression of vega, a dot or a bracket in a name would lead into an object.
    what = re.sub(r"\W", "_", by if isinstance(by, str) else names[0])
    table = _table(alerts, names)
    known = [name for name in names if name in table.columns]
    if not known and table.height:
        raise ValueError(
            f"this frame has no column {' or '.join(names)}: "
            "name it in frame(…, fields=[…]), or choose one of its columns"
        )
    value = pl.coalesce([pl.lit(None, pl.String), *(pl.col(name).cast(pl.String) for name in known)]).replace("", None)
    counted = table.select(value.alias("value"), "priority").drop_nulls("value")
    totals = counted.group_by("value").len().sort(["len", "value"], descending=[True, False])
    shown: list[str] = totals.head(n)["value"].to_list()
    labels = _labels(shown)
    stacks = counted.filter(pl.col("value").is_in(shown)).group_by("value", "priority").len().sort("value", "priority")
    rows = [
        {what: labels[text], "priority": priority, "alerts": count} for text, priority, count in stacks.iter_rows()
    ]
    drawn: int = stacks["len"].sum()
    heading = (
        f"Most frequent by {what}: {len(shown)} of {totals.height:,}, "
        f"{100 * drawn / table.height:.3g} % of {_alerts(table.height)}"
        if table.height
        else "No alerts"
    )
    return cast(
        "altair.Chart",
        _base(alt, rows, title or heading)
        .mark_bar(stroke="#555", strokeWidth=0.3)
        .encode(
            y=alt.Y(f"{what}:N", title=None, sort=list(labels.values()), axis=alt.Axis(labelLimit=360)),
            x=alt.X("alerts:Q", title="alerts", axis=_counts(alt, totals.head(1).to_dicts(), "len")),
            color=_colour(alt),
            order=alt.Order("rank:Q"),
            tooltip=[f"{what}:N", "priority:N", alt.Tooltip("alerts:Q", format=",")],
        )
        .transform_calculate(rank=f"indexof({list(ORDER)}, datum.priority)"),
    )


def heatmap(alerts: polars.DataFrame | Alerts, *, title: str = "", zone: str = "UTC") -> altair.Chart:
    """Draw at which hours of which weekdays alerts come.

    Arguments:
        alerts: what `frame` returned, or anything that it takes.
        title: above the chart (default: how many alerts there are, and when).
        zone: the time zone of the hours and days, such as ``Europe/Berlin``.

    Each cell is the sum over all weeks. The colours (viridis) grow darker evenly, for colour-blind people and on
    paper too.

    Raises:
        MissingPackageError: polars or altair is not installed.
    """
    alt, pl = load("altair", "a chart"), load("polars", "a chart")
    table = _table(alerts, [])
    local = pl.col("time").dt.convert_time_zone(zone)
    counts = (
        table.group_by(local.dt.weekday().alias("day"), local.dt.hour().alias("hour")).len().sort("day", "hour")
    )
    found = {(day, hour): count for day, hour, count in counts.iter_rows()}
    rows: list[dict[str, Any]] = [
        {"day": name, "hour": hour, "alerts": found.get((number, hour), 0)}
        for number, name in enumerate(_DAYS, 1)
        for hour in range(24)
    ]
    low, high = min(row["alerts"] for row in rows), max(row["alerts"] for row in rows)
    scale = alt.Scale(scheme="viridis", reverse=True, domain=[low if low < high else 0, max(high, 1)])
    legend = alt.Legend(format=",d", values=_whole(alt, max(high, 1)))
    return cast(
        "altair.Chart",
        _base(alt, rows, title or _summary(table, zone))
        .mark_rect()
        .encode(
            x=alt.X("hour:O", title=f"hour of the day ({zone})", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("day:O", title=None, sort=list(_DAYS)),
            color=alt.Color("alerts:Q", title="alerts", scale=scale, legend=legend),
            tooltip=["day:O", "hour:O", alt.Tooltip("alerts:Q", format=",")],
        ),
    )


def _table(alerts: polars.DataFrame | Alerts, fields: Sequence[str]) -> Any:
    pl = load("polars", "a chart")
    return alerts if isinstance(alerts, pl.DataFrame) else frame(cast("Any", alerts), fields)


def _step(table: Any) -> tuple[str, str]:
    """Return how wide a bar is."""
    seconds = _seconds(table)
    fitting = [step for step in _STEPS if seconds / step[0] <= _BINS]
    return (fitting or _STEPS[-1:])[0][1:]


def _scale(alt: Any, rows: list[dict[str, Any]], step: timedelta) -> Any:
    """Return the scale of time: room for some bars, so that a few of them do not look like walls."""
    if not rows:
        return alt.Scale(type="utc")
    start, end = (datetime.fromisoformat(rows[at][side]) for at, side in ((0, "start"), (-1, "end")))
    missing = max(0, _FEW - round((end - start) / step))
    ends = (start - step * (missing // 2), end + step * (missing - missing // 2))
    return alt.Scale(type="utc", domain=[int(each.timestamp() * 1000) for each in ends], nice=False)


def _counts(alt: Any, rows: list[dict[str, Any]], column: str) -> Any:
    """Return an axis of counts, which are whole numbers."""
    most = max((row[column] for row in rows), default=0)
    return alt.Axis(format=",d", values=_whole(alt, most), tickCount=8, labelOverlap=True)


def _whole(alt: Any, most: int) -> Any:
    """Return where to put ticks, when there are so few that some would stand at fractions."""
    return list(range(most + 1)) if 0 < most <= _FEW else alt.Undefined


def _axis(alt: Any, table: Any) -> Any:
    seconds = _seconds(table)
    form = "%H:%M:%S" if seconds < 600 else "%H:%M" if seconds < 36 * 3600 else "%a %d %b"
    return alt.Axis(format=form if seconds < 100 * 24 * 3600 else "%d %b %Y", labelOverlap=True)


def _seconds(table: Any) -> float:
    return float((table["time"].max() - table["time"].min()).total_seconds()) if table.height else 0.0


def _base(alt: Any, rows: list[dict[str, Any]], title: str) -> Any:
    heading = alt.TitleParams(title, anchor="start", fontSize=13)
    return alt.Chart(alt.InlineData(values=rows), title=heading).properties(width=_WIDTH)


def _colour(alt: Any) -> Any:
    scale = alt.Scale(domain=list(ORDER), range=list(COLOURS.values()))
    # Room beside the labels: other machines have wider fonts than the one that the picture was measured with.
    return alt.Color("priority:N", title="priority", scale=scale, sort=list(ORDER), legend=alt.Legend(padding=10))


def _summary(table: Any, zone: str) -> str:
    if table.height == 0:
        return "No alerts"
    ends: tuple[datetime, datetime] = (table["time"].min(), table["time"].max())
    exact = 19 if _seconds(table) < 600 else 16
    first, last = (_naive(at.astimezone(ZoneInfo(zone)))[:exact].replace("T", " ") for at in ends)
    same_day = first[:10] == last[:10]
    until = "" if first == last else f" to {last[11:] if same_day else last}"
    return f"{_alerts(table.height)}, {first}{until} {zone}"


def _alerts(count: int) -> str:
    return "1 alert" if count == 1 else f"{count:,} alerts"


def _naive(moment: datetime) -> str:
    return moment.replace(tzinfo=None, microsecond=0).isoformat()


def _labels(values: Sequence[str]) -> dict[str, str]:
    """Return what stands for each value: long ones cut, and no two the same."""
    labels: dict[str, str] = {}
    for number, text in enumerate(values, 1):
        short = text if len(text) <= _LABEL else text[: _LABEL - 1] + "…"
        labels[text] = f"{short} ({number})" if short in labels.values() else short
    return labels
