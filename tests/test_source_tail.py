"""The tail source: no alert is lost or doubled, however the file is rotated."""

import builtins
import bz2
import errno
import gzip
import json
import lzma
import os
import random
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rxalerts import Alert, OptionError
from rxalerts.pipeline import Pipeline
from rxalerts.sinks import CollectSink, FileSink
from rxalerts.sources import _tail_position, tail
from rxalerts.sources._tail_files import place_in
from rxalerts.sources._tail_position import load_state, save_state
from rxalerts.testing import RecordingSink, eventually


def line(number: int) -> bytes:
    """Return an alert's line, with its number."""
    fields = {"n": number}
    record = {"output_fields": fields, "priority": "Notice", "rule": "r", "time": "2026-01-01T00:00:00.000000000Z"}
    return json.dumps(record).encode() + b"\n"


def append(path: Path, numbers: range | list[int]) -> None:
    """Append alerts to a file, as a writer that opens it each time."""
    with path.open("ab") as file:
        file.write(b"".join(map(line, numbers)))


class Following:
    """A pipeline that follows `path` into a list."""

    def __init__(self, path: Path, **options: Any) -> None:
        options.setdefault("poll", 0.01)
        self.sink: CollectSink[Alert] = CollectSink(name="kept")
        self.source = tail(path, **options)
        self.pipeline = Pipeline(self.source, self.sink).start()

    @property
    def numbers(self) -> list[int]:
        return [alert.output_fields["n"] for alert in self.sink.items]

    def expect(self, numbers: range) -> None:
        """Wait until exactly these have arrived, in order."""
        eventually(lambda: len(self.sink.items) >= len(numbers), timeout=20)
        assert self.numbers == list(numbers)

    def stop(self) -> None:
        self.pipeline.stop()
        report = self.pipeline.drain(5.0)
        assert report.lost == 0, report


@pytest.fixture(params=[True, False], ids=["inotify", "poll"])
def inotify(request: pytest.FixtureRequest) -> bool:
    """Both ways of noticing a change."""
    if request.param:
        pytest.importorskip("asyncinotify", reason="asyncinotify is not installed")
    return bool(request.param)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    """A log's path."""
    yield tmp_path / "events.json"


def test_it_waits_for_a_file_that_is_not_there_yet(log: Path, inotify: bool) -> None:
    """A file that appears later is read from its beginning."""
    following = Following(log, inotify=inotify)
    append(log, range(10))
    following.expect(range(10))
    append(log, range(10, 20))
    following.expect(range(20))
    following.stop()


def test_a_torn_line_waits_for_its_end(log: Path) -> None:
    """Half a line is no alert and no reject; with its other half it is one alert."""
    following = Following(log)
    log.write_bytes(line(0)[:20])
    append(log, [])
    with log.open("ab") as file:
        file.write(line(0)[20:])
    following.expect(range(1))
    assert following.source.stats().rejected == 0
    following.stop()


def test_a_renamed_file_is_read_to_its_end(log: Path, inotify: bool) -> None:
    """What the writer still writes to the renamed file comes before what is in the new one."""
    append(log, range(5))
    following = Following(log, inotify=inotify)
    following.expect(range(5))
    with log.open("ab") as old:
        os.rename(log, f"{log}.1")
        log.touch()  # logrotate's `create`, before the writer is told
        old.write(b"".join(map(line, range(5, 10))))
        old.flush()
        following.expect(range(10))
        old.write(line(10))
        old.flush()
    append(log, range(11, 20))
    following.expect(range(20))
    following.stop()


def test_rotations_between_two_looks_lose_nothing(log: Path) -> None:
    """Files that came and were rotated away unseen are found among the siblings, in order."""
    append(log, range(10))
    following = Following(log, poll=0.3)
    following.expect(range(10))
    for generation in range(1, 5):
        for number in range(generation, 0, -1):
            older = f"{log}.{number}"
            if os.path.exists(older):
                os.rename(older, f"{log}.{number + 1}")
        os.rename(log, f"{log}.1")
        append(log, range(10 * generation, 10 * generation + 10))
    following.expect(range(50))
    following.stop()


def test_copytruncate_loses_nothing_that_was_copied(log: Path, inotify: bool) -> None:
    """Lines that were written, copied and truncated between two looks are read from the copy."""
    append(log, range(5))
    following = Following(log, poll=0.3, inotify=inotify)
    following.expect(range(5))
    append(log, range(5, 10))
    shutil.copy2(log, f"{log}.1")
    os.truncate(log, 0)
    append(log, range(10, 12))
    following.expect(range(12))
    following.stop()


