"""A clock that moves only when told to, and a driver that lives a sink's life on it."""

from __future__ import annotations

from typing import Any

from rxalerts.flow.sink import Sink
from rxalerts.flow.supervisor import Supervisor, Wait


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

    The sink must not have been started; feed it with `on_next`, then call `run` to let it do everything that it
    can do until it would wait, or `advance` to let time pass. `waits` holds how long it wanted to wait.
    """

    def __init__(self, sink: Sink[Any], clock: VirtualClock | None = None) -> None:
        self.clock = clock or VirtualClock()
        self._sink = sink
        sink.adopt(self.clock)
        self._supervisor: Supervisor = sink.supervisor
        self._steps = self._supervisor.run()
        self._step: Any = None
        self.waits: list[float | None] = []
        self.ended = False
        self._wake_at: float | None = None

    def run(self) -> None:
        """Let the sink work until it waits for mail that is not there or for time to pass."""
        if self._wake_at is not None and self.clock() < self._wake_at and not self._has_mail():
            return
        value: Any = None
        advance: Any = self._steps.send
        while not self.ended:
            try:
                step = advance(value)
            except StopIteration:
                self.ended = True
                return
            advance, value = self._steps.send, None
            if isinstance(step, Wait):
                self._control_only = step.control_only
                if not self._has_mail():
                    self.waits.append(step.timeout)
                    self._wake_at = None if step.timeout is None else self.clock() + step.timeout
                    return
                continue
            try:
                value = step.hook(*step.args)
            except Exception as error:
                advance, value = self._steps.throw, error

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass, waking the sink whenever it asked for it."""
        end = self.clock() + seconds
        while self._wake_at is not None and self._wake_at <= end and not self.ended:
            self.clock.now = max(self.clock.now, self._wake_at)
            self.run()
        self.clock.now = end

    _control_only = False

    def _has_mail(self) -> bool:
        return self._sink.mailbox.has_mail(control_only=self._control_only)
