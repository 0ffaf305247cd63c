"""The index beside a large log: readings from some moment on begin near it, and never miss an alert."""

import os
import random
import stat
import time
from pathlib import Path

import pytest

from rxalerts import Alert, run
from rxalerts.errors import AlertError
from rxalerts.sinks import CollectSink
from rxalerts.sources import _index as index
from rxalerts.sources import replay
from rxalerts.sources._replay import expand

SECOND = 1_000_000_000


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every log an index, with blocks of a few lines."""
    monkeypatch.setattr(index, "MIN_SIZE", 1)
    monkeypatch.setattr(index, "_BLOCK", 500)


def line(second: float) -> bytes:
    """Return the line of one alert."""
    return Alert(f"{second:g}", "notice", time=int(second * SECOND)).to_json().encode() + b"\n"


def written(path: Path, *lines: bytes) -> Path:
    """Write a log that was last changed a minute ago."""
    path.write_bytes(b"".join(lines))
    return aged(path)


def aged(path: Path, seconds: float = 60) -> Path:
    """Set a log's time of change."""
    then = time.time() - seconds
    os.utime(path, (then, then))
    return path


def found(log: Path, since: float | None = None, until: float | None = None) -> tuple[list[str], int]:
    """Return the rules that a replay gives, and how many alerts it has read for them."""
    kept: CollectSink[Alert] = CollectSink(capacity=100_000)
    start, stop = (None if each is None else int(each * SECOND) for each in (since, until))
    report = run(replay(log, since=start, until=stop), kept)
    assert report.errors == ()
    return [alert.rule for alert in kept.items], report.read


def beside(log: Path) -> Path:
    """Return the place of a log's index."""
    return log.with_name(log.name + index.ENDING)


def test_a_reading_begins_near_its_moment(tmp_path: Path) -> None:
    """The first use makes the index; with it only some lines around the wanted ones are read."""
    log = written(tmp_path / "log", *map(line, range(1000)))
    for _ in range(2):
        rules, read = found(log, since=990)
        assert rules == [str(number) for number in range(990, 1000)]
        assert read < 20
        rules, read = found(log, since=500, until=503)
        assert rules == ["500", "501", "502"]
        assert read < 15
    assert stat.S_IMODE(beside(log).stat().st_mode) == stat.S_IMODE(log.stat().st_mode)
    assert found(log) == ([str(number) for number in range(1000)], 1000)
    assert found(log, since=2000) == ([], 0)


