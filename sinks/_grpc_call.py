"""One call of a gRPC client: its requests, its answer and the status that it ends with."""

from __future__ import annotations

import asyncio
import logging
import re
import struct
import zlib
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from h2.connection import H2Connection

log = logging.getLogger("rxalerts")

# Status codes of gRPC.
OK, DEADLINE_EXCEEDED, NOT_FOUND, EXHAUSTED, UNIMPLEMENTED, INTERNAL = 0, 4, 5, 8, 12, 13

# Requests are empty or name a service: more than this in waiting is no client of ours.
_REQUEST_LIMIT = 1 << 16
# So much is handed to the transport at a time: a client may open its window wide and still read slowly.
_SHARE = 1 << 16

_TIMEOUT = re.compile(r"(\d{1,8})([HMSmun])")
_SECONDS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


class Status(Exception):
    """Ends a call with a status other than OK."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def framed(message: bytes) -> bytes:
    """Return a message as it stands in a gRPC stream: not compressed, its length in front.

    >>> framed(b"hi")
    b'\\x00\\x00\\x00\\x00\\x02hi'
    """
    return struct.pack(">xI", len(message)) + message


def seconds(timeout: str | None) -> float | None:
    """Return what `grpc-timeout` says, in seconds; None without one.

    >>> seconds("1500m"), seconds("2M"), seconds(None)
    (1.5, 120.0, None)
    """
    found = _TIMEOUT.fullmatch(timeout or "")
    return None if found is None else int(found[1]) * _SECONDS[found[2]]


class Wire(Protocol):
    """What a call needs of its connection."""

    http: H2Connection
    peer: str

    def room(self, stream: int) -> int: ...
    def flush(self) -> None: ...
    def finish(self, stream: int, status: Status, half_closed: bool) -> None: ...


class Call:
    """One call, as its handler sees it; `sent` counts the bytes of its answer that are on their way."""

    def __init__(self, connection: Wire, stream: int, path: str, timeout: float | None = None) -> None:
        self.path = path
        self._timeout = timeout
        self.peer = connection.peer
        self.sent = 0
        self.task: asyncio.Task[None] | None = None
        self._connection = connection
        self._stream = stream
        self._room = asyncio.Event()
        self._arrived = asyncio.Event()
        self._requests: deque[bytes] = deque()
        self._piece = b""
        self._half_closed = False
        self._deaf = False
        self._verdict: Status | None = None
        self._running = False

    # -- for the handler ------------------------------------------------------------------------------------

    def ignore_requests(self) -> None:
        """Throw away every request from now on, as a call does that only asks to be sent something."""
        self._deaf = True
        self._requests.clear()
        self._piece = b""

    async def request(self) -> bytes | None:
        """Return the client's next message, None when it sends no more."""
        while not self._requests:
            if self._half_closed:
                return None
            self._arrived.clear()
            await self._arrived.wait()
        return self._requests.popleft()

    async def send(self, data: bytes) -> None:
        """Send framed messages, as fast as the client takes them; cancelled when it has gone."""
        start = flushed = 0
        while start < len(data):
            room = self._connection.room(self._stream)
            if room <= 0:
                self._connection.flush()
                self._room.clear()
                await self._room.wait()
                continue
            piece = data[start : start + room]
            self._connection.http.send_data(self._stream, piece)
            start += len(piece)
            self.sent += len(piece)
            if start - flushed >= _SHARE:
                # The transport says now whether it can take more, and not when all is piled up in it.
                flushed = start
                self._connection.flush()
        self._connection.flush()

    def end(self, verdict: Status | None = None) -> None:
        """End the call from outside, with OK or another status."""
        self._verdict = verdict or Status(OK, "")
        # A task that is cancelled before its first step never takes one, and nobody would end the stream.
        if self.task is not None and self._running:
            self.task.cancel()

    # -- for the connection ---------------------------------------------------------------------------------

    def wake(self) -> None:
        """Look again whether there is room to send."""
        self._room.set()

    def feed(self, data: bytes) -> None:
        """Take what the client sent."""
        if self._deaf:
            return
        self._piece += data
        while len(self._piece) >= 5:
            end = 5 + int.from_bytes(self._piece[1:5], "big")
            if end > _REQUEST_LIMIT or len(self._requests) > 1000:
                self.end(Status(EXHAUSTED, "this request cannot be taken"))
                return
            if len(self._piece) < end:
                return
            request = self._piece[5:end]
            if self._piece[0]:
                try:
                    request = _inflated(request)
                except (zlib.error, ValueError) as error:
                    self.end(Status(INTERNAL, f"a compressed request cannot be read: {error}"))
                    return
            self._requests.append(request)
            self._piece = self._piece[end:]
            self._arrived.set()

    def half_close(self) -> None:
        """Note that the client sends no more: it still wants answers."""
        self._half_closed = True
        self._arrived.set()

    async def run(self, handler: Handler) -> None:
        """Run the handler, then end the stream with the status that came of it."""
        status = self._verdict or Status(OK, "")
        self._running = True
        try:
            if self._verdict is None:
                async with asyncio.timeout(self._timeout):
                    await handler(self)
        except Status as found:
            status = found
        except TimeoutError:
            status = Status(DEADLINE_EXCEEDED, "the client's deadline is over")
        except asyncio.CancelledError:
            if self._verdict is None:
                raise
            status = self._verdict
        except Exception as error:
            log.exception("gRPC: %s failed", self.path)
            status = Status(INTERNAL, f"{type(error).__name__}: {error}")
        self._connection.finish(self._stream, status, self._half_closed)


def _inflated(request: bytes) -> bytes:
    """Unpack a request that came as gzip or deflate, as far as one may be large."""
    unpacker = zlib.decompressobj(wbits=47)
    unpacked = unpacker.decompress(request, _REQUEST_LIMIT)
    if not unpacker.eof:
        raise ValueError("cut off, or too large")
    return unpacked


Handler = Callable[[Call], Coroutine[Any, Any, None]]
