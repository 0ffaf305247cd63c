"""Recorded logs, played back: as fast as possible, at the recorded pace, or at a multiple of it."""

from __future__ import annotations

import contextlib
import glob
import heapq
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from operator import attrgetter

from rxalerts.alert import Alert
from rxalerts.flow.source import Emitter, Source, SourceStats
from rxalerts.sources._stdin import reader_stats
from rxalerts.timestamps import parse_rfc3339
from rxalerts.wire import OnBad, Reader, read

Moment = str | int | datetime | date
Path = str | os.PathLike[str]


class ReplaySource(Source[Alert]):
    """See `replay`."""

    def __init__(
        self,
        paths: Sequence[str],
        *,
        speed: float | None,
        since: int | None,
        until: int | None,
        rebase: bool,
        on_bad: OnBad,
        day: date | None,
        name: str,
    ) -> None:
        super().__init__(name)
        self._paths = paths
        self._speed = speed
        self._since = since
        self._until = until
        self._rebase = rebase
        self._on_bad: OnBad = on_bad
        self._day = day
        self._readers: list[Reader] = []

    def produce(self, emitter: Emitter[Alert]) -> None:
        with contextlib.ExitStack() as files:
            on_bad = self._on_bad
            if isinstance(on_bad, str | os.PathLike) and on_bad not in ("report", "raise"):
                # One file for the rejects of all.
                on_bad = files.enter_context(open(os.fspath(on_bad), "wb"))
            self._readers = [files.enter_context(read(path, on_bad=on_bad, date=self._day)) for path in self._paths]
            self._play(emitter)

    def _play(self, emitter: Emitter[Alert]) -> None:
        alerts: Iterator[Alert] = (
            iter(self._readers[0]) if len(self._readers) == 1 else heapq.merge(*self._readers, key=_time_ns)
        )
        if self._since is not None or self._until is not None:
            alerts = _between(alerts, self._since, self._until)
        if self._rebase:
            alerts = rebased(alerts)
        if self._speed is not None:
            alerts = paced(alerts, self._speed, emitter.stopped)
        emitter.emit_all(alerts)

    def stats(self) -> SourceStats:
        return reader_stats(self.name, self._readers)


def replay(
    paths: Path | Sequence[Path],
    *,
    speed: float | str = "max",
    since: Moment | None = None,
    until: Moment | None = None,
    rebase: bool = False,
    on_bad: OnBad = "report",
    date: date | None = None,
    name: str = "replay",
) -> ReplaySource:
    """Play recorded alert logs, in any shape that `rxalerts.read` reads.

    Arguments:
        paths: one path or several; `*` and `?` are expanded, `-` is standard input. Several files are merged by
            time, each of them taken to be in order.
        speed: "max"; or a factor of the recorded pace: 1 or "1x" keeps it, 10 or "10x" is ten times as fast.
        since, until: alerts from this moment on, and before that one: RFC 3339 text, a date, a datetime, or
            epoch nanoseconds.
        rebase: move all times so that the first alert is now; gaps stay as they are.
        on_bad: what to do with pieces that are no alert, see `rxalerts.read`.
        date: the day of the first line of text logs that carry no date.

    Raises FileNotFoundError for a path or pattern that matches nothing, ValueError for a speed or moment that is
    none. Under pressure the replay waits; a paced one then catches up.

    >>> source = replay("examples/alerts.jsonl")
    >>> rules = []
    >>> _ = source.subscribe(lambda alert: rules.append(alert.rule))
    >>> len(rules) == source.stats().read > 0
    True
    """
    return ReplaySource(
        expand(paths),
        speed=parse_speed(speed),
        since=None if since is None else parse_moment(since),
        until=None if until is None else parse_moment(until),
        rebase=rebase,
        on_bad=on_bad,
        day=date,
        name=name,
    )


def expand(paths: Path | Sequence[Path]) -> list[str]:
    """Return the files that `paths` names, patterns expanded and sorted."""
    names = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    found: list[str] = []
    for name in [os.fspath(each) for each in names]:
        if name != "-" and not os.path.exists(name):
            matches = sorted(glob.glob(name, recursive=True))
            if not matches:
                raise FileNotFoundError(f"{name}: no such file, and as a pattern it matches none")
            found += matches
        elif os.path.isdir(name):
            raise IsADirectoryError(f"{name} is a directory: name its files, for example {os.path.join(name, '*')}")
        else:
            found.append(name)
    if not found:
        raise ValueError("replay([]): name at least one file")
    return found


def parse_speed(speed: float | str) -> float | None:
    """Return the factor, None for "max".

    >>> parse_speed("10x"), parse_speed(1), parse_speed("max")
    (10.0, 1.0, None)
    """
    if speed == "max":
        return None
    try:
        factor = float(speed.removesuffix("x") if isinstance(speed, str) else speed)
    except ValueError:
        factor = 0.0
    if not 0 < factor < float("inf"):
        raise ValueError(f'speed {speed!r}: must be "max", or a factor above 0 such as 1, 0.5 or "10x"')
    return factor


def parse_moment(moment: Moment) -> int:
    """Return a moment as epoch nanoseconds; a date is its midnight in UTC, a datetime without zone is local.

    >>> parse_moment("1970-01-01T00:00:01Z"), parse_moment("1970-01-02")
    (1000000000, 86400000000000)
    """
    if isinstance(moment, int):
        return moment
    if isinstance(moment, datetime):
        return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1000
    if isinstance(moment, date):
        return int(datetime(moment.year, moment.month, moment.day, tzinfo=UTC).timestamp()) * 1_000_000_000
    try:
        if len(moment) == len("2026-01-01"):
            return parse_moment(date.fromisoformat(moment))
        return parse_rfc3339(moment)
    except ValueError as error:
        raise ValueError(
            f"{moment!r} is no moment (RFC 3339 such as 2026-01-31T12:00:00Z, or a date): {error}"
        ) from None


_time_ns: Callable[[Alert], int] = attrgetter("time_ns")


def _between(alerts: Iterator[Alert], since: int | None, until: int | None) -> Iterator[Alert]:
    for alert in alerts:
        moment = alert.time_ns
        if (since is None or moment >= since) and (until is None or moment < until):
            yield alert


def rebased(alerts: Iterator[Alert], *, now: Callable[[], int] = time.time_ns) -> Iterator[Alert]:
    """Move the times so that the first alert is now."""
    shift: int | None = None
    for alert in alerts:
        if shift is None:
            shift = now() - alert.time_ns
        yield alert.replace(time=alert.time_ns + shift)


def paced(
    alerts: Iterator[Alert],
    speed: float,
    stopped: threading.Event,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Alert]:
    """Yield each alert when its time has come, measured from the first one, so that delays do not add up."""
    first: int | None = None
    began = 0.0
    for alert in alerts:
        if first is None:
            first, began = alert.time_ns, clock()
        due = began + (alert.time_ns - first) / 1e9 / speed
        while (left := due - clock()) > 0:
            if stopped.wait(left):
                return
        yield alert