def test_a_truncated_file_that_has_grown_beyond_the_old_position_is_noticed(log: Path) -> None:
    """Size alone does not tell: the beginning of the file has changed."""
    append(log, range(5))
    following = Following(log, poll=0.3)
    following.expect(range(5))
    shutil.copy2(log, f"{log}.1")
    os.truncate(log, 0)
    append(log, range(5, 50))
    following.expect(range(50))
    following.stop()


def test_a_deleted_file_is_read_on_until_there_is_a_new_one(log: Path) -> None:
    """The writer may still hold the deleted file; the new one is read from its beginning."""
    append(log, range(5))
    following = Following(log)
    with log.open("ab") as old:
        following.expect(range(5))
        log.unlink()
        old.write(b"".join(map(line, range(5, 8))))
        old.flush()
        following.expect(range(8))
    append(log, range(8, 12))
    following.expect(range(12))
    following.stop()


def test_it_begins_at_the_end_when_told_to(log: Path) -> None:
    """start="end" skips what is there, but not what is in a file that comes later."""
    append(log, range(5))
    following = Following(log, start="end")
    threading.Event().wait(0.05)
    append(log, [0])
    following.expect(range(1))
    following.stop()


def test_a_restart_goes_on_where_the_sinks_were_done(log: Path, tmp_path: Path) -> None:
    """The saved position is behind the last delivered alert."""
    state = tmp_path / "state"
    append(log, range(10))
    first = Following(log, state=state)
    first.expect(range(10))
    first.stop()
    append(log, range(10, 15))
    second = Following(log, state=state)
    eventually(lambda: len(second.numbers) >= 5)
    assert second.numbers == list(range(10, 15))
    second.stop()


def test_a_restart_reads_rotated_and_packed_files_first(log: Path, tmp_path: Path) -> None:
    """After three rotations, two of them packed, reading goes on in the middle of the oldest one."""
    state = tmp_path / "state"
    append(log, range(10))
    first = Following(log, state=state)
    first.expect(range(10))
    first.stop()
    append(log, range(10, 20))
    for generation in range(3):
        for number in (2, 1):
            for suffix in (".gz", ""):
                if os.path.exists(f"{log}.{number}{suffix}"):
                    os.rename(f"{log}.{number}{suffix}", f"{log}.{number + 1}{suffix}")
        os.rename(log, f"{log}.1")
        if generation < 2:
            status = os.stat(f"{log}.1")
            with open(f"{log}.1", "rb") as plain, gzip.open(f"{log}.1.gz", "wb") as packed:
                shutil.copyfileobj(plain, packed)
            os.utime(f"{log}.1.gz", ns=(status.st_atime_ns, status.st_mtime_ns))
            os.unlink(f"{log}.1")
        append(log, range(20 + 10 * generation, 30 + 10 * generation))
    second = Following(log, state=state)
    eventually(lambda: len(second.numbers) >= 40)
    assert second.numbers == list(range(10, 50))
    second.stop()


@pytest.mark.parametrize(
    "name",
    [
        *("events.json.1", "events.json-20260101.gz", "events.json_20260101_10", "events.json-20260101T101500.bz2"),
        *("events.json.20260101-101500.log", "events-20260101.json.xz", "events.1.json", "events-2026-01-01.json"),
        "old/events.json.1",
    ],
)
def test_rotated_files_are_known_by_their_names(name: str, log: Path, tmp_path: Path) -> None:
    """Whatever logrotate and its packer call it, and a link to the log: reading goes on in the rotated file."""
    pack: dict[str, Any] = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
    link = tmp_path / "links" / "log"
    link.parent.mkdir()
    link.symlink_to(log)
    append(log, range(10))
    with log.open("rb") as file:
        place = place_in(file, len(line(0)) * 5)
    save_state(str(tmp_path / "state"), place)
    rotated = tmp_path / name
    rotated.parent.mkdir(exist_ok=True)
    rotated.write_bytes(pack.get(rotated.suffix, bytes)(log.read_bytes()))
    os.utime(rotated, ns=(place.mtime, place.mtime))
    log.unlink()
    append(log, range(10, 12))
    for other in ("events-1.json", "events.json.bak", "other.json.1", "events.jsonl"):
        append(tmp_path / other, range(100, 102))
    following = Following(link, state=tmp_path / "state", olddir="old")
    eventually(lambda: len(following.numbers) >= 7)
    assert following.numbers == list(range(5, 12))
    following.stop()


