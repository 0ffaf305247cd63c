"""CollectSink: keep what arrives."""

import pytest

from rxalerts.errors import OptionError
from rxalerts.sinks import CollectSink


def test_it_keeps_everything_in_order() -> None:
    """What arrives is in `items` after the close, of whatever type."""
    with CollectSink[object]() as sink:
        for item in (1, "two", [3]):
            sink.on_next(item)
    assert sink.items == [1, "two", [3]]


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_limit_keeps_the_latest(limit: int) -> None:
    """With a limit only the latest so many are kept, however they were batched."""
    with CollectSink[int](limit=limit, max_batch=2) as sink:
        for number in range(10):
            sink.on_next(number)
    assert sink.items == list(range(10))[-limit:]


@pytest.mark.parametrize("limit", [0, -1])
def test_limit_must_be_one_or_more(limit: int) -> None:
    """A limit that keeps nothing is an error, not a way to keep everything."""
    with pytest.raises(OptionError, match="limit: must be 1 or more"):
        CollectSink[int](limit=limit)


def test_flush_before_looking() -> None:
    """After flush() everything that was sent before is there, and the sink lives on."""
    sink: CollectSink[int] = CollectSink()
    sink.on_next(1)
    assert sink.flush(10)
    assert sink.items == [1]
    sink.on_next(2)
    assert sink.close(10)
    assert sink.items == [1, 2]
