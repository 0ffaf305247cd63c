"""Alerts as a table and back: typed, exact, in little memory."""

import gzip
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import reactivex
from hypothesis import given, settings
from hypothesis import strategies as st
from reactivex import Observable

import rxalerts
from rxalerts import Alert, sources
from rxalerts import operators as ops
from rxalerts.errors import MissingPackageError
from rxalerts.flow.source import Emitter, Source
from rxalerts.notebook import extras
from rxalerts.notebook.frame import BASE

scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
values = st.recursive(scalars | texts, lambda inner: st.lists(inner, max_size=2), max_leaves=3)
names = st.sampled_from(["a", "b", "fd.name", "time", "rule", "output_fields", "evt.time"])
alerts = st.builds(
    Alert,
    texts,
    st.integers(0, 7),
    texts,
    st.dictionaries(names, values, max_size=4),
    time=st.integers(0, 2**62),
    source=texts,
    tags=st.lists(texts, max_size=3),
    hostname=texts,
    output=st.none() | texts,
    extra=st.dictionaries(st.sampled_from(["x", "uuid_", "extra"]), values, max_size=2),
)


def test_columns_have_types() -> None:
    """Time is nanoseconds in UTC, priority an ordered enum, tags a list, integers integers."""
    alert = Alert("r", "error", "m", {"n": 1, "big": 2**64 - 1, "f": 0.5, "b": True, "s": "x"}, time=7, tags=["t", "u"])
    table = rxalerts.frame([alert])
    assert tuple(table.columns[: len(BASE)]) == BASE
    kinds = {name: table.schema[name] for name in ("time", "tags", "n", "big", "f", "b", "s")}
    assert kinds == {
        "time": pl.Datetime("ns", "UTC"),
        "tags": pl.List(pl.String),
        "n": pl.Int64,
        "big": pl.UInt64,
        "f": pl.Float64,
        "b": pl.Boolean,
        "s": pl.String,
    }
    assert table["big"][0] == 2**64 - 1 and table["time"].dt.epoch("ns")[0] == 7
    assert table["tags"].to_list() == [["t", "u"]]


def test_priorities_sort_and_compare_by_urgency() -> None:
    """The most urgent comes first, and `<=` means at least as urgent."""
    table = rxalerts.frame([Alert("r", level) for level in ("debug", "critical", "warning")])
    assert table.sort("priority")["priority"].to_list() == ["Critical", "Warning", "Debug"]
    assert table.filter(pl.col("priority") <= "Warning").height == 2


@pytest.mark.parametrize("fields", ["all", [], ["proc.name", "fd.lport", "no.such"]])
@pytest.mark.parametrize("chunk", [100, 100_000])
def test_the_example_week_comes_back_equal(fields: Any, chunk: int) -> None:
    """Three Falco eras in one frame, whatever the fields and the chunks, give the same alerts again."""
    week = [alert for name in ("alerts.jsonl", "week/node-3.log.gz") for alert in rxalerts.read(f"examples/{name}")]
    assert list(rxalerts.from_frame(rxalerts.frame(week, fields, chunk=chunk))) == week


@settings(max_examples=150, deadline=None)
@given(st.lists(alerts, max_size=6), st.integers(1, 4), st.sampled_from(["all", [], ["a", "time"]]))
def test_any_alerts_come_back_equal(given_alerts: list[Alert], chunk: int, fields: Any) -> None:
    """Nulls, nested values, huge integers, mixed types and names of columns: nothing is lost."""
    table = rxalerts.frame(given_alerts, fields, chunk=chunk)
    assert table.height == len(given_alerts)
    assert list(rxalerts.from_frame(table)) == given_alerts


def test_mixed_types_are_text_and_stay_exact() -> None:
    """A field that is a number here and a text there is a column of texts, in one chunk or in two."""
    mixed = [Alert("r", output_fields={"port": 443}), Alert("r", output_fields={"port": "443"})]
    for chunk in (1, 2):
        table = rxalerts.frame(mixed, chunk=chunk)
        assert table["port"].to_list() == ["443", "443"]
        assert [alert.output_fields["port"] for alert in rxalerts.from_frame(table)] == [443, "443"]


def test_integers_widen_across_chunks() -> None:
    """A first chunk of small integers and a second one beyond 63 bits make one exact column."""
    table = rxalerts.frame([Alert("r", output_fields={"n": n}) for n in (1, 2**63)], chunk=1)
    assert table["n"].dtype == pl.UInt64 and table["n"].to_list() == [1, 2**63]
    below = rxalerts.frame([Alert("r", output_fields={"n": n}) for n in (-1, 2**63)], chunk=1)
    assert below["n"].to_list() == ["-1", "9223372036854775808"]


def test_chosen_fields_only() -> None:
    """Named fields are columns, in that order, there or not; the others are kept as JSON."""
    table = rxalerts.frame([Alert("r", output_fields={"a": 1, "b": 2})], ["none", "b"])
    assert table.columns[len(BASE) :] == ["none", "b"]
    assert table["output_fields"].to_list() == ['{"a":1}']
    with pytest.raises(ValueError, match=r"as in \['b'\]"):
        rxalerts.frame([], "b")


@pytest.mark.parametrize("chunk", [0, -1])
def test_a_chunk_holds_something(chunk: int) -> None:
    """A chunk of no alerts would end the frame before it begins."""
    with pytest.raises(ValueError, match="must be 1 or more"):
        rxalerts.frame([Alert("a")], chunk=chunk)


