"""Charts: counted before drawn, complete, the same each time, for ten alerts and for very many."""

from typing import Any

import polars as pl
import pytest

import rxalerts
from rxalerts import Alert
from rxalerts.notebook.palette import COLOURS, ORDER

HOUR = 3600 * 10**9


@pytest.fixture(scope="module")
def week() -> pl.DataFrame:
    """The example week."""
    return rxalerts.frame("examples/week/*")


def spec(chart: Any) -> dict[str, Any]:
    """Return a chart as Vega-Lite; altair checks it against the schema."""
    found: dict[str, Any] = chart.to_dict()
    return found


def rows(chart: Any) -> list[dict[str, Any]]:
    """Return the data inside a chart."""
    whole = spec(chart)
    found: list[dict[str, Any]] = whole["datasets"][whole["data"]["name"]]
    return found


def test_a_timeline_counts_every_alert(week: pl.DataFrame) -> None:
    """The bars add up to the alerts, of each priority; at most some 120 of them."""
    data = rows(rxalerts.timeline(week))
    assert sum(row["alerts"] for row in data) == week.height
    assert len({row["start"] for row in data}) <= 121
    critical = week.filter(pl.col("priority") == "Critical").height
    assert sum(row["alerts"] for row in data if row["priority"] == "Critical") == critical


@pytest.mark.parametrize(
    ("hours", "unit"),
    [(0, "second"), (1, "minute"), (24, "15 minutes"), (24 * 30, "6 hours"), (24 * 365, "week"), (10**6, "52 weeks")],
)
def test_bars_are_as_wide_as_needed(hours: int, unit: str) -> None:
    """From a moment to a century, the axis says how much time one bar is."""
    chart = rxalerts.timeline([Alert("a", time=0), Alert("b", time=hours * HOUR)])
    assert spec(chart)["encoding"]["y"]["title"] == f"alerts per {unit}"


def test_priorities_have_their_colours(week: pl.DataFrame) -> None:
    """Each priority has the same colour in every chart, and the legend goes by urgency."""
    for chart in (rxalerts.timeline(week), rxalerts.top(week)):
        scale = spec(chart)["encoding"]["color"]["scale"]
        assert scale == {"domain": list(ORDER), "range": list(COLOURS.values())}


def test_charts_have_titles_units_and_tooltips(week: pl.DataFrame) -> None:
    """Whoever sees only the picture knows what is counted, when and where."""
    for chart in (rxalerts.timeline(week), rxalerts.top(week, "pod"), rxalerts.heatmap(week)):
        whole = spec(chart)
        assert "19,453 alerts" in whole["title"]["text"]
        assert whole["encoding"]["tooltip"]
        assert whole["encoding"]["x"]["title"]
    assert spec(rxalerts.top(week, title="Mine"))["title"]["text"] == "Mine"


@pytest.mark.parametrize("by", ["rule", "container", "pod", "namespace", "command", "process", "user", "image"])
def test_top_finds_values_of_all_eras(week: pl.DataFrame, by: str) -> None:
    """What JSON and text logs call differently is counted together, the largest first."""
    data = rows(rxalerts.top(week, by, 5))
    totals: dict[str, int] = {}
    for row in data:
        totals[row[by]] = totals.get(row[by], 0) + row["alerts"]
    assert 1 <= len(totals) <= 5
    order = spec(rxalerts.top(week, by, 5))["encoding"]["y"]["sort"]
    assert [totals[name] for name in order] == sorted(totals.values(), reverse=True)


def test_top_counts_right(week: pl.DataFrame) -> None:
    """The noisy rule is on top, with its count."""
    data = rows(rxalerts.top(week, "rule", 1))
    expected = week.filter(pl.col("rule") == "Contact K8S API Server From Container").height
    assert sum(row["alerts"] for row in data) == expected


def test_top_takes_any_column_and_names_a_wrong_one(week: pl.DataFrame) -> None:
    """A field with a dot works; a field that is no column is an error that says what to do."""
    assert rows(rxalerts.top(week, "fd.rport"))[0]["fd_rport"]
    assert rows(rxalerts.top(week, ["user.name", "user"]))
    with pytest.raises(ValueError, match=r"no column nope: name it in frame"):
        rxalerts.top(week, "nope")
    with pytest.raises(ValueError, match="n=0"):
        rxalerts.top(week, n=0)


