"""The sink: an observer that is an actor. Its options, its mailbox, its life.

`on_next`, `on_error`, `on_completed`, `flush`, `reopen` and `close` may be called from any thread, any number of
times; the channel's hooks run only on the sink's own thread (ThreadSink) or task (AsyncSink).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from reactivex import Observable
from reactivex.abc import ObserverBase

from rxalerts.display import html_of
from rxalerts.errors import SinkError
from rxalerts.flow import ending
from rxalerts.flow.channel import AsyncChannel, Channel
from rxalerts.flow.control import Flush, GiveUp, Reopen, Stop
from rxalerts.flow.drivers import drive_loop, drive_thread
from rxalerts.flow.feed import Feed
from rxalerts.flow.handle import Handle
from rxalerts.flow.loop import on_io_loop, spawn
from rxalerts.flow.mailbox import Mailbox
from rxalerts.flow.overflow import Offer, Overflow
from rxalerts.flow.places import dead_file, spool_file
from rxalerts.flow.scope import LOCAL
from rxalerts.flow.sinkoptions import SinkOptions
from rxalerts.flow.stats import DeadLetter, SinkStats, State
from rxalerts.flow.supervisor import Supervisor
from rxalerts.flow.threads import start
from rxalerts.flow.watchdog import watchdog
from rxalerts.format import Formatted

if TYPE_CHECKING:
    from rxalerts.flow.deadbox import DeadBox

log = logging.getLogger("rxalerts")

# Looked up once: the hot path of every alert.
_ACCEPTED, _REPLACED = Offer.ACCEPTED, Offer.REPLACED

T_contra = TypeVar("T_contra", contravariant=True)


@dataclass(eq=False, repr=False, kw_only=True)
class Sink(SinkOptions, ObserverBase[T_contra]):
    """A subscriber with its own bounded mailbox, overflow policy, life cycle and supervisor.

    Make one of its subclasses; to write one, subclass ThreadSink or AsyncSink as a dataclass, declare the options
    with `option` and return the I/O from `make_channel`.

    Delivery: in order per source; at most once across a crash of the process, nothing lost while it lives and
    the policy is `block`; with `durable`, at least once across crashes. What is not delivered is counted in
    `stats()` and appears in `dead_letters`, and with `dead_store` on disk. docs/guarantees.md has the whole.

    Raises OptionError for a wrong option. A durable sink opens its file when it is made, and raises SinkError when
    it cannot, or another process has it; close it even if it was never started.
    """

    channel_name: ClassVar[str] = ""
    # Whether `reopen` reads certificates and secrets again without dropping a connection: a reload asks for it then.
    renewable: ClassVar[bool] = False
    _repr_html_ = html_of

    def __post_init__(self) -> None:
        self.name = self.name or self.channel_name or type(self).__name__
        self._render = self.check_common().render
        self.validate()
        self._states: Feed[State] = Feed()
        self._dead: Feed[DeadLetter] = Feed()
        self._start_lock = threading.Lock()
        self._started = False
        # Set when the actor has come to its end, and when its files are closed as well.
        self._left = threading.Event()
        self._ended = threading.Event()
        self._handles = 0
        self._blocked = 0
        self._reported_block: float | None = None
        self._warned_loop = False
        self._warned_loss: float | None = None
        self._state = State.CREATED
        self._channel: Any = self.make_channel()
        self._clock: Callable[[], float] = time.monotonic
        self.mailbox = self.make_mailbox()
        try:
            self._dead_box = self.make_dead_box()
        except BaseException:
            self.mailbox.end(lambda: None)
            raise
        if self._dead_box is not None:
            self._dead.keep()
        self.supervisor = self._supervise()

    def _supervise(self) -> Supervisor:
        return Supervisor(
            self.name,
            self.mailbox,
            self._channel,
            self,
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

    # -- for the author of a sink ---------------------------------------------------------------------------

    @property
    def files(self) -> Sequence[str]:
        """The files that this sink writes to, none of which may be one that its source reads."""
        return ()

    def validate(self) -> None:
        """Check the options of this kind of sink; raise OptionError(key, reason)."""

    def make_channel(self) -> Channel | AsyncChannel:
        """Return the I/O of this sink."""
        raise TypeError(f"{type(self).__name__} has no make_channel(): return the sink's Channel from it")

    def make_mailbox(self) -> Mailbox:
        """Return the mailbox: in memory, or over a spool on disk if the sink is durable."""
        if self.durable is False:
            return Mailbox(
                self.capacity,
                Overflow(self.on_full),
                patience=self.block_timeout,
                then=Overflow(self.then),
                on_drop=self._dropped,
                audience=self._dead,
                clock=self._clock,
            )
        # SQLite (30 ms) is loaded only by those who need it.
        from rxalerts.flow.durable import DurableMailbox

        return DurableMailbox(
            self.spool_path(),
            self.capacity,
            Overflow(self.on_full),
            # One batch with the channel, and one whose deletion is under way.
            bound=2 * self.max_batch,
            max_bytes=self.spool_bytes,
            name=self.name,
            patience=self.block_timeout,
            then=Overflow(self.then),
            on_drop=self._dropped,
            clock=self._clock,
        )

    def spool_path(self) -> str:
        """Return the file that this sink's backlog is in when it is durable."""
        return spool_file(self.name, self.durable, self.spool_dir)

    def make_dead_box(self) -> DeadBox | None:
        """Return what keeps this sink's dead letters on disk, if they are kept."""
        path = dead_file(self.name, self.dead_store, self.durable, self.spool_dir)
        if path is None:
            return None
        # As above: SQLite is loaded only by those who need it.
        from rxalerts.flow.database import Lock
        from rxalerts.flow.deadbox import DeadBox
        from rxalerts.flow.deadletters import DeadLetters
        from rxalerts.flow.spool import lock_path

        durable = self.durable is not False
        shared = durable and lock_path(self.spool_path()) == lock_path(path)
        lock = None if shared else Lock(lock_path(path))
        return DeadBox(self.name, DeadLetters(path, self.dead_bytes, self.dead_age), lock, durable=durable)

    @property
    def dead_box(self) -> DeadBox | None:
        """What keeps this sink's dead letters on disk; None when they are not kept."""
        return self._dead_box

    def render(self, item: Any) -> bytes:
        """Return the bytes of an alert, formatted already or by this sink's own `format`; no newline."""
        if type(item) is Formatted:
            return item.data
        return self._render(item)

    def lines(self, items: Sequence[Any]) -> list[bytes]:
        """Return the same for several alerts."""
        render = self._render
        return [item.data if type(item) is Formatted else render(item) for item in items]

    # -- what a stream calls --------------------------------------------------------------------------------

    def on_next(self, value: T_contra) -> None:
        """Take an alert into the mailbox; returns at once when a source of ours emits it.

        Called by a foreign stream with a full mailbox and `block`, a plain thread waits here; a thread that runs
        an event loop never does: the `then` policy applies instead.
        """
        if value is None:
            raise TypeError(f"{self.name}: on_next(None): None is no alert")
        if not self._started:
            self._begin()
        scope = LOCAL.scope
        if scope is None:
            self._foreign(value)
            return
        outcome = self.mailbox.offer(value, scope.seq, scope.mark)
        if outcome is _ACCEPTED or outcome is _REPLACED:
            return
        if outcome is Offer.PRESSED:
            scope.pressed.append(self.mailbox)
        elif outcome is Offer.OVERFLOW:
            self._overflowed()

    def on_batch(self, values: Sequence[T_contra]) -> None:
        """Take alerts that a source of ours has read together, as `on_next` takes one."""
        if not self._started:
            self._begin()
        scope = LOCAL.scope
        if scope is None:
            raise RuntimeError(f"{self.name}: on_batch is for sources of rxalerts: call on_next for each")
        outcome = self.mailbox.offer_all(values, scope.seq, scope.mark)
        if outcome is Offer.PRESSED:
            scope.pressed.append(self.mailbox)
        elif outcome is Offer.OVERFLOW:
            self._overflowed()

    @property
    def room(self) -> int:
        """How many alerts may come in one call of `on_batch` without pressing."""
        return self.mailbox.room

    def _foreign(self, value: T_contra) -> None:
        may_wait = not _on_a_loop() and threading.current_thread() is not self._worker()
        outcome = self.mailbox.offer(value, may_wait=may_wait)
        gate: threading.Event | None = None
        while outcome is Offer.FULL:
            if gate is None or gate.is_set():
                gate = threading.Event()
                self.mailbox.when_low(gate.set)
            # Looks again from time to time: patience may be over, or the sink may have failed.
            gate.wait(0.05)
            outcome = self.mailbox.offer(value, may_wait=True)
        if outcome is Offer.OVERFLOW:
            self._overflowed()
        elif outcome is Offer.PRESSED and self.mailbox.depth > self.capacity + reserve(self.capacity):
            self._warn_loop()
            self.mailbox.lose_patience()

    def _warn_loop(self) -> None:
        if not self._warned_loop:
            self._warned_loop = True
            log.warning(
                "%s: full, and fed from an event loop's thread by a stream that cannot wait: `%s` applies. "
                "Feed it through rxalerts.run/arun or a source of rxalerts, which wait outside of on_next",
                self.name,
                self.then,
            )

    def _overflowed(self) -> None:
        self.mailbox.close("failed")
        self.mailbox.post(GiveUp(f"the mailbox (capacity {self.capacity}) is full and on_full is fail"))

    def on_error(self, error: Exception) -> None:
        """Note that the stream failed: what came before is delivered, then the sink closes."""
        log.error("%s: the stream failed: %s: %s", self.name, type(error).__name__, error)
        self.on_completed()

    def on_completed(self) -> None:
        """Deliver what is inside, then close, in the background."""
        self.stop()

    def observer(self) -> ObserverBase[T_contra]:
        """Return an observer for one of several streams that feed this sink: it ends when the last one does."""
        with self._start_lock:
            self._handles += 1
        return Handle(self.name, self.on_next, self._handle_done)

    def _handle_done(self) -> None:
        with self._start_lock:
            self._handles -= 1
            last = self._handles == 0
        if last:
            self.on_completed()

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
        if self._dead_box is not None:
            self._dead_box.start(self.mailbox)

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
        self._states, self._dead = Feed(), Feed()
        self.mailbox.forked()
        if self._dead_box is not None:
            self._dead_box.forked()
            self._dead_box = None
        # Not by make_mailbox: a durable one is the parent's, and its file too.
        self.mailbox = Mailbox(self.capacity, on_drop=self._dropped)
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
        if not self._left.wait(None if timeout is None else timeout + _GRACE):
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

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} {self.state} depth={self.mailbox.depth}>"

    @property
    def state(self) -> State:
        """Where the sink is in its life."""
        return self._state

    @property
    def states(self) -> Observable[State]:
        """The changes of state, from any thread."""
        return self._states.observable

    @property
    def dead_letters(self) -> Observable[DeadLetter]:
        """Every alert that this sink drops or has rejected, from any thread."""
        return self._dead.observable

    def stats(self) -> SinkStats:
        """Return the counts as they are now."""
        worker = self.supervisor
        return SinkStats(
            name=self.name,
            state=self.state,
            received=self.mailbox.received,
            delivered=worker.delivered,
            rejected=worker.rejected,
            dropped=dict(self.mailbox.dropped),
            retried=worker.retried,
            failures=worker.failures,
            blocked=self._blocked,
            depth=self.mailbox.depth + (0 if self.mailbox.spooled else worker.buffered),
            spooled=self.mailbox.spooled,
            oldest_waiting=self.mailbox.oldest,
            last_error=worker.last_error,
        )

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
        box = self._dead_box
        if box is None:
            self.mailbox.end(self._finish)
        else:
            # The spool last: what is in the dead letters goes out of it.
            box.end(lambda: self.mailbox.end(self._finish))

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

    def rejected(self, item: Any, reason: str, attempts: int, done: Callable[[], None]) -> None:
        """Put a rejected item to the dead letters (called by the supervisor), and call `done` when it is there."""
        log.warning("%s: rejected: %s", self.name, reason)
        now = time.time()
        self._bury(DeadLetter(item, "rejected", reason, attempts, now, now - self.supervisor.failing_for), done)

    @property
    def burdened(self) -> bool:
        """Whether its dead letters cannot be written as fast as they come (asked by the supervisor)."""
        return self._dead_box is not None and self._dead_box.full

    def _dropped(self, item: Any, reason: str) -> None:
        if reason == "overflow" and (since := self.mailbox.losing_since) != self._warned_loss:
            self._warned_loss = since
            log.warning("%s: full (%d alerts): dropping (%s)", self.name, self.capacity, self.on_full)
        if self._dead.observed:
            worker, now = self.supervisor, time.time()
            detail = worker.last_error or ""
            self._bury(DeadLetter(item, reason, detail, worker.failures, now, now - worker.failing_for), _nothing)

    def _bury(self, letter: DeadLetter, done: Callable[[], None]) -> None:
        self._dead.emit(letter)
        if self._dead_box is None:
            done()
        else:
            self._dead_box.add(letter, done)

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


