"""Replay: recorded logs at any pace, merged, cut, moved to now."""

import io
import json
import logging
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from rxalerts import Alert, AlertError, Pipeline, run
from rxalerts.sinks import CollectSink
from rxalerts.sources import replay
from rxalerts.sources._moments import parse_moment, parse_speed
from rxalerts.testing import RecordingSink

SECOND = 1_000_000_000


def written(path: Path, *seconds: float) -> Path:
    """Write a log with one alert at each of these seconds after the epoch."""
    with path.open("wb") as file:
        for second in seconds:
            alert = Alert(f"at {second}", "notice", time=int(second * SECOND))
            file.write(alert.to_json().encode() + b"\n")
    return path


def rules(*paths: Path, **options: object) -> list[str]:
    """Return the rules of what a replay emits."""
    kept: CollectSink[Alert] = CollectSink()
    report = run(replay(list(paths), **options), kept)  # type: ignore[arg-type]
    assert report.errors == (), report
    return [alert.rule for alert in kept.items]


def test_several_files_are_merged_by_time(tmp_path: Path) -> None:
    """Each file is in order; together they are too."""
    one, other = written(tmp_path / "a", 1, 4), written(tmp_path / "b", 2, 3, 5)
    assert rules(one, other) == ["at 1", "at 2", "at 3", "at 4", "at 5"]


def test_patterns_are_expanded(tmp_path: Path) -> None:
    """`*` names the files that are there."""
    written(tmp_path / "x.jsonl", 1)
    written(tmp_path / "y.jsonl", 2)
    assert rules(tmp_path / "*.jsonl") == ["at 1", "at 2"]


def test_since_and_until_cut(tmp_path: Path) -> None:
    """From this moment on, and before that one."""
    log = written(tmp_path / "a", 1, 2, 3, 4)
    assert rules(log, since="1970-01-01T00:00:02Z", until=4 * SECOND) == ["at 2", "at 3"]


def test_what_was_read_ahead_when_it_was_stopped_is_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What is read is what the sinks got, however much was decoded together; of a pipe the rest is told as lost."""
    log = written(tmp_path / "a", *range(500))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(log.read_bytes())))
    for path in (str(log), "-"):
        sink: RecordingSink[Alert] = RecordingSink(capacity=2)
        sink.block()
        pipeline = Pipeline(replay(path), sink).start()
        assert sink.stuck.wait(5)
        pipeline.stop()
        sink.release()
        report = pipeline.wait()
        read = report.sources[0].read
        assert read == report.sinks["recording"].received < 500
    assert caplog.messages == [f"-: stopped: {500 - read} alerts that were read already are lost"]


@pytest.mark.parametrize("path", ["nothing-here", "*.nothing"])
def test_what_names_nothing_is_an_error(tmp_path: Path, path: str) -> None:
    """It says which path, before anything runs."""
    with pytest.raises(FileNotFoundError, match="no such file"):
        replay(tmp_path / path)


def test_a_folder_is_an_error(tmp_path: Path) -> None:
    """It says what to write instead."""
    with pytest.raises(IsADirectoryError, match=r"name its files"):
        replay(tmp_path)


def test_speeds_that_are_none_are_refused() -> None:
    """Zero, negative, words and infinity."""
    for speed in ("fast", "0", -1, "inf", "x"):
        with pytest.raises(ValueError, match="speed"):
            parse_speed(speed)


def test_moments_in_all_forms() -> None:
    """Text, a date, a datetime and nanoseconds name the same moment."""
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    same = {parse_moment(each) for each in ("2026-01-02", "2026-01-02T00:00:00Z", date(2026, 1, 2), moment)}
    assert same == {int(moment.timestamp()) * SECOND}
    with pytest.raises(ValueError, match="no moment"):
        parse_moment("yesterday")


def test_what_is_no_alert_is_counted_and_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default it is told in the log and in the report, and no file is written."""
    monkeypatch.chdir(tmp_path)
    log = written(tmp_path / "a", 1)
    log.write_bytes(b"garbage\n" + log.read_bytes())
    with caplog.at_level(logging.WARNING):
        report = run(replay(log), CollectSink[Alert]())
    assert (report.read, report.rejected) == (1, 1)
    assert "garbage" in report.sources[0].first_rejects[0]
    assert "not everything is an alert" in caplog.text
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a"]


def test_rejects_of_several_files_go_to_one(tmp_path: Path) -> None:
    """The second file's rejects do not overwrite the first one's."""
    for name in ("a", "b"):
        log = written(tmp_path / name, 1)
        log.write_bytes(log.read_bytes() + f"junk {name}\n".encode())
    rejects = tmp_path / "rejects"
    run(replay([tmp_path / "a", tmp_path / "b"], on_bad=rejects), CollectSink[Alert]())
    assert sorted(rejects.read_text().splitlines()) == ["junk a", "junk b"]


def test_raise_ends_the_replay_with_the_place(tmp_path: Path) -> None:
    """The report names file and line; what came before is delivered."""
    log = written(tmp_path / "a", 1)
    log.write_bytes(log.read_bytes() + b"junk\n")
    kept: CollectSink[Alert] = CollectSink()
    report = run(replay(log, on_bad="raise"), kept)
    assert len(kept.items) == 1
    assert f"{log}:2" in report.errors[0]
    assert issubclass(AlertError, ValueError)


def test_values_come_out_equal(tmp_path: Path) -> None:
    """What was read and not changed is the same, value for value."""
    fields = {"big": 2**63 + 1, "none": None, "nested": {"a": [1, "é"]}, "evt.time": 1507591916746609046}
    record = {"output_fields": fields, "priority": "Error", "rule": "r", "time": "2026-01-01T00:00:00Z", "new": 1}
    log = tmp_path / "a"
    log.write_text(json.dumps(record) + "\n")
    kept: CollectSink[Alert] = CollectSink()
    run(replay(log), kept)
    again = json.load(io.StringIO(kept.items[0].to_json()))
    assert again["output_fields"] == fields
    assert again["new"] == 1
