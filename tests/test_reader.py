"""`read` takes files of every shape, and loses nothing on the way."""

import bz2
import gzip
import io
import json
import logging
import lzma
import os
import subprocess
import sys
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from rxalerts.alert import Alert
from rxalerts.errors import AlertError, MissingPackageError, OptionError
from rxalerts.wire import Reader, Rejected, read
from rxalerts.wire.unpack import is_packed

NS = 1507591916746609046


def alert(number: int) -> Alert:
    """Return an alert that differs from all others."""
    fields: dict[str, Any] = {
        "evt.time": NS + number,
        "proc.cmdline": f'sh -c "{number}" é',
        "user.uid": 4294967295,
        "x": None,
    }
    return Alert(
        f"Rule {number % 3}", "Warning", f"Shell (cmd=sh {number})", fields, time=NS + number, tags=["a"], hostname="h"
    )


ALERTS = [alert(number) for number in range(20)]


def text(form: Callable[[Alert], str], between: str = "\n") -> bytes:
    """Return the alerts written in some form."""
    return between.join(form(one) for one in ALERTS).encode()


def old(*keys: str) -> Callable[[Alert], str]:
    """Return how a Falco before 0.39 wrote alerts that had these keys."""

    def form(one: Alert) -> str:
        value = json.loads(one.to_json())
        line = json.dumps({key: value[key] for key in sorted(keys)}, separators=(",", ":"), ensure_ascii=False)
        fields = json.dumps(value["output_fields"], separators=(",", ":"), ensure_ascii=False)
        return f'{line[:-1]}, "output_fields": {fields}}}'

    return form


def sidekick(one: Alert) -> str:
    """Return what falcosidekick writes: its own key first, its own order, escaped HTML characters."""
    value = json.loads(one.to_json())
    keys = ["output", "priority", "rule", "time", "output_fields", "source", "tags", "hostname"]
    return json.dumps({"uuid": "8e6b1d1c-0000-4000-8000-000000000000", **{key: value[key] for key in keys}})


def pretty(one: Alert) -> str:
    """Return what `jq .` writes."""
    return json.dumps(json.loads(one.to_json()), indent=2)


def modern(one: Alert) -> str:
    """Return what Falco 0.39 and later write."""
    return one.to_json()


ERAS = {
    "0.8": (old("output", "priority", "rule", "time"), {"hostname", "source", "tags"}),
    "0.30": (old("output", "priority", "rule", "source", "tags", "time"), {"hostname"}),
    "0.33": (old("hostname", "output", "priority", "rule", "source", "tags", "time"), set[str]()),
    "0.39": (modern, set[str]()),
}


@pytest.mark.parametrize("era", ERAS)
def test_every_era(era: str, tmp_path: Path) -> None:
    """What each generation of Falco wrote comes back with every value that it had."""
    form, missing = ERAS[era]
    path = tmp_path / "events.txt"
    path.write_bytes(text(form) + b"\n")
    found = list(read(path))
    for one, back in zip(ALERTS, found, strict=True):
        values = json.loads(one.to_json())
        assert json.loads(back.to_json()) == {key: values[key] for key in values if key not in missing}
        assert back.time_ns == one.time_ns
        assert back.output_fields == one.output_fields
    if era != "0.39":
        again = [back.to_json(style="classic") for back in found]
        assert again == text(form).decode().split("\n")


