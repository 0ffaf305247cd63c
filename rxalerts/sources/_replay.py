"""Recorded logs, played back: as fast as possible, at the recorded pace, or at a multiple of it."""

from __future__ import annotations

import glob
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import date
from itertools import chain, islice
from typing import Literal

from rxalerts.alert import Alert
from rxalerts.errors import OptionError
from rxalerts.flow.source import Emitter, Source, SourceStats
from rxalerts.flow.watermark import Watermark
from rxalerts.sources._bookmark import Bookmark
from rxalerts.sources._index import ENDING
from rxalerts.sources._moments import Moment, parse_moment, parse_speed
from rxalerts.sources._player import Player, Shift
from rxalerts.sources._tape import Tape
from rxalerts.wire import OnBad

Path = str | os.PathLike[str]

# How many alerts are emitted in one go, without asking whether somebody wants to control it.
_RUN = 1024


class ReplaySource(Source[Alert]):
    """See `replay`."""

    def __init__(
        self, tape: Tape, *, speed: float | None, rebase: bool, name: str, bookmark: Bookmark | None = None
    ) -> None:
        super().__init__(name)
        self.files = tape.paths
        self._bookmark = bookmark
        self._tape = self._latest = tape
        self._speed = speed
        self._rebase = rebase
        self._player: Player | None = None
        self._lock = threading.Lock()

    @property
    def player(self) -> Player:
        """The controls: play, pause, seek, step, speed, loop, position (see `Player`).

        May be asked for at any time; they control one subscription, the one that begins first.
        """
        if self._bookmark is not None:
            raise OptionError("resume", "a position is kept of what is played through once: it has no player")
        with self._lock:
            if self._player is None:
                self._player = Player(self._tape, speed=self._speed)
            return self._player

    def produce(self, emitter: Emitter[Alert]) -> None:
        shift = Shift(self._rebase)
        # Each subscription reads by itself; `stats` tells about the latest.
        with self._tape.copied() as tape:
            self._latest = tape
            first: int | None = None
            alerts = tape.open()
            if self._bookmark is not None:
                alerts = self._bookmark.following(alerts)
                emitter.meanwhile = self._bookmark.checkpoint
            if self._speed is None:
                blocks = None if self._bookmark is not None else tape.blocks()
                if blocks is not None:
                    first = self._race(emitter, tape, blocks, shift)
                else:
                    first = self._rush(emitter, alerts, shift)
                if self._player is None or emitter.stopped.is_set():
                    return
            player = Player(tape, speed=self._speed) if self._bookmark is not None else self.player
            if not player.claim(tape):
                # The controls are those of another subscription.
                player = Player(tape, speed=self._speed)
            try:
                with closing(player.run(emitter, alerts, shift, first)) as played:
                    emitter.emit_all(played)
            finally:
                player.release()

    def _rush(self, emitter: Emitter[Alert], alerts: Iterator[Alert], shift: Shift) -> int | None:
        """Emit as fast as it goes, until the end or until somebody has asked for the player."""
        first: int | None = None
        while self._player is None and not emitter.stopped.is_set():
            alert = next(alerts, None)
            if alert is None:
                return first
            first = alert.time_ns if first is None else first
            some = chain((alert,), islice(alerts, _RUN - 1))
            emitter.emit_all(map(shift, some) if self._rebase else some)
        return first

    def _race(self, emitter: Emitter[Alert], tape: Tape, blocks: Iterator[list[Alert]], shift: Shift) -> int | None:
        """Do the same with alerts that are read together; `tape` is told what was read in vain."""
        first: int | None = None
        while self._player is None and not emitter.stopped.is_set():
            block = next(blocks, None)
            if block is None:
                return first
            if block:
                first = block[0].time_ns if first is None else first
                sent = emitter.emit_batch([shift(alert) for alert in block] if self._rebase else block)
                tape.leave(len(block) - sent)
        return first

    def watermark(self) -> Watermark | None:
        return None if self._bookmark is None else self._bookmark.watermark()

    def finished(self) -> None:
        if self._bookmark is not None:
            self._bookmark.save()

    def stats(self) -> SourceStats:
        return self._latest.stats(self.name)


def replay(
    paths: Path | Sequence[Path],
    *,
    speed: float | str = "max",
    since: Moment | None = None,
    until: Moment | None = None,
    rebase: bool = False,
    on_bad: OnBad = "report",
    date: date | None = None,
    resume: Path | None = None,
    ack: Literal["accepted", "delivered"] = "delivered",
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
        resume: where to save how far every sink is done, and to go on from at the next time. A single file may have
            grown meanwhile; several must not have changed.
        ack: what "done" means there: `delivered` by every sink, or `accepted`: on disk in every durable mailbox.

    Delivery: with `resume`, at least once; what was under way in a crash comes again.

    Raises FileNotFoundError for a path or pattern that matches nothing, ValueError for a speed or moment that is
    none, SourceError when `resume` is the position in other files. Under pressure the replay waits; a paced one then
    catches up. `player` of what is returned plays it like a tape: pause, seek, step, another speed (see `Player`).

    From some moment on, a log of 64 MiB or more that is not packed is read with an index, `LOG.rxidx`, which is made
    beside it when it is first needed, and goes on where it ends when the log has grown. What does not say its own day,
    as lines of text mostly, is read in order from where it begins.

    >>> source = replay("examples/alerts.jsonl")
    >>> rules = []
    >>> _ = source.subscribe(lambda alert: rules.append(alert.rule))
    >>> len(rules) == source.stats().read > 0
    True
    """
    start, stop = (None if moment is None else parse_moment(moment) for moment in (since, until))
    if ack not in ("accepted", "delivered"):
        raise OptionError("ack", f"must be accepted or delivered, got {ack!r}")
    names = expand(paths)
    bookmark = None
    if resume is not None:
        bookmark = Bookmark(os.fspath(resume), names, (start, stop), until_delivered=ack == "delivered")
    tape = Tape(names, start, stop, on_bad, date)
    return ReplaySource(tape, speed=parse_speed(speed), rebase=rebase, name=name, bookmark=bookmark)


def expand(paths: Path | Sequence[Path]) -> list[str]:
    """Return the files that `paths` names, patterns expanded and sorted."""
    names = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    found: list[str] = []
    for name in [os.fspath(each) for each in names]:
        if name != "-" and not os.path.exists(name):
            # The indexes that we put beside logs are none.
            matches = sorted(each for each in glob.glob(name, recursive=True) if not each.endswith(ENDING))
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