@pytest.mark.parametrize("seed", range(5))
def test_whatever_the_order_nothing_is_missed(tmp_path: Path, seed: int) -> None:
    """Shuffled times, junk, torn and glued lines: every cut gives what a plain reading gives."""
    dice = random.Random(seed)
    times = [dice.gauss(number, (0, 3, 50, 5000, 20)[seed]) + 10_000 for number in range(300)]
    lines = [line(each) for each in times]
    for _ in range(20):
        place = dice.randrange(len(lines))
        other = lines[dice.randrange(len(lines))]
        bad = (b'{"rule": "torn', b"{}", b"", other[: len(other) // 2], other[:-1] + other[:-1])[dice.randrange(5)]
        lines.insert(place, bad + b"\n" * (dice.random() < 0.8 or not bad))
    text = b"".join(lines)
    log = written(tmp_path / "log", text)
    plain = tmp_path / "plain"
    plain.mkdir()
    for _ in range(25):
        start = dice.choice(times) + dice.choice((0, 0.5, -0.5))
        stop = start + dice.choice((1, 30, 5000))
        indexed = found(log, start, stop)[0]
        beside(log).unlink(missing_ok=True)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(index, "MIN_SIZE", 1 << 40)
            assert indexed == found(log, start, stop)[0]


def test_a_changed_log_gets_another_index(tmp_path: Path) -> None:
    """Grown, replaced, cut, or changed at its beginning with the same size and time: the old index is not used."""
    log = written(tmp_path / "log", *map(line, range(100, 200)))
    assert found(log, since=190)[0][0] == "190"
    with log.open("ab") as file:
        file.write(line(500))
    aged(log)
    assert found(log, since=200)[0] == ["500"]
    written(log, *map(line, range(300, 400)))
    assert found(log, since=200, until=302)[0] == ["300", "301"]
    status = log.stat()
    with log.open("r+b") as file:
        file.write(line(999))
    os.utime(log, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert found(log, since=900)[0] == ["999"]


@pytest.mark.parametrize("damage", [b"", b"rxidx 1\n", b"junk" * 100])
def test_a_damaged_index_is_made_anew(tmp_path: Path, damage: bytes) -> None:
    """Cut, empty, or of something else; a flipped byte too."""
    log = written(tmp_path / "log", *map(line, range(300)))
    right = found(log, since=290)
    whole = beside(log).read_bytes()
    middle = len(whole) // 2
    for wrong in (damage, whole[:middle], whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]):
        beside(log).write_bytes(wrong)
        assert found(log, since=290) == right
        assert beside(log).read_bytes() == whole


def test_what_depends_on_what_stands_before_has_none(tmp_path: Path) -> None:
    """Text lines, objects over several lines, and alerts without a time of their own are read from the beginning."""
    text = b"".join(b"2026-01-01T00:00:%02d.000000000+0000: Notice A (n=1)\n" % second for second in range(60))
    spread = b"".join(line(number).replace(b"{", b"{\n ", 1) for number in range(60))
    timeless = b'{"rule":"x","priority":"Notice"}\n' * 60
    clock = b'{"rule":"x","priority":"Notice","output":"10:00:00.000000000: Notice x"}\n' * 60
    for number, data in enumerate((text, spread, timeless, clock)):
        log = written(tmp_path / f"log{number}", data)
        assert len(found(log, since=1)[0]) in (59, 60)
        made = index.index_of(str(log))
        assert made is not None
        assert made.offsets == []


def _refused(path: object, mode: int) -> bool:
    return False


def test_small_packed_fresh_and_special_files_have_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is put beside them: a log that is being written, one in a folder of others, a device."""
    fresh = written(tmp_path / "fresh", line(1), line(2))
    aged(fresh, seconds=0)
    assert found(fresh, since=2)[0] == ["2"]
    assert not beside(fresh).exists()
    assert index.index_of("-") is None
    assert index.index_of("/dev/null") is None
    assert index.index_of(str(tmp_path / "nothing")) is None
    log = written(tmp_path / "log", line(1), line(2))
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", _refused)
        assert found(log, since=2)[0] == ["2"]
    monkeypatch.setattr(index, "MIN_SIZE", 10_000)
    assert found(log, since=2)[0] == ["2"]
    assert not beside(log).exists()


def test_an_index_that_cannot_be_kept_is_used_all_the_same(tmp_path: Path) -> None:
    """Something else has its name: the reading is right, and nothing is left behind."""
    log = written(tmp_path / "log", *map(line, range(100)))
    beside(log).mkdir()
    assert found(log, since=98)[0] == ["98", "99"]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["log", "log.rxidx"]


def test_patterns_do_not_name_indexes(tmp_path: Path) -> None:
    """`log*` means the logs."""
    log = written(tmp_path / "log", line(1), line(2))
    found(log, since=1)
    assert beside(log).exists()
    assert expand(tmp_path / "log*") == [str(log)]


def test_places_of_rejects_are_those_of_the_file(tmp_path: Path) -> None:
    """Line and byte of what is no alert count from the file's beginning, wherever the reading began."""
    log = written(tmp_path / "log", *map(line, range(200)), b"{junk}\n", line(300))
    report = run(replay(log, since=199 * SECOND), CollectSink[Alert]())
    assert f"line 201, byte {log.read_bytes().index(b'{junk}')}" in report.sources[0].first_rejects[0]
    report = run(replay(log, since=199 * SECOND, on_bad="raise"), CollectSink[Alert]())
    assert f"{log}:201" in report.errors[0]
    assert issubclass(AlertError, ValueError)


def test_seek_uses_it(tmp_path: Path) -> None:
    """A tape that is wound reads little of what it passes over."""
    log = written(tmp_path / "log", *map(line, range(2000)))
    source = replay(log)
    source.player.seek(1995 * SECOND)
    rules: list[str] = []
    source.subscribe(lambda alert: rules.append(alert.rule))
    assert rules == ["1995", "1996", "1997", "1998", "1999"]
    assert source.stats().read < 1000
