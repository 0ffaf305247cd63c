"""Join a source, operators and sinks: `run`, `arun`, and the `Pipeline` that they are made of."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import reactivex
from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase
from reactivex.disposable import SingleAssignmentDisposable

from rxalerts.display import html_of
from rxalerts.errors import SourceError
from rxalerts.flow.circle import refuse_loop
from rxalerts.flow.draining import PATIENCE, close_all
from rxalerts.flow.hub import Hub, complete_branches
from rxalerts.flow.iterable import from_iterable
from rxalerts.flow.report import Report
from rxalerts.flow.sink import Sink
from rxalerts.flow.source import Emitter, Source
from rxalerts.flow.threads import ThreadShortage, start
from rxalerts.routes import Route, as_route
from rxalerts.wiring import Wiring

log = logging.getLogger("rxalerts")


class Pipeline:
    """A source, its routes and their sinks, with their common life: start, swap, reopen, stop, wait.

    Arguments:
        source: a `rxalerts.sources` source, any Observable of alerts, or an iterable of them.
        routes: what `route` returns; a bare sink stands for a route without operators.
        timeout: seconds that the sinks get, all together, to deliver what they hold when the source has ended
            or `stop` was called; None: for as long as they get on (a sink that has delivered nothing for
            30 s is given up).

    Raises ConfigError when a sink would write to a file that the source reads.

    The source runs on a thread of its own, so that a KeyboardInterrupt never falls between reading an alert and
    handing it over. Delivery is that of the sinks; the report tells about every alert.
    """

    _repr_html_ = html_of

    def __init__(
        self,
        source: Source[Any] | Observable[Any] | Iterable[Any],
        *routes: Route | Sink[Any],
        timeout: float | None = None,
    ) -> None:
        if not routes:
            raise ValueError("nothing to run: give at least one route(…, to=sink)")
        self._source: Observable[Any] = source if isinstance(source, Observable) else _iterated(source)
        self._timeout = timeout
        self._interrupted = False
        # When no sink is left that could deliver anything, there is no reason to read on.
        self._wiring = Wiring(self._stop_source)
        self._hub = Hub(self._wiring.errors.append)
        self._routes = [as_route(each) for each in routes]
        files = [path for each in self._routes for sink in each.sinks for path in sink.files]
        refuse_loop(getattr(self._source, "files", ()), files)
        self._emitter: Emitter[Any] | None = None
        self._subscription = SingleAssignmentDisposable()
        self._stopping = False
        self._feeding = False
        self._began: float | None = None

    @property
    def sinks(self) -> dict[str, Sink[Any]]:
        """The sinks by name, in the order of the routes."""
        return dict(self._wiring.sinks)

    def when_finished(self, callback: Callable[[], None]) -> None:
        """Call `callback`, from any thread, when the source has ended; to be set before `start`."""
        self._hub.when_finished = callback

    def start(self) -> Pipeline:
        """Connect the routes, start the sinks, then the source."""
        self._began = time.monotonic()
        self._hub.swap(self._wiring.connect(self._routes))
        try:
            start(threading.Thread(target=self._feed, name="rxalerts-source", daemon=True))
        except ThreadShortage as error:
            raise SourceError(str(error)) from error
        self._feeding = True
        return self

    def _feed(self) -> None:
        try:
            if isinstance(self._source, Source):
                self._emitter = self._source.emitter(self._hub)
                if self._stopping:
                    self._emitter.stop()
                self._source.feed(self._hub, self._emitter)
            else:
                self._stoppable(self._source).subscribe(self._hub)
        except Exception as error:
            log.exception("the source failed")
            self._hub.on_error(error)
        except BaseException as error:
            # `sys.exit()` would end this thread without a word, and everybody would wait for the source for ever.
            log.exception("the source failed")
            self._hub.on_error(RuntimeError(f"{type(error).__name__}: {error}"))

    def _stoppable(self, source: Observable[Any]) -> Observable[Any]:
        """Return `source` with its subscription in our hands before the first item comes."""

        def subscribe(observer: ObserverBase[Any], scheduler: SchedulerBase | None = None) -> DisposableBase:
            self._subscription.disposable = source.subscribe(observer, scheduler=scheduler)
            return self._subscription

        return reactivex.create(subscribe)

    def _stop_source(self) -> None:
        self._stopping = True
        if self._emitter is not None:
            self._emitter.stop()
        elif not isinstance(self._source, Source) or not self._feeding:
            self._subscription.dispose()
            self._hub.on_completed()

    def stop(self) -> None:
        """Ask the source to end; `wait` then drains the sinks within the timeout."""
        self._interrupted = True
        self._stop_source()

    def reopen(self) -> None:
        """Close and reopen every sink's channel, as SIGUSR1 does; returns at once."""
        for sink in list(self._wiring.sinks.values()):
            sink.reopen()

    def swap(self, *routes: Route | Sink[Any]) -> None:
        """Replace the routes while alerts flow; sinks that are in both keep running with their mailboxes.

        Sinks that are in no route any more deliver what they hold, within the timeout, and close. Raises
        RuntimeError when called by an operator or an observer in the middle of an emission.
        """
        self._hub.refuse_own_emission()
        before = self._wiring.sinks
        new = [as_route(each) for each in routes]
        old = self._hub.swap(self._wiring.connect(new))
        self._routes = new
        complete_branches(old)
        for sink in self._wiring.retire(before):
            threading.Thread(target=close_all, args=([sink], self._timeout), daemon=True).start()

    def wait(self) -> Report:
        """Wait for the source's end, drain and close the sinks, and return the report.

        A KeyboardInterrupt stops the source; a second one, while the sinks are drained, gives up on them.
        """
        try:
            while not self._hub.finished.wait(0.2):
                # Short waits: an interpreter on some systems notices Ctrl-C only between two.
                continue
        except KeyboardInterrupt:
            self.stop()
        return self.drain(self._timeout)

    def drain(self, timeout: float | None) -> Report:
        """Let the sinks deliver what they hold and close them, within `timeout`, and return the report.

        Called when the source has ended or `stop` was called: the source gets part of that time to notice.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        try:
            self._drain(deadline)
        except KeyboardInterrupt:
            # The first one means: no more alerts; the source may have come to its end already.
            again, self._interrupted = self._interrupted, True
            try:
                self._drain(time.monotonic() if again else deadline)
            except KeyboardInterrupt:
                self._drain(time.monotonic())
        if isinstance(self._source, Source):
            self._source.finished()
        return self.report()

    def _drain(self, deadline: float | None) -> None:
        if self._interrupted:
            self._stop_source()
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        self._hub.finished.wait(PATIENCE if left is None else left / 2)
        self._hub.complete()
        close_all(self._wiring.everybody(), None if deadline is None else max(0.0, deadline - time.monotonic()))

    def report(self) -> Report:
        """Return the counts as they are now."""
        sources = self._source.all_stats() if isinstance(self._source, Source) else ()
        wiring = self._wiring
        sinks = {**wiring.sinks, **wiring.retired}
        return Report(
            sinks={name: sink.stats() for name, sink in sinks.items()},
            sources=sources,
            seconds=0.0 if self._began is None else time.monotonic() - self._began,
            interrupted=self._interrupted,
            errors=tuple(wiring.errors),
            faults=dict(wiring.faults.counts),
            faulty=wiring.faults.lost,
            cut=wiring.cut,
        )


def _iterated(source: Iterable[Any]) -> Source[Any]:
    """Return an iterable as a source; what a newcomer may take for one raises TypeError."""
    if isinstance(source, (str, bytes, os.PathLike)):
        # A text can be iterated over: its letters would be taken for alerts.
        raise TypeError(f"{source!r} is no source: give sources.replay({source!r}) for what is in that file")
    if not hasattr(source, "__iter__"):
        raise TypeError(
            f"{type(source).__name__} is no source: give one of rxalerts.sources, an Observable, or an iterable of "
            "alerts (not an asynchronous one: hand what comes from it to a reactivex Subject)"
        )
    return from_iterable(source)


def run(
    source: Source[Any] | Observable[Any] | Iterable[Any],
    *routes: Route | Sink[Any],
    timeout: float | None = None,
) -> Report:
    """Send everything that `source` emits through `routes`, wait for the end, and report.

    Arguments, and what is promised: see `Pipeline`. Ctrl-C stops the source, drains the sinks and returns the
    report, with `interrupted` set.

    >>> from rxalerts import Alert, operators as ops, route, sinks
    >>> kept = sinks.CollectSink()
    >>> report = run([Alert("A shell", "warning"), Alert("A ping", "debug")], route(ops.at_least("warning"), to=kept))
    >>> [alert.rule for alert in kept.items], report.lost
    (['A shell'], 0)
    """
    pipeline = Pipeline(source, *routes, timeout=timeout)
    try:
        return pipeline.start().wait()
    except KeyboardInterrupt:
        # It fell between the steps, or was one too many: what was read is delivered all the same.
        pipeline.stop()
        return pipeline.wait()


async def arun(
    source: Source[Any] | Observable[Any] | Iterable[Any],
    *routes: Route | Sink[Any],
    timeout: float | None = None,
) -> Report:
    """Do the same as `run` without blocking the running event loop.

    Cancelling it stops the source and drains the sinks within `timeout` before the cancellation goes on.
    """
    pipeline = Pipeline(source, *routes, timeout=timeout).start()
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Report] = loop.create_future()

    def deliver(result: Report | BaseException) -> None:
        if not done.done():
            if isinstance(result, BaseException):
                done.set_exception(result)
            else:
                done.set_result(result)

    def wait() -> None:
        result: Report | BaseException
        try:
            result = pipeline.wait()
        except BaseException as error:
            result = error
        try:
            loop.call_soon_threadsafe(deliver, result)
        except RuntimeError:
            log.debug("the event loop closed before the pipeline ended")

    threading.Thread(target=wait, name="rxalerts-arun", daemon=True).start()
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        pipeline.stop()
        await asyncio.wait([done])
        raise
