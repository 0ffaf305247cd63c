"""A clock that moves only when told to, and a driver that lives a sink's life on it."""

from __future__ import annotations

from typing import Any

from rxalerts.flow.channel import Channel, Fatal
from rxalerts.flow.control import Wait
from rxalerts.flow.sink import Sink


class VirtualClock:
    """Seconds that pass only through `advance`.

    >>> clock = VirtualClock()
    >>> clock.advance(1.5); clock()
    1.5
    """

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self.now += seconds


class VirtualDriver:
    """Runs a blocking sink in the calling thread, in virtual time.

    Feed the sink with `on_next`, ask it for things with `stop`, `reopen` and the like, then call `run` to let it
    do everything that it can do without waiting, or `advance` to let time pass. Do not call what waits for the
    sink (`close`, `flush`, a `with` block): the caller is who it would wait for.

    Arguments:
        sink: a ThreadSink that has not been started.
        clock: the clock to live on; a new one by default.

    `waits` holds how long the sink wanted to wait, each time (None: for mail only).

    >>> from rxalerts.testing import RecordingSink
    >>> sink = RecordingSink()
    >>> driver = VirtualDriver(sink)
    >>> sink.fail(OSError("no route"), times=1)
    >>> sink.on_next("a"); driver.run()
    >>> sink.state.value, sink.written
    ('backoff', [])
    >>> driver.advance(0.5)
    >>> sink.state.value, sink.written
    ('running', ['a'])
    """

    def __init__(self, sink: Sink[Any], clock: VirtualClock | None = None) -> None:
        self.clock = clock or VirtualClock()
        self._sink = sink
        sink.adopt(self.clock)
        if not isinstance(sink.channel, Channel):
            raise TypeError(f"{sink.name}: only a blocking sink can live in virtual time, this one is asynchronous")
        self._steps = sink.supervisor.run()
        self._waiting: Wait | None = None
        self._wake_at: float | None = None
        self.waits: list[float | None] = []
        self.ended = False

    def run(self) -> None:
        """Let the sink work until it waits for mail that is not there, or for time to pass."""
        if self._waiting is not None and not self._due():
            return
        self._waiting = None
        value: Any = None
        failure: Exception | None = None
        while not self.ended:
            try:
                step = self._steps.send(value) if failure is None else self._steps.throw(failure)
            except StopIteration:
                self.ended = True
                self._sink.finished()
                return
            value = failure = None
            if isinstance(step, Wait):
                self._waiting = step
                self._wake_at = None if step.timeout is None else self.clock() + step.timeout
                if not self._has_mail():
                    self.waits.append(step.timeout)
                    return
                continue
            try:
                value = step.hook(*step.args)
            except Exception as error:
                failure = error
            except BaseException as error:
                failure = Fatal(f"{type(error).__name__}: {error}")

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass, waking the sink whenever it asked for it."""
        end = self.clock() + seconds
        self.run()
        while self._wake_at is not None and self._wake_at <= end and not self.ended:
            self.clock.now = max(self.clock.now, self._wake_at)
            self.run()
        self.clock.now = end

    def _due(self) -> bool:
        return self._has_mail() or (self._wake_at is not None and self.clock() >= self._wake_at)

    def _has_mail(self) -> bool:
        control_only = self._waiting is not None and self._waiting.control_only
        return self._sink.mailbox.has_mail(control_only=control_only)
