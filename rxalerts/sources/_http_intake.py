"""From the body of a request to every sink's mailbox: what the HTTP source promises its clients.

An answer of 200 says that every alert of the body is in every mailbox (ack `accepted`), or done with everywhere
(`delivered`). While a mailbox presses, nothing is emitted: whoever comes waits at the gate, and gets 503 when it
does not open in time. What such a body had already given is remembered under a digest of its bytes, so that a
client that sends the same body again loses nothing and doubles nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from rxalerts.alert import Alert
from rxalerts.flow.scope import Scope
from rxalerts.flow.source import Emitter, SourceStats
from rxalerts.sources._http_body import Refusal
from rxalerts.wire import Decoder, Rejected

__all__ = ["Answer", "Intake"]

log = logging.getLogger("rxalerts")

# Bodies are decoded in pieces of so many bytes, so that a large one does not hold up the loop.
_CHUNK = 1 << 16
# The byte order marks of UTF-16 and UTF-32, in which a newline takes more than a byte.
_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")
# How many rejected pieces an answer lists, and how many are logged.
_LISTED = 100
_LOGGED = 10
# How many half-taken bodies are remembered, and for how many seconds.
_REMEMBERED = 1000
_MEMORY = 600.0
# How often somebody who waits at the gate looks whether its client is still there, in seconds.
_LOOK = 0.25


@dataclass
class Answer:
    """What the client is told: how many alerts of the body are in, and what is none."""

    accepted: int = 0
    skipped: int = 0
    rejected: int = 0
    listed: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def body(self) -> dict[str, Any]:
        """Return it as it is sent."""
        body: dict[str, Any] = {"accepted": self.accepted}
        if self.rejected:
            body["rejected"] = self.rejected
            body["rejects"] = self.listed
        return body


class Ack:
    """The mark of one request: counts who still works on one of its alerts."""

    __slots__ = ("_future", "_left", "_lock", "until_delivered")

    def __init__(self, until_delivered: bool) -> None:
        self.until_delivered = until_delivered
        self._lock = threading.Lock()
        self._left = 0
        self._future: asyncio.Future[None] | None = None

    @property
    def pending(self) -> bool:
        """Whether somebody still works on an alert of the request."""
        return self._left > 0

    def hold(self, seq: int) -> None:
        """Note one more party."""
        with self._lock:
            self._left += 1

    def release(self, seq: int) -> None:
        """Note that one party is done; may come from any thread."""
        with self._lock:
            self._left -= 1
            future = self._future if self._left == 0 else None
        if future is not None:
            future.get_loop().call_soon_threadsafe(_resolve, future)

    async def wait(self, timeout: float) -> bool:
        """Wait until nobody works on the request's alerts any more; false when the time was not enough."""
        with self._lock:
            if self._left == 0:
                return True
            if self._future is None or self._future.done():
                self._future = asyncio.get_running_loop().create_future()
            future = self._future
        done, _ = await asyncio.wait((future,), timeout=timeout)
        return bool(done)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


@dataclass
class _Half:
    """A body that was answered with 503: how many of its alerts are in, and who works on them."""

    alerts: int
    ack: Ack
    expires: float = 0.0


