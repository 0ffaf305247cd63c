"""What becomes of the alerts that a sink drops or has rejected: a warning, a dead letter, a place on disk."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from rxalerts.flow.feed import Feed
from rxalerts.flow.mailbox import Mailbox
from rxalerts.flow.stats import DeadLetter

if TYPE_CHECKING:
    from rxalerts.flow.deadbox import DeadBox

log = logging.getLogger("rxalerts")


class Trouble(Protocol):
    """What is known of a destination that fails: the supervisor."""

    last_error: str | None
    failures: int

    @property
    def failing_for(self) -> float: ...


class Owner(Protocol):
    """What a dead letter says of the sink that it comes from."""

    @property
    def name(self) -> str: ...
    @property
    def capacity(self) -> int: ...
    @property
    def on_full(self) -> str: ...
    @property
    def mailbox(self) -> Mailbox: ...
    @property
    def supervisor(self) -> Trouble: ...


class Undelivered:
    """Makes dead letters of what its sink does not deliver, shows them, and has them kept if the sink keeps them.

    `letters` is where they are shown, `box` what keeps them on disk (None: nothing does).
    """

    def __init__(self, sink: Owner) -> None:
        self._sink = sink
        self._warned: float | None = None
        self.letters: Feed[DeadLetter] = Feed()
        self.box: DeadBox | None = None

    def keep(self, box: DeadBox) -> None:
        """Have every letter kept in `box`."""
        self.box = box
        self.letters.keep()

    @property
    def burdened(self) -> bool:
        """Whether letters cannot be written as fast as they come (asked by the supervisor)."""
        return self.box is not None and self.box.full

    def rejected(self, item: Any, reason: str, attempts: int, done: Callable[[], None]) -> None:
        """Bury an item that was refused (called by the supervisor), and call `done` when its letter is kept."""
        log.warning("%s: rejected: %s", self._sink.name, reason)
        now = time.time()
        self.bury(DeadLetter(item, "rejected", reason, attempts, now, now - self._sink.supervisor.failing_for), done)

    def dropped(self, item: Any, reason: str) -> None:
        """Bury an item that was dropped (called by the mailbox); the first one of a spell of overflow is warned of."""
        sink = self._sink
        if reason == "overflow" and (since := sink.mailbox.losing_since) != self._warned:
            self._warned = since
            log.warning("%s: full (%d alerts): dropping (%s)", sink.name, sink.capacity, sink.on_full)
        if self.letters.observed:
            trouble, now = sink.supervisor, time.time()
            detail = trouble.last_error or ""
            self.bury(DeadLetter(item, reason, detail, trouble.failures, now, now - trouble.failing_for))

    def tell_losses(self) -> None:
        """Warn of how many were lost, when a spell of losses has ended (called by the supervisor)."""
        loss = self._sink.mailbox.loss()
        if loss is not None:
            log.warning(
                "%s: %d alerts lost between %.3f and %.3f (epoch seconds)",
                self._sink.name,
                loss.count,
                loss.first,
                loss.last,
            )

    def bury(self, letter: DeadLetter, done: Callable[[], None] | None = None) -> None:
        """Show a letter, have it kept, and call `done` when it is, or at once if it is not."""
        self.letters.emit(letter)
        if self.box is not None:
            self.box.add(letter, done or _nothing)
        elif done is not None:
            done()

    def start(self, mailbox: Mailbox) -> None:
        """Send again, from now on, what somebody wants sent again."""
        if self.box is not None:
            self.box.start(mailbox)

    def end(self, then: Callable[[], None]) -> None:
        """Write what waits, and call `then`."""
        if self.box is None:
            then()
        else:
            self.box.end(then)

    def forked(self) -> None:
        """Leave the letters to the parent process."""
        self.letters = Feed()
        if self.box is not None:
            self.box.forked()
            self.box = None


def _nothing() -> None:
    """Nobody waits."""
