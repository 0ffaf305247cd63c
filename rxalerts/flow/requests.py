"""What a sink was asked for beside its alerts and has not done yet: flushes, reopens, and the end."""

from __future__ import annotations

from rxalerts.flow.control import Flush, Reopen, Stop
from rxalerts.flow.mailbox import Mailbox


class Requests:
    """The requests that are open; whoever waits for one is let go when it is done, or when nobody will do it.

    Arguments:
        mailbox: tells how many of the alerts that a flush waits for are still inside.

    `stop` is the end that was asked for, with the earliest of the deadlines; None: none was.
    """

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self.flushes: list[Flush] = []
        self.reopens: list[Reopen] = []
        self.stop: Stop | None = None

    def add(self, message: Flush | Reopen | Stop) -> None:
        """Note what is asked for."""
        match message:
            case Flush():
                self.flushes.append(message)
            case Reopen():
                self.reopens.append(message)
            case Stop():
                self.stop = message if self.stop is None else _sooner(self.stop, message)

    @property
    def deadline(self) -> float | None:
        """When the sink must have come to its end (monotonic seconds); None: whenever it is done."""
        return None if self.stop is None else self.stop.deadline

    @property
    def flush_due(self) -> bool:
        """Whether all that a flush waits for has left the mailbox."""
        return any(self._reached(flush) for flush in self.flushes)

    def _reached(self, flush: Flush) -> bool:
        return self._mailbox.left >= flush.target

    def flushed(self) -> None:
        """Let those go whose alerts are delivered and flushed."""
        for flush in [flush for flush in self.flushes if self._reached(flush)]:
            self.flushes.remove(flush)
            flush.kept = True
            flush.done.set()

    def reopened(self) -> None:
        """Let those go who wanted the channel reopened, whether that went well or not."""
        reopens, self.reopens = self.reopens, []
        for reopen in reopens:
            reopen.done.set()

    def release(self) -> None:
        """Let everybody go: nothing more will be done."""
        for flush in self.flushes:
            flush.done.set()
        self.reopened()


def _sooner(one: Stop, other: Stop) -> Stop:
    deadlines = [stop.deadline for stop in (one, other) if stop.deadline is not None]
    return Stop(min(deadlines, default=None))
