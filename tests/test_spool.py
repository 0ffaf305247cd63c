"""The spool's file: transactions, schema, lock, damage."""

import contextlib
import logging
import os
import random
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rxalerts.errors import SinkError
from rxalerts.flow import rows as rows_module
from rxalerts.flow import spool as module
from rxalerts.flow.rows import Row, as_item, as_row
from rxalerts.flow.spool import Spool
from tests.support.durably import alert, number_of


def rows(numbers: range, *, size: int = 0) -> list[Row]:
    """Return rows whose ids are their alerts' numbers."""
    return [as_row(number, alert(number, size=size), 1.5) for number in numbers]


def fill(path: Path, numbers: range, *, size: int = 0, priority: str = "notice") -> list[Row]:
    """Make a spool with these alerts, closed in order."""
    spool = Spool(str(path))
    written = [as_row(number, alert(number, priority, size), 1.5) for number in numbers]
    spool.commit(written, {})
    spool.close()
    return written


def ids(spool: Spool) -> list[int]:
    """Return all ids, in order."""
    return [row.id for row in spool.load(0, 1_000_000)]


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """Where the spool is."""
    yield tmp_path / "spool" / "http.spool"


# -- transactions ---------------------------------------------------------------------------------------------


def test_rows_come_back_as_they_were(path: Path) -> None:
    """Alerts survive closing and opening, in order, with their counts."""
    written = fill(path, range(1, 11))
    spool = Spool(str(path))
    assert spool.load(0, 100) == written
    assert (spool.count, spool.last_id) == (10, 10)
    assert spool.bytes == sum(row.size for row in written)
    assert [number_of(as_item(row)) for row in spool.load(4, 2)] == [5, 6]
    spool.close()


_KINDS = st.tuples(
    st.integers(0, 8),
    st.sampled_from([1.5, 2.25]),
    st.sampled_from([0, 0, 0, 3]),
    st.binary(min_size=1, max_size=40),
    st.sampled_from([None, None, None, b"", b"text"]),
    st.sampled_from([None, None, None, "text/plain"]),
)


@given(kinds=st.lists(_KINDS, max_size=12), alike=st.booleans(), gap=st.integers(0, 12), many=st.integers(1, 5))
@settings(deadline=None, max_examples=100)
def test_rows_of_any_kind_and_mixture_are_kept(
    kinds: list[tuple[int, float, int, bytes, bytes | None, str | None]], alike: bool, gap: int, many: int
) -> None:
    """However rows differ, in whatever portions they are written, and without SQLite's JSON: they come back equal."""
    if alike:
        kinds = [(kind[0], *kinds[0][1:3], kind[3], *kinds[0][4:]) for kind in kinds]
    written = [Row(number + (number > gap), *kind) for number, kind in enumerate(kinds, 1)]
    for has_json, limit in ((True, 1 << 24), (True, 20), (False, 1 << 24)):
        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
            patch.setattr(rows_module, "_MANY", many)
            patch.setattr(rows_module, "_MANY_BYTES", limit)
            patch.setattr(rows_module, "_HAS_JSON", has_json)
            spool = Spool(f"{folder}/a.spool")
            spool.commit(written, {})
            assert spool.load(0, 100) == written
            spool.close()


@pytest.mark.parametrize("gone", ["", "-wal"])
@pytest.mark.parametrize("page_size", [4096, 8192])
def test_a_spool_that_loses_a_file_is_written_anew(path: Path, gone: str, page_size: int) -> None:
    """One of its files is removed while in use, of whatever version it was: it is put back with all that it holds."""
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA page_size = {page_size}")
        connection.execute("VACUUM")
    connection.close()
    written = fill(path, range(1, 11))
    spool = Spool(str(path))
    assert spool.in_place
    Path(f"{path}{gone}").unlink()
    assert not spool.in_place
    spool.restore()
    assert spool.in_place and spool.load(0, 100) == written
    more = rows(range(11, 21))
    spool.commit(more, {1: written[0].size})
    copy = path.parent / "after-a-crash.spool"
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
    spool.close()
    for each in (path, copy):
        again = Spool(str(each))
        assert again.load(0, 100) == [*written[1:], *more]
        again.close()