def test_whatever_holds_alerts_makes_a_frame() -> None:
    """Paths, patterns, lists of paths, readers, sources, pipes, foreign streams and generators."""
    path = "examples/alerts.jsonl"
    whole = rxalerts.frame(path, []).height
    assert whole == 421
    for given_as in (Path(path), "examples/alerts.js*", [path], rxalerts.read(path), sources.replay(path)):
        assert rxalerts.frame(given_as, []).height == whole
    assert rxalerts.frame([path, path], []).height == 2 * whole
    stream = sources.replay(path).pipe(ops.at_least("warning"), ops.to_json())
    foreign: Observable[Alert] = reactivex.from_iterable(rxalerts.read(path))
    assert 0 < rxalerts.frame(stream, []).height < whole
    assert rxalerts.frame(foreign, []).height == whole
    assert rxalerts.frame((alert for alert in rxalerts.read(path)), []).height == whole


def test_no_alerts_make_an_empty_frame() -> None:
    """The columns are there, with their types."""
    table = rxalerts.frame([], ["a"])
    assert table.shape == (0, len(BASE) + 1) and table.schema["time"] == pl.Datetime("ns", "UTC")
    assert list(rxalerts.from_frame(table)) == []


def test_what_cannot_be_a_frame_is_refused() -> None:
    """Streams that never end, things that are no alerts, frames without a time, files that are not there."""

    class Endless(Source[Alert]):
        live = True

        def produce(self, emitter: Emitter[Alert]) -> None:
            raise AssertionError("nobody should subscribe")

    with pytest.raises(ValueError, match="endless never ends"):
        rxalerts.frame(Endless("endless"))
    no_alerts: Any = [1]
    with pytest.raises(TypeError, match="not of int"):
        rxalerts.frame(no_alerts)
    with pytest.raises(ValueError, match="no column time"):
        list(rxalerts.from_frame(pl.DataFrame({"priority": []})))
    with pytest.raises(FileNotFoundError):
        rxalerts.frame("no/such/file")


def test_an_error_of_the_stream_comes_out() -> None:
    """A stream that fails makes no frame that looks complete."""
    failing: Observable[Alert] = reactivex.concat(reactivex.of(Alert("a")), reactivex.throw(OSError("gone")))
    with pytest.raises(OSError, match="gone"):
        rxalerts.frame(failing)


def test_a_part_of_a_frame_goes_back() -> None:
    """Rows and columns may be gone; what is left makes alerts."""
    table = rxalerts.frame("examples/alerts.jsonl").filter(pl.col("priority") <= "Error")
    part = list(rxalerts.from_frame(table.select("time", "priority", "rule", "output", "proc.name")))
    assert len(part) == table.height and part[0].rule == table["rule"][0]
    assert set(part[0].output_fields) <= {"proc.name"}
    assert next(rxalerts.from_frame(table.select("time", "priority"))).time_ns == part[0].time_ns


def test_pandas_gets_the_same() -> None:
    """to_pandas() keeps nanoseconds, UTC, integers, and the order of priorities."""
    data: Any = rxalerts.frame([Alert("r", "error", "m", {"n": 2**63}, time=1)]).to_pandas()
    assert str(data["time"].dtype) == "datetime64[ns, UTC]" and data["time"][0].value == 1
    assert int(data["n"][0]) == 2**63 and str(data["priority"][0]) == "Error"


def test_pandas_can_have_exact_integers_between_nulls() -> None:
    """By default pandas makes floats of them, as the documentation says; with columns of arrow they stay."""
    table = rxalerts.frame([Alert("a", output_fields={"n": 2**53 + 1}), Alert("b")])
    exact: Any = table.to_pandas(use_pyarrow_extension_array=True)
    assert exact["n"].tolist()[0] == 2**53 + 1


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_a_time_that_no_column_holds_is_named(time: str) -> None:
    """Polars counts nanoseconds in 64 bits; the error says which alert, and what to do."""
    with pytest.raises(ValueError, match=f"time {time[:4]}.* of rule 'odd'.*1677 to 2262.*since="):
        rxalerts.frame([Alert("fine"), Alert("odd", time=time)])


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without polars the message says what to install."""

    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(extras, "import_module", missing)
    with pytest.raises(MissingPackageError, match=r"a frame needs the package polars.*rxalerts\[notebook\]"):
        rxalerts.frame([])


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_memory_is_that_of_the_frame(tmp_path: Path) -> None:
    """The peak for 100,000 alerts, all of their fields as columns, stays below a tenth of 2 GB and polars itself."""
    path = tmp_path / "long.jsonl.gz"
    path.write_bytes(Path("examples/week/node-1.jsonl.gz").read_bytes() * 10)
    with gzip.open(path) as file:
        assert sum(1 for _ in file) == 95_470
    # VmHWM and not ru_maxrss: that one starts with what the parent had.
    code = (
        "import re, rxalerts, polars\n"
        f"height = rxalerts.frame({str(path)!r}).height\n"
        "print(height, re.search(r'VmHWM:\\s+(\\d+) kB', open('/proc/self/status').read())[1])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    height, peak = map(int, done.stdout.split())
    assert height == 95_470
    assert peak * 1024 < 200e6 + 120e6, f"{peak * 1024 / 1e6:.0f} MB"
