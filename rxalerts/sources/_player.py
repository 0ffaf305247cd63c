"""The controls of a replay: play, pause, wind, another speed, alert by alert, round and round."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from typing import Protocol

from reactivex import Observable

from rxalerts.alert import Alert
from rxalerts.display import show_player
from rxalerts.flow.feed import Feed
from rxalerts.flow.source import Emitter
from rxalerts.sources._moments import Moment, parse_moment, parse_speed
from rxalerts.timestamps import format_rfc3339

# A single wait, in seconds: a system's limit may be shorter than a gap at a low speed.
_LONGEST = 1e6

Wait = Callable[[threading.Condition, float | None], object]


class Recording(Protocol):
    """What a player plays."""

    @property
    def windable(self) -> bool: ...
    def open(self, start: int | None = None) -> Iterator[Alert]: ...
    def end(self) -> int | None: ...


class Shift:
    """Moves the times of alerts so that the first one is now; what lies between them stays."""

    def __init__(self, wanted: bool, now: Callable[[], int] = time.time_ns) -> None:
        self._wanted = wanted
        self._now = now
        self._by: int | None = None if wanted else 0

    def __call__(self, alert: Alert) -> Alert:
        """Return the alert at its new time."""
        if self._by is None:
            self._by = self._now() - alert.time_ns
        return alert.replace(time=alert.time_ns + self._by) if self._wanted else alert

    def again(self) -> None:
        """Let the next alert be now."""
        self._by = None if self._wanted else 0


class Player:
    """Plays a replay like a tape; `replay(…).player` is the one of that replay. All of it from any thread.

    Its clock is the log's own: positions are the recorded times, whatever `rebase` makes of them. A gap passes at
    the pace even when it is paused, wound into or played at another speed in its middle. The pace is measured from
    the last such change, so that delays do not add up. Under pressure the tape's clock goes on; it then catches up.
    In Jupyter a player shows itself as buttons and a counter, when it is the last value of a cell.

    >>> from rxalerts import sources
    >>> source = sources.replay("examples/alerts.jsonl")
    >>> player, seen = source.player, []
    >>> _ = player.positions.subscribe(seen.append)
    >>> _ = source.subscribe()
    >>> seen[-1] == player.position, player.remaining
    (True, 0.0)
    """

    def __init__(
        self,
        recording: Recording,
        *,
        speed: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        wait: Wait = threading.Condition.wait,
    ) -> None:
        self._recording = recording
        self._clock = clock
        self._wait = wait
        self._changed = threading.Condition()
        self._positions: Feed[int] = Feed()
        self._remainings: Feed[float | None] = Feed()
        self._speed = speed
        self._loop = False
        self._playing = True
        self._running = False
        self.runs = 0
        """How many subscriptions have begun to play it."""
        self._steps = 0
        self._sought: int | None = None
        # Where the tape's clock stood, in recorded time, when ours showed `_at`; None: before the first alert.
        self._stood: int | None = None
        self._at = 0.0
        self._first: int | None = None
        self._last: int | None = None
        # The alert that is waited for, or that came last: the tape's clock is not shown beyond it.
        self._next: int | None = None

    _ipython_display_ = show_player

    def __repr__(self) -> str:
        position = self.position
        clock = "not begun" if position is None else format_rfc3339(position)
        state = ("playing" if self._running else "ready") if self._playing else "paused"
        return f"<player: {state}, {clock}>"

    # -- the buttons ----------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether a subscription plays it now."""
        return self._running

    @property
    def playing(self) -> bool:
        """Whether it plays; a paused tape stays where it is, at its end too."""
        return self._playing

    def play(self) -> None:
        """Go on."""
        with self._changed:
            self._steps = 0
            if not self._playing:
                self._playing, self._at = True, self._clock()
            self._changed.notify_all()

    def pause(self) -> None:
        """Stop before the next alert; the one that is under way is delivered."""
        with self._changed:
            self._freeze()
            self._playing = False
            self._steps = 0
            self._changed.notify_all()

    def step(self, n: int = 1) -> None:
        """Emit the next `n` alerts at once, and pause.

        Raises ValueError when `n` is less than 1.
        """
        if n < 1:
            raise ValueError(f"step({n}): must be 1 or more; seek() goes back")
        with self._changed:
            self._freeze()
            self._playing = False
            self._steps += n
            self._changed.notify_all()

    def seek(self, moment: Moment) -> None:
        """Wind to a moment, forwards or backwards; what lies between is not emitted. Returns at once.

        Arguments:
            moment: recorded time: RFC 3339 text, a date, a datetime, or epoch nanoseconds. One before the first
                alert means the first alert, one behind the last alert the end.

        Raises ValueError when it is no moment, or what is played cannot be wound (standard input, a pipe).
        """
        target = parse_moment(moment)
        self._check_windable("seek()")
        with self._changed:
            if self._first is not None:
                target = max(target, self._first)
            self._sought = self._next = self._stood = target
            self._at = self._clock()
            self._changed.notify_all()
        self._tell()

    @property
    def speed(self) -> float | None:
        """The factor of the recorded pace; None: as fast as possible. May be set at any time, "max" and "10x" too."""
        return self._speed

    @speed.setter
    def speed(self, speed: float | str | None) -> None:
        factor = None if speed is None else parse_speed(speed)
        with self._changed:
            self._freeze()
            self._speed = factor
            self._changed.notify_all()

    @property
    def loop(self) -> bool:
        """Whether it begins again at the end; with `rebase`, the first alert of each round is now."""
        return self._loop

    @loop.setter
    def loop(self, loop: bool) -> None:
        if loop:
            self._check_windable("loop")
        with self._changed:
            self._loop = loop

    def _check_windable(self, what: str) -> None:
        if not self._recording.windable:
            raise ValueError(f"{what}: standard input and pipes cannot be wound: replay a file")

    # -- the counter ----------------------------------------------------------------------------------------

    @property
    def position(self) -> int | None:
        """Where the tape stands, in epoch nanoseconds of recorded time; None before it began."""
        with self._changed:
            stands = self._stands()
            return stands if stands is None or self._next is None else min(stands, self._next)

    @property
    def remaining(self) -> float | None:
        """Seconds of recorded time up to the last alert; None when the end is not known, as in a large packed log."""
        end, position = self._end(), self.position
        if end is None or (position is None and (position := self._first) is None):
            return None
        return max(0, end - position) / 1e9

    def _end(self) -> int | None:
        # What was played to its end is known, even if it has grown meanwhile, or ends long before `until`.
        return self._recording.end() if self._last is None else self._last

    @property
    def length(self) -> float | None:
        """Seconds of recorded time from the first alert to the last; None when one of them is not known."""
        end, first = self._end(), self._first
        return None if end is None or first is None else max(0, end - first) / 1e9

    @property
    def positions(self) -> Observable[int]:
        """The position with each alert, just before it is emitted, and with each `seek`."""
        return self._positions.observable

    @property
    def remainings(self) -> Observable[float | None]:
        """`remaining` with each alert, just before it is emitted, and with each `seek`."""
        return self._remainings.observable

    def _tell(self) -> None:
        if self._positions.observed and (position := self.position) is not None:
            self._positions.emit(position)
        if self._remainings.observed:
            self._remainings.emit(self.remaining)

    def _stands(self) -> int | None:
        if self._stood is None or not self._playing or self._speed is None:
            return self._stood
        return self._stood + round((self._clock() - self._at) * 1e9 * self._speed)

    def _freeze(self) -> None:
        """Measure from here on."""
        self._stood, self._at = self._stands(), self._clock()

    # -- the motor ------------------------------------------------------------------------------------------

    def claim(self, recording: Recording) -> bool:
        """Reserve the player for a run; false when it is in another one."""
        with self._changed:
            if self._running:
                return False
            self._running, self._recording = True, recording
            self.runs += 1
            return True

    def release(self) -> None:
        """Let the next run have it."""
        with self._changed:
            self._running, self._sought = False, None

    def run(
        self, emitter: Emitter[Alert], alerts: Iterator[Alert], shift: Shift, first: int | None = None
    ) -> Generator[Alert]:
        """Yield what is to be emitted, when it is; `claim` it before.

        Arguments:
            alerts: the recording, opened, perhaps played in part.
            first: the time of its first alert, when that was played.
        """
        emitter.on_stop(self._wake)
        with self._changed:
            self._first, self._stood, self._next = first, None, None
        return self._rounds(emitter.stopped, alerts, shift)

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _rounds(self, stopped: threading.Event, alerts: Iterator[Alert], shift: Shift) -> Generator[Alert]:
        start: int | None = None
        played = True
        while True:
            latest: int | None = None
            for alert in alerts:
                moment = alert.time_ns
                if not self._due(moment, stopped):
                    break
                played = True
                latest = moment if latest is None else max(latest, moment)
                self._tell()
                yield shift(alert)
            else:
                self._last = self._last if latest is None else latest
                if not self._again(stopped, played or start is not None):
                    return
            if stopped.is_set():
                return
            start = self._wound()
            if start is None:
                # A round without any alert must not begin again and again.
                played = False
                shift.again()
            alerts = self._recording.open(start)

    def _due(self, moment: int, stopped: threading.Event) -> bool:
        """Wait until an alert of that moment is due; false when it is not to be emitted."""
        with self._changed:
            if self._first is None:
                self._first = moment
                if self._sought is not None:
                    self._sought = max(self._sought, moment)
                    self._stood = self._next = self._sought
            if self._stood is None:
                self._stood, self._at = moment, self._clock()
            while not stopped.is_set() and self._sought is None:
                self._next = moment
                if self._steps:
                    self._steps -= 1
                    self._stood, self._at = moment, self._clock()
                    return True
                left = self._left(moment)
                if left is not None and left <= 0:
                    return True
                self._wait(self._changed, None if left is None else min(left, _LONGEST))
            return False

    def _left(self, moment: int) -> float | None:
        """Return the seconds until a moment is due; None: it is not going to be."""
        if not self._playing:
            return None
        now = self._clock()
        if self._speed is None or self._stood is None:
            self._stood, self._at = moment, now
            return 0.0
        return self._at + (moment - self._stood) / 1e9 / self._speed - now

    def _again(self, stopped: threading.Event, may_loop: bool) -> bool:
        """Wait at the end while it is paused; true when there is more to play: it was wound, or begins anew."""
        with self._changed:
            while not self._playing and self._sought is None and not stopped.is_set():
                if self._steps and self._loop and may_loop:
                    break
                self._steps = 0
                self._wait(self._changed, None)
            return self._sought is not None or (self._loop and may_loop)

    def _wound(self) -> int | None:
        """Return the moment to go on from; None: the beginning."""
        with self._changed:
            start, self._sought = self._sought, None
            if start is None:
                self._stood = self._next = None
            return start