def test_a_spool_that_begins_anew_gives_its_space_back(path: Path) -> None:
    """It is empty, small, where it was, and goes on with the ids behind the last one; an empty one has none to give."""
    written = fill(path, range(1, 1001), size=500)
    spool = Spool(str(path))
    before = path.stat().st_size
    done = range(1, 1001)
    assert not spool.clear(done[1:]) and not spool.clear({*done[1:], 2000})
    assert spool.clear(done) and not spool.in_place
    spool.restore()
    assert (spool.count, spool.bytes, spool.last_id, spool.in_place) == (0, 0, len(written), True)
    assert path.stat().st_size < before / 4
    assert not spool.clear(done)
    spool.close()
    again = Spool(str(path))
    assert (again.count, again.last_id) == (0, len(written))
    again.close()


def test_deleting_keeps_the_counts(path: Path) -> None:
    """After any mix of writing and deleting, count and bytes are what the rows say."""
    spool = Spool(str(path))
    sizes: dict[int, int] = {}
    chance = random.Random(7)
    for turn in range(50):
        new = rows(range(turn * 10 + 1, turn * 10 + 11), size=chance.randrange(300))
        sizes |= {row.id: row.size for row in new}
        gone = chance.sample(sorted(sizes), min(len(sizes), chance.randrange(15)))
        spool.commit(new, {row_id: sizes.pop(row_id) for row_id in gone})
        assert (spool.count, spool.bytes) == (len(sizes), sum(sizes.values()))
    assert ids(spool) == sorted(sizes)
    spool.close()
    again = Spool(str(path))
    assert (again.count, again.bytes) == (len(sizes), sum(sizes.values()))
    again.close()


def test_a_failed_transaction_changes_nothing(path: Path) -> None:
    """A row whose id is taken undoes the whole transaction, and the counts stay."""
    fill(path, range(1, 4))
    spool = Spool(str(path))
    with pytest.raises(sqlite3.Error):
        spool.commit([*rows(range(4, 6)), *rows(range(1, 2))], {2: 1})
    assert ids(spool) == [1, 2, 3]
    assert spool.count == 3
    spool.close()


def test_ids_are_never_used_again(path: Path) -> None:
    """The last id survives the deletion of all rows."""
    written = fill(path, range(1, 6))
    spool = Spool(str(path))
    spool.commit([], {row.id: row.size for row in written})
    spool.close()
    again = Spool(str(path))
    assert (again.count, again.bytes, again.last_id) == (0, 0, 5)
    again.close()


def test_attempts_and_due_times_survive(path: Path) -> None:
    """What failed is counted on its row, with the moment of the next attempt."""
    fill(path, range(1, 4))
    spool = Spool(str(path))
    spool.commit([], {}, [(1, 1234.5), (2, 1234.5)])
    spool.commit([], {}, [(1, 2345.5)])
    spool.close()
    again = Spool(str(path))
    assert [row.attempts for row in again.load(0, 10)] == [2, 1, 0]
    assert again.due() == 2345.5
    again.close()


def test_victims_by_age_and_by_urgency(path: Path) -> None:
    """drop_oldest takes from the front; drop_lowest the least urgent, oldest first, and new ones if they are it."""
    spool = Spool(str(path))
    kinds = ["critical", "debug", "notice", "debug", "critical"]
    stored = [as_row(number, alert(number, kind), 1.5) for number, kind in enumerate(kinds, 1)]
    spool.commit(stored, {})
    new = [as_row(6, alert(6, "informational"), 1.5)]
    size = stored[0].size
    assert [row.id for row in spool.victims(0, new, 2 * size, lowest=False)][:2] == [1, 2]
    assert [row.id for row in spool.victims(0, new, 3 * size + 100, lowest=True)] == [2, 4, 6, 3]
    assert [row.id for row in spool.victims(2, new, 1, lowest=True)] == [4]
    spool.close()


# -- modes, lock, schema --------------------------------------------------------------------------------------


