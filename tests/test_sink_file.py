"""FileSink: against real files, full devices, and everything that happens to a log file behind one's back."""

import contextlib
import errno
import functools
import gzip
import os
import shutil
import subprocess
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rxalerts import Alert
from rxalerts.errors import OptionError
from rxalerts.flow.backoff import Retry
from rxalerts.flow.scope import Scope
from rxalerts.flow.stats import State
from rxalerts.sinks import FileSink
from rxalerts.testing import SinkFactory, VirtualDriver, eventually

# The modes in which a file is kept.
MODES: dict[str, dict[str, bool]] = {
    "per alert": {},
    "kept": {"keep_alive": True},
    "kept unbuffered": {"keep_alive": True, "unbuffered": True},
}
each_mode = pytest.mark.parametrize("mode", list(MODES))


@contextmanager
def surroundings(folder: Path) -> Generator[SinkFactory]:
    """A folder that can be written to."""
    yield functools.partial(FileSink, folder / "alerts.txt")


def alert(number: int) -> Alert:
    """Return an alert whose text ends in its number."""
    return Alert("Rule", "notice", output=f"12:00:00.000000000: Notice alert {number}")


def send(sink: FileSink, numbers: range | list[int]) -> None:
    """Send alerts as a source does."""
    with Scope():
        for number in numbers:
            sink.on_next(alert(number))


def numbers_in(data: bytes) -> list[int]:
    """Return the numbers of the alerts in a file, which has whole lines only."""
    assert not data or data.endswith(b"\n")
    return [int(line.rsplit(b" ", 1)[1]) for line in data.splitlines()]


def holds(path: Path, numbers: list[int]) -> bool:
    """Tell whether a file holds these alerts."""
    return path.exists() and numbers_in(path.read_bytes()) == numbers


def make(path: Path | str, **options: Any) -> FileSink:
    """Return a sink that tries again soon."""
    options.setdefault("retry", Retry(initial=0.005, maximum=0.02))
    return FileSink(path, **options)


def failing(sink: FileSink, times: int = 2) -> Callable[[], bool]:
    """Return what tells that so many attempts have failed."""
    return lambda: sink.stats().failures >= times


@each_mode
def test_it_appends_and_never_truncates(mode: str, tmp_path: Path) -> None:
    """What was in the file stays, what comes is added, one line each."""
    path = tmp_path / "alerts"
    path.write_bytes(b"x 100\n")
    for start in (0, 10):
        with make(path, **MODES[mode]) as sink:
            send(sink, range(start, start + 10))
    assert numbers_in(path.read_bytes()) == [100, *range(20)]


def test_buffered_output_stays_in_memory_until_the_close(tmp_path: Path) -> None:
    """keep_alive, not unbuffered: nothing is in the file before 64 KiB have come together, or the close."""
    path = tmp_path / "alerts"
    sink = make(path, keep_alive=True)
    send(sink, range(10))
    eventually(lambda: sink.stats().depth == 10 and sink.mailbox.depth == 0, "the write into the buffer")
    assert path.read_bytes() == b""
    assert sink.stats().delivered == 0
    assert sink.close(10)
    assert numbers_in(path.read_bytes()) == list(range(10))


def test_a_full_buffer_is_written(tmp_path: Path) -> None:
    """After 64 KiB the buffer goes out by itself."""
    path = tmp_path / "alerts"
    sink = make(path, keep_alive=True)
    send(sink, range(3000))
    eventually(lambda: path.exists() and path.stat().st_size >= 1 << 16, "the first 64 KiB")
    assert sink.close(10)
    assert numbers_in(path.read_bytes()) == list(range(3000))


@pytest.mark.parametrize("mode", ["per alert", "kept unbuffered"])
def test_each_alert_is_visible_at_once(mode: str, tmp_path: Path) -> None:
    """Without a buffer an alert is in the file before the next one comes."""
    path = tmp_path / "alerts"
    sink = make(path, **MODES[mode])
    for number in range(3):
        send(sink, [number])
        lines = number + 1
        eventually(functools.partial(holds, path, list(range(lines))), "the line")
    assert sink.close(10)


