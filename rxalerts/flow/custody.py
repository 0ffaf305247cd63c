"""What a sink has taken out of its mailbox and not finished: alerts in hand, and alerts in its channel's buffer only.

An alert leaves the hand when the channel has it, which makes room in the mailbox; it is counted and committed when the
destination has it, or when it is refused or given up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rxalerts.flow.channel import AsyncChannel, Batch, Channel
from rxalerts.flow.mailbox import Entry, Mailbox

CHECKPOINT = 1.0
"""A buffered channel is flushed so often, in seconds, when a source waits to commit what it took."""

Reject = Callable[[Any, str, int, Callable[[], None]], None]
"""Takes an item that was refused, with the reason and the number of attempts, and calls what it is given at the end."""


class Custody:
    """The entries that are neither waiting nor finished, and the counts of those that are.

    Arguments:
        mailbox: where they come from, and who is told what became of them.
        channel: says how many of them are only in its own buffer.
        reject: buries what is refused.
        clock: monotonic seconds.

    `hand` holds what is to be written, oldest first; `buffered` what was written and may still be lost; `attempts`
    counts the writes since anything was finished; `flush_at` is when a buffer has to be pushed out, if it has.
    """

    def __init__(
        self, mailbox: Mailbox, channel: Channel | AsyncChannel, reject: Reject, clock: Callable[[], float]
    ) -> None:
        self._mailbox = mailbox
        self._channel = channel
        self._reject = reject
        self._clock = clock
        self.hand: list[Entry] = []
        self.buffered: list[Entry] = []
        self.attempts = 0
        self.flush_at: float | None = None
        self.delivered = 0
        self.rejected = 0

    def account(self, entries: list[Entry], batch: Batch[Any], *, complete: bool) -> bool:
        """Settle what the batch says is done; what is not stays in hand. Tells whether anything was settled."""
        if complete and not batch.rejections:
            del self.hand[: len(entries)]
            self._written(entries)
            return True
        written: list[Entry] = []
        left: list[Entry] = []
        refused: list[tuple[Entry, str]] = []
        for entry, verdict in zip(entries, batch.verdicts(complete=complete), strict=True):
            if verdict is False:
                left.append(entry)
            elif isinstance(verdict, str):
                refused.append((entry, verdict))
            else:
                written.append(entry)
        self.hand[: len(entries)] = left
        self._written(written)
        for entry, reason in refused:
            self._refused(entry, reason)
        if written or refused:
            self.attempts = 0
        return complete or bool(written or refused)

    def _written(self, entries: list[Entry]) -> None:
        """Make room for others; count and commit what is not only in the channel's own buffer."""
        self._mailbox.settle(entries)
        if not (self._channel.pending or self.buffered):
            self.delivered += len(entries)
            self._mailbox.confirm(entries)
            return
        self.buffered += entries
        self._sunk()
        if self.flush_at is None and self._mailbox.awaited and self.buffered:
            self.flush_at = self._clock() + CHECKPOINT

    def _sunk(self) -> None:
        """Count and commit the oldest of those that had been in the channel's buffer, as far as they have left it."""
        count = len(self.buffered) - self._channel.pending
        if count > 0:
            sunk = self.buffered[:count]
            del self.buffered[:count]
            self.delivered += count
            self._mailbox.confirm(sunk)

    def flushed(self) -> None:
        """Note that the channel has pushed out its buffer."""
        self.flush_at = None
        self._sunk()

    def refuse_first(self, reason: str) -> None:
        """Give up the oldest in hand: it was refused alone."""
        self._refused(self.hand.pop(0), reason)
        self.attempts = 0

    def _refused(self, entry: Entry, reason: str) -> None:
        self.rejected += 1
        self._mailbox.settle([entry])
        # Finished when it is in the dead letters, if they are kept.
        attempts = self.attempts + self._mailbox.attempts(entry)
        self._reject(entry[0], reason, attempts, lambda: self._mailbox.confirm([entry]))

    def abandon(self, reason: str) -> int:
        """Drop what is in hand, buffered and in the mailbox, under `reason`; returns how many are lost."""
        # What has sunk before a flush failed is delivered all the same.
        self._sunk()
        hand, self.hand = self.hand, []
        self._mailbox.settle(hand)
        buffered, self.buffered = self.buffered, []
        return self._mailbox.forsake(buffered + hand, reason) + self._mailbox.discard(reason)
