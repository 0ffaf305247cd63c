"""The life of a sink, without threads and without I/O.

`Supervisor.run` is a generator: it yields what it wants done, a `Call` of one of the channel's hooks or a `Wait`
for mail, and is sent the outcome. Three small drivers execute that (see drivers.py and rxalerts.testing): a thread
for blocking channels, a task for asynchronous ones, a virtual clock in tests. All decisions are here, once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from rxalerts.flow.backoff import Retry
from rxalerts.flow.channel import AsyncChannel, Batch, Channel, Fatal, Gone, Rejected, Retryable
from rxalerts.flow.control import Call, Flush, GiveUp, Reopen, Steps, Stop, Wait
from rxalerts.flow.custody import Custody
from rxalerts.flow.mailbox import Mailbox
from rxalerts.flow.requests import Requests
from rxalerts.flow.stats import State
from rxalerts.flow.threads import is_shortage
from rxalerts.flow.undelivered import Undelivered

log = logging.getLogger("rxalerts")

# How often a sink looks whether the disk has got on, when it waits for its backlog to be read at the end, or for its
# dead letters to be written, in seconds.
_DISK_TICK = 0.02
# How soon an idle sink looks again whether losses can be told.
_TELL_TICK = 1.0


class Supervisor:
    """Takes batches out of the mailbox, hands them to the channel, and decides what a failure means."""

    def __init__(
        self,
        name: str,
        mailbox: Mailbox,
        channel: Channel | AsyncChannel,
        undelivered: Undelivered,
        state_changed: Callable[[State], None],
        *,
        retry: Retry,
        max_batch: int,
        clock: Callable[[], float],
    ) -> None:
        self._name = name
        self._mailbox = mailbox
        self._channel = channel
        self._undelivered = undelivered
        self._state_changed = state_changed
        self._retry = retry
        self._max_batch = max_batch
        self._clock = clock
        self._requests = Requests(mailbox)
        self._limit = max_batch
        self._is_open = False
        self._over = False
        self._failing_since: float | None = None
        self._abandoned = False
        self.custody = Custody(mailbox, channel, undelivered.rejected, clock)
        self.state = State.CREATED
        self.retried = 0
        self.failures = 0
        self.last_error: str | None = None
        self.busy_since: float | None = None
        self._kept_since: float | None = None

    # -- the main loop --------------------------------------------------------------------------------------

    def run(self) -> Steps:
        """Live: from the first alert to the end."""
        try:
            if self._channel.early:
                yield from self._guarded(self._open())
            if self._mailbox.due:
                # The wall's clock may have been put back meanwhile: never longer than a pause can be.
                yield from self._pause(self._clock() + min(self._mailbox.due, self._retry.maximum))
            while not self._over:
                self._heed()
                if self._over:
                    break
                if self._out_of_time():
                    self._abandon_all("shutdown")
                elif self._requests.reopens:
                    yield from self._guarded(self._reopen())
                elif self._flush_due():
                    yield from self._guarded(self._flush())
                elif self._undelivered.burdened:
                    # What would be rejected next could not be kept: better to wait, and let the source wait.
                    yield Wait(_DISK_TICK, control_only=True)
                elif self._take():
                    yield from self._guarded(self._deliver())
                elif self._requests.stop is not None:
                    if self.custody.buffered:
                        yield from self._guarded(self._flush())
                    elif self._abandoned or self._mailbox.drained:
                        break
                    else:
                        yield Wait(_DISK_TICK)
                elif self.state is State.BACKOFF:
                    # Nothing left to deliver: see at least whether it can be opened again.
                    yield from self._guarded(self._open())
                else:
                    self._undelivered.tell_losses()
                    yield Wait(self._until_flush())
            self._undelivered.tell_losses()
            yield from self._shut()
        finally:
            self._end()

    def _take(self) -> bool:
        """Have something in hand: what a write left there, with newer items behind it if the channel kept it."""
        custody = self.custody
        if not custody.hand or self._kept_since is not None:
            custody.hand += self._mailbox.take(max(0, self._max_batch - len(custody.hand)))
        return bool(custody.hand)

    @property
    def hurried(self) -> bool:
        """Whether somebody waits for the sink to have delivered what it has: a flush, a reopen or the end."""
        requests = self._requests
        return bool(requests.flushes or requests.reopens or requests.stop)

    def _heed(self) -> None:
        for message in self._mailbox.control():
            match message:
                case GiveUp():
                    if not self.state.ended:
                        self._fail(message.reason)
                case Flush() | Reopen() | Stop():
                    self._requests.add(message)
                    if isinstance(message, Stop) and not self.state.ended:
                        self._set_state(State.DRAINING)
                case _:
                    raise TypeError(f"unknown control message {message!r}")

    @property
    def failing_for(self) -> float:
        """For how many seconds attempts have been failing; 0 when the last one did not."""
        return 0.0 if self._failing_since is None else self._clock() - self._failing_since

    def _out_of_time(self) -> bool:
        stop = self._requests.stop
        return stop is not None and stop.deadline is not None and self._clock() >= stop.deadline

    # -- what is done with the channel ----------------------------------------------------------------------

    def _guarded(self, steps: Steps) -> Steps:
        """Run steps that touch the channel; on failure do what the kind of failure asks for."""
        try:
            yield from steps
        except Fatal as error:
            self._fail(str(error))
        except Gone as error:
            self.last_error = str(error)
            log.info("%s: %s", self._name, error)
            self._abandon_all("unread")
        except Exception as error:
            # A refusal that no alert is to blame for (of a login, at a flush) is a failure like any other.
            yield from self._back_off(error)

    def _call(self, hook: Callable[..., Any], *args: Any, since: float | None = None) -> Steps:
        """Call a hook, under the eyes of the watchdog; `since` is when it began, if not just now."""
        self.busy_since = self._clock() if since is None else since
        try:
            yield Call(hook, args)
        finally:
            self.busy_since = None

    def _open(self) -> Steps:
        if not self._is_open:
            if self._requests.stop is None:
                self._set_state(State.STARTING)
            yield from self._call(self._channel.open)
            self._is_open = True
        if self._requests.stop is None:
            self._set_state(State.RUNNING)

    def _deliver(self) -> Steps:
        yield from self._open()
        custody = self.custody
        entries = custody.hand[: self._limit]
        batch: Batch[Any] = Batch([entry[0] for entry in entries])
        since, self._kept_since = self._kept_since, None
        custody.attempts += since is None
        began = self._clock() if since is None else since
        before = len(custody.hand)
        try:
            # A write that goes on with what it kept has been busy since it got no further.
            yield from self._call(self._channel.write, batch, since=began)
        except (Retryable, Fatal, Gone, OSError):
            custody.account(entries, batch, complete=False)
            raise
        except Exception as error:
            custody.account(entries, batch, complete=False)
            if is_shortage(error):
                raise
            left = len(entries) - (before - len(custody.hand))
            if not left:
                raise
            # A fault in rendering one item is that item's, not the destination's.
            self._narrow(describe(error), left)
            return
        settled = custody.account(entries, batch, complete=not batch.kept)
        if settled and not (self.failures and self._channel.pending):
            # What is only in the channel's own buffer says nothing about the destination.
            self._recovered()
        if batch.kept:
            yield from self._linger(batch, self._clock() if settled else began)

    def _linger(self, batch: Batch[Any], since: float) -> Steps:
        """Let the channel go on with what it kept, after the pause that it asked for."""
        self._kept_since = since
        if batch.pause is not None:
            before = len(self.custody.hand)
            if self._take() and len(self.custody.hand) == before:
                # What waits and finds no room in the hand must not end the pause.
                yield Wait(batch.pause, control_only=self._mailbox.waiting > 0)
            self._kept_since = self._clock()

    def _recovered(self) -> None:
        if self.failures:
            log.info("%s: works again after %d failed attempts", self._name, self.failures)
        self.failures = 0
        self.custody.attempts = 0
        self._failing_since = None
        self._limit = min(self._max_batch, self._limit * 2 if self._limit < self._max_batch else self._max_batch)
        self._undelivered.tell_losses()

    def _flush_due(self) -> bool:
        due = self.custody.flush_at
        if due is not None and self._clock() >= due:
            return True
        return bool(self._requests.flushes) and self._requests.flush_due

    def _until_flush(self) -> float | None:
        # Losses that are still to be told want another look, too.
        untold = None if self._mailbox.losing_since is None else _TELL_TICK
        if self.custody.flush_at is None:
            return untold
        due = max(0.0, self.custody.flush_at - self._clock())
        return due if untold is None else min(due, untold)

    def _flush(self) -> Steps:
        if self.custody.buffered:
            yield from self._open()
        if self._is_open:
            yield from self._call(self._channel.flush)
            if self.failures:
                self._recovered()
        self.custody.flushed()
        self._requests.flushed()

    def _reopen(self) -> Steps:
        try:
            if self._is_open:
                # If this fails, wherever it stands, the channel is closed and opened anew.
                yield from self._call(self._channel.reopen)
                self.custody.flushed()
            else:
                yield from self._open()
        finally:
            self._requests.reopened()

    # -- failures -------------------------------------------------------------------------------------------

    def _narrow(self, reason: str, tried: int) -> None:
        """Halve what is tried next; a single item that is refused alone goes to the dead letters."""
        if tried > 1:
            self._limit = tried // 2
            return
        self.custody.refuse_first(reason)

    def _back_off(self, error: Exception) -> Steps:
        """Close, wait, and let the main loop try again, or give up."""
        now = self._clock()
        self.failures += 1
        tried = self.custody.hand[: self._limit]
        self.retried += len(tried)
        self._failing_since = now if self._failing_since is None else self._failing_since
        self.last_error = describe(error)
        if self._retry.exhausted(self.failures, now - self._failing_since):
            self._fail(f"{self.last_error}; gave up after {self.failures} attempts")
            return
        # The first attempt afterwards is a probe: one alert, not a whole batch, into what may still be broken.
        self._limit = 1
        # The pauses go on growing from where an earlier process was.
        failures = self.failures + (self._mailbox.attempts(tried[0]) if tried else 0)
        pause = self._retry.pause(failures, at_least=getattr(error, "after", 0.0))
        level = logging.WARNING if self.failures == 1 else logging.INFO
        self._mailbox.failed(tried, pause)
        log.log(level, "%s: %s; next attempt in %.1f s", self._name, self.last_error, pause)
        yield from self._close_channel()
        if self._requests.stop is None:
            self._set_state(State.BACKOFF)
        yield from self._pause(now + pause)

    def _pause(self, until: float) -> Steps:
        """Wait until then; a reopen, the first stop or giving up ends the pause, other mail does not."""
        requests = self._requests
        stopping = requests.stop is not None
        while (left := until - self._clock()) > 0 and not self._out_of_time():
            if (deadline := requests.deadline) is not None:
                left = min(left, max(0.0, deadline - self._clock()))
            yield Wait(left, control_only=True)
            self._heed()
            if requests.reopens or self.state is State.FAILED or (requests.stop is not None and not stopping):
                return

    def _fail(self, reason: str) -> None:
        self.last_error = reason
        log.error("%s: failed: %s", self._name, reason)
        self._set_state(State.FAILED)
        self._abandon_all("failed")

    def _abandon_all(self, reason: str) -> None:
        """Drop what is in hand, buffered and in the mailbox, counted and into the dead letters: it is over."""
        self._over = True
        self._abandoned = True
        self._mailbox.close(reason)
        count = self.custody.abandon(reason)
        if count and reason != "unread":
            log.error("%s: %d alerts not delivered (%s)", self._name, count, reason)

    # -- the end --------------------------------------------------------------------------------------------

    def _shut(self) -> Steps:
        self._mailbox.close("closed")
        yield from self._close_channel()
        if self.state is not State.FAILED:
            self._set_state(State.CLOSED)

    def _close_channel(self) -> Steps:
        if self._is_open:
            self._is_open = False
            try:
                yield Call(self._channel.close)
            except Exception as error:
                self.last_error = describe(error)
                log.warning("%s: close: %s", self._name, self.last_error)

    def _end(self) -> None:
        """Let go of everybody who waits, whatever ended this life."""
        if not self.state.ended:
            # Ended from outside, with a hook under way.
            self._abandon_all("shutdown")
            self._set_state(State.FAILED)
        self._mailbox.close("closed")
        self._heed()
        self._requests.release()

    def _set_state(self, state: State) -> None:
        if state is not self.state:
            self.state = state
            self._state_changed(state)


def describe(error: BaseException) -> str:
    """Return an error as one line that names its kind when its text alone would not tell."""
    text = str(error)
    if isinstance(error, (Retryable, Rejected, Fatal, Gone)) or (isinstance(error, OSError) and text):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