def test_the_file_is_not_held_open_without_keep_alive(tmp_path: Path) -> None:
    """keep_alive false: after the write nothing holds the file."""
    path = tmp_path / "alerts"
    sink = make(path)
    send(sink, [1])
    assert sink.flush(10)
    held = {
        os.readlink(f"/proc/self/fd/{fd}")
        for fd in os.listdir("/proc/self/fd")
        if os.path.exists(f"/proc/self/fd/{fd}")
    }
    assert str(path) not in held
    assert sink.close(10)


# -- failures -------------------------------------------------------------------------------------------------


@each_mode
def test_a_missing_folder_is_waited_for(mode: str, tmp_path: Path) -> None:
    """No folder: reported, tried again, and nothing is lost when it is made."""
    path = tmp_path / "later" / "alerts"
    sink = make(path, **MODES[mode])
    send(sink, range(10))
    eventually(failing(sink), "some attempts")
    assert sink.state is State.BACKOFF
    assert str(path) in str(sink.stats().last_error)
    path.parent.mkdir()
    assert sink.close(10)
    assert numbers_in(path.read_bytes()) == list(range(10))


@each_mode
def test_a_folder_in_the_place_of_the_file_is_waited_for(mode: str, tmp_path: Path) -> None:
    """EISDIR: the same."""
    path = tmp_path / "alerts"
    path.mkdir()
    sink = make(path, **MODES[mode])
    send(sink, range(10))
    eventually(failing(sink), "some attempts")
    path.rmdir()
    assert sink.close(10)
    assert numbers_in(path.read_bytes()) == list(range(10))


@contextmanager
def forbidden(path: Path) -> Generator[None]:
    """A file that may not be written: immutable for root, whom permissions do not bind."""
    if os.geteuid() != 0:
        path.chmod(0)
        yield
        path.chmod(0o600)
        return
    done = subprocess.run(["chattr", "+i", path], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"permissions do not bind root, and files cannot be made immutable: {done.stderr.strip()}")
    yield
    subprocess.run(["chattr", "-i", path], check=True)


@each_mode
def test_a_forbidden_file_is_waited_for(mode: str, tmp_path: Path) -> None:
    """EACCES or EPERM: the same."""
    path = tmp_path / "alerts"
    path.touch()
    with forbidden(path):
        sink = make(path, **MODES[mode])
        send(sink, range(10))
        eventually(failing(sink), "some attempts")
        assert "permitted" in str(sink.stats().last_error) or "Permission" in str(sink.stats().last_error)
    assert sink.close(10)
    assert numbers_in(path.read_bytes()) == list(range(10))


def test_permission_errors_are_retried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """EACCES and EPERM, as root meets them (a read-only mount, an immutable file), are reported and retried."""
    path = tmp_path / "alerts"
    sink = make(path)
    driver = VirtualDriver(sink)
    real = os.open

    def refuse(*arguments: Any, **options: Any) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", refuse)
    send(sink, range(3))
    driver.run()
    assert sink.state is State.BACKOFF
    assert "Permission denied" in str(sink.stats().last_error)
    monkeypatch.setattr(os, "open", real)
    driver.advance(1)
    assert numbers_in(path.read_bytes()) == [0, 1, 2]
    sink.stop()
    driver.run()


def test_a_write_only_file_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that may be written and not read: nobody can look for a torn line, and that is all."""
    path = tmp_path / "alerts"
    real = os.open

    def no_reading(name: Any, flags: int, *rest: Any, **options: Any) -> int:
        if flags & os.O_RDWR:
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(name, flags, *rest, **options)

    monkeypatch.setattr(os, "open", no_reading)
    with make(path) as sink:
        send(sink, range(3))
    assert numbers_in(path.read_bytes()) == [0, 1, 2]


@each_mode
def test_a_full_device_is_reported(mode: str) -> None:
    """/dev/full, the kernel's own ENOSPC: the alerts stay, and are counted when time runs out."""
    sink = make("/dev/full", **MODES[mode])
    send(sink, range(5))
    if mode == "kept":
        assert not sink.flush(0.05)
    eventually(failing(sink), "some attempts")
    assert "No space left" in str(sink.stats().last_error)
    assert sink.stats().depth == 5
    sink.stop(0)
    assert sink.wait(10)
    assert sink.stats().dropped == {"shutdown": 5}


@contextmanager
def small_disk(folder: Path) -> Generator[Path]:
    """A file system of 64 KiB; skips where none can be mounted."""
    disk = folder / "disk"
    disk.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root can mount the small tmpfs that this test fills")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