def test_only_the_owner_can_read(path: Path) -> None:
    """The folder has mode 0700, every file in it 0600, whatever the umask."""
    before = os.umask(0)
    try:
        spool = Spool(str(path))
        spool.commit(rows(range(1, 3)), {})
        modes = {name.name: stat.S_IMODE(name.stat().st_mode) for name in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert modes and set(modes.values()) == {0o600}
    assert {"http.spool", "http.spool-wal", "http.lock"} <= modes.keys()
    spool.close()


def test_a_symbolic_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    """A link in the place of the file, put there by somebody else, is refused."""
    path.parent.mkdir()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SinkError, match="cannot be opened"):
        Spool(str(path))
    assert not (tmp_path / "elsewhere").exists()


def test_a_second_process_is_refused_by_name(path: Path) -> None:
    """The message names the file, the process that has it, and what to do; then the file is free again."""
    code = (
        "import sys; from rxalerts.flow.spool import Spool\n"
        "spool = Spool(sys.argv[1]); print('open', flush=True); input()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdin is not None and other.stdout is not None
    assert other.stdout.readline() == "open\n"
    with pytest.raises(SinkError) as caught:
        Spool(str(path))
    other.kill()
    other.wait()
    other.stdin.close()
    other.stdout.close()
    message = str(caught.value)
    assert "http.lock" in message and f"pid {other.pid}" in message and "another name or spool_dir" in message
    Spool(str(path)).close()


def test_a_second_sink_of_the_same_process_is_refused(path: Path) -> None:
    """Two sinks of one name would mix their backlogs."""
    spool = Spool(str(path))
    with pytest.raises(SinkError, match="another sink of this process"):
        Spool(str(path))
    spool.close()


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    """The message names the folder and the option."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match="set spool_dir"):
        Spool(str(tmp_path / "file" / "http.spool"))


def test_an_older_schema_is_migrated(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of version 1 opened by a program of version 3 keeps its backlog, and has what is new."""
    fill(path, range(1, 6))
    steps = ["ALTER TABLE alerts ADD COLUMN note TEXT", "CREATE TABLE more (x); CREATE TABLE yet (x)"]
    monkeypatch.setattr(module, "MIGRATIONS", [*module.MIGRATIONS, *steps])
    spool = Spool(str(path))
    assert ids(spool) == [1, 2, 3, 4, 5]
    spool.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (3,)
        assert connection.execute("SELECT note FROM alerts LIMIT 1").fetchone() == (None,)
    connection.close()


def test_a_migration_that_fails_leaves_the_file_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a migration would be worse than none."""
    fill(path, range(1, 6))
    with monkeypatch.context() as patch:
        patch.setattr(module, "MIGRATIONS", [*module.MIGRATIONS, "CREATE TABLE more (x); CREATE TABLE alerts (x)"])
        patch.setattr(module, "is_damage", lambda error, opening: False)  # pyright: ignore
        with pytest.raises(SinkError, match="already exists"):
            Spool(str(path))
    spool = Spool(str(path))
    assert ids(spool) == [1, 2, 3, 4, 5]
    spool.close()


def test_a_newer_schema_is_refused_and_left_alone(path: Path) -> None:
    """The message names both versions; nothing is set aside."""
    fill(path, range(1, 6))
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(SinkError, match=r"newer version of rxalerts \(schema 99, this one knows 1\)"):
        Spool(str(path))
    assert path.read_bytes() == before
    assert not list(path.parent.glob("*.corrupt*"))


# -- damage ---------------------------------------------------------------------------------------------------


def damage(path: Path, offset: int, data: bytes) -> None:
    """Write bytes into a file."""
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def test_what_is_no_database_is_set_aside(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Garbage in the place of the file is kept under another name, reported, and replaced by an empty spool."""
    path.parent.mkdir()
    path.write_bytes(b"no database at all " * 1000)
    with caplog.at_level(logging.ERROR, "rxalerts"):
        spool = Spool(str(path))
    assert (spool.count, ids(spool)) == (0, [])
    (aside,) = path.parent.glob("http.spool.corrupt-*")
    assert aside.read_bytes().startswith(b"no database")
    assert str(aside) in caplog.text and "0 alerts were saved" in caplog.text
    spool.commit(rows(range(1, 3)), {})
    spool.close()


@pytest.mark.parametrize("keep", [0.9, 0.5, 0.1])
def test_a_truncated_file_is_salvaged(path: Path, caplog: pytest.LogCaptureFixture, keep: float) -> None:
    """What is left of a file that was cut short is taken over, in order, with its ids, when the damage is met."""
    written = {row.id: row for row in fill(path, range(1, 2001), size=300)}
    os.truncate(path, int(path.stat().st_size * keep))
    with contextlib.closing(Spool(str(path))) as spool:
        found = spool.load(0, 10_000)
        assert sum(written[row.id] != row for row in found) <= 2
        assert spool.count == len(found)
    assert len(found) > 2000 * keep * 0.75
    assert "were saved from it" in caplog.text


@pytest.mark.parametrize("seed", range(6))
def test_garbage_in_the_middle_costs_only_what_it_hits(path: Path, seed: int) -> None:
    """With garbage over a few pages, every row that comes back is whole or known to be damaged, and most do."""
    written = {row.id: row for row in fill(path, range(1, 2001), size=300)}
    chance = random.Random(seed)
    for _ in range(3):
        offset = chance.randrange(4096 * 2, path.stat().st_size - 8192)
        damage(path, offset, chance.randbytes(2000))
    spool = Spool(str(path))
    with contextlib.closing(spool):
        _all_whole(spool, written)


def _all_whole(spool: Spool, written: dict[int, Row]) -> None:
    """Read everything, mending what has to be, and compare."""
    try:
        ids(spool)
        spool.replace(sqlite3.DatabaseError("for good measure"))
    except sqlite3.DatabaseError as error:
        spool.replace(error)
    found = spool.load(0, 10_000)
    assert [row.id for row in found] == sorted(row.id for row in found)
    whole = [row for row in found if written.get(row.id) == row]
    assert len(whole) > 1900


def test_a_schema_that_is_none_of_ours_is_set_aside(path: Path) -> None:
    """A database of another program in the place of ours is kept, not used."""
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE other (x)")
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    spool = Spool(str(path))
    assert ids(spool) == []
    assert list(path.parent.glob("*.corrupt*"))
    spool.close()


def crashed(path: Path, count: int) -> None:
    """Leave a spool as a crash does: the newest alerts are in the write-ahead log only."""
    fill(path, range(1, 101))
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[3]); from rxalerts.flow.spool import Spool\n"
        "from tests.test_spool import rows\n"
        "spool = Spool(sys.argv[1]); spool.commit(rows(range(101, 101 + int(sys.argv[2]))), {}); os._exit(9)"
    )
    root = str(Path(__file__).resolve().parent.parent)
    assert subprocess.run([sys.executable, "-c", code, str(path), str(count), root]).returncode == 9
    assert Path(f"{path}-wal").stat().st_size


