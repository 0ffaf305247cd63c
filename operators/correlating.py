"""Notice that one alert follows another: `correlate`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

from reactivex.abc import ObserverBase

from rxalerts.alert import Alert
from rxalerts.flow.guard import OnFault
from rxalerts.flow.holding import Held
from rxalerts.operators._arguments import positive
from rxalerts.operators._clock import FOREVER, SECOND, nanoseconds
from rxalerts.operators._keys import Key, key_function, key_of, key_text, plain_key
from rxalerts.operators._predicate import When, predicate
from rxalerts.operators._stateful import Session, Setup, Stateful, alert_of, hold, internal_alert, plain_alert
from rxalerts.priority import Priority

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
    """An alert that met `first`, with the time by which it is over and what holds its emission."""

    __slots__ = ("alert", "held", "over")

    def __init__(self, alert: Alert, over: int, held: Held[None] | None) -> None:
        self.alert = alert
        self.over = over
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
        super().__init__(setup, observer, self._look)
        self._first, self._then = tests
        self._key = look
        self._named = named
        self._length = length
        self._keep = keep
        self._rule = rule
        self._level = level
        self._most = most
        # In the order in which they are over.
        self._seen: OrderedDict[Hashable, _First] = OrderedDict()

    def _look(self, alert: Alert) -> tuple[object, object, Hashable] | None:
        is_first, is_then = self._first(alert), self._then(alert)
        if not is_first and not is_then:
            return None
        key = self._key(alert)
        return None if key is None and self._named else (is_first, is_then, key)

    def take(self, alert: Alert, seen: tuple[object, object, Hashable] | None) -> None:
        if self._keep:
            self.emit(alert)
        if seen is None:
            return
        is_first, is_then, key = seen
        if is_then and (first := self._seen.get(key)) is not None:
            passed = alert.time_ns - first.alert.time_ns
            if 0 <= passed <= self._length:
                del self._seen[key]
                # The raised alert stands for both.
                self.release(self._raised(first.alert, alert, key, passed), hold(first.held))
        if is_first:
            self._remember(alert, key)

    def _remember(self, alert: Alert, key: Hashable) -> None:
        old = self._seen.pop(key, None)
        if old is None and len(self._seen) >= self._most:
            old = self._seen.popitem(last=False)[1]
        over = self.now + self._length + 1
        self._seen[key] = _First(alert, over, hold(None))
        if over < self.due:
            self.due = over
        if old is not None:
            self._let_go(old)

    def _raised(self, first: Alert, then: Alert, key: Hashable, passed: int) -> Alert:
        examples = first.message, then.message
        fields = {
            "rxalerts.key": key_text(key),
            "rxalerts.first": first.time,
            "rxalerts.first.rule": first.rule,
            "rxalerts.first.example": examples[0],
            "rxalerts.last": then.time,
            "rxalerts.last.rule": then.rule,
            "rxalerts.last.example": examples[1],
        }
        message = f"{first.rule or examples[0]}, then {then.rule or examples[1]} {passed / SECOND:.3g} s later"
        level = min(first.priority, then.priority) if self._level is None else self._level
        return internal_alert(self._rule, message, level, then.time_ns, fields, then)

    def _let_go(self, first: _First) -> None:
        if first.held is not None:
            self.release(None, first.held)

    def pass_time(self) -> None:
        self.due = FOREVER
        while self._seen:
            key, first = next(iter(self._seen.items()))
            if first.over > self.now:
                self.due = first.over
                return
            del self._seen[key]
            self._let_go(first)

    def finish(self) -> None:
        while self._seen:
            self._let_go(self._seen.popitem(last=False)[1])
        self.due = FOREVER

    def state(self) -> dict[str, Any]:
        seen = [
            [plain_key(key), first.over, first.alert.time_ns, *plain_alert(first.alert)]
            for key, first in self._seen.items()
        ]
        return {"seen": seen}

    def load(self, state: dict[str, Any]) -> None:
        for key, over, time_ns, *alert in state["seen"]:
            self._seen[key_of(key)] = _First(alert_of(alert, int(time_ns)), int(over), None)
        self.due = min((first.over for first in self._seen.values()), default=FOREVER)

    def forget(self) -> None:
        for first in self._seen.values():
            if first.held is not None:
                first.held.abandon()