@dataclass(eq=False, repr=False)
class ThreadSink(Sink[T_contra]):
    """A sink with blocking I/O, on a daemon thread of its own."""

    def _launch(self) -> None:
        self._thread = threading.Thread(target=self._live, name=f"rxalerts-{self.name}", daemon=True)
        start(self._thread)

    def _live(self) -> None:
        steps = self.supervisor.run()
        try:
            drive_thread(steps, self.mailbox)
        except Exception:
            log.exception("%s: failed: a fault in its own machinery", self.name)
        finally:
            steps.close()
            self.finished()

    def _worker(self) -> threading.Thread | None:
        return getattr(self, "_thread", None)


@dataclass(eq=False, repr=False)
class AsyncSink(Sink[T_contra]):
    """A sink with non-blocking I/O, as a task on the shared private event loop."""

    def _launch(self) -> None:
        self._task: Future[None] = spawn(self._live())

    async def _live(self) -> None:
        steps = self.supervisor.run()
        try:
            await drive_loop(steps, self.mailbox)
        except asyncio.CancelledError:
            # Given up while a hook was stuck: its connection still has to go.
            with contextlib.suppress(Exception):
                await asyncio.wait_for(self._channel.close(), _GRACE)
            self.state_changed(State.CLOSED)
        except Exception:
            log.exception("%s: failed: a fault in its own machinery", self.name)
        finally:
            steps.close()
            self.finished()

    def _is_own_thread(self) -> bool:
        return on_io_loop()

    def give_up(self) -> None:
        super().give_up()
        self._task.cancel()


# Seconds that a sink gets after its deadline to close its channel in order.
_GRACE = 0.5

# The same for a sink that has files to write and to close.
_DISK_GRACE = 10.0

# The reasons under which a sink drops what it had taken already.
_GIVEN_UP = {"failed", "shutdown", "unread", "forked"}


def _nothing() -> None:
    """Nobody waits."""


def reserve(capacity: int) -> int:
    """Return how far beyond its capacity a mailbox goes for a stream that can neither wait nor be told to."""
    return max(64, capacity // 8)


def _on_a_loop() -> bool:
    return asyncio._get_running_loop() is not None
