"""Every sink keeps the rules of Reactive Streams: those that `rxalerts.sinks` exports, found, not listed.

A sink that needs surroundings (a folder, a server, an option) describes them in its own test, as

    @contextmanager
    def surroundings(folder: Path) -> Generator[SinkFactory]:
        ...
        yield lambda **options: FileSink(folder / "alerts", **options)

in tests/test_sink_<channel_name>.py. One that needs none is made without arguments. `DELIVERS = False` there says
that in these surroundings not everything arrives. So a new sink touches its module, its index line and its test.
"""

import importlib
import importlib.util
import logging
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rxalerts import sinks
from rxalerts.flow.channel import Batch, Channel
from rxalerts.flow.sink import Sink, ThreadSink
from rxalerts.testing import SinkFactory, check_operator, check_sink


def channel_name(cls: type[Sink[Any]]) -> str:
    """Return the name that a kind of sink goes by."""
    return cls.channel_name


def exported() -> list[type[Sink[Any]]]:
    """Return every sink that rxalerts.sinks exports, by name."""
    found: list[type[Sink[Any]]] = []
    for value in [getattr(sinks, name) for name in dir(sinks)]:
        if isinstance(value, type) and issubclass(value, Sink):
            kind: type[Sink[Any]] = value  # pyright: ignore[reportUnknownVariableType]
            found.append(kind)
    return sorted(found, key=channel_name)


SINKS = exported()


@contextmanager
def plain(cls: type[Sink[Any]]) -> Generator[SinkFactory]:
    """Make a sink without any surroundings."""
    yield cls


def surroundings_of(cls: type[Sink[Any]], folder: Path) -> tuple[Any, bool]:
    """Return the surroundings that the sink's own test describes, and whether everything arrives there."""
    name = f"tests.test_sink_{cls.channel_name}"
    if importlib.util.find_spec(name) is None:
        return plain(cls), True
    module = importlib.import_module(name)
    described: Callable[[Path], Any] | None = getattr(module, "surroundings", None)
    return (plain(cls) if described is None else described(folder)), getattr(module, "DELIVERS", True)


def test_sinks_are_found() -> None:
    """The three first ones are there, and no two answer to the same name."""
    names = [cls.channel_name for cls in SINKS]
    assert {"stdout", "file", "collect"} <= set(names)
    assert len(names) == len(set(names))


@pytest.mark.parametrize("cls", SINKS, ids=channel_name)
def test_every_sink_keeps_the_rules(cls: type[Sink[Any]], tmp_path: Path) -> None:
    """check_sink finds nothing against the rules."""
    described, delivers = surroundings_of(cls, tmp_path)
    logging.getLogger("rxalerts").setLevel(logging.CRITICAL)
    try:
        with described as factory:
            check_sink(factory, delivers=delivers)
    except TypeError as error:
        if "missing" in str(error):
            pytest.fail(f"tests/test_sink_{cls.channel_name}.py needs surroundings(folder): {error}")
        raise
    finally:
        logging.getLogger("rxalerts").setLevel(logging.NOTSET)


# -- the checks themselves: each broken sink is found ---------------------------------------------------------


@dataclass(eq=False, repr=False)
class Broken(ThreadSink[Any]):
    """A sink to be broken in one way or another."""

    def make_channel(self) -> Channel:
        return _Nothing()


class _Nothing(Channel):
    def write(self, batch: Batch[Any]) -> None:
        return None


class Raising(Broken):
    """Raises on the first signal."""

    def on_next(self, value: Any) -> None:
        raise RuntimeError("not now")


class Blocking(Broken):
    """Waits for its destination in on_next."""

    def on_next(self, value: Any) -> None:
        super().on_next(value)
        self.flush(0.02)


class Swallowing(Broken):
    """Accepts None."""

    def on_next(self, value: Any) -> None:
        if value is not None:
            super().on_next(value)


class Forgetting(Broken):
    """Loses every tenth alert without a word."""

    count = 0

    def on_next(self, value: Any) -> None:
        self.count += 1
        if self.count % 10:
            super().on_next(value)


_kept: list[object] = []


class Clinging(Broken):
    """Is held by something global for ever."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _kept.append(self)


class Deaf(Broken):
    """Says that it has ended, and has not."""

    def close(self, timeout: float | None = None) -> bool:
        self.stop(1.0)
        return True


class Raced(Broken):
    """Writes on a second thread of its own, too."""

    def start(self) -> None:
        first = not self._started
        super().start()
        if first:
            threading.Thread(target=self._meddle, daemon=True).start()

    def _meddle(self) -> None:
        for _ in range(200):
            if isinstance(self.channel, Channel):
                self.channel.write(Batch([]))


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        (Blocking, "2.2"),
        (Swallowing, "2.3/2.13"),
        (Forgetting, "counts"),
        (Clinging, "3.13"),
        (Deaf, "counts"),
        (Raced, "counts"),
    ],
)
@pytest.mark.timeout(120)
def test_check_sink_finds_broken_sinks(broken: type[Broken], rule: str) -> None:
    """A sink that breaks a rule does not pass, and the rule is named."""
    with pytest.raises(AssertionError, match=f"rule {rule}"):
        check_sink(broken, timeout=2)


def test_check_sink_finds_a_sink_that_raises() -> None:
    """What a sink raises comes out of check_sink as it is."""
    with pytest.raises(RuntimeError, match="not now"):
        check_sink(Raising)


# -- check_operator finds broken operators --------------------------------------------------------------------


def eager(source: Any) -> Any:
    """Subscribe too early."""
    source.subscribe()
    return source


def sharing() -> Callable[[Any], Any]:
    """Share a counter between all subscriptions."""
    from reactivex import operators as rx

    count = 0

    def odd(_: Any) -> bool:
        nonlocal count
        count += 1
        return count % 2 == 1

    return rx.filter(odd)


def silent(source: Any) -> Any:
    """Swallow the completion."""
    import reactivex

    return reactivex.concat(source, reactivex.never())


def hiding(source: Any) -> Any:
    """Turn an error into a completion."""
    import reactivex
    from reactivex import operators as rx

    return source.pipe(rx.catch(reactivex.empty()))


SHARED = sharing()


@pytest.mark.parametrize(
    ("factory", "rule"),
    [
        (lambda: eager, "lazy"),
        (lambda: silent, "completion"),
        (lambda: hiding, "error"),
        (lambda: SHARED, "again"),
    ],
)
def test_check_operator_finds_broken_operators(factory: Callable[[], Any], rule: str) -> None:
    """An operator that breaks a rule does not pass, and the rule is named."""
    with pytest.raises(AssertionError, match=rule):
        check_operator(factory, items=range(25))
