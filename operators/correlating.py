"""Notice that one alert follows another: `correlate`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

from reactivex.abc import ObserverBase

from rxalerts.alert import Alert
from rxalerts.flow.guard import OnFault
from rxalerts.flow.holding import Held
from rxalerts.operators._clock import FOREVER, SECOND, nanoseconds
from rxalerts.operators._keys import Key, key_function, key_of, key_text, plain_key
from rxalerts.operators._stateful import Session, Setup, Stateful, hold, internal_alert, positive
from rxalerts.operators.filtering import When, predicate
from rxalerts.priority import Priority
from rxalerts.timestamps import format_rfc3339

CORRELATION = "rxalerts: correlation"


def correlate(
    first: When,
    then: When,
    by: Key = None,
    within: float = 60.0,
    *,
    keep: bool = False,
    rule: str = CORRELATION,
    priority: str | int | Priority | None = None,
    max_keys: int = 20_000,
    on_fault: OnFault | None = None,
) -> Stateful:
    """Raise an alert when one that meets `first` is followed by one that meets `then`, for the same key.

    Arguments:
        first, then: conditions in Falco's syntax, or callables from an alert to a bool.
        by: what both must have in common: a name (`hostname`, `container.id` …), several, or a callable from an
            alert to something hashable; None: nothing. An alert that lacks the only field takes no part.
        within: how many seconds `then` may come after `first`, by the times of the alerts.
        keep: let all alerts through as well; the raised one comes after the alert that completed it.
        rule: the name of the raised alert's rule.
        priority: of the raised alert; None: the more urgent one of the two.
        max_keys: how many `first` alerts are remembered; one more, and the oldest is forgotten.
        on_fault: called with the DeadLetter of each alert for which a callable raised.

    The latest `first` of a key counts, once: after the alert was raised, another `first` is needed. The raised
    alert has the time and the host of `then`, and the fields `rxalerts.key`, `.first`, `.first.rule`,
    `.first.example`, `.last`, `.last.rule`, `.last.example`. What is remembered is forgotten on completion and on
    error, which are handed on: nothing followed. A source that waits for delivery regards a `first` as
    delivered when it can no longer lead to an alert.

        --f-----t--t--|        f: meets first, t: meets then
        correlate("rule = f", "rule = t")
        --------r-----|

    >>> import reactivex
    >>> from rxalerts import Alert
    >>> alerts = [Alert("Download", time=0), Alert("Shell", time=2 * 10**9), Alert("Shell", time=3 * 10**9)]
    >>> dropper = correlate("rule = Download", "rule = Shell", by="hostname", within=10, rule="Dropper")
    >>> reactivex.of(*alerts).pipe(dropper).subscribe(lambda a: print(a.rule, "|", a.message)) and None
    Dropper | Download, then Shell 2 s later
    """
    setup = Setup("correlate", on_fault=on_fault)
    tests = predicate(first), predicate(then)
    look, most, length = key_function(by), positive("max_keys", max_keys), nanoseconds("within", within)
    level = None if priority is None else Priority.parse(priority)
    named = by is not None
    return Stateful(
        setup, lambda observer: _Correlate(setup, observer, tests, look, named, length, keep, rule, level, most)
    )


class _First:
    """What is remembered of an alert that met `first`."""

    __slots__ = ("example", "held", "level", "rule", "time_ns")

    def __init__(self, time_ns: int, rule: str, example: str, level: Priority, held: Held[None] | None) -> None:
        self.time_ns = time_ns
        self.rule = rule
        self.example = example
        self.level = level
        self.held = held


class _Correlate(Session):
    def __init__(
        self,
        setup: Setup,
        observer: ObserverBase[Alert],
        tests: tuple[Callable[[Alert], object], Callable[[Alert], object]],
        look: Callable[[Alert], Hashable],
        named: bool,
        length: int,
        keep: bool,
        rule: str,
        level: Priority | None,
        most: int,
    ) -> None:
        super().__init__(setup, observer)
        self._first, self._then = tests
        self._key = look
        self._named = named
        self._length = length
        self._keep = keep
        self._rule = rule
        self._level = level
        self._most = most
        # With the time by which each is over, in that order.
        self._seen: OrderedDict[Hashable, tuple[int, _First]] = OrderedDict()

    def look(self, alert: Alert) -> tuple[bool, bool, Hashable]:
        is_first, is_then = bool(self._first(alert)), bool(self._then(alert))
        if not is_first and not is_then:
            return (False, False, None)
        key = self._key(alert)
        hash(key)
        if key is None and self._named:
            return (False, False, None)
        return (is_first, is_then, key)

    def take(self, alert: Alert, seen: tuple[bool, bool, Hashable]) -> None:
        is_first, is_then, key = seen
        if self._keep:
            self.emit(alert)
        if is_then and (found := self._seen.get(key)) is not None:
            passed = alert.time_ns - found[1].time_ns
            if 0 <= passed <= self._length:
                del self._seen[key]
                # The raised alert stands for both.
                self.release(self._raised(found[1], alert, key, passed), hold(found[1].held))
        if is_first:
            self._remember(alert, key)

    def _remember(self, alert: Alert, key: Hashable) -> None:
        old = self._seen.pop(key, None)
        if old is None and len(self._seen) >= self._most:
            old = self._seen.popitem(last=False)[1]
        held = hold(None)
        if old is not None:
            self._let_go(old[1])
        first = _First(alert.time_ns, alert.rule, alert.message, alert.priority, held)
        over = self.now + self._length + 1
        self._seen[key] = (over, first)
        if over < self.due:
            self.due = over

    def _raised(self, first: _First, alert: Alert, key: Hashable, passed: int) -> Alert:
        fields = {
            "rxalerts.key": key_text(key),
            "rxalerts.first": format_rfc3339(first.time_ns),
            "rxalerts.first.rule": first.rule,
            "rxalerts.first.example": first.example,
            "rxalerts.last": alert.time,
            "rxalerts.last.rule": alert.rule,
            "rxalerts.last.example": alert.message,
        }
        message = f"{first.rule or first.example}, then {alert.rule or alert.message} {passed / SECOND:.3g} s later"
        level = min(first.level, alert.priority) if self._level is None else self._level
        return internal_alert(self._rule, message, level, alert.time_ns, fields, alert)

    def _let_go(self, first: _First) -> None:
        if first.held is not None:
            self.release(None, first.held)

    def pass_time(self) -> None:
        self.due = FOREVER
        while self._seen:
            key, (over, first) = next(iter(self._seen.items()))
            if over > self.now:
                self.due = over
                return
            del self._seen[key]
            self._let_go(first)

    def finish(self) -> None:
        while self._seen:
            self._let_go(self._seen.popitem(last=False)[1][1])
        self.due = FOREVER

    def state(self) -> dict[str, Any]:
        seen = [
            [plain_key(key), over, first.time_ns, first.rule, first.example, int(first.level)]
            for key, (over, first) in self._seen.items()
        ]
        return {"seen": seen}

    def load(self, state: dict[str, Any]) -> None:
        for key, over, time_ns, rule, example, level in state["seen"]:
            first = _First(int(time_ns), str(rule), str(example), Priority(level), None)
            self._seen[key_of(key)] = (int(over), first)
        self.due = min((over for over, _ in self._seen.values()), default=FOREVER)

    def forget(self) -> None:
        for _, first in self._seen.values():
            if first.held is not None:
                first.held.abandon()