class Intake:
    """Takes bodies, one task per request, all on one event loop.

    Arguments:
        emitter: where the alerts go.
        stats: the source's counts.
        until_delivered: wait until the alerts are delivered, not only accepted.
        hold: seconds that a request waits while a sink presses.
        delivery_timeout: seconds, from when it came, that it waits for delivery.
        max_held: how many requests may wait at the same time.
    """

    def __init__(
        self,
        emitter: Emitter[Alert],
        stats: SourceStats,
        *,
        until_delivered: bool,
        hold: float,
        delivery_timeout: float,
        max_held: int,
    ) -> None:
        self._emitter = emitter
        self._stats = stats
        self._until_delivered = until_delivered
        self._hold = hold
        self._delivery_timeout = delivery_timeout
        self._max_held = max_held
        self._open = asyncio.Event()
        self._open.set()
        self._relief: asyncio.Task[None] | None = None
        self._half: OrderedDict[bytes, _Half] = OrderedDict()
        self._stopping = False
        self.held = 0

    def stop(self) -> None:
        """Let nobody wait at the gate any more: the source ends."""
        self._stopping = True
        self._open.set()

    async def close(self) -> None:
        """End what still waits for a mailbox."""
        if self._relief is not None:
            self._relief.cancel()
            await asyncio.wait((self._relief,))

    async def take(self, body: bytes, gone: Callable[[], bool]) -> Answer:
        """Emit the alerts of one body; raises Refusal that tells what was taken when it has to stop.

        Arguments:
            body: unpacked.
            gone: tells whether the client has left, and will come back with the same body.
        """
        came = time.monotonic()
        half = self._recall(body)
        ack = Ack(self._until_delivered) if half is None else half.ack
        answer, pieces = Answer(), 0
        known = 0 if half is None else half.alerts
        decoder = Decoder()
        for found in _decoded(decoder, body):
            alerts = [piece for piece in found if not isinstance(piece, Rejected)]
            if len(alerts) < len(found):
                for index, piece in enumerate(found, pieces):
                    if isinstance(piece, Rejected):
                        self._reject(answer, piece, index, count=half is None)
            begin = min(len(alerts), max(0, known - answer.accepted))
            answer.accepted += begin
            while begin < len(alerts):
                if not self._open.is_set() or self._stopping:
                    await self._pass_gate(came, gone, body, _Half(answer.accepted, ack), answer)
                after = self._emit(alerts, begin, ack)
                answer.accepted += after - begin
                begin = after
            pieces += len(found)
            if len(body) > _CHUNK:
                await asyncio.sleep(0)
        answer.skipped = decoder.skipped
        await self._settle(came, body, _Half(answer.accepted, ack), answer)
        return answer

    def _emit(self, alerts: Sequence[Alert], begin: int, ack: Ack) -> int:
        """Emit until a sink presses; returns the index behind the last one that is in."""
        scope = self._emitter.offer(alerts, ack, start=begin)
        self._stats.read += scope.seq - begin
        if scope.pressed:
            self._open.clear()
            self._relief = asyncio.get_running_loop().create_task(self._relieve(scope))
        return scope.seq

    async def _relieve(self, scope: Scope) -> None:
        """Open the gate when no mailbox presses any more."""
        await scope.wait_async()
        self._open.set()

    async def _pass_gate(
        self, came: float, gone: Callable[[], bool], body: bytes, half: _Half, answer: Answer
    ) -> None:
        """Wait until no sink presses; on failure remember how far this body was taken, and refuse the rest."""
        if self.held >= self._max_held:
            self._refuse(body, half, answer, "too many requests wait already")
        self.held += 1
        try:
            while not (self._open.is_set() or self._stopping):
                left = came + self._hold - time.monotonic()
                if left <= 0:
                    self._refuse(body, half, answer, "a sink is full")
                try:
                    async with asyncio.timeout(min(left, _LOOK)):
                        await self._open.wait()
                except TimeoutError:
                    if gone():
                        self._refuse(body, half, answer, "the client has gone")
            if self._stopping:
                self._refuse(body, half, answer, "stopping")
            if gone():
                self._refuse(body, half, answer, "the client has gone")
        finally:
            self.held -= 1

    async def _settle(self, came: float, body: bytes, half: _Half, answer: Answer) -> None:
        """Wait until the alerts that are in are accepted on disk, or delivered, as was asked for."""
        if half.ack.pending:
            if self.held >= self._max_held:
                self._refuse(body, half, answer, "too many requests wait already")
            self.held += 1
            try:
                if not await half.ack.wait(max(0.0, came + self._delivery_timeout - time.monotonic())):
                    self._refuse(body, half, answer, f"not delivered within {self._delivery_timeout:g} s")
            finally:
                self.held -= 1
        if self._half:
            self._half.pop(_digest(body), None)

    def _refuse(self, body: bytes, half: _Half, answer: Answer, reason: str) -> NoReturn:
        """Answer 503: what is in stays in, and is not taken again when the same body comes back."""
        if half.alerts:
            half.expires = time.monotonic() + _MEMORY
            self._half[_digest(body)] = half
            while len(self._half) > _REMEMBERED:
                self._half.popitem(last=False)
            reason += "; send the same body again, what is in is not taken twice"
        raise Refusal(503, reason, {"Retry-After": "1"}, answer=answer.body())

    def _recall(self, body: bytes) -> _Half | None:
        if not self._half:
            return None
        half = self._half.get(_digest(body))
        return half if half is not None and half.expires > time.monotonic() else None

    def _reject(self, answer: Answer, piece: Rejected, index: int, *, count: bool) -> None:
        answer.rejected += 1
        if len(answer.listed) < _LISTED:
            answer.listed.append({"index": index, "line": piece.line, "key": piece.key, "reason": piece.reason})
        if count:
            self._stats.rejected += 1
            if len(self._stats.first_rejects) < _LOGGED:
                self._stats.first_rejects.append(str(piece))
                log.warning("%s: rejected: %s", self._stats.name, piece)


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=16).digest()


def _decoded(decoder: Decoder, body: bytes) -> Iterator[list[Alert | Rejected]]:
    """Decode a body piece by piece."""
    if not body.endswith(b"\n") and not body.startswith(_MARKS):
        # Lets the decoder take the fast road to the last line.
        body += b"\n"
    for begin in range(0, len(body), _CHUNK):
        yield decoder.feed(body[begin : begin + _CHUNK] if len(body) > _CHUNK else body)
    yield decoder.close()
