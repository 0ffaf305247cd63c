"""Count alerts in windows of time: `tally`.

What is counted becomes alerts, so that every operator and every sink can take it: source `internal`, and output
fields that begin with `rxalerts.`, which conditions can name (`where("rxalerts.count > 10")`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from reactivex.abc import ObserverBase, SchedulerBase

from rxalerts.alert import Alert
from rxalerts.flow.guard import OnFault
from rxalerts.flow.holding import Held
from rxalerts.operators._arguments import positive
from rxalerts.operators._clock import FOREVER, SECOND, Clock, nanoseconds
from rxalerts.operators._keys import Key, key_function, key_of, key_text, plain_key
from rxalerts.operators._stateful import Session, Setup, Stateful, hold, internal_alert
from rxalerts.priority import Priority
from rxalerts.timestamps import format_rfc3339

TALLY = "rxalerts: tally"

OTHERS = "(others)"
"""The key under which a window counts what comes when it has as many keys as it may."""


def tally(
    seconds: float,
    by: Key = "rule",
    *,
    allow_late: float = 0.0,
    keep: bool = False,
    priority: str | int | Priority = "informational",
    max_keys: int = 20_000,
    clock: Clock = "event",
    scheduler: SchedulerBase | None = None,
    on_fault: OnFault | None = None,
) -> Stateful:
    """Count alerts in windows of time, by key: one alert for each key and window.

    Arguments:
        seconds: how long a window is; windows begin at whole multiples of it since 1970-01-01T00:00:00Z.
        by: what is counted separately: a name (`rule`, `hostname`, an output field …), several, or a callable from
            an alert to something hashable; None: all together.
        allow_late: how many seconds a window waits, after its end, for alerts that belong into it.
        keep: let the counted alerts through as well.
        priority: of the alerts that tell the counts.
        max_keys: how many counts are kept at once; further keys are counted together, as `(others)`.
        clock: "event": the time of the alerts; "wall": the time of their arrival, and a timer closes windows.
        scheduler: whose clock and timers "wall" takes; by default a thread shared by all timers.
        on_fault: called with the DeadLetter of each alert for which `by` raised.

    A window is closed by the first alert `allow_late` seconds after its end, on completion, and before an error.
    Then come its counts, the largest first and equal ones by key: `rxalerts.key`, `.count`, `.start`, `.end`. An
    alert that is later still is not counted; how many were is told with the next window, as `rxalerts.late`. A
    source that waits for delivery regards an alert as delivered when its window's counts are.

        --a--a--b-----------a--|
        tally(seconds=10)
        --------------------(xy)-z|        x: a 2, y: b 1, z: a 1

    >>> import reactivex
    >>> from rxalerts import Alert
    >>> alerts = [Alert(rule, time=second * 10**9) for rule, second in [("a", 1), ("a", 2), ("b", 3), ("a", 61)]]
    >>> reactivex.of(*alerts).pipe(tally(seconds=60)).subscribe(lambda a: print(a.message)) and None
    2 times within 60 s: a
    1 time within 60 s: b
    1 time within 60 s: a
    """
    setup = Setup("tally", clock, scheduler, on_fault)
    length = nanoseconds("seconds", seconds)
    late = 0 if allow_late == 0 else nanoseconds("allow_late", allow_late)
    look, most, level = key_function(by), positive("max_keys", max_keys), Priority.parse(priority)
    return Stateful(setup, lambda observer: _Tally(setup, observer, look, length, late, keep, level, most))


class _Tally(Session):
    def __init__(
        self,
        setup: Setup,
        observer: ObserverBase[Alert],
        look: Callable[[Alert], Hashable],
        length: int,
        allow_late: int,
        keep: bool,
        level: Priority,
        most: int,
    ) -> None:
        super().__init__(setup, observer, look)
        self._length = length
        self._allow_late = allow_late
        self._keep = keep
        self._level = level
        self._most = most
        self._size = 0
        self._late = 0
        # At most allow_late / length + 2 windows are open.
        self._windows: dict[int, dict[Hashable, int]] = {}
        self._held: dict[int, Held[None] | None] = {}

    def take(self, alert: Alert, seen: Hashable) -> None:
        time_ns = self.now if self.setup.clock == "wall" else alert.time_ns
        start = time_ns - time_ns % self._length
        window = self._windows.get(start)
        if window is None:
            window = self._open(start)
        if window is None:
            self._late += 1
        elif seen in window:
            window[seen] += 1
        elif self._size < self._most:
            window[seen] = 1
            self._size += 1
        else:
            window[OTHERS] = window.get(OTHERS, 0) + 1
        if window is not None:
            self._held[start] = hold(self._held[start])
        if self._keep:
            self.emit(alert)

    def _open(self, start: int) -> dict[Hashable, int] | None:
        """Begin a window; None when it is over already."""
        ends = start + self._length + self._allow_late
        if ends <= self.now:
            return None
        window = self._windows[start] = {}
        self._held[start] = None
        if ends < self.due:
            self.due = ends
        return window

    def pass_time(self) -> None:
        waited = self._length + self._allow_late
        for start in sorted(start for start in self._windows if start + waited <= self.now):
            self._close(start)
        self.due = min(self._windows, default=FOREVER - waited) + waited

    def finish(self) -> None:
        for start in sorted(self._windows):
            self._close(start)
        self._tell_late(self.now)
        self.due = FOREVER

    def _close(self, start: int) -> None:
        window, held = self._windows.pop(start), self._held.pop(start)
        self._size -= len(window) - (OTHERS in window)
        end = start + self._length
        span = f"{self._length / SECOND:g} s"
        counts = sorted(((-count, key_text(key)) for key, count in window.items()))
        # All of a window's counts stand for all that it holds: the last one lets go.
        holding = Held[None]() if held is None else held
        with holding.released():
            for negative, key in counts:
                count = -negative
                message = f"{count} time{'s' if count > 1 else ''} within {span}: {key}"
                fields = {
                    "rxalerts.key": key,
                    "rxalerts.count": count,
                    "rxalerts.start": format_rfc3339(start),
                    "rxalerts.end": format_rfc3339(end),
                }
                self.emit(internal_alert(TALLY, message, self._level, end, fields, None))
        self._tell_late(end)

    def _tell_late(self, time_ns: int) -> None:
        late, self._late = self._late, 0
        if late:
            message = f"{late} alert{'s' if late > 1 else ''} came too late to be counted"
            self.release(internal_alert(TALLY, message, self._level, time_ns, {"rxalerts.late": late}, None), None)

    def state(self) -> dict[str, Any]:
        windows = [
            [start, [[plain_key(key), count] for key, count in window.items()]]
            for start, window in self._windows.items()
        ]
        return {"late": self._late, "windows": windows}

    def load(self, state: dict[str, Any]) -> None:
        self._late = int(state["late"])
        for start, counts in state["windows"]:
            window = self._windows[int(start)] = {key_of(key): int(count) for key, count in counts}
            self._held[int(start)] = None
            self._size += len(window) - (OTHERS in window)
        waited = self._length + self._allow_late
        self.due = min(self._windows, default=FOREVER - waited) + waited

    def forget(self) -> None:
        for held in self._held.values():
            if held is not None:
                held.abandon()
