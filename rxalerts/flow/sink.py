"""The sink: an observer that is an actor.

`on_next`, `on_error` and `on_completed` may be called from any thread, as may what its owner calls (see
`rxalerts.flow.actor`); the channel's hooks run only on the sink's own thread (ThreadSink) or task (AsyncSink).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from reactivex import Observable
from reactivex.abc import ObserverBase

from rxalerts.display import html_of
from rxalerts.flow.actor import GRACE, Actor
from rxalerts.flow.control import GiveUp
from rxalerts.flow.drivers import drive_loop, drive_thread
from rxalerts.flow.handle import Handle
from rxalerts.flow.loop import on_io_loop, spawn
from rxalerts.flow.overflow import Offer
from rxalerts.flow.scope import LOCAL
from rxalerts.flow.stats import DeadLetter, SinkStats, State
from rxalerts.flow.threads import start
from rxalerts.format import Formatted

if TYPE_CHECKING:
    from rxalerts.flow.deadbox import DeadBox

log = logging.getLogger("rxalerts")

# Looked up once: the hot path of every alert.
_ACCEPTED, _REPLACED = Offer.ACCEPTED, Offer.REPLACED

T_contra = TypeVar("T_contra", contravariant=True)


@dataclass(eq=False, repr=False, kw_only=True)
class Sink(Actor, ObserverBase[T_contra]):
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
        self._handles = 0
        self._warned_loop = False
        super().__post_init__()

    # -- for the author of a sink ---------------------------------------------------------------------------

    @property
    def files(self) -> Sequence[str]:
        """The files that this sink writes to, none of which may be one that its source reads."""
        return ()

    def validate(self) -> None:
        """Check the options of this kind of sink; raise OptionError(key, reason)."""

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

    # -- what it tells --------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} {self.state} depth={self.mailbox.depth}>"

    @property
    def dead_letters(self) -> Observable[DeadLetter]:
        """Every alert that this sink drops or has rejected, from any thread."""
        return self._undelivered.letters.observable

    @property
    def dead_box(self) -> DeadBox | None:
        """What keeps this sink's dead letters on disk; None when they are not kept."""
        return self._undelivered.box

    def stats(self) -> SinkStats:
        """Return the counts as they are now."""
        worker, custody = self.supervisor, self.supervisor.custody
        return SinkStats(
            name=self.name,
            state=self.state,
            received=self.mailbox.received,
            delivered=custody.delivered,
            rejected=custody.rejected,
            dropped=dict(self.mailbox.dropped),
            retried=worker.retried,
            failures=worker.failures,
            blocked=self._blocked,
            depth=self.mailbox.depth + (0 if self.mailbox.spooled else len(custody.buffered)),
            spooled=self.mailbox.spooled,
            oldest_waiting=self.mailbox.oldest,
            last_error=worker.last_error,
        )


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
                await asyncio.wait_for(self._channel.close(), GRACE)
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


def reserve(capacity: int) -> int:
    """Return how far beyond its capacity a mailbox goes for a stream that can neither wait nor be told to."""
    return max(64, capacity // 8)


def _on_a_loop() -> bool:
    return asyncio._get_running_loop() is not None
