"""Let so many alerts through in a time, and say how many were withheld: `rate_limit`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

from reactivex.abc import ObserverBase, SchedulerBase

from rxalerts.alert import Alert
from rxalerts.flow.guard import OnFault
from rxalerts.operators._arguments import number, positive
from rxalerts.operators._clock import FOREVER, SECOND, Clock, nanoseconds
from rxalerts.operators._keys import Key, key_function, key_of, plain_key
from rxalerts.operators._spells import Spells
from rxalerts.operators._stateful import Session, Setup, Stateful, spared
from rxalerts.priority import Priority
from rxalerts.record import INTERNAL

LIMITED = "rxalerts: rate limit"


class TokenBucket:
    """Falco's token bucket: starts full, gains `rate` tokens a second up to `burst`.

    A claim that fails still notes the time and keeps the tokens gained, as in Falco (token_bucket.cpp, 0.5 to 0.36).

    >>> bucket = TokenBucket(2, 10, 1)
    >>> bucket.claim(5, 1_000_000_001), bucket.tokens
    (True, 5.0)
    >>> bucket.claim(7, 2_000_000_001), bucket.tokens
    (True, 0.0)
    >>> bucket.claim(3, 3_000_000_001), bucket.tokens
    (False, 2.0)
    """

    __slots__ = ("burst", "last_seen", "rate", "tokens")

    def __init__(self, rate: float, burst: float, now: int) -> None:
        self.rate = rate
        self.burst = burst
        self.tokens = float(burst)
        self.last_seen = now

    def claim(self, tokens: float, now: int) -> bool:
        """Take `tokens` if there are as many at `now`, in nanoseconds; time that goes back gains nothing."""
        if now != self.last_seen:
            if now > self.last_seen:
                gained = self.tokens + self.rate * ((now - self.last_seen) / SECOND)
                self.tokens = gained if gained < self.burst else float(self.burst)
            self.last_seen = now
        if self.tokens < tokens:
            return False
        self.tokens -= tokens
        return True


def rate_limit(
    rate: float,
    burst: float = 1000,
    key: Key = None,
    *,
    spare: str | int | Priority | None = None,
    announce: float = 60.0,
    max_keys: int = 20_000,
    clock: Clock = "event",
    scheduler: SchedulerBase | None = None,
    on_fault: OnFault | None = None,
) -> Stateful:
    """Let through at most `burst` alerts at once and `rate` a second on average, and say what was withheld.

    Arguments:
        rate: tokens that a bucket gains in a second; an alert takes one.
        burst: tokens that a bucket holds, and starts with.
        key: what has a bucket of its own: a name (`rule`, `hostname`, an output field …), several, or a callable
            from an alert to something hashable; None: one bucket for all. Alerts without the field share one.
        spare: this priority and more urgent ones always pass, and take no token; None: all are limited.
        announce: how long a spell lasts, in seconds.
        max_keys: how many buckets are kept; the one unused for longest is forgotten, and would start full again.
        clock: "event": the time of the alerts; "wall": the clock's, and a timer ends spells on time.
        scheduler: whose clock and timers "wall" takes; by default a thread shared by all timers.
        on_fault: called with the DeadLetter of each alert for which `key` raised.

    The bucket is Falco's (`outputs.rate` and `outputs.max_burst`, 0.5 to 0.36): what Falco skipped in silence is
    counted here. The first alert withheld from a key begins a spell, which ends `announce` seconds later, at the
    first alert that shows it; then one internal alert `rxalerts: rate limit`, of the most urgent priority that was
    withheld, tells how many there were (`rxalerts.count`, `.first`, `.last`, `.key`, `.rule`, `.example`). Alerts
    whose source is `internal` pass, as in Falco. Spells that still run are told on completion and before an error.

        --a--b--c--d-------e--|
        rate_limit(1, burst=2)
        --a--b-----------(ne)-|         n: "2 alerts withheld"

    >>> import reactivex
    >>> from rxalerts import Alert
    >>> alerts = [Alert("Scan", time=0) for _ in range(5)]
    >>> reactivex.of(*alerts).pipe(rate_limit(1, burst=2)).subscribe(lambda a: print(a.rule, a.message)) and None
    Scan Scan
    Scan Scan
    rxalerts: rate limit 3 alerts withheld by the rate limit: Scan
    """
    if number("rate_limit(rate)", rate, "alerts a second") <= 0:
        raise ValueError(f"rate_limit(rate={rate}): must be a number above 0 of alerts a second")
    if number("rate_limit(burst)", burst, "alerts") < 1:
        raise ValueError(f"rate_limit(burst={burst}): must be 1 or more, or no alert would pass")
    setup = Setup("rate_limit", clock, scheduler, on_fault)
    length = nanoseconds("announce", announce)
    look, most, urgent = key_function(key), positive("max_keys", max_keys), spared("spare", spare)
    return Stateful(setup, lambda observer: _Limit(setup, observer, look, rate, burst, length, most, urgent))


class _Limit(Session):
    def __init__(
        self,
        setup: Setup,
        observer: ObserverBase[Alert],
        look: Callable[[Alert], Hashable],
        rate: float,
        burst: float,
        length: int,
        most: int,
        urgent: int,
    ) -> None:
        super().__init__(setup, observer, look)
        self._rate = rate
        self._burst = burst
        self._most = most
        self._urgent = urgent
        self._buckets: OrderedDict[Hashable, TokenBucket] = OrderedDict()
        self._spells = Spells(length, most, self.release, LIMITED, _limited)

    def take(self, alert: Alert, seen: Hashable) -> None:
        if alert.source == INTERNAL or (self._urgent >= 0 and alert.priority <= self._urgent):
            self.emit(alert)
            return
        buckets = self._buckets
        bucket = buckets.get(seen)
        if bucket is None:
            if len(buckets) >= self._most:
                buckets.popitem(last=False)
            bucket = buckets[seen] = TokenBucket(self._rate, self._burst, self.now)
        else:
            buckets.move_to_end(seen)
        if bucket.claim(1.0, self.now):
            self.emit(alert)
            return
        spell = self._spells.get(seen)
        if spell is None:
            spell = self._spells.begin(seen, self.now, alert)
            self.due = self._spells.due
        spell.withhold(alert)

    def pass_time(self) -> None:
        self.due = self._spells.end_until(self.now)

    def finish(self) -> None:
        self._spells.end_all()
        self.due = FOREVER

    def state(self) -> dict[str, Any]:
        buckets = [[plain_key(key), bucket.tokens, bucket.last_seen] for key, bucket in self._buckets.items()]
        return {"buckets": buckets, "spells": self._spells.state()}

    def load(self, state: dict[str, Any]) -> None:
        for key, tokens, last_seen in state["buckets"]:
            bucket = self._buckets[key_of(key)] = TokenBucket(self._rate, self._burst, int(last_seen))
            bucket.tokens = min(float(tokens), bucket.tokens)
        self._spells.load(state["spells"])
        self.due = self._spells.due

    def forget(self) -> None:
        self._spells.forget()


def _limited(count: int, seconds: float, example: str) -> str:
    within = f" within {seconds:.3g} s" if seconds else ""
    return f"{count} alert{'s' if count > 1 else ''} withheld by the rate limit{within}: {example}"
