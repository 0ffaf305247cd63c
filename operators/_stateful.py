"""Operators with a state: the part that they have in common.

A `Stateful` is the operator; each subscription to what it returns has a `Session` with a state of its own. A
session sees alerts one at a time, under a lock, after it has moved the time on; what ends because of the passing
of time ends before the alert that shows it.
"""

# Our own alerts are made without the checks that those of others need:
# pyright: reportPrivateUsage=false

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

import reactivex
from msgspec import Raw
from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase
from reactivex.disposable import CompositeDisposable, Disposable, SerialDisposable
from reactivex.observer import Observer

from rxalerts.alert import Alert
from rxalerts.flow.guard import Guard, OnFault
from rxalerts.flow.holding import Held, timer_scheduler
from rxalerts.flow.scope import current
from rxalerts.format import Formatted
from rxalerts.jsonvalues import clean_text
from rxalerts.operators._clock import FOREVER, SECOND, Clock, Lateness
from rxalerts.priority import LABELS, Priority
from rxalerts.record import INTERNAL, Record
from rxalerts.timestamps import format_rfc3339

log = logging.getLogger("rxalerts")

VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Setup:
    """What every operator with a state can be told: its name, its time, whom to tell faults."""

    name: str
    clock: Clock = "event"
    scheduler: SchedulerBase | None = None
    on_fault: OnFault | None = None

    def __post_init__(self) -> None:
        if self.clock not in ("event", "wall"):
            raise ValueError(f"{self.name}(clock={self.clock!r}): must be 'event' or 'wall'")