@each_mode
def test_a_full_disk_that_is_freed_loses_nothing(mode: str, tmp_path: Path) -> None:
    """A really full disk: no line lost, none doubled, none torn, once there is room again."""
    with small_disk(tmp_path) as disk:
        ballast = disk / "ballast"
        ballast.write_bytes(b"x" * 40_000)
        path = disk / "alerts"
        sink = make(path, max_batch=100, **MODES[mode])
        send(sink, range(1000))
        if mode == "kept":
            sink.flush(0.05)
        eventually(failing(sink, 3), "the disk to be full")
        assert "No space left" in str(sink.stats().last_error)
        ballast.unlink()
        assert sink.close(20)
        assert numbers_in(path.read_bytes()) == list(range(1000))
        assert sink.stats().delivered == 1000


@each_mode
@pytest.mark.parametrize(
    "plan",
    [
        [30, errno.ENOSPC, 1, errno.ENOSPC, 100, errno.EIO, 7],
        [errno.ENOSPC, 46, errno.ENOSPC, 47, errno.ENOSPC],
        [500, 500, errno.EDQUOT, 3, errno.EDQUOT, 3, errno.EDQUOT],
    ],
)
def test_a_write_that_breaks_off_is_continued(
    mode: str, plan: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever a write is cut and fails, no line is lost, doubled or torn; rotated or not."""
    errors = {errno.ENOSPC, errno.EIO, errno.EDQUOT}
    plans: list[dict[str, Any]] = [{}, {"rotate_bytes": 200, "rotate_keep": 1000}]
    for options in plans:
        path = tmp_path / f"alerts{len(options)}"
        sink = make(path, retry=Retry(initial=1, maximum=1), **MODES[mode], **options)
        driver = VirtualDriver(sink)
        real, steps = os.write, iter(plan)

        def cut(fd: int, data: Any, steps: Iterator[int] = steps, real: Callable[..., int] = real) -> int:
            step = next(steps, None)
            if step in errors:
                raise OSError(step, os.strerror(step or 0))
            return real(fd, data if step is None else bytes(data)[:step])

        monkeypatch.setattr(os, "write", cut)
        send(sink, range(40))
        driver.advance(30)
        sink.stop()
        driver.advance(30)
        monkeypatch.undo()
        assert driver.ended
        assert sink.stats().delivered == 40
        assert everything(path) == list(range(40))


def everything(path: Path) -> list[int]:
    """Return the numbers in a file and in all its rotated ones, oldest first."""
    packed = sorted(path.parent.glob(f"{path.name}.*.gz"), key=lambda each: -int(each.name.split(".")[-2]))
    found: list[int] = []
    for each in packed:
        found += numbers_in(gzip.decompress(each.read_bytes()))
    return found + (numbers_in(path.read_bytes()) if path.exists() else [])


# -- behind one's back ----------------------------------------------------------------------------------------


@each_mode
def test_a_deleted_file_is_made_again(mode: str, tmp_path: Path) -> None:
    """What comes after a deletion is in a new file."""
    path = tmp_path / "alerts"
    sink = make(path, **MODES[mode])
    send(sink, [1])
    assert sink.flush(10)
    path.unlink()
    send(sink, [2])
    assert sink.close(10)
    assert numbers_in(path.read_bytes()) == [2]


def test_a_moved_file_is_written_on_until_reopened(tmp_path: Path) -> None:
    """As logrotate expects: moved, it still gets the lines; after reopen the new one does, and exists at once."""
    path, moved = tmp_path / "alerts", tmp_path / "alerts.1"
    sink = make(path, keep_alive=True, unbuffered=True)
    send(sink, [1])
    assert sink.flush(10)
    path.rename(moved)
    send(sink, [2])
    assert sink.flush(10)
    assert numbers_in(moved.read_bytes()) == [1, 2]
    assert sink.reopen(10)
    assert path.exists()
    send(sink, [3])
    assert sink.close(10)
    assert numbers_in(path.read_bytes()) == [3]
    assert numbers_in(moved.read_bytes()) == [1, 2]


def test_reopen_flushes_into_the_old_file(tmp_path: Path) -> None:
    """What was buffered before the reopen goes where it was meant to."""
    path, moved = tmp_path / "alerts", tmp_path / "alerts.1"
    sink = make(path, keep_alive=True)
    send(sink, [1])
    eventually(lambda: sink.stats().depth == 1 and sink.mailbox.depth == 0, "the write into the buffer")
    path.rename(moved)
    assert sink.reopen(10)
    send(sink, [2])
    assert sink.close(10)
    assert numbers_in(moved.read_bytes()) == [1]
    assert numbers_in(path.read_bytes()) == [2]


def test_a_reopen_that_fails_does_not_leave_the_old_file_in_use(tmp_path: Path) -> None:
    """The folder is moved away at the reopen: once it is back, the new file gets the alerts, not the moved one."""
    folder = tmp_path / "logs"
    folder.mkdir()
    path = folder / "alerts"
    sink = make(path, keep_alive=True, unbuffered=True)
    send(sink, [1])
    assert sink.flush(10)
    folder.rename(tmp_path / "old")
    sink.reopen(10)
    eventually(failing(sink, 1), "the failure")
    send(sink, [2])
    folder.mkdir()
    assert sink.close(10)
    assert numbers_in(path.read_bytes()) == [2]
    assert numbers_in((tmp_path / "old" / "alerts").read_bytes()) == [1]


@each_mode
def test_a_torn_last_line_is_ended_first(mode: str, tmp_path: Path) -> None:
    """A line that a crash left unfinished gets its newline, so that the next alert begins a line."""
    path = tmp_path / "alerts"
    path.write_bytes(b"whole 1\nto")
    with make(path, **MODES[mode]) as sink:
        send(sink, [2])
    assert path.read_bytes().splitlines()[:2] == [b"whole 1", b"to"]
    assert numbers_in(path.read_bytes().split(b"\nto\n")[1]) == [2]


def test_a_symbolic_link_is_followed(tmp_path: Path) -> None:
    """The link stays a link, also when the file is rotated."""
    target, link = tmp_path / "target", tmp_path / "link"
    link.symlink_to(target)
    with make(link, rotate_bytes=100) as sink:
        send(sink, range(10))
    assert link.is_symlink()
    assert everything(target)[-1] == 9
    assert not list(tmp_path.glob("link.*"))
    assert list(tmp_path.glob("target.*.gz"))


@each_mode
def test_a_named_pipe_is_written_when_somebody_reads(mode: str, tmp_path: Path) -> None:
    """Without a reader the alerts wait; with one they come whole."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    sink = make(path, **MODES[mode])
    send(sink, range(5))
    if mode == "kept":
        sink.flush(0.05)
    eventually(failing(sink), "some attempts")
    assert "nobody reads this named pipe" in str(sink.stats().last_error)
    received = b""

    def all_read() -> bool:
        nonlocal received
        with contextlib.suppress(BlockingIOError):
            received += os.read(reader, 1 << 16)
        return received.count(b"\n") == 5

    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        sink.stop(20)
        eventually(all_read, "the alerts")
        assert sink.close(10)
    finally:
        os.close(reader)
    assert numbers_in(received) == list(range(5))
    assert sink.stats().lost == 0


def test_a_named_pipe_whose_reader_leaves_is_waited_for_again(tmp_path: Path) -> None:
    """The next reader gets whole lines."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    sink = make(path, keep_alive=True, unbuffered=True)
    send(sink, [1])
    assert sink.flush(10)
    assert numbers_in(os.read(reader, 1000)) == [1]
    os.close(reader)
    send(sink, [2, 3])
    eventually(failing(sink), "some attempts")
    with open(path, "rb", opener=lambda name, _: os.open(name, os.O_RDONLY)) as again:
        assert sink.close(10)
        assert numbers_in(again.read()) == [2, 3]


# -- rotation, fsync, options ---------------------------------------------------------------------------------


@each_mode
def test_rotation_by_size(mode: str, tmp_path: Path) -> None:
    """No file grows beyond the limit, old ones are gzipped and numbered, and nothing is missing."""
    path = tmp_path / "alerts"
    with make(path, rotate_bytes=1000, rotate_keep=100, **MODES[mode]) as sink:
        send(sink, range(200))
    assert everything(path) == list(range(200))
    packed = list(tmp_path.glob("alerts.*.gz"))
    assert len(packed) >= 5
    assert all(len(gzip.decompress(each.read_bytes())) <= 1000 for each in packed)
    assert path.stat().st_size <= 1000
    assert {each.suffix for each in tmp_path.iterdir()} == {"", ".gz"}


def test_a_batch_may_need_more_files_than_the_stack_is_deep(tmp_path: Path) -> None:
    """A thousand alerts in one batch, each with a file of its own."""
    path = tmp_path / "alerts"
    sink = FileSink(path, rotate_bytes=10, rotate_keep=2)
    driver = VirtualDriver(sink)
    send(sink, range(1200))
    sink.stop()
    driver.run()
    assert driver.ended
    assert sink.stats().delivered == 1200
    assert everything(path) == [1197, 1198, 1199]


def test_rotation_keeps_so_many(tmp_path: Path) -> None:
    """rotate_keep bounds the number of old files; the oldest go."""
    path = tmp_path / "alerts"
    with make(path, rotate_bytes=100, rotate_keep=3) as sink:
        send(sink, range(30))
    assert len(list(tmp_path.glob("alerts.*.gz"))) == 3
    found = everything(path)
    assert found == list(range(found[0], 30))


def test_rotation_by_age(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is old enough is put away at the next alert, an empty one is not."""
    path = tmp_path / "alerts"
    now = 1_000_000.0
    monkeypatch.setattr("rxalerts.sinks._rotation.time.time", lambda: now)
    sink = make(path, rotate_seconds=60)
    for number, seconds in enumerate((0, 30, 31, 10, 60)):
        now += seconds
        send(sink, [number])
        assert sink.flush(10)
    assert sink.close(10)
    packed = {each.name: numbers_in(gzip.decompress(each.read_bytes())) for each in tmp_path.glob("*.gz")}
    assert packed == {"alerts.2.gz": [0, 1], "alerts.1.gz": [2, 3]}
    assert numbers_in(path.read_bytes()) == [4]


def test_rotation_that_cannot_pack_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compressing fails: the rotated file stays as it is, and is packed the next time."""
    path = tmp_path / "alerts"
    real, failures = shutil.copyfileobj, [OSError(errno.ENOSPC, "No space left on device")]

    def copy(*arguments: Any) -> None:
        if failures:
            raise failures.pop()
        real(*arguments)

    monkeypatch.setattr("rxalerts.sinks._rotation.shutil.copyfileobj", copy)
    with make(path, rotate_bytes=200, rotate_keep=100) as sink:
        send(sink, range(30))
    assert everything(path) == list(range(30))
    assert not list(tmp_path.glob("*.part"))


def test_rotated_files_keep_their_mode(tmp_path: Path) -> None:
    """What only root may read stays so."""
    path = tmp_path / "alerts"
    path.touch(0o640)
    path.chmod(0o640)
    with make(path, rotate_bytes=100) as sink:
        send(sink, range(10))
    oldest = max(tmp_path.glob("*.gz"), key=lambda each: each.name)
    assert oldest.stat().st_mode & 0o777 == 0o640


def test_fsync_comes_before_delivered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With fsync an alert counts as delivered only when it is on disk; what fails is tried again."""
    path = tmp_path / "alerts"
    sink = FileSink(path, fsync=True, retry=Retry(initial=1, maximum=1))
    driver = VirtualDriver(sink)
    synced: list[int] = []
    failures = [OSError(errno.EIO, "Input/output error")]

    def fsync(fd: int) -> None:
        if failures:
            raise failures.pop()
        synced.append(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    send(sink, [1, 2])
    driver.run()
    assert sink.stats().delivered == 0
    driver.advance(5)
    assert sink.stats().delivered == 2
    assert synced
    sink.stop()
    driver.run()


def test_fsync_of_what_is_no_file_is_left_out() -> None:
    """A device or a pipe cannot be synced: that is no failure."""
    with make("/dev/null", fsync=True) as sink:
        send(sink, range(3))
    assert sink.stats().delivered == 3
    assert sink.stats().retried == 0


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"path": ""}, "filename"),
        ({"rotate_bytes": 0}, "rotate_bytes"),
        ({"rotate_seconds": -1}, "rotate_seconds"),
        ({"rotate_keep": 0}, "rotate_keep"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], key: str) -> None:
    """An option that cannot be is refused when the sink is built."""
    with pytest.raises(OptionError) as caught:
        make(**{"path": "x", **options})
    assert caught.value.key == key