@pytest.mark.parametrize("start", ["beginning", "end"])
def test_a_crash_before_the_first_delivery_loses_nothing(start: str, log: Path, tmp_path: Path) -> None:
    """Where reading began is saved at once: what was written then is found though it was rotated away meanwhile."""
    append(log, range(3))
    stuck = FileSink(tmp_path / "no" / "such" / "folder" / "out")
    pipeline = Pipeline(tail(log, state=tmp_path / "state", start=start, poll=0.01), stuck).start()  # type: ignore[arg-type]
    eventually((tmp_path / "state").exists)
    append(log, range(3, 6))
    eventually(lambda: stuck.stats().retried > 0)
    pipeline.stop()
    pipeline.drain(0.1)
    os.rename(log, f"{log}.1")
    append(log, range(6, 8))
    later = Following(log, state=tmp_path / "state", start=start)
    wanted = list(range(0 if start == "beginning" else 3, 8))
    eventually(lambda: len(later.numbers) >= len(wanted))
    assert later.numbers == wanted
    later.stop()


def test_a_link_to_another_container_is_followed(tmp_path: Path) -> None:
    """A restarted container's link goes to 1.log: what was still unread in 0.log and its rotated file comes first."""
    state, link, pod = tmp_path / "state", tmp_path / "falco.log", tmp_path / "pod"
    pod.mkdir()
    append(pod / "0.log", range(5))
    link.symlink_to(pod / "0.log")
    first = Following(link, state=state)
    first.expect(range(5))
    first.stop()
    append(pod / "0.log", range(5, 7))
    os.rename(pod / "0.log", pod / "0.log.20260101-000000")
    for number in range(2):
        append(pod / f"{number}.log", range(7 + 2 * number, 9 + 2 * number))
    link.unlink()
    link.symlink_to(pod / "1.log")
    second = Following(link, state=state)
    eventually(lambda: len(second.numbers) >= 6)
    assert second.numbers == list(range(5, 11))
    second.stop()


def test_a_line_that_a_runtime_has_split_is_joined_over_a_rotation(log: Path) -> None:
    """The runtime goes on in a new file with the line whose first part it wrote to the old one."""
    body = line(0).decode().strip()
    append(log, range(0))
    following = Following(log)
    log.write_text(f"2026-01-01T00:00:00Z stdout P {body[:40]}\n")
    threading.Event().wait(0.05)
    os.rename(log, f"{log}.20260101-000000")
    log.write_text(f"2026-01-01T00:00:00Z stdout F {body[40:]}\n")
    following.expect(range(1))
    assert following.source.stats().rejected == 0
    following.stop()


