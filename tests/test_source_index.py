"""The index beside a large log: readings from some moment on begin near it, and never miss an alert."""

import gzip
import os
import random
import stat
import time
from pathlib import Path
from typing import BinaryIO

import pytest

from rxalerts import Alert, run
from rxalerts.errors import AlertError
from rxalerts.sinks import CollectSink
from rxalerts.sources import _blocks, replay
from rxalerts.sources import _index as index
from rxalerts.sources._replay import expand

SECOND = 1_000_000_000


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every log an index, with blocks of a few lines."""
    monkeypatch.setattr(index, "MIN_SIZE", 1)
    monkeypatch.setattr(_blocks, "BLOCK", 500)


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


def found(log: Path | str, since: float | None = None, until: float | None = None) -> tuple[list[str], int]:
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
        assert read < 20
    assert stat.S_IMODE(beside(log).stat().st_mode) == stat.S_IMODE(log.stat().st_mode)
    assert found(log) == ([str(number) for number in range(1000)], 1000)
    rules, read = found(log, since=2000)
    assert rules == []
    assert read < 20


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


def blocks_of(log: Path) -> index.Blocks:
    """Return the blocks of a log, as a reading would find them."""
    return index.Blocks(str(log), log.open("rb"))


def test_what_depends_on_what_stands_before_has_none(tmp_path: Path) -> None:
    """Text without a day, objects over several lines, alerts without a time of their own: read from the beginning."""
    text = b"".join(b"00:00:%02d.000000000: Notice A (n=1)\n" % second for second in range(60)) * 4
    spread = b"".join(line(number).replace(b"{", b"{\n ", 1) for number in range(60))
    timeless = b'{"rule":"x","priority":"Notice"}\n' * 60
    clock = b'{"rule":"x","priority":"Notice","output":"10:00:00.000000000: Notice x"}\n' * 60
    wrapped = b'{"log":"{}","time":"2026-01-01T00:00:00.000000000Z"}\n' * 60
    for number, data in enumerate((text, spread, timeless, clock, wrapped)):
        log = written(tmp_path / f"log{number}", data)
        assert len(found(log, since=1)[0]) in (0, 59, 60, 240)
        blocks = blocks_of(log)
        # What wraps an alert is read: its own time says nothing.
        assert [each for each in blocks if number < 4 or each.earliest < each.latest] == []
        blocks.close()


def test_lines_of_falco_itself_do_no_harm(tmp_path: Path) -> None:
    """What it says when it starts and ends stands in many logs; a torn line, and text that says its own day, too."""
    start = b"Tue Jan  2 10:00:00 2024: Falco version: 0.37.0 (x86_64)\n"
    text = b"1970-01-01T00:00:50.000000000+0000: Notice Text (n=1)\n"
    lines = [start, *map(line, range(100)), line(7)[:40] + b"\n", text, *map(line, range(100, 500))]
    log = written(tmp_path / "log", *lines, start, *map(line, range(500, 900)), b"Events detected: 22\n")
    rules, read = found(log, since=890)
    assert rules == [str(number) for number in range(890, 900)]
    assert read < 20
    assert len(found(log, since=50, until=51)[0]) == 2


def test_text_that_says_its_own_day_has_one(tmp_path: Path) -> None:
    """With `time_format_iso_8601`, lines of text are read from the middle as lines of JSON are."""
    form = b"1970-01-01T00:%02d:%02d.000000000+0000: Notice %d (n=1)\n"
    lines = [form % (*divmod(number, 60), number) for number in range(600)]
    log = written(tmp_path / "log", *lines)
    kept: CollectSink[Alert] = CollectSink()
    report = run(replay(log, since=590 * SECOND, until=595 * SECOND), kept)
    assert [alert.message.split()[0] for alert in kept.items] == ["590", "591", "592", "593", "594"]
    assert report.read < 30 and beside(log).exists()


@pytest.mark.parametrize("seed", range(3))
def test_what_comes_behind_the_blocks_is_read_as_ever(tmp_path: Path, seed: int) -> None:
    """JSON first, then text lines whose day follows from the file, spread and timeless objects: nothing changes."""
    dice = random.Random(seed)
    lines = [line(number) for number in range(200)]
    lines += [b"%02d:00:00.000000000: Notice Clock (n=%d)\n" % (number % 24, number) for number in range(30)]
    lines += [line(number).replace(b"{", b"{\n ", 1) for number in range(300, 320)]
    lines += [line(number) for number in range(400, 500)]
    log = written(tmp_path / "log", *lines)
    for since in (0, 100, 195, 250, 310, 450, dice.uniform(0, 500)):
        for until in (None, since + 5, since + 300, 10**9):
            indexed = found(log, since, until)[0]
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(index, "MIN_SIZE", 1 << 40)
                assert indexed == found(log, since, until)[0]


def test_small_packed_and_special_files_have_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is put beside them, nor beside a log of a single block."""
    few = written(tmp_path / "few", line(1), line(2))
    assert found(few, since=2)[0] == ["2"]
    assert found("/dev/null", since=1) == ([], 0)
    packed = written(tmp_path / "packed", gzip.compress(b"".join(map(line, range(1000)))))
    assert found(packed, since=999)[0] == ["999"]
    monkeypatch.setattr(index, "MIN_SIZE", 1 << 20)
    log = written(tmp_path / "log", *map(line, range(100)))
    assert found(log, since=98)[0] == ["98", "99"]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["few", "log", "packed"]


