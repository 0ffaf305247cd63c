"""Who gets which alert: a bounded queue per subscriber, and one for the time without any.

Everything here happens on the private event loop. Each queue is a `Mailbox` with the sink's policy, so that a slow
client loses what the policy says and nobody else notices.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from rxalerts.flow.mailbox import Mailbox
from rxalerts.flow.overflow import Offer
from rxalerts.sinks._grpc_call import EXHAUSTED, Call, Status
from rxalerts.sinks._grpc_queue import Frame, Lost, MakeBox, Queue, Shelf, Subscriber, emptied, share

log = logging.getLogger("rxalerts")

# How many alerts a subscriber takes out of its queue at once.
_CHUNK = 256
# The same where several take from one queue, so that each gets its turn.
_SHARED_CHUNK = 16

# What clients of gRPC take in one message unless they are told otherwise.
_USUAL_LIMIT = 4 << 20

# What the reader of a pipe that has left did not want is no loss; everything else is.
UNREAD = "unread"

_NOBODY = "any client of the gRPC service: there was none in time"


class Fanout:
    """Hands every alert to every subscriber, or in competing mode to one of them.

    Arguments:
        make_box: makes a queue with the policy of the sink's options.
        on_lost: called for each alert that a subscriber does not get.
        shared: competing mode.
        notice: seconds that `get` waits for alerts which are brought when somebody is there, and not before.
    """

    def __init__(self, make_box: MakeBox, on_lost: Lost, *, shared: bool, notice: float = 0.0) -> None:
        self._make_box = make_box
        self._on_lost = on_lost
        self._shared = shared
        self._notice = notice
        self._fetching = 0
        self._closing = False
        self.queues: list[Queue] = []
        self.waiting = Shelf(make_box, self._spoil, _NOBODY, not shared)
        # Alerts that not everybody got who should have, by reason; each counts once.
        self.spoiled: dict[str, int] = {}

    # -- alerts come ----------------------------------------------------------------------------------------

    async def put(self, frame: Frame) -> None:
        """Hand on one alert; waits only with the policy `block`."""
        while not await self._hand_on(frame):
            # Those who were waited for have gone: whoever is there now gets it.
            continue

    async def _hand_on(self, frame: Frame) -> bool:
        """Offer an alert to those who are there; false when none of them stayed to take it."""
        if self._shared or not self.queues:
            taken = await self._offer(frame, self.waiting.box, self.queues[0] if self.queues else None)
            self._call_next()
            return taken
        taken = False
        for queue in list(self.queues):
            taken = await self._offer(frame, queue.box, queue) or taken
            queue.mail.set()
        return taken

    def _call_next(self) -> None:
        """Wake a subscriber of the shared queue if those who are on their way leave something for it: in turns."""
        if self.waiting.box.waiting <= _SHARED_CHUNK * sum(queue.called for queue in self.queues):
            return
        for place, queue in enumerate(self.queues):
            if queue.idle and not queue.called:
                queue.called = True
                queue.mail.set()
                self.queues.append(self.queues.pop(place))
                return

    async def _offer(self, frame: Frame, box: Mailbox, queue: Queue | None) -> bool:
        """Put an alert into a queue, or have its policy drop it; false when its client has gone before that."""
        while queue is None or not queue.gone:
            outcome = box.offer(frame, may_wait=True)
            if outcome is Offer.OVERFLOW and queue is not None:
                queue.call.end(Status(EXHAUSTED, "this client is too slow, and on_full is fail"))
            if outcome is not Offer.FULL:
                return True
            if queue is None:
                # Nobody is there who could be waited for: the latest alerts are kept.
                self._drop_oldest(box)
                continue
            queue.mail.set()
            queue.progress.clear()
            try:
                # Looks again from time to time: the patience of the policy may be over.
                await asyncio.wait_for(queue.progress.wait(), 0.05)
            except TimeoutError:
                continue
        return False

    def _drop_oldest(self, box: Mailbox) -> None:
        entries = box.take(1)
        box.settle(entries)
        for entry in entries:
            self._spoil(entry[0], "overflow", _NOBODY)

    @property
    def attended(self) -> bool:
        """Whether there is anybody to hand alerts to."""
        return bool(self.queues or self._fetching)

    # -- clients come and go --------------------------------------------------------------------------------

    async def fetch(self, call: Call) -> None:
        """Send one client the alerts that wait."""
        self._fetching += 1
        try:
            if not self.waiting.box.waiting:
                await asyncio.sleep(self._notice)
            await self.serve(call, drain=True)
        finally:
            self._fetching -= 1

    async def serve(self, call: Call, *, drain: bool = False) -> None:
        """Send alerts to one client: those that wait (`drain`), or all until it goes or the sink closes."""
        queue = Queue(self.waiting, call) if drain else self._join(call)
        hand: list[Frame] = []
        try:
            while hand or await self._fill(queue, hand, drain):
                before = call.sent
                try:
                    await call.send(share(hand))
                finally:
                    self._sent(queue, hand, call.sent - before)
                # The other clients of this loop have their turn.
                await asyncio.sleep(0)
        finally:
            self._leave(queue, hand)

    def _join(self, call: Call) -> Queue:
        shelf = self.waiting
        if not self._shared:
            shelf = Shelf(self._make_box, self._spoil, call.peer, False)
            if not self.queues:
                # The first one gets what has been waiting for it.
                for frame in emptied(self.waiting.box):
                    shelf.box.offer(frame)
        queue = Queue(shelf, call)
        self.queues.append(queue)
        log.info("gRPC: %s subscribed; %d alerts wait for it", call.peer, queue.box.waiting)
        return queue

    async def _fill(self, queue: Queue, hand: list[Frame], drain: bool) -> bool:
        """Take the next alerts in hand; false when there will be none."""
        chunk = _SHARED_CHUNK if self._shared else _CHUNK
        while True:
            queue.mail.clear()
            entries = queue.box.take(chunk)
            queue.called = False
            if entries:
                self._call_next()
                # Whatever is in hand makes room: the mailbox bounds what waits, the hand is small.
                queue.box.settle(entries)
                hand[:] = [entry[0] for entry in entries]
                return True
            if drain or self._closing:
                return False
            queue.idle = True
            await queue.mail.wait()
            queue.idle = False

    def _sent(self, queue: Queue, hand: list[Frame], size: int) -> None:
        """Take out of the hand what was sent whole; `size` is how many bytes were."""
        done = 0
        for frame in hand:
            if size < len(frame.data):
                break
            size -= len(frame.data)
            done += 1
        del hand[:done]
        queue.sent += done
        for one in self.queues if self._shared else (queue,):
            one.progress.set()

    def _leave(self, queue: Queue, hand: list[Frame]) -> None:
        """Let a client go: what it did not get waits for the next one, if there is none who got it."""
        queue.gone = True
        queue.progress.set()
        if hand and len(hand[0].data) > _USUAL_LIMIT and not self._closing:
            # Most likely it left because of this one, and so would the next client, and the one after it.
            self._spoil(hand.pop(0), "rejected", f"{queue.call.peer}, which left: it is larger than clients take")
        if queue in self.queues:
            self.queues.remove(queue)
            log.info("gRPC: %s left after %d alerts; %d subscribers", queue.call.peer, queue.sent, len(self.queues))
        if queue.shelf is self.waiting:
            if hand:
                self._put_back(hand)
            self._call_next()
            return
        rest = hand + emptied(queue.box)
        if self.queues or self._closing:
            for frame in rest:
                self._spoil(frame, "shutdown" if self._closing else UNREAD, queue.call.peer)
        else:
            self._put_back(rest)

    def _put_back(self, frames: list[Frame]) -> None:
        """Put alerts in front of those that wait for the next client."""
        for frame in frames + emptied(self.waiting.box):
            self.waiting.box.offer(frame)
        for queue in self.queues:
            queue.mail.set()

    # -- what is lost ---------------------------------------------------------------------------------------

    def _spoil(self, frame: Frame, reason: str, owner: str) -> None:
        """Count an alert that somebody does not get, once however many do not."""
        if frame.spoiled in (None, UNREAD):
            if frame.spoiled is not None:
                self.spoiled[frame.spoiled] -= 1
            self.spoiled[reason] = self.spoiled.get(reason, 0) + 1
            frame.spoiled = reason
        self._on_lost(frame.item, reason, f"not sent to {owner}")

    # -- the end --------------------------------------------------------------------------------------------

    async def close(self, linger: float) -> None:
        """Let the subscribers, or a first one that comes, take what waits: until nobody has for `linger` seconds."""
        self._closing = True
        loop = asyncio.get_running_loop()
        sent, deadline = -1, 0.0
        while self.queues or self.waiting.box.waiting:
            now = sum(queue.call.sent for queue in self.queues)
            if now != sent:
                sent, deadline = now, loop.time() + linger
            elif loop.time() >= deadline:
                return
            for queue in self.queues:
                queue.mail.set()
            await asyncio.sleep(0.002)

    def abandon(self) -> None:
        """Count what still waits as lost."""
        for frame in emptied(self.waiting.box):
            self._spoil(frame, "shutdown", _NOBODY)

    def subscribers(self) -> Iterable[Subscriber]:
        """Tell about every subscriber."""
        return [Subscriber(q.call.peer, q.sent, q.box.waiting, sum(q.box.dropped.values())) for q in list(self.queues)]
