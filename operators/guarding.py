"""Make foreign operators and a user's own functions harmless: `catch` and `tap`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import reactivex
from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase
from reactivex.disposable import CompositeDisposable, Disposable, SerialDisposable

from rxalerts.flow.chain import chained
from rxalerts.flow.guard import Guard, OnFault, counted_by, counting
from rxalerts.operators._arguments import must_call

A = TypeVar("A")
B = TypeVar("B")


def tap(
    function: Callable[[A], object], *, on_fault: OnFault | None = None
) -> Callable[[Observable[A]], Observable[A]]:
    """Call a function with each alert and pass the alert on, whatever the function does.

    Arguments:
        function: called on the stream's thread; what it returns is ignored. It should be quick and not change the
            alert.
        on_fault: called with the DeadLetter of each alert for which the function raised.

    When the function raises, `dead_letters` tells it with the traceback, and the alert is passed on all the same: it
    is counted as a fault and not as lost. Order is kept; state: none. Completion and errors pass through.

        --a--b--|
        tap(print)
        --a--b--|

    >>> import reactivex
    >>> from rxalerts import Alert
    >>> seen = []
    >>> reactivex.of(Alert("a"), Alert("b")).pipe(tap(seen.append)).subscribe(lambda a: print(a.rule)) and len(seen)
    a
    b
    2
    """

    must_call("tap(function)", function)

    def step(on_next: Callable[[A], None]) -> Callable[[A], None]:
        guard = Guard("tap", on_fault, lost=False)

        def each(item: A) -> None:
            try:
                function(item)
            except Exception as error:
                guard(item, error)
            on_next(item)

        return each

    return chained(step)


def catch(
    operator: Callable[[Observable[A]], Observable[B]], *, on_fault: OnFault | None = None
) -> Callable[[Observable[A]], Observable[B]]:
    """Make any operator harmless: an alert for which it fails is lost here, and the stream goes on.

    Arguments:
        operator: any function from a stream to a stream, such as `reactivex.operators.map(…)` or a `compose(…)` of
            several.
        on_fault: called with the DeadLetter of each failure; its `item` is None when no alert was under way.

    In Rx an operator whose function raises ends its stream. Here the alert that was under way goes to `dead_letters`
    with the traceback, and the operator is subscribed to anew for the next one: what it remembered is gone, as if
    the stream began there. Completion passes through the operator, and so does an error of the source. Errors of
    whoever subscribes are not caught. An operator that fails as soon as it is subscribed to ends the stream with
    its error. Our own operators are harmless already.

        --a--b--c--|
        catch(rx.map(f))              f(b) raises
        --A-----C--|

    >>> import reactivex
    >>> from reactivex import operators as rx
    >>> stream = reactivex.of(2, 0, 4).pipe(catch(rx.map(lambda number: 8 // number)))
    >>> stream.subscribe(print) and None
    4
    2
    """

    must_call("catch(operator)", operator)

    def caught(source: Observable[A]) -> Observable[B]:
        def subscribe(observer: ObserverBase[B], scheduler: SchedulerBase | None = None) -> DisposableBase:
            return _Catch(operator, observer, scheduler, on_fault).attach(source)

        return reactivex.create(subscribe)

    return caught


class _Head(Observable[A]):
    """What the operator subscribes to: hands on what it is given to one observer."""

    def __init__(self) -> None:
        super().__init__()
        self.observer: ObserverBase[A] | None = None

    def _subscribe_core(self, observer: ObserverBase[A], scheduler: SchedulerBase | None = None) -> DisposableBase:
        self.observer = observer
        return Disposable(self._leave)

    def _leave(self) -> None:
        self.observer = None


class _Catch(ObserverBase[A], Generic[A, B]):
    """One subscription: the operator in front of it is put in anew whenever it has failed."""

    def __init__(
        self,
        operator: Callable[[Observable[A]], Observable[B]],
        observer: ObserverBase[B],
        scheduler: SchedulerBase | None,
        on_fault: OnFault | None,
    ) -> None:
        self._operator = operator
        self._observer: ObserverBase[B] = observer
        self._scheduler = scheduler
        self._guard = Guard("catch", on_fault)
        self._faults = counting()
        self._lock = threading.RLock()
        self._inner = SerialDisposable()
        self._head: _Head[A] = _Head()
        self._items: list[A] = []
        self._failure: Exception | None = None
        self._raised: Exception | None = None
        self._connecting = False
        self._over = False

    def attach(self, source: Observable[A]) -> DisposableBase:
        """Put in the operator, then subscribe to the source."""
        self._connect()
        subscription = source.subscribe(self.on_next, self.on_error, self.on_completed, scheduler=self._scheduler)
        return CompositeDisposable(subscription, self._inner)

    def _connect(self) -> None:
        head = self._head = _Head()
        self._connecting = True
        try:
            with counted_by(self._faults):
                self._inner.disposable = self._operator(head).subscribe(
                    self._emit, lambda error: self._fail(head, error), self._complete, scheduler=self._scheduler
                )
        except Exception as error:
            self._end(error)
        self._connecting = False

    def on_next(self, value: A) -> None:
        """Send an item through the operator; when that fails, report it and begin anew."""
        with self._lock:
            observer = self._head.observer
            if observer is None or self._over:
                return
            self._items.append(value)
            try:
                observer.on_next(value)
            except Exception as error:
                if error is self._raised:
                    raise
                self._failure = error
            finally:
                self._items.pop()
            self._mend(value)

    def on_error(self, error: Exception) -> None:
        """Let the operator know; what it makes of the source's error is passed on."""
        self._finish(lambda observer: observer.on_error(error))

    def on_completed(self) -> None:
        """Let the operator know, so that it can let go of what it holds."""
        self._finish(lambda observer: observer.on_completed())

    def _finish(self, tell: Callable[[ObserverBase[A]], None]) -> None:
        with self._lock:
            observer, self._finishing = self._head.observer, True
            if observer is not None and not self._over:
                tell(observer)

    _finishing = False

    def _mend(self, value: A | None) -> None:
        failure, self._failure = self._failure, None
        if failure is not None and not self._over:
            self._guard(value, failure)
            self._connect()

    def _emit(self, value: B) -> None:
        try:
            self._observer.on_next(value)
        except Exception as error:
            self._raised = error
            raise

    def _fail(self, head: _Head[A], error: Exception) -> None:
        if self._finishing or self._connecting:
            self._end(error)
        elif head is self._head:
            self._failure = error
            if not self._items:
                # A timer of the operator's failed: there is no item to blame.
                with self._lock:
                    self._mend(None)

    def _complete(self) -> None:
        if not self._over:
            self._over = True
            self._observer.on_completed()

    def _end(self, error: Exception) -> None:
        if not self._over:
            self._over = True
            self._observer.on_error(error)