class Counted:
    """Counts the blocks that are looked at anew."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self._real = _blocks.next_block
        monkeypatch.setattr(index, "next_block", self._find)

    def _find(self, file: BinaryIO, begin: int, line: int) -> _blocks.Block | None:
        self.count += 1
        return self._real(file, begin, line)

    def taken(self) -> int:
        """Return how many there were since the last time."""
        count, self.count = self.count, 0
        return count


def test_a_reading_begins_before_the_index_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the blocks up to the moment are looked at; a later moment goes on from there."""
    counted = Counted(monkeypatch)
    log = written(tmp_path / "log", *map(line, range(1000)))
    opened = index.open_from(str(log), 10 * SECOND, None, "raise")
    assert opened is not None and counted.taken() < 10
    opened.close()
    assert found(log, since=990)[0][0] == "990"
    assert counted.taken() > 100
    assert found(log, since=500)[0][0] == "500"
    assert counted.taken() == 0
    assert found(log, since=500, until=503)[0] == ["500", "501", "502"]
    assert counted.taken() < 5


def test_a_log_that_has_grown_gets_only_the_blocks_that_were_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even while it is written, and ended within a line when the index was made."""
    counted = Counted(monkeypatch)
    torn = line(1000)
    log = tmp_path / "log"
    log.write_bytes(b"".join(map(line, range(1000))) + torn[:20])
    assert found(log, since=999)[0] == ["999"]
    assert counted.taken() > 100
    with log.open("ab") as file:
        file.write(torn[20:] + b"".join(map(line, range(1001, 1030))))
    assert found(log, since=1000)[0] == [str(number) for number in range(1000, 1030)]
    assert counted.taken() < 3
    assert found(log, since=1029)[0] == ["1029"]
    assert 3 < counted.taken() < 15
    assert found(log, since=1029)[0] == ["1029"]
    assert counted.taken() <= 2


@pytest.mark.parametrize("where", [0, 30_000, -1])
def test_a_log_that_was_changed_and_has_grown_is_looked_at_anew(tmp_path: Path, where: int) -> None:
    """A byte more in it moves the rest, wherever it is put in; an index of the old log is never believed."""
    log = written(tmp_path / "log", *map(line, range(100, 400)))
    found(log, since=390)
    data = log.read_bytes()
    place = data.index(b"\n", where) + 1 if where >= 0 else data.rindex(b"\n", 0, -400) + 1
    with log.open("r+b") as file:
        file.write(data[:place] + line(999) + data[place:])
    assert sorted(found(log, since=399)[0]) == ["399", "999"]


def test_times_beyond_64_bits_and_before_1970_are_found(tmp_path: Path) -> None:
    """Whatever year a log says, what is asked for is found."""
    times = [-(10**7) * number for number in range(300, 0, -1)] + [10**11] * 3
    log = written(tmp_path / "log", *map(line, times))
    assert found(log, since=10**11)[0] == ["1e+11"] * 3
    assert len(found(log, since=-(5 * 10**7), until=0)[0]) == 5


def test_an_index_that_cannot_be_kept_is_used_all_the_same(tmp_path: Path) -> None:
    """Something else has its name: the reading is right, and nothing is left behind."""
    log = written(tmp_path / "log", *map(line, range(100)))
    beside(log).mkdir()
    assert found(log, since=98)[0] == ["98", "99"]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["log", "log.rxidx"]


def test_patterns_do_not_name_indexes(tmp_path: Path) -> None:
    """`log*` means the logs."""
    log = written(tmp_path / "log", *map(line, range(100)))
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
    log = written(tmp_path / "log", *map(line, range(10_000)))
    source = replay(log)
    source.player.seek(9995 * SECOND)
    rules: list[str] = []
    source.subscribe(lambda alert: rules.append(alert.rule))
    assert rules == ["9995", "9996", "9997", "9998", "9999"]
    assert source.stats().read < 5000
