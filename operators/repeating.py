"""Let the first of like alerts through and sum up the rest: `suppress_repeats`."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from reactivex.abc import ObserverBase, SchedulerBase

from rxalerts.alert import Alert
from rxalerts.flow.guard import OnFault
from rxalerts.operators._arguments import positive
from rxalerts.operators._clock import FOREVER, Clock, nanoseconds
from rxalerts.operators._keys import Key, key_function
from rxalerts.operators._spells import Spells
from rxalerts.operators._stateful import Session, Setup, Stateful, spared
from rxalerts.priority import Priority

REPEATED = "rxalerts: repeats"


def suppress_repeats(
    key: Key = ("rule", "hostname"),
    within: float = 60.0,
    max_keys: int = 20_000,
    *,
    spare: str | int | Priority | None = "critical",
    clock: Clock = "event",
    scheduler: SchedulerBase | None = None,
    on_fault: OnFault | None = None,
) -> Stateful:
    """Let the first of several like alerts through, and then one summary of the rest.

    Arguments:
        key: what makes alerts alike: a name (`rule`, `hostname`, an output field …), several, or a callable from an
            alert to something hashable. Alerts that lack the field are alike; with the default, those without a
            rule (most text logs) are told apart by their message.
        within: how long a spell lasts, in seconds from the alert that was let through.
        max_keys: how many spells run at once; when one more begins, the oldest ends early, with its summary.
        spare: this priority and more urgent ones always pass and are in no summary; None: no priority is spared.
        clock: "event": the time of the alerts; "wall": the clock's, and a timer ends spells on time.
        scheduler: whose clock and timers "wall" takes; by default a thread shared by all timers.
        on_fault: called with the DeadLetter of each alert for which `key` raised.

    The first alert of a key passes at once and begins a spell; what comes after it is counted. The spell ends at the
    first alert of any key that is `within` seconds later, on completion, and before an error. If it has withheld
    anything, one internal alert `rxalerts: repeats` follows, of the most urgent priority that was withheld:
    `rxalerts.rule`, `.key`, `.count` (without the one that passed), `.first`, `.last`, `.example`. The next alert
    of the key passes again. A source that waits for delivery regards what was withheld as delivered when the
    summary is.

        --a--a--b--a--------c--|
        suppress_repeats(within=10)
        --a-----b---------(nc)-|        n: "repeated 2 times"

    >>> import reactivex
    >>> from rxalerts import Alert
    >>> alerts = [Alert("Shell", "notice", f"shell {n}", time=n * 10**9) for n in range(4)]
    >>> stream = reactivex.of(*alerts).pipe(suppress_repeats(key="rule", within=30))
    >>> stream.subscribe(lambda a: print(a.rule, "|", a.message)) and None
    Shell | shell 0
    rxalerts: repeats | repeated 3 times within 3 s: shell 1
    """
    setup = Setup("suppress_repeats", clock, scheduler, on_fault)
    length, most, urgent = nanoseconds("within", within), positive("max_keys", max_keys), spared("spare", spare)
    look = _alike if key == ("rule", "hostname") else key_function(key)
    return Stateful(setup, lambda observer: _Repeats(setup, observer, look, length, most, urgent))


def _alike(alert: Alert) -> Hashable:
    return (alert.rule or alert.message, alert.hostname)


class _Repeats(Session):
    def __init__(
        self,
        setup: Setup,
        observer: ObserverBase[Alert],
        look: Callable[[Alert], Hashable],
        length: int,
        most: int,
        urgent: int,
    ) -> None:
        super().__init__(setup, observer, look)
        self._urgent = urgent
        self._spells = Spells(length, most, self.release, REPEATED, _repeated)

    def take(self, alert: Alert, seen: Hashable) -> None:
        if alert.priority <= self._urgent:
            self.emit(alert)
            return
        spell = self._spells.get(seen)
        if spell is not None:
            spell.withhold(alert)
            return
        self._spells.begin(seen, self.now, alert)
        self.due = self._spells.due
        self.emit(alert)

    def pass_time(self) -> None:
        self.due = self._spells.end_until(self.now)

    def finish(self) -> None:
        self._spells.end_all()
        self.due = FOREVER

    def state(self) -> dict[str, Any]:
        return {"spells": self._spells.state()}

    def load(self, state: dict[str, Any]) -> None:
        self._spells.load(state["spells"])
        self.due = self._spells.due

    def forget(self) -> None:
        self._spells.forget()


def _repeated(count: int, seconds: float, example: str) -> str:
    within = f" within {seconds:.3g} s" if seconds else ""
    return f"repeated {count} time{'s' if count > 1 else ''}{within}: {example}"