def test_a_log_left_by_a_crash_is_read(path: Path) -> None:
    """What was committed before a crash is there after it."""
    crashed(path, 50)
    spool = Spool(str(path))
    assert ids(spool) == list(range(1, 151))
    spool.close()


def test_a_damaged_log_is_set_aside_and_reported(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """SQLite passes over a log whose head is garbage in silence; here it is kept, and said."""
    crashed(path, 50)
    damage(Path(f"{path}-wal"), 0, b"garbage" * 10)
    spool = Spool(str(path))
    assert ids(spool) == list(range(1, 101))
    assert "http.spool-wal: damaged" in caplog.text
    assert list(path.parent.glob("http.spool-wal.corrupt-*"))
    spool.close()


def test_a_torn_log_loses_only_its_end(path: Path) -> None:
    """A log cut in the middle of a transaction gives a clean prefix."""
    crashed(path, 50)
    wal = Path(f"{path}-wal")
    os.truncate(wal, wal.stat().st_size - 100)
    spool = Spool(str(path))
    assert ids(spool) == list(range(1, 101))
    spool.close()


def test_garbage_in_the_log_gives_a_clean_prefix(path: Path) -> None:
    """A frame whose checksum is wrong ends the log: what is before it is whole."""
    crashed(path, 50)
    wal = Path(f"{path}-wal")
    damage(wal, wal.stat().st_size // 2, b"\xff" * 500)
    spool = Spool(str(path))
    assert ids(spool) == list(range(1, 101))
    spool.close()
