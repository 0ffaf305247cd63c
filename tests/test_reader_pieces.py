"""However the input is cut and broken, the reader finds the same alerts, keeps its promises and ends."""

import time
from collections.abc import Iterator
from datetime import date

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rxalerts.alert import Alert
from rxalerts.wire import Decoder, Rejected, read
from rxalerts.wire.scanner import BAD, DONE, MORE, Scanner

GOOD = b'{"hostname":"h","output":"o","output_fields":{"n":%d},"priority":"Error","rule":"r","time":"%s"}'
TIME = b"2024-01-01T00:00:00.000000000Z"

Summary = list[tuple[object, ...]]

FRAGMENTS = st.sampled_from(
    [
        *(
            b"\n",
            b"\r\n",
            b" ",
            b"\t",
            b"{",
            b"}",
            b"[",
            b"]",
            b",",
            b'"',
            b"\\",
            b":",
            b"(",
            b")",
            b"\x00",
            b"\xff",
            b"\x1e",
        ),
        *(b'{"rule":', b'"priority":"Error"', b'{"output":"16:31:5', b"\n{", b"}\n", b"null", b"-12.5e3", b"true"),
        b'{\n  "rule": "r",\n  "priority": "debug",\n  "time": "2024-01-01T00:00:00Z"\n}',
        b'{"a":[1,2,{"b":"c"}],"priority":5,"output":"10:00:00.5: Error x","z":"\\ud800"}',
        b'){"priority":3,"rule":"q","time":{"seconds":1}}',
        b"10:20:05.408091526: Warning Foo (a=b c=d)",
        b"2024-01-01T10:20:05.408091526+0000: Warning Foo (a=b c=d)",
        b"10:20:05.4",
        b"<12>Jun  7 10:20:05 ubuntu falco: Opened (a=b)",
        b"<5>Jun  7 10:20:05 ubuntu falco[1]: ",
        b"Fri Feb  7 12:30:28 2020: hello",
        b"Events detected: 3",
        b"   x: 8",
        b"\xef\xbb\xbf",
        GOOD % (1, TIME),
    ]
)
INPUTS = st.lists(FRAGMENTS | st.binary(max_size=6), max_size=14).map(b"".join)
COLLECTED = st.sampled_from(
    [
        *(b"2024-01-01T10:20:05.408091526Z stdout %c " % part for part in b"FPF"),
        *(b"\n2024-01-01T10:20:05Z stderr %c " % part for part in b"FPF"),
        b"falco-1  | ",
        b"[pod/a/b] ",
        b"\x1b[33m",
        b"[1704104405, ",
        b"2024-01-01T10:20:05Z ",
        b"2024-01-01T10:20:05Z\tfalco\t",
        b"Jan  1 10:20:05 host sshd[1]: ",
        b'{"log":"{\\"rule\\":\\"r\\",","stream":"stdout"}\n',
        b'{"log":"\\"priority\\":1}\\n","stream":"stdout","time":"2024-01-01T10:20:05Z"}\n',
        b'{"log":"10:20:05.408091526: Warning Foo (a=b c=d)","stream":"stderr"}',
        b'{"streams":[{"values":[["1704104405408091526","10:20:05.4: Warning Foo"],["1","x"]]}]}',
        b'{"event":{"rule":"r","priority":"debug"}}',
    ]
)
RECORDS = st.lists(FRAGMENTS | COLLECTED, max_size=12).map(b"".join)