def test_two_sources_cannot_share_a_state(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one is refused: one of the two positions would skip what the other has not delivered."""
    monkeypatch.setattr(_tail_position, "_LOCKED", 0.05)
    append(log, range(3))
    first = Following(log, state=tmp_path / "state")
    first.expect(range(3))
    second = Following(log, state=tmp_path / "state")
    assert "another source keeps its position there" in str(second.pipeline.wait())
    assert second.numbers == []
    first.stop()


def test_a_folder_that_is_not_there_yet_is_waited_for(tmp_path: Path, inotify: bool) -> None:
    """Neither the file nor its folder has to be there at the start."""
    log = tmp_path / "falco" / "events.json"
    following = Following(log, inotify=inotify)
    threading.Event().wait(0.05)
    log.parent.mkdir()
    append(log, range(3))
    following.expect(range(3))
    following.stop()


@pytest.mark.parametrize("code", [errno.ESTALE, errno.EIO])
def test_a_stale_file_is_opened_again(
    code: int, log: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """When the server has forgotten the file, it is opened anew and read on; that it is refused is waited out."""
    append(log, range(3))
    following = Following(log)
    following.expect(range(3))
    real_pread: Any = os.pread
    real_open: Any = open
    failures = [OSError(code, os.strerror(code)), PermissionError(errno.EACCES, "Permission denied")]

    def pread(fd: int, size: int, offset: int) -> Any:
        if len(failures) == 2:
            raise failures.pop(0)
        return real_pread(fd, size, offset)

    def refuse(path: Any, *args: Any, **options: Any) -> Any:
        if failures and path == str(log):
            raise failures.pop(0)
        return real_open(path, *args, **options)

    monkeypatch.setattr(builtins, "open", refuse)
    monkeypatch.setattr(os, "pread", pread)
    append(log, range(3, 6))
    following.expect(range(6))
    assert "opening it again" in caplog.text and "Permission denied; trying again" in caplog.text
    following.stop()


@pytest.mark.parametrize("text", ["[]", "null", '{"inode":"1"}', '{"count":1}', "\xff", ""])
def test_a_foreign_state_is_reported(text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What is no position of ours is told and ignored, whatever it is."""
    (tmp_path / "state").write_text(text, "latin-1")
    assert load_state(str(tmp_path / "state")) is None
    place = {"inode": 1, "device": 1, "offset": -1, "head": "", "head_size": 1e9, "mtime": 0}
    (tmp_path / "state").write_text(json.dumps(place))
    assert load_state(str(tmp_path / "state")) is None
    assert caplog.text.count("the saved position cannot be used") == 2


def test_a_state_that_cannot_be_saved_is_told_once(
    log: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Alerts are delivered all the same; the log is not filled with the same complaint."""
    following = Following(log, state=tmp_path / "none" / "state")
    for number in range(4):
        append(log, [number])
        following.expect(range(number + 1))
        threading.Event().wait(0.11)
    following.stop()
    assert caplog.text.count("trying again") == 1


def test_a_stuck_sink_that_drops_does_not_make_memory_grow(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much passes it, few places are kept until it is done; then the position is that of the last alert."""
    monkeypatch.setattr(_tail_position, "MAX_PLACES", 50)
    state = tmp_path / "state"
    sink: RecordingSink[Alert] = RecordingSink(capacity=4, on_full="drop_oldest")
    sink.block()
    source = tail(log, state=state, poll=0.01)
    pipeline = Pipeline(source, sink).start()
    append(log, range(1000))
    eventually(lambda: source.stats().read == 1000)
    position = source._position  # pyright: ignore[reportPrivateUsage]
    assert position is not None and position.places <= 50
    sink.release()
    pipeline.stop()
    pipeline.wait()
    place = load_state(str(state))
    assert place is not None and place.offset == log.stat().st_size


def test_what_was_not_delivered_is_not_committed(log: Path, tmp_path: Path) -> None:
    """With a sink that cannot deliver the position stays, and a later run delivers everything."""
    state = tmp_path / "state"
    append(log, range(20))
    stuck = FileSink(tmp_path / "no" / "such" / "folder" / "out")
    pipeline = Pipeline(tail(log, state=state, poll=0.01), stuck).start()
    eventually(lambda: stuck.stats().retried > 0)
    pipeline.stop()
    pipeline.drain(0.1)
    assert json.loads(state.read_text())["offset"] == 0
    later = Following(log, state=state)
    later.expect(range(20))
    later.stop()


def test_a_buffered_file_is_flushed_before_the_position_is_saved(log: Path, tmp_path: Path) -> None:
    """The position never runs ahead of what a kept-alive, buffered file has really written."""
    state, out = tmp_path / "state", tmp_path / "out"
    append(log, range(3))
    pipeline = Pipeline(tail(log, state=state, poll=0.01), FileSink(out, keep_alive=True)).start()
    eventually(lambda: state.exists() and json.loads(state.read_text())["offset"] == log.stat().st_size)
    assert len(out.read_bytes().splitlines()) == 3
    pipeline.stop()
    pipeline.drain(5.0)


def test_a_broken_state_is_reported_and_reading_begins_anew(
    log: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Alerts may then come twice, but none is skipped."""
    state = tmp_path / "state"
    state.write_text("{half")
    append(log, range(3))
    following = Following(log, state=state)
    following.expect(range(3))
    following.stop()
    assert "beginning anew" in caplog.text


def test_a_storm_of_rotations_loses_and_doubles_nothing(log: Path) -> None:
    """A writer that reopens after each rename, rotated at random moments: exactly what was written arrives."""
    rng = random.Random(7)
    following = Following(log, poll=0.02)
    append(log, range(1))
    following.expect(range(1))
    written = 1
    for _ in range(60):
        step = rng.randrange(1, 40)
        append(log, range(written, written + step))
        written += step
        if rng.random() < 0.5:
            for number in range(70, 0, -1):
                if os.path.exists(f"{log}.{number}"):
                    os.rename(f"{log}.{number}", f"{log}.{number + 1}")
            os.rename(log, f"{log}.1")
        if rng.random() < 0.3:
            threading.Event().wait(rng.random() * 0.05)
    append(log, range(written, written + 1))
    following.expect(range(written + 1))
    following.stop()


@pytest.mark.parametrize(("key", "value"), [("poll", 0), ("start", "middle"), ("ack", "never")])
def test_wrong_options_are_named(log: Path, key: str, value: Any) -> None:
    """Each wrong option gives an error that names it."""
    options: dict[str, Any] = {key: value}
    with pytest.raises(OptionError, match=key):
        tail(log, **options)