class Session(ABC):
    """One subscription of an operator with a state.

    `look` calls the user's functions; what it raises makes the alert a dead letter, what it returns goes to `take`.
    `due` is the earliest time at which something may end because time has passed; subclasses lower it when
    something begins, and `pass_time` raises it again.
    """

    def __init__(self, setup: Setup, observer: ObserverBase[Alert], look: Callable[[Alert], Any]) -> None:
        self.setup = setup
        self._look_at = look
        self.emit: Callable[[Alert], None] = observer.on_next
        self._observer: ObserverBase[Alert] = observer
        self._guard = Guard(setup.name, setup.on_fault)
        self._lock = threading.RLock()
        self._lateness = Lateness()
        self._wall = setup.clock == "wall"
        self._timer = SerialDisposable()
        self._armed = FOREVER
        self._outlet: Held[None] = Held()
        self._ended = False
        self.now = -FOREVER
        self.due = FOREVER

    # -- what a subclass does -------------------------------------------------------------------------------

    @abstractmethod
    def take(self, alert: Alert, seen: Any) -> None:
        """Deal with an alert at `now`, given what was seen in it."""

    @abstractmethod
    def pass_time(self) -> None:
        """End what has ended by `now`, and set `due` anew."""

    @abstractmethod
    def finish(self) -> None:
        """End everything: the stream ends, or its clock was put back."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return the state as JSON knows it."""

    @abstractmethod
    def load(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned, and set `due`."""

    @abstractmethod
    def forget(self) -> None:
        """Let go of the holds on emissions, without releasing them."""

    # -- life -----------------------------------------------------------------------------------------------

    def attach(self, source: Observable[Alert]) -> DisposableBase:
        """Subscribe to the source."""
        if self._wall:
            self.now = self.wall_now()
            self._arm()
        subscription = source.subscribe(self.on_next, self.on_error, self.on_completed)
        return CompositeDisposable(subscription, self._timer, Disposable(self._detach))

    def on_next(self, alert: Alert) -> None:
        """Take an alert: first what its time ends, then the alert."""
        try:
            if not isinstance(alert, Alert):  # pyright: ignore[reportUnnecessaryIsInstance]
                remedy = ": put it before to_json() or to_text()" if isinstance(alert, Formatted) else ""
                raise TypeError(f"{self.setup.name} takes alerts, not {type(alert).__name__}{remedy}")
            seen = self._look_at(alert)
        except Exception as error:
            self._guard(alert, error)
            return
        if not self._wall:
            with self._lock:
                time_ns = alert.time_ns
                if time_ns >= self.now:
                    self.now = time_ns
                    self._lateness.streak = 0
                elif self._lateness.lasts(self.now - time_ns):
                    self.finish()
                    self.now = time_ns
                if self.now >= self.due:
                    self.pass_time()
                self.take(alert, seen)
        elif (scope := current()) is not None:
            with self._lock:
                self._take_now(alert, seen)
            self._outlet.hand_on(scope)
        else:
            # No source of ours: what wants to wait is collected, so that it waits without the lock.
            with self._lock, self._outlet.released():
                self._take_now(alert, seen)
            self._outlet.wait()

    def _take_now(self, alert: Alert, seen: Any) -> None:
        """Take an alert at the time of the wall's clock."""
        self.now = self.wall_now()
        if self.now >= self.due:
            self.pass_time()
        self.take(alert, seen)
        self._arm()

    def on_error(self, error: Exception) -> None:
        """End everything, then hand on the error."""
        with self._lock:
            if not self._ended:
                self._end()
                self._observer.on_error(error)

    def on_completed(self) -> None:
        """End everything, then complete."""
        with self._lock:
            if not self._ended:
                self._end()
                self._observer.on_completed()

    def _end(self) -> None:
        self._ended = True
        self._timer.dispose()
        self.finish()

    def _detach(self) -> None:
        with self._lock:
            self._ended = True
            self.forget()
            # The operator remembers this session for snapshot(), which must not keep the subscriber alive.
            self._observer = Observer()
            self.emit = self._observer.on_next

    def saved(self) -> dict[str, Any]:
        """Return the state between two alerts, with what it belongs to."""
        with self._lock:
            return {"operator": self.setup.name, "version": VERSION, "now": self.now, "state": self.state()}

    def resume(self, saved: dict[str, Any]) -> None:
        """Go on from what `saved` returned."""
        self.now = int(saved["now"])
        self.load(saved["state"])

    # -- letting go -----------------------------------------------------------------------------------------

    def release(self, alert: Alert | None, held: Held[None] | None) -> None:
        """Emit an alert of our own, if any, that stands for the emissions in `held`."""
        if held is None and current() is not None:
            if alert is not None:
                self.emit(alert)
            return
        with (self._outlet if held is None else held).released():
            if alert is not None:
                self.emit(alert)

    # -- the wall's clock -----------------------------------------------------------------------------------

    @property
    def _scheduler(self) -> SchedulerBase:
        return self.setup.scheduler or timer_scheduler()

    def wall_now(self) -> int:
        """Return the time of the wall's clock."""
        return round(self._scheduler.now.timestamp() * SECOND)

    def _arm(self) -> None:
        """Have `_time_is_up` called at `due`; a timer that comes too early looks again."""
        if self.due >= FOREVER or self._armed <= self.due or self._ended:
            return
        self._armed = self.due
        delay = max(0, self.due - self.now) / SECOND
        self._timer.disposable = self._scheduler.schedule_relative(delay, self._time_is_up, self.due)

    def _time_is_up(self, _: object, armed: int | None = None) -> None:
        with self._lock:
            if self._ended or armed != self._armed:
                return
            self._armed = FOREVER
            # Timers may be some microseconds early against the clock; what is due at `armed` is due now.
            self.now = max(self.wall_now(), armed or 0)
            try:
                # A timer's thread never waits: the next alert's source does.
                with self._outlet.released():
                    self.pass_time()
            except Exception as error:
                # Whoever subscribed has raised. There is no caller to tell, and the timer's thread serves others.
                log.exception("%s: an observer raised", self.setup.name)
                self._observer.on_error(error)
            self._arm()


class Stateful:
    """An operator whose state can be saved: call it with a stream, or give it to `pipe` or `route`.

    Every subscription has a state of its own. `snapshot` looks at the latest one, and `restore` is for the next
    one: use such an operator for one stream at a time.

    >>> from rxalerts import operators
    >>> op = operators.rate_limit(1, burst=5).restore(operators.rate_limit(1, burst=5).snapshot())
    >>> op.snapshot()["operator"]
    'rate_limit'
    """

    def __init__(self, setup: Setup, make: Callable[[ObserverBase[Alert]], Session]) -> None:
        self.label = setup.name  # in drawings
        self._setup = setup
        self._make = make
        self._latest: Session | None = None
        self._saved: dict[str, Any] | None = None

    def __call__(self, source: Observable[Alert]) -> Observable[Alert]:
        """Return the stream behind this operator."""

        def subscribe(observer: ObserverBase[Alert], _: SchedulerBase | None = None) -> DisposableBase:
            return self._session(observer).attach(source)

        return reactivex.create(subscribe)

    def __repr__(self) -> str:
        return f"<operator {self._setup.name}>"

    def _session(self, observer: ObserverBase[Alert]) -> Session:
        session = self._make(observer)
        saved, self._saved = self._saved, None
        if saved is not None:
            session.resume(saved)
        self._latest = session
        return session

    def snapshot(self) -> dict[str, Any]:
        """Return the state of the latest subscription as plain data that JSON can hold.

        It fits the moment between two alerts; taken from another thread, it waits for that moment. Raises
        TypeError when keys (of a callable `key`) have no JSON form.
        """
        if self._saved is not None:
            return self._saved
        session = self._latest or self._make(Observer())
        return session.saved()

    def restore(self, snapshot: dict[str, Any]) -> Stateful:
        """Have the next subscription begin with the state that `snapshot` returned; returns the operator itself.

        Raises ValueError when it is the state of another operator or of another version of it.
        """
        if not isinstance(snapshot, dict):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"this is no state of {self._setup.name}: {snapshot!r:.100}")
        name, version = snapshot.get("operator"), snapshot.get("version")
        if name != self._setup.name or version != VERSION:
            raise ValueError(f"a state of {name} (version {version}) is none of {self._setup.name} ({VERSION})")
        # Tried out at once, so that a broken state is not found out in the middle of a restart.
        try:
            self._make(Observer()).resume(snapshot)
            self._saved = snapshot
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise ValueError(f"this is no state of {name}: {error!r}") from error
        return self