@pytest.fixture(autouse=True, scope="module")
def fixed_clock() -> Iterator[None]:
    """Stop the clock: alerts without a time get the present one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time_ns", lambda: 1_704_100_000_123_456_789)
        yield


def decode(data: bytes, cuts: list[int], max_record: int) -> tuple[Summary, int, list[int]]:
    """Return what a decoder makes of some data that comes in pieces."""
    decoder = Decoder(date=date(2024, 1, 1), max_record=max_record)
    found: list[Alert | Rejected] = []
    ends: list[int] = []
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        found += decoder.feed(data[start:end])
        ends += decoder.ends
        assert len(found) == len(ends)
    found += decoder.close()
    ends += decoder.ends
    assert len(found) == len(ends)
    assert ends == sorted(ends)
    assert decoder.rejected == sum(isinstance(one, Rejected) for one in found)
    summary: Summary = [
        (one.to_json(), one.to_text())
        if isinstance(one, Alert)
        else (one.line, one.offset, one.reason, one.raw, one.size)
        for one in found
    ]
    return summary, decoder.skipped, ends


@given(INPUTS | RECORDS, st.sampled_from([1 << 20, 300, 120, 40]), st.data())
@settings(max_examples=400, deadline=None)
@example(b' {"rule":"r","priority":1}x' + b"y" * 300 + b"\n", 120, None)
def test_cuts_make_no_difference(data: bytes, max_record: int, draw: st.DataObject | None) -> None:
    """Fed byte by byte, in pieces or as a whole, the result is the same, down to lines and offsets."""
    whole = decode(data, [], max_record)
    assert decode(data, list(range(1, len(data))), max_record)[:2] == whole[:2]
    if draw is not None:
        cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=3)))
        assert decode(data, cuts, max_record)[:2] == whole[:2]


@pytest.mark.parametrize("between", [b"", b",", b", ", b"]", b"\x1e", b"\r", b"    ", b" ,  \t"])
def test_an_object_that_has_ended_does_not_wait_for_its_line(between: bytes) -> None:
    """Whatever may stand between two of them follows it: an array that is written bit by bit need have no newlines."""
    one = b'{"rule":"r","priority":"Error","time":"2024-01-01T00:00:00Z"}' + between
    decoder = Decoder()
    assert [len(decoder.feed(one)) for _ in range(3)] == [1, 1, 1]


@given(INPUTS)
@settings(max_examples=200, deadline=None)
def test_reading_can_go_on_at_each_end(data: bytes) -> None:
    """From where a piece ends, a new decoder finds exactly the pieces that followed."""
    summary, _, ends = decode(data, [], 1 << 20)
    marks = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
    if any(data.startswith(mark) for mark in marks):
        return
    for index, end in enumerate(ends):
        if any(data[end:].startswith(mark) for mark in marks):
            continue
        rest = decode(data[end:], [], 1 << 20)[0]
        places = [one[2:] if len(one) == 5 else one for one in rest]
        assert places == [one[2:] if len(one) == 5 else one for one in summary[index + 1 :]]


@given(
    st.lists(
        (INPUTS | RECORDS).filter(lambda data: b"\xff\xfe" not in data and b"\xfe\xff" not in data),
        min_size=1,
        max_size=4,
    )
)
@settings(max_examples=200, deadline=None)
def test_no_alert_is_lost_among_garbage(parts: list[bytes]) -> None:
    """An alert on a line of its own is found, whatever stands on the lines around it."""
    lines: list[bytes] = []
    for number, part in enumerate(parts):
        lines += [part, GOOD % (1000 + number, TIME)]
    decoder = Decoder(date=date(2024, 1, 1))
    found = [*decoder.feed(b"\n".join(lines) + b"\n"), *decoder.close()]
    numbers = [one.output_fields.get("n") for one in found if isinstance(one, Alert)]
    assert [number for number in numbers if isinstance(number, int) and number >= 1000] == [
        1000 + number for number in range(len(parts))
    ]


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_read_never_raises(data: bytes) -> None:
    """Any bytes at all are read to the end; so are they as a file that looks packed."""

    class File:
        """A file that gives a few bytes at a time."""

        def __init__(self, content: bytes) -> None:
            self._content = content

        def read(self, size: int, /) -> bytes:
            """Return the next bytes."""
            piece, self._content = self._content[:7], self._content[7:]
            return piece

    for content in (data, b"\x1f\x8b\x08\x00" + data, b"\x1f\x8b" + data):
        reader = read(File(content), on_bad=lambda piece: None)
        found = list(reader)
        assert reader.read == len(found)


@pytest.mark.parametrize(
    "data",
    [
        b'{"rule":' * 100_000,
        b'{"rule":"' * 100_000 + b"\n",
        b'{"rule":"x"' * 80_000 + b"\n",
        b'{"a":\n' * 150_000,
        b"{\n" * 400_000,
        b"[" * 1_000_000,
        b"[{" * 400_000 + b"\n",
        b'{"rule":"r","priority":' + b"9" * 1_000_000 + b"}\n",
        b'10:20:05.408091526: Warning (a=b){"rule":"' * 20_000 + b'"priority"\n',
        b"10:20:05.408091526: Warning Foo (a=b)" * 25_000 + b'"priority"\n',
        b"10:20:05.408091526: Warning Foo (" + b"a=b " * 200_000 + b"\n",
        b"<1>1 " + b"a " * 400_000 + b"\n",
        b"<1>1 2024-01-01T00:00:00Z a b c [" + b'a="b" ' * 100_000 + b"\n",
        b"}" * 500_000 + b"\n",
        b'{"rule":1}' * 80_000,
        b"\\" * 900_000 + b"\n",
        b'{"a":"' + b"\\u0041" * 160_000 + b'"}\n',
        b"2024-01-01T10:20:05Z stdout P x\n" * 30_000,
        b'{"log":"{","stream":"stdout"}\n' * 30_000,
        b'{"log":"}","stream":"stdout"}\n' * 30_000,
        b"".join(b'{"log":"x","stream":"%d"}\n' % number for number in range(10_000)),
        b'{"streams":[{"values":[' + b'["1","x"],' * 30_000 + b'["1","x"]]}]}\n',
        b'{"event":' * 100_000 + b"\n",
        b"[pod/a/b] " * 90_000 + b"\n",
        b"a | " * 200_000 + b"\n",
        b"\x1b[33m" * 180_000 + b"\n",
        b"a" * 900_000 + b"\n",
        b"[, " * 300_000 + b"\n",
        b'2024-01-01T10:20:05Z {a="' + b"a" * 900_000 + b"\n",
        b"Jan  1 10:20:05 host " + b"a" * 900_000 + b"\n",
    ],
    ids=lambda data: repr(data[:24]),
)
def test_time_is_linear(data: bytes) -> None:
    """Input that was made to be slow is not: a megabyte takes seconds at most."""
    decoder = Decoder(date=date(2024, 1, 1))
    start = time.perf_counter()
    for pos in range(0, len(data), 1 << 16):
        decoder.feed(data[pos : pos + (1 << 16)])
    decoder.feed(b"\n" + GOOD % (7, TIME) + b"\n")
    decoder.close()
    assert time.perf_counter() - start < 20


@pytest.mark.parametrize(
    ("data", "result", "pos"),
    [
        (b'{"a":1}x', DONE, 7),
        (b"{}", DONE, 2),
        (b'{"a":[{},[],"]}",{"b":null}]} ', DONE, 29),
        (b'{"a":"\\"}"}', DONE, 11),
        (b'{"a":"b\\', MORE, 7),
        (b'{"a":12', MORE, 7),
        (b'{"a" b', BAD, 5),
        (b"{,", BAD, 1),
        (b'{"a":1,}', BAD, 7),
        (b'{"a":1]', BAD, 6),
        (b'{"a":"b\n', BAD, 7),
        (b'{"a":\n{', BAD, 6),
        (b'{"a": \n {}}', DONE, 11),
        (b"{1:2}", BAD, 1),
        (b'{"a":x}', BAD, 5),
    ],
)
def test_scanner(data: bytes, result: int, pos: int) -> None:
    """The scanner says where an object ends or cannot go on; in one go, or byte by byte."""
    scanner = Scanner()
    assert (scanner.scan(data, 0), scanner.pos) == (result, pos)
    scanner, kept, before, last = Scanner(), b"", 0, MORE
    for index in range(len(data)):
        kept += data[index : index + 1]
        last = scanner.scan(kept, 0)
        before, kept = before + scanner.pos, kept[scanner.pos :]
        if last != MORE:
            break
    assert (last, before) == (result, pos)
