"""The actor: a mailbox, a supervisor over a channel, and a life from start to end.

What its owner calls (`start`, `flush`, `reopen`, `stop`, `wait`, `close`) may be called from any thread, any number of
times; the channel's hooks run only where the actor lives, see `ThreadSink` and `AsyncSink`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from reactivex import Observable

from rxalerts.errors import SinkError
from rxalerts.flow import ending, storage
from rxalerts.flow.channel import AsyncChannel, Channel
from rxalerts.flow.control import Flush, Reopen, Stop
from rxalerts.flow.feed import Feed
from rxalerts.flow.mailbox import Mailbox
from rxalerts.flow.sinkoptions import SinkOptions
from rxalerts.flow.stats import State
from rxalerts.flow.supervisor import Supervisor
from rxalerts.flow.undelivered import Undelivered
from rxalerts.flow.watchdog import watchdog

if TYPE_CHECKING:
    from rxalerts.flow.deadbox import DeadBox

log = logging.getLogger("rxalerts")

GRACE = 0.5
"""Seconds that a sink gets after its deadline to close its channel in order."""

# The same for a sink that has files to write and to close.
_DISK_GRACE = 10.0

# The reasons under which a sink drops what it had taken already.
_GIVEN_UP = {"failed", "shutdown", "unread", "forked"}


class Actor(SinkOptions):
    """What lives in a sink: it is made of the parts that the options ask for, and knows when it starts and ends.

    Subclasses say how it is launched, and who is on its own thread.
    """

    def __post_init__(self) -> None:
        self._states: Feed[State] = Feed()
        self._undelivered = Undelivered(self)
        self._start_lock = threading.Lock()
        self._started = False
        # Set when the actor has come to its end, and when its files are closed as well.
        self._left = threading.Event()
        self._ended = threading.Event()
        self._blocked = 0
        self._reported_block: float | None = None
        self._state = State.CREATED
        self._channel: Any = self.make_channel()
        self._clock: Callable[[], float] = time.monotonic
        self.mailbox = self.make_mailbox()
        try:
            box = self.make_dead_box()
        except BaseException:
            self.mailbox.end(lambda: None)
            raise
        self.supervisor = self._supervise()
        if box is not None:
            self._undelivered.keep(box)

    # -- its parts ------------------------------------------------------------------------------------------

    def make_channel(self) -> Channel | AsyncChannel:
        """Return the I/O of this sink."""
        raise TypeError(f"{type(self).__name__} has no make_channel(): return the sink's Channel from it")

    def make_mailbox(self) -> Mailbox:
        """Return the mailbox: in memory, or over a spool on disk if the sink is durable."""
        return storage.make_mailbox(self, self._undelivered, self._clock)

    def make_dead_box(self) -> DeadBox | None:
        """Return what keeps this sink's dead letters on disk, if they are kept."""
        return storage.make_dead_box(self)

    def _supervise(self) -> Supervisor:
        return Supervisor(
            self.name,
            self.mailbox,
            self._channel,
            self._undelivered,
            self.state_changed,
            retry=self.retry,
            max_batch=self.max_batch,
            clock=self._clock,
        )

    def adopt(self, clock: Callable[[], float]) -> None:
        """Live on another clock and without a thread, driven from outside (see rxalerts.testing)."""
        if self._started:
            raise RuntimeError(f"{self.name}: has been started already")
        self._clock = clock
        gone = threading.Event()
        self.mailbox.end(gone.set)
        gone.wait()
        self.mailbox = self.make_mailbox()
        self.supervisor = self._supervise()
        self._started = True

    def tap(self, wrap: Callable[[Any], Channel | AsyncChannel]) -> None:
        """Put `wrap(channel)` in the place of the channel, before the start (see rxalerts.testing)."""
        if self._started:
            raise RuntimeError(f"{self.name}: has been started already")
        self._channel = wrap(self._channel)
        self.supervisor = self._supervise()

    @property
    def channel(self) -> Channel | AsyncChannel:
        """The I/O of this sink; its hooks are the sink's own to call."""
        channel: Channel | AsyncChannel = self._channel
        return channel

    # -- what its owner calls -------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the actor; the first alert does it too.

        Raises SinkError when no thread can be started: the interpreter is ending, or the machine is out of them.
        """
        with self._start_lock:
            if self._started:
                return
            self._started = True
            try:
                self._launch()
            except RuntimeError as error:
                self._stillborn(f"cannot be started: {error}")
                raise SinkError(f"{self.name}: {error}") from error
        ending.watch(self)
        watchdog.watch(self)
        self._undelivered.start(self.mailbox)

    def _begin(self) -> None:
        """Start as `start` does, without raising: a sink that cannot be started drops what comes, and counts it."""
        with contextlib.suppress(SinkError):
            self.start()

    def _stillborn(self, reason: str) -> None:
        """Be FAILED without ever having lived: what comes, or came, goes to the dead letters."""
        log.error("%s: failed: %s", self.name, reason)
        self.supervisor.last_error = reason
        self.mailbox.close("failed")
        self.state_changed(State.FAILED)
        self.mailbox.discard("failed")
        self.finished()

    def orphan(self) -> None:
        """End in a forked child: the thread that delivers exists in the parent only, and so do its alerts."""
        self._start_lock = threading.Lock()
        self._left, self._ended = threading.Event(), threading.Event()
        self._states = Feed()
        self.mailbox.forked()
        self._undelivered.forked()
        # Not by make_mailbox: a durable one is the parent's, and its file too.
        self.mailbox = Mailbox(self.capacity, on_drop=self._undelivered.dropped)
        self.mailbox.close("forked")
        self._started = True
        self._state = State.CLOSED
        self._left.set()
        self._ended.set()

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until everything that was taken before is delivered and flushed.

        Arguments:
            timeout: seconds to wait; None: as long as it takes.
        Returns false when the time was not enough, or the sink gave up on some of it; true at once when nothing
        was taken. From within a hook it does not wait: the next batch comes after the flush.
        """
        if not self._started:
            return True
        message = Flush(self.mailbox.entered)
        if self._post(message):
            if not self._is_own_thread():
                message.done.wait(timeout)
            return message.kept
        return self.state is State.CLOSED and not _GIVEN_UP & self.mailbox.dropped.keys()

    def reopen(self, timeout: float | None = 0.0) -> bool:
        """Close and open the channel again, as SIGUSR1 does, before the next batch.

        Arguments:
            timeout: seconds to wait until it is done; 0: do not wait; None: as long as it takes.
        """
        self._begin()
        message = Reopen()
        if self._post(message) and timeout != 0.0 and not self._is_own_thread():
            return message.done.wait(timeout)
        return message.done.is_set()

    def stop(self, timeout: float | None = None) -> None:
        """Ask for the end and do not wait: deliver what is inside, within `timeout` seconds, then close."""
        self.mailbox.close("closed")
        with self._start_lock:
            started = self._started
            self._started = True
        if not started:
            self.state_changed(State.CLOSED)
            self.finished()
        else:
            self._post(Stop(None if timeout is None else self._clock() + timeout))

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the sink has ended; false when `timeout` seconds were not enough."""
        return self._ended.wait(timeout)

    def close(self, timeout: float | None = None) -> bool:
        """Deliver what is inside, then close; idempotent, and allowed from within a hook.

        Arguments:
            timeout: seconds; what is not delivered by then goes to the dead letters as `shutdown`. None: wait
                as long as it takes.
        Returns true when the sink has ended in time.
        """
        self.stop(timeout)
        if self._is_own_thread():
            return self._ended.is_set()
        # The supervisor needs a moment after its deadline to close the channel.
        if not self._left.wait(None if timeout is None else timeout + GRACE):
            self.give_up()
            return False
        return self._ended.wait(None if timeout is None else _DISK_GRACE)

    async def aclose(self, timeout: float | None = None) -> bool:
        """Do the same as `close` without blocking the running event loop."""
        return await asyncio.get_running_loop().run_in_executor(None, self.close, timeout)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def state(self) -> State:
        """Where the sink is in its life."""
        return self._state

    @property
    def states(self) -> Observable[State]:
        """The changes of state, from any thread."""
        return self._states.observable

    # -- inside ---------------------------------------------------------------------------------------------

    def _launch(self) -> None:
        raise TypeError("subclass ThreadSink or AsyncSink, not Sink")

    def _worker(self) -> threading.Thread | None:
        return None

    def _is_own_thread(self) -> bool:
        return threading.current_thread() is self._worker()

    def _post(self, message: Flush | Reopen | Stop) -> bool:
        """Post to the control lane; false when nobody will read it any more."""
        if self._ended.is_set():
            return False
        self.mailbox.post(message)
        # It may have ended between the look and the post: nobody must wait for it then.
        return not self._ended.is_set()

    def finished(self) -> None:
        """Note that the actor has come to its end (called by its driver): its files are closed now."""
        self._left.set()
        # The spool last: what is in the dead letters goes out of it.
        self._undelivered.end(lambda: self.mailbox.end(self._finish))

    def _finish(self) -> None:
        self._ended.set()
        for message in self.mailbox.control():
            if isinstance(message, (Flush, Reopen)):
                message.done.set()
        ending.forget(self)
        watchdog.forget(self)

    def give_up(self) -> None:
        """Stop waiting for a channel that is stuck past its deadline: count what waits as lost, go on without it."""
        # Nobody waits for it again when the interpreter ends.
        ending.forget(self)
        if not self._left.is_set():
            count = self.mailbox.discard("shutdown")
            log.error("%s: still blocked when time ran out; %d alerts not delivered (shutdown)", self.name, count)
        if self.durable is not False:
            # What is in memory still goes to disk, whatever the channel is stuck in.
            written = threading.Event()
            self.mailbox.end(written.set)
            written.wait(_DISK_GRACE)

    def state_changed(self, state: State) -> None:
        """Note a change of state (called by the supervisor)."""
        if self._state is not State.CLOSED:
            self._state = state
            self._states.emit(state)

    def check_blocked(self, now: float) -> None:
        """Report, once per write, one that takes longer than `output_timeout` (called by the watchdog)."""
        since = self.supervisor.busy_since
        if since is None or since == self._reported_block or now - since < self.output_timeout:
            return
        self._reported_block = since
        self._blocked += 1
        log.critical(
            '"%s" output timeout: one write has taken more than %g s; this sink\'s mailbox holds %d alerts, '
            "the other sinks go on",
            self.name,
            self.output_timeout,
            self.mailbox.depth,
        )