def test_long_values_stay_apart() -> None:
    """Two commands that begin alike have two bars, however long they are, and a chart stays small."""
    alerts = [Alert("r", output_fields={"proc.cmdline": "x" * 10**6 + str(n)}) for n in range(3)]
    chart = rxalerts.top(alerts, "command")
    assert len({row["command"] for row in rows(chart)}) == 3
    assert len(chart.to_json()) < 10_000


def test_a_heatmap_has_a_cell_for_every_hour_of_the_week(week: pl.DataFrame) -> None:
    """Empty hours are there as 0, and all add up."""
    data = rows(rxalerts.heatmap(week))
    assert len(data) == 7 * 24 and sum(row["alerts"] for row in data) == week.height


def test_zones_move_hours_and_days() -> None:
    """Sunday 23:30 in UTC is Monday in Berlin."""
    alerts = [Alert("a", time="2025-06-08T23:30:00Z")]
    for zone, day, hour in (("UTC", "Sunday", 23), ("Europe/Berlin", "Monday", 1)):
        found = [row for row in rows(rxalerts.heatmap(alerts, zone=zone)) if row["alerts"]]
        assert [(row["day"], row["hour"]) for row in found] == [(day, hour)]
    assert rows(rxalerts.timeline(alerts, zone="Europe/Berlin"))[0]["from"] == "2025-06-09 01:30:00"


def test_no_alerts_and_one_alert() -> None:
    """The edge cases are charts too."""
    for chart in (rxalerts.timeline, rxalerts.top, rxalerts.heatmap):
        assert spec(chart([]))["title"]["text"]
        assert sum(row["alerts"] for row in rows(chart([Alert("only")]))) == 1


def test_titles_say_when_as_exactly_as_it_takes() -> None:
    """One alert has one moment, seconds are told of minutes, a day is said once."""
    first, later, last = "2025-06-10T06:02:17Z", "2025-06-10T06:02:45.5Z", "2025-06-12T23:59:59Z"
    titles = [
        spec(rxalerts.timeline([Alert("a", time=each) for each in times]))["title"]["text"]
        for times in ([first], [first, later], [first, last])
    ]
    assert titles == [
        "1 alert, 2025-06-10 06:02:17 UTC",
        "2 alerts, 2025-06-10 06:02:17 to 06:02:45 UTC",
        "2 alerts, 2025-06-10 06:02 to 2025-06-12 23:59 UTC",
    ]
    assert spec(rxalerts.top([Alert("a")]))["title"]["text"] == "Most frequent by rule: 1 of 1, 100 % of 1 alert"


def test_few_alerts_have_whole_numbers_and_room() -> None:
    """No tick stands at half an alert, and a single bar is no wall."""
    few = [Alert("a", time=number * 10**9) for number in (0, 0, 0, 4)]
    timeline = spec(rxalerts.timeline(few))["encoding"]
    assert timeline["y"]["axis"]["values"] == [0, 1, 2, 3]
    assert timeline["x"]["scale"]["domain"] == [-3000, 9000]
    assert spec(rxalerts.top(few))["encoding"]["x"]["axis"]["values"] == [0, 1, 2, 3, 4]
    assert spec(rxalerts.heatmap([]))["encoding"]["color"]["scale"]["domain"] == [0, 1]
    assert rows(rxalerts.top([], "command")) == []


def test_a_million_alerts_make_a_small_chart() -> None:
    """What is drawn does not grow with what is counted."""
    size = 10**6
    times = pl.Series([0]).new_from_index(0, size).cum_count() * 10**9
    table = pl.DataFrame({"time": times.cast(pl.Int64).cast(pl.Datetime("ns", "UTC"))}).with_columns(
        pl.lit("Notice").cast(pl.Enum(list(ORDER))).alias("priority"),
        pl.format("rule {}", pl.int_range(size) % 1000).alias("rule"),
    )
    for chart in (rxalerts.timeline(table), rxalerts.top(table), rxalerts.heatmap(table)):
        assert len(chart.to_json()) < 100_000
    assert sum(row["alerts"] for row in rows(rxalerts.timeline(table))) == size


def test_a_chart_is_the_same_each_time(week: pl.DataFrame) -> None:
    """Nothing depends on the order in which groups come out."""
    for make in (rxalerts.timeline, rxalerts.top, rxalerts.heatmap):
        assert make(week).to_json() == make(week).to_json()


def test_a_path_can_be_drawn_at_once() -> None:
    """Without a frame, only what the chart needs is made a column."""
    assert sum(row["alerts"] for row in rows(rxalerts.timeline("examples/alerts.jsonl"))) == 421
    assert rows(rxalerts.top("examples/alerts.jsonl", "pod"))