SHAPES: dict[str, bytes] = {
    "lines": text(modern) + b"\n",
    "no final newline": text(modern),
    "crlf": text(modern, "\r\n") + b"\r\n",
    "blank lines": text(modern, "\n\n  \n") + b"\n\n",
    "glued": text(modern, ""),
    "glued with blanks": text(modern, " "),
    "two per line": text(modern, "\n").replace(b"}\n{", b"}{", 9),
    "pretty": text(pretty) + b"\n",
    "pretty, glued": text(pretty, ""),
    "array": b"[" + text(modern, ",") + b"]",
    "array over lines": b"[\n" + text(modern, ",\n") + b"\n]\n",
    "pretty array": json.dumps([json.loads(one.to_json()) for one in ALERTS], indent=4).encode(),
    "json sequence": b"\x1e" + text(modern, "\n\x1e") + b"\n",
    "utf-8 mark": b"\xef\xbb\xbf" + text(modern),
    "utf-16 le": text(modern, "\r\n").decode().encode("utf-16"),
    "utf-16 be": b"\xfe\xff" + text(modern, "\r\n").decode().encode("utf-16-be"),
    "utf-32": text(modern, "\r\n").decode().encode("utf-32"),
    "gzip": gzip.compress(text(modern)),
    "gzip members": b"".join(gzip.compress(one.to_json().encode() + b"\n") for one in ALERTS) + bytes(100),
    "bzip2": bz2.compress(text(modern)),
    "bzip2 streams": b"".join(bz2.compress(one.to_json().encode() + b"\n") for one in ALERTS),
    "xz": lzma.compress(text(modern)),
    "xz streams": b"".join(lzma.compress(one.to_json().encode() + b"\n") for one in ALERTS) + bytes(4),
    "gzip of utf-16": gzip.compress(text(pretty, "\r\n").decode().encode("utf-16")),
    "syslog": text(lambda one: f"<12>Oct  9 23:31:56 host falco[1]: {one.to_json()}"),
    "all at once": text(modern, "\n")
    + text(pretty, "").replace(b"{", b"\r\n\r\n[{", 1)
    + b"]"
    + gzip.compress(b"")[:0],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape(shape: str, tmp_path: Path) -> None:
    """Whatever happened to a log, the same alerts are in it."""
    path = tmp_path / "log"
    path.write_bytes(SHAPES[shape])
    reader = read(path, on_bad="raise")
    found = list(reader)
    assert found == (ALERTS if shape != "all at once" else ALERTS * 2)
    assert (reader.read, reader.rejected, reader.skipped) == (len(found), 0, 0)


def test_sidekick(tmp_path: Path) -> None:
    """falcosidekick's lines keep its key."""
    path = tmp_path / "log"
    path.write_bytes(text(sidekick))
    found = list(read(path, on_bad="raise"))
    assert [one.replace(extra={}) for one in found] == ALERTS
    assert all(one.extra == {"uuid": "8e6b1d1c-0000-4000-8000-000000000000"} for one in found)
    assert json.loads(found[0].to_json())["uuid"].startswith("8e6b")


def test_zstd(tmp_path: Path) -> None:
    """zstd files are known by their content, several frames included; a cut one gives what it has."""
    zstandard = pytest.importorskip("zstandard", reason="needs the package zstandard (the extra zstd)")
    packed = zstandard.ZstdCompressor().compress(SHAPES["lines"])
    path = tmp_path / "log"
    path.write_bytes(packed + packed)
    assert list(read(path, on_bad="raise")) == ALERTS * 2
    path.write_bytes(packed + packed[:-5])
    reader = read(path)
    assert list(reader)[:20] == ALERTS
    assert reader.first_rejects[-1].reason == "the zstd data are cut off"


def test_zstd_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a module that can unpack it, the error says what to install."""
    monkeypatch.setitem(sys.modules, "zstandard", None)
    monkeypatch.setitem(sys.modules, "compression.zstd", None)
    path = tmp_path / "log"
    path.write_bytes(b"\x28\xb5\x2f\xfd rest")
    with pytest.raises(
        MissingPackageError, match=r"install the package zstandard, as with pip install 'rxalerts\[zstd\]'"
    ):
        list(read(path))


@pytest.mark.parametrize("cut", [1, 5, 100, 200])
def test_cut_gzip(cut: int, tmp_path: Path) -> None:
    """A gzip file that was cut off gives the alerts before the cut, and says why it ends."""
    path = tmp_path / "log.gz"
    path.write_bytes(gzip.compress(SHAPES["lines"])[:-cut])
    reader = read(path)
    found = list(reader)
    assert found == ALERTS[: len(found)]
    if cut < 10:
        assert found == ALERTS
    assert reader.first_rejects[-1].reason == "the gzip data are cut off"
    assert 1 <= reader.rejected <= 2


def test_damaged_gzip(tmp_path: Path) -> None:
    """Damage inside a gzip file, and rubbish behind it, end the reading with one reject."""
    path = tmp_path / "log.gz"
    packed = bytearray(gzip.compress(os.urandom(5000).hex().encode()))
    packed[2000:2100] = bytes(100)
    path.write_bytes(gzip.compress(SHAPES["lines"]) + packed)
    reader = read(path)
    assert list(reader) == ALERTS
    assert reader.first_rejects[-1].reason.startswith("damaged gzip data")
    path.write_bytes(gzip.compress(SHAPES["lines"]) + b"rubbish")
    reader = read(path)
    assert list(reader) == ALERTS
    assert reader.rejected == 1


def test_memory_is_constant(tmp_path: Path) -> None:
    """A gzip bomb without a newline, and objects without end, are read through without being kept."""
    path = tmp_path / "bomb.gz"
    packer = zlib.compressobj(9, wbits=31)
    with path.open("wb") as file:
        for data in (
            b"\n" + modern(ALERTS[0]).encode() + b"\n",
            b'{"a":"' + b"x" * 50_000_000 + b'"}',
            b" " * 30_000_000,
        ):
            file.write(packer.compress(data))
        file.write(packer.compress(b"\n" + modern(ALERTS[1]).encode() + b'{"rule":[' + b"[" * 5_000_000))
        file.write(packer.flush())
    tracemalloc.start()
    try:
        reader = read(path)
        assert list(reader) == ALERTS[:2]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16_000_000
    assert [piece.size for piece in reader.first_rejects[:2]] == [50_000_008, 30_000_000]
    assert reader.first_rejects[0].reason == "longer than max_record (1048576 bytes)"
    assert len(reader.first_rejects[0].raw) == 4096
    assert reader.first_rejects[0].marked.endswith("…[49995912 bytes more]".encode())


@pytest.mark.parametrize("pack", [bz2.compress, lzma.compress])
def test_bombs_of_other_packers(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    """A block of bzip2 or xz that holds 100 MB of nothing does not fill the memory; cut off, it says so."""
    path = tmp_path / "bomb"
    packed = pack(bytes(100_000_000) + b"\n" + modern(ALERTS[0]).encode())
    path.write_bytes(packed)
    tracemalloc.start()
    try:
        assert list(read(path)) == ALERTS[:1]
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
    finally:
        tracemalloc.stop()
    path.write_bytes(packed[:-4])
    reader = read(path)
    list(reader)
    assert reader.first_rejects[-1].reason.endswith(" data are cut off")


def bad_log() -> tuple[bytes, list[tuple[int, bytes]]]:
    """Return a log with bad pieces in it, and these with their line numbers."""
    good = [one.to_json().encode() for one in ALERTS]
    lines = [
        good[0],
        b"not an alert",
        b'tput":"10:20:05.408091526: Critical half an alert","priority":"Critical"}',
        good[1],
        b'{"output":"16:31:5' + good[2],
        b'{"rule":"r"}',
        b'{"rule":"r","priority":',
        good[3],
        b'{"rule": {',
        b'  "a": 1,',
        good[4],
        b"\x00\x00\x00" + good[5],
        b'{"sample":1,"output_fields":{}}',
        good[6],
        b'{"a":1',
    ]
    rejects = [
        (2, b"not an alert"),
        (3, b'tput":"10:20:05.408091526: Critical half an alert","priority":"Critical"}'),
        (5, b'{"output":"16:31:5'),
        (6, b'{"rule":"r"}'),
        (7, b'{"rule":"r","priority":'),
        (9, b'{"rule": {\n  "a": 1,'),
        (12, b"\x00\x00\x00"),
        (13, b'{"sample":1,"output_fields":{}}'),
        (15, b'{"a":1'),
    ]
    return b"\n".join(lines), rejects


def test_rejects_have_place_reason_and_bytes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Every bad piece is reported with line, offset, reason and bytes; the alerts around are all there."""
    data, wanted = bad_log()
    path = tmp_path / "log"
    path.write_bytes(data)
    with caplog.at_level(logging.WARNING, "rxalerts.wire"):
        reader = read(path)
        assert list(reader) == ALERTS[:7]
    assert [(piece.line, piece.raw) for piece in reader.first_rejects] == wanted
    for piece in reader.first_rejects:
        assert data[piece.offset : piece.offset + piece.size] == piece.raw
        assert piece.reason
    assert (reader.read, reader.rejected) == (7, len(wanted))
    assert len(caplog.records) == 1
    assert "log: not everything is an alert; first: line 2, byte " in caplog.text
    assert reader.first_rejects[3].text == "priority: missing"


def test_on_bad_raise(tmp_path: Path) -> None:
    """The first bad piece raises, with path and line."""
    path = tmp_path / "log"
    path.write_bytes(bad_log()[0])
    reader = read(path, on_bad="raise")
    assert next(reader) == ALERTS[0]
    with pytest.raises(AlertError, match=r"log:2: not an alert") as caught:
        list(reader)
    assert (caught.value.path, caught.value.line, caught.value.raw) == (str(path), 2, b"not an alert")


def test_on_bad_does_not_empty_the_input(tmp_path: Path) -> None:
    """The input's own path for what is no alert is refused, by whatever name."""
    path = tmp_path / "log"
    path.write_bytes(b"garbage\n")
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(OptionError, match="is the file that is read"):
        read(path, on_bad=tmp_path / "link")
    assert path.read_bytes() == b"garbage\n"


def test_on_bad_function_and_files(tmp_path: Path) -> None:
    """A function gets every reject; a path and an open file get their bytes, one per line."""
    data, wanted = bad_log()
    pieces: list[Rejected] = []
    assert list(read(io.BytesIO(data), on_bad=pieces.append)) == ALERTS[:7]
    assert [piece.raw for piece in pieces] == [raw for _, raw in wanted]
    assert list(read(io.BytesIO(data), on_bad=tmp_path / "rejects")) == ALERTS[:7]
    lines = (tmp_path / "rejects").read_bytes().split(b"\n")
    assert lines == [raw.replace(b"\n", b" ") for _, raw in wanted] + [b""]
    sink = io.BytesIO()
    assert list(read(io.BytesIO(data), on_bad=sink)) == ALERTS[:7]
    assert sink.getvalue().split(b"\n") == lines


def test_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths as text, binary and text files, raw files and standard input are all read."""
    path = tmp_path / "log"
    path.write_bytes(SHAPES["lines"])
    assert list(read(str(path))) == ALERTS
    with path.open("rb") as binary, path.open(encoding="utf-8") as chars, path.open("rb", buffering=0) as raw:
        assert list(read(binary)) == list(read(chars)) == list(read(raw)) == ALERTS
        assert not binary.closed
    assert list(read(io.StringIO(SHAPES["pretty"].decode()))) == ALERTS
    with path.open("rb") as binary:
        chars = io.TextIOWrapper(binary)
        monkeypatch.setattr(sys, "stdin", chars)
        assert list(read("-")) == ALERTS
        chars.detach()


def test_a_pipe_is_not_waited_for() -> None:
    """Alerts that have come through a pipe are given at once, not when a block is full."""
    receiver, sender = os.pipe()
    with open(receiver, "rb") as source, open(sender, "wb", buffering=0) as target:
        target.write(ALERTS[0].to_json().encode() + b"\n")
        reader = read(source)
        assert next(reader) == ALERTS[0]
        target.write(ALERTS[1].to_json().encode() + b"\n")
        assert next(reader) == ALERTS[1]


def test_missing_file(tmp_path: Path) -> None:
    """A file that is not there is the usual error, at once."""
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none")


def test_close(tmp_path: Path) -> None:
    """Closed, a reader gives nothing more; a with block closes it; both twice if need be."""
    path = tmp_path / "log"
    path.write_bytes(SHAPES["lines"])
    with read(path, on_bad=tmp_path / "rejects") as reader:
        assert next(reader) == ALERTS[0]
        assert isinstance(reader, Iterator)
    reader.close()
    assert list(reader) == []
    read(path).close()


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put the machine into UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("utc")
def test_the_day_comes_from_the_file(tmp_path: Path) -> None:
    """A file's time stamp is the day of its last line; midnights in between are counted back."""
    path = tmp_path / "events.txt"
    clocks = ["10:00:00", "23:59:59", "00:00:01", "22:00:00", "03:00:00"]
    path.write_text("".join(f"{clock}.000000000: Error m\n" for clock in clocks))
    stamp = datetime(2023, 3, 5, 4, 0).timestamp()
    os.utime(path, (stamp, stamp))
    days = ["2023-03-03", "2023-03-03", "2023-03-04", "2023-03-04", "2023-03-05"]
    assert [one.time[:10] for one in read(path)] == days
    first = datetime(2020, 1, 1).date()
    assert [one.time[:10] for one in read(path, date=first)] == [f"2020-01-0{day}" for day in (1, 1, 2, 2, 3)]
    packed = tmp_path / "events.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    os.utime(packed, (stamp, stamp))
    assert is_packed(packed.read_bytes()[:4])
    assert [one.time[:10] for one in read(packed)] == days
    packed.write_bytes(gzip.compress(path.read_bytes())[:-9])
    os.utime(packed, (stamp, stamp))
    assert [one.time[:10] for one in read(packed)] == days
    with path.open("rb") as file:
        assert list(read(file))[0].time[:10] == "2023-03-05"  # noqa: RUF015


def test_reader_is_what_read_returns() -> None:
    """`read` returns a `Reader` with all counters at nought."""
    reader = read(io.BytesIO(b""))
    assert isinstance(reader, Reader)
    assert (list(reader), reader.read, reader.rejected, reader.skipped, reader.first_rejects) == ([], 0, 0, 0, [])


def test_command_line_pipe() -> None:
    """Standard input works across a real pipe."""
    code = "import rxalerts.wire as w; print(sum(1 for _ in w.read('-')))"
    run = subprocess.run(
        [sys.executable, "-c", code], input=SHAPES["pretty"], capture_output=True, timeout=60, check=True
    )
    assert run.stdout == b"20\n"