def hold(held: Held[None] | None) -> Held[None] | None:
    """Hold the running emission, if its source waits for delivery; returns what holds it."""
    scope = current()
    if scope is None or scope.mark is None or not scope.mark.until_delivered:
        return held
    if held is None:
        held = Held()
    held.hold_once()
    return held


def internal_alert(
    rule: str, message: str, priority: Priority, time_ns: int, fields: dict[str, Any], like: Alert | None
) -> Alert:
    """Make an alert of our own; it says that it is one by its source, as Falco's internal ones do."""
    # The same as Alert(…), which checks and copies what comes from elsewhere, in a third of the time.
    record = Record(
        hostname=like.hostname if like is not None else "",
        output=clean_text(message),
        output_fields=cast("Raw", fields),
        priority=LABELS[priority],
        rule=rule,
        source=INTERNAL,
        tags=(),
        time=format_rfc3339(time_ns),
    )
    return Alert._make(record, priority, time_ns, None, None)


def plain_alert(alert: Alert) -> list[Any]:
    """Return of an alert what is needed of an example, as JSON knows it.

    >>> plain_alert(Alert("r", "error", "m", hostname="h"))
    ['r', 3, 'm', 'h']
    """
    return [alert.rule, int(alert.priority), alert.message, alert.hostname]


def alert_of(plain: list[Any], time_ns: int) -> Alert:
    """Return an alert with what `plain_alert` kept."""
    rule, priority, message, hostname = plain
    return Alert(rule, priority, message, time=time_ns, hostname=hostname)


def spared(name: str, spare: str | int | Priority | None) -> int:
    """Return the number up to which priorities are spared; -1: none is."""
    try:
        return -1 if spare is None else Priority.parse(spare)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
