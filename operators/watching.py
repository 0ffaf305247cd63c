"""Notice that no alert comes: `absence`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase

from rxalerts.alert import Alert
from rxalerts.flow.guard import OnFault
from rxalerts.operators._arguments import positive
from rxalerts.operators._clock import FOREVER, SECOND, Clock, nanoseconds
from rxalerts.operators._keys import Key, key_function, key_of, key_text, plain_key
from rxalerts.operators._predicate import When, predicate
from rxalerts.operators._stateful import Session, Setup, Stateful, internal_alert
from rxalerts.priority import Priority
from rxalerts.timestamps import format_rfc3339

ABSENCE = "rxalerts: absence"


def absence(
    condition: When,
    within: float,
    by: Key = None,
    *,
    keep: bool = False,
    rule: str = ABSENCE,
    priority: str | int | Priority = "warning",
    max_keys: int = 20_000,
    clock: Clock = "event",
    scheduler: SchedulerBase | None = None,
    on_fault: OnFault | None = None,
) -> Stateful:
    """Raise an alert when none that meets a condition has come for some time.

    Arguments:
        condition: in Falco's syntax, or a callable from an alert to a bool.
        within: how many seconds may pass without one.
        by: watch each key for itself, from its first alert on: a name (`hostname` …), several, or a callable from
            an alert to something hashable; None: one watch for the whole stream, from its first alert on.
        keep: let all alerts through as well.
        rule, priority: of the raised alert.
        max_keys: how many keys are watched; one more, and the one quiet for longest is forgotten.
        clock: "event": the time of the alerts; "wall": the clock's: a timer notices, and the watch for the whole
            stream begins with the subscription. A live stream that may fall silent altogether needs "wall".
        scheduler: whose clock and timers "wall" takes; by default a thread shared by all timers.
        on_fault: called with the DeadLetter of each alert for which a callable raised.

    One alert is raised for each silence; the watch goes on with the next alert that meets the condition. By the
    alerts' time, the first alert of any kind that is `within` seconds later shows the silence. The raised alert's
    time is the moment at which the silence became too long; its fields are `rxalerts.key`, `.last` (when the last
    one came; null if there was none) and `.seconds`. Completion and errors are handed on: the end of a stream is
    no silence.

        --h--x--x--x--x--h--|
        absence("rule = h", within=10)
        -----------r--------|

    >>> import reactivex
    >>> from rxalerts import Alert
    >>> alerts = [Alert("Heartbeat", time=0), Alert("Shell", time=50 * 10**9), Alert("Shell", time=70 * 10**9)]
    >>> stream = reactivex.of(*alerts).pipe(absence("rule = Heartbeat", within=60))
    >>> stream.subscribe(lambda a: print(a.time, a.message)) and None
    1970-01-01T00:01:00.000000000Z nothing for 60 s that meets: rule = Heartbeat
    """
    setup = Setup("absence", clock, scheduler, on_fault)
    test, level = predicate(condition), Priority.parse(priority)
    look, most, length = key_function(by), positive("max_keys", max_keys), nanoseconds("within", within)
    text = condition if isinstance(condition, str) else str(getattr(condition, "text", "the condition"))
    named = by is not None
    return Stateful(
        setup, lambda observer: _Absence(setup, observer, test, look, named, length, keep, rule, level, most, text)
    )


class _Absence(Session):
    def __init__(
        self,
        setup: Setup,
        observer: ObserverBase[Alert],
        test: Callable[[Alert], object],
        look: Callable[[Alert], Hashable],
        named: bool,
        length: int,
        keep: bool,
        rule: str,
        level: Priority,
        most: int,
        text: str,
    ) -> None:
        super().__init__(setup, observer, self._look)
        self._test = test
        self._key = look
        self._named = named
        self._length = length
        self._keep = keep
        self._rule = rule
        self._level = level
        self._most = most
        self._text = text
        self._begun = named
        # When the last one came and whether it did, in that order of time.
        self._last: OrderedDict[Hashable, tuple[int, bool]] = OrderedDict()

    def attach(self, source: Observable[Alert]) -> DisposableBase:
        if self.setup.clock == "wall" and not self._begun:
            self.now = self.wall_now()
            self._watch(None, came=False)
        return super().attach(source)

    def _look(self, alert: Alert) -> tuple[bool, Hashable]:
        if not self._test(alert):
            return (False, None)
        key = self._key(alert)
        return (key is not None or not self._named, key)

    def take(self, alert: Alert, seen: tuple[bool, Hashable]) -> None:
        came, key = seen
        if came or not self._begun:
            self._watch(key, came)
        if self._keep:
            self.emit(alert)

    def _watch(self, key: Hashable, came: bool) -> None:
        self._begun = True
        if self._last.pop(key, None) is None and len(self._last) >= self._most:
            self._last.popitem(last=False)
        self._last[key] = (self.now, came)
        over = self.now + self._length
        if over < self.due:
            self.due = over

    def pass_time(self) -> None:
        self.due = FOREVER
        while self._last:
            key, (last, came) = next(iter(self._last.items()))
            over = last + self._length
            if over > self.now:
                self.due = over
                return
            del self._last[key]
            self.release(self._raised(key, last if came else None, over), None)

    def _raised(self, key: Hashable, last: int | None, over: int) -> Alert:
        seconds = self._length / SECOND
        fields = {
            "rxalerts.key": key_text(key),
            "rxalerts.last": None if last is None else format_rfc3339(last),
            "rxalerts.seconds": seconds,
        }
        message = f"nothing for {seconds:g} s that meets: {self._text}" + (f" ({key_text(key)})" if self._named else "")
        return internal_alert(self._rule, message, self._level, over, fields, None)

    def finish(self) -> None:
        self._last.clear()
        self._begun = self._named
        self.due = FOREVER

    def state(self) -> dict[str, Any]:
        last = [[plain_key(key), time_ns, came] for key, (time_ns, came) in self._last.items()]
        return {"begun": self._begun, "last": last}

    def load(self, state: dict[str, Any]) -> None:
        self._begun = bool(state["begun"])
        for key, time_ns, came in state["last"]:
            self._last[key_of(key)] = (int(time_ns), bool(came))
        self.due = min((time_ns for time_ns, _ in self._last.values()), default=FOREVER - self._length) + self._length

    def forget(self) -> None:
        return None
