"""The watchdog's thread: looks while there is anything to look at, and keeps nothing alive."""

import gc
import threading
import weakref

from rxalerts.flow.watchdog import Watchdog
from rxalerts.testing import eventually


class Watched:
    """Counts the looks."""

    def __init__(self) -> None:
        self.looks = 0

    def check_blocked(self, now: float) -> None:
        assert now > 0
        self.looks += 1


def threads() -> int:
    """Return how many watchdog threads there are."""
    return sum(thread.name == "rxalerts-watchdog" for thread in threading.enumerate())


def test_it_looks_until_it_forgets() -> None:
    """Every watched sink is looked at again and again; a forgotten one no more."""
    dog, sink, other = Watchdog(), Watched(), Watched()
    dog.watch(sink)
    dog.watch(other)
    eventually(lambda: sink.looks >= 2 and other.looks >= 2, "two looks")
    dog.forget(sink)
    seen = other.looks
    eventually(lambda: other.looks >= seen + 2, "two more looks")
    after = sink.looks
    eventually(lambda: other.looks >= seen + 4, "two more looks")
    assert sink.looks == after
    dog.forget(other)


def test_its_thread_ends_when_nothing_is_left_and_comes_back() -> None:
    """The thread lives only while there is a sink to look at."""
    dog, sink = Watchdog(), Watched()
    dog.watch(sink)
    eventually(lambda: sink.looks, "a look")
    dog.forget(sink)
    eventually(lambda: dog._thread is None, "the thread to end")  # pyright: ignore[reportPrivateUsage]
    dog.watch(sink)
    seen = sink.looks
    eventually(lambda: sink.looks > seen, "another look")
    dog.forget(sink)


def test_it_keeps_no_sink_alive() -> None:
    """A sink that nobody else holds goes, although it was never forgotten."""
    dog, other = Watchdog(), Watched()
    dog.watch(other)

    def live() -> weakref.ref[Watched]:
        sink = Watched()
        dog.watch(sink)
        eventually(lambda: sink.looks, "a look")
        return weakref.ref(sink)

    reference = live()

    def gone() -> bool:
        gc.collect()
        return reference() is None

    eventually(gone, "the sink to go")
    dog.forget(other)
