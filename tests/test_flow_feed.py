"""What a sink tells about itself: serialised, and safe from faulty observers."""

import logging
import threading

import pytest

from rxalerts.flow.feed import Feed


def test_everybody_gets_everything() -> None:
    """Each observer gets each value, from the moment it subscribes until it leaves."""
    feed: Feed[int] = Feed()
    one: list[int] = []
    other: list[int] = []
    assert not feed.observed
    feed.emit(0)
    subscription = feed.observable.subscribe(one.append)
    feed.emit(1)
    feed.observable.subscribe(other.append)
    feed.emit(2)
    subscription.dispose()
    feed.emit(3)
    assert one == [1, 2]
    assert other == [2, 3]
    assert feed.observed


def test_a_faulty_observer_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """An observer that raises is reported, the others get the value."""
    feed: Feed[int] = Feed()
    seen: list[int] = []

    def boom(_: int) -> None:
        raise RuntimeError("boom")

    feed.observable.subscribe(boom)
    feed.observable.subscribe(seen.append)
    with caplog.at_level(logging.ERROR, "rxalerts"):
        feed.emit(1)
        feed.emit(2)
    assert seen == [1, 2]
    assert "an observer of a sink's states or dead letters raised" in caplog.text


def test_values_come_one_at_a_time() -> None:
    """Several threads may emit; an observer is never called by two at once."""
    feed: Feed[int] = Feed()
    inside = 0
    most = 0
    count = 0

    def observe(_: int) -> None:
        nonlocal inside, most, count
        inside += 1
        most = max(most, inside)
        count += 1
        inside -= 1

    feed.observable.subscribe(observe)

    def emit() -> None:
        for number in range(500):
            feed.emit(number)

    threads = [threading.Thread(target=emit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert (most, count) == (1, 2000)


def test_an_observer_may_leave_while_it_is_called() -> None:
    """Leaving from within the call is allowed."""
    feed: Feed[int] = Feed()
    seen: list[int] = []

    def once(value: int) -> None:
        seen.append(value)
        subscription.dispose()

    subscription = feed.observable.subscribe(once)
    feed.emit(1)
    feed.emit(2)
    assert seen == [1]
