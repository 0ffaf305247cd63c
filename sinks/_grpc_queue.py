"""What waits for a client of the gRPC service: framed alerts, in a queue with the policy of the sink."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rxalerts.flow.mailbox import Mailbox
from rxalerts.sinks._grpc_call import Call

# How many bytes of alerts are joined at once, unless one alert alone is larger.
_SHARE = 1 << 18

# Called with (item, reason, detail) for each alert that somebody does not get.
Lost = Callable[[Any, str, str], None]
# Makes a mailbox; given what it calls with (frame, reason), and whether nobody is there to wait for.
MakeBox = Callable[[Callable[[Any, str], None], bool], Mailbox]


class Frame:
    """An alert and its bytes in the stream, the same for every subscriber."""

    __slots__ = ("data", "item", "spoiled")

    def __init__(self, item: Any, data: bytes) -> None:
        self.item = item
        self.data = data
        # Why the first of its subscribers will not get it.
        self.spoiled: str | None = None

    @property
    def priority(self) -> Any:
        """Return the alert's priority, which the policy drop_lowest looks at."""
        return self.item.priority


@dataclass(frozen=True, slots=True)
class Subscriber:
    """What became of the alerts for one client: sent, waiting, dropped because it was too slow."""

    peer: str
    sent: int
    waiting: int
    dropped: int


class Shelf:
    """A queue, and in words who is to empty it."""

    __slots__ = ("box", "owner")

    def __init__(self, make_box: MakeBox, on_drop: Callable[[Frame, str, str], None], owner: str, alone: bool) -> None:
        self.owner = owner
        self.box = make_box(lambda frame, reason: on_drop(frame, reason, self.owner), alone)


class Queue:
    """What one subscriber gets (in competing mode, its share of one queue for all)."""

    def __init__(self, shelf: Shelf, call: Call) -> None:
        self.shelf = shelf
        self.box = shelf.box
        self.call = call
        self.mail = asyncio.Event()
        # Set whenever there is more room, or nobody left to wait for.
        self.progress = asyncio.Event()
        self.gone = False
        self.idle = False
        # Woken, in competing mode, and not there yet.
        self.called = False
        self.sent = 0


def share(hand: list[Frame]) -> bytes:
    """Join the first alerts in hand, as many as make a good write."""
    size = count = 0
    while count < len(hand) and size < _SHARE:
        size += len(hand[count].data)
        count += 1
    return b"".join([frame.data for frame in hand[:count]])


def emptied(box: Mailbox) -> list[Frame]:
    """Take everything out of a queue."""
    frames: list[Frame] = []
    while entries := box.take(box.capacity):
        box.settle(entries)
        frames += [entry[0] for entry in entries]
    return frames
