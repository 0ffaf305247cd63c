"""gRPC over HTTP/2 on an event loop: a connection and the calls on it, without a word about alerts.

The protocol itself is h2's, which does no I/O. One connection is one asyncio protocol, one call one task. Many
messages share a DATA frame, which is what makes this five times as fast as one write per message (docs/grpc.md).
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Iterable
from typing import Any, Protocol
from urllib.parse import quote

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes

from rxalerts.sinks._grpc_call import UNIMPLEMENTED, Call, Handler, Status, seconds

log = logging.getLogger("rxalerts")

# Calls at a time on one connection.
_CALLS = 100
# Calls that a connection may cancel at once, and how many more each second: each costs us more than its client.
_CANCELLED = 200
_CANCELLED_PER_SECOND = 100
# Seconds that a client has for the first words of HTTP/2.
_HELLO = 10.0
# How much is read before the calls in it are looked at, in bytes.
_BITE = 1 << 14
# Headers of a request, in bytes.
_HEADERS = 1 << 14
# Bytes that may wait for a client that asks and does not read: alerts never get that far.
_BACKLOG = 4 << 20

Headers = list[tuple[str, str]]

_ANSWER: Headers = [
    (":status", "200"),
    ("content-type", "application/grpc"),
    ("grpc-accept-encoding", "identity,deflate,gzip"),
]


class Owner(Protocol):
    """The server that a connection belongs to."""

    @property
    def handlers(self) -> dict[str, Handler]: ...
    @property
    def keepalive(self) -> float | None: ...
    @property
    def connections(self) -> set[Connection]: ...
    def admit(self, connection: Connection) -> bool: ...


class Connection(asyncio.Protocol):
    """One client's connection: HTTP/2, with calls on it."""

    def __init__(self, server: Owner) -> None:
        config = H2Configuration(client_side=False, header_encoding="utf-8")
        self.http = H2Connection(config)
        self.peer = "?"
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._calls: dict[int, Call] = {}
        self._watch: asyncio.TimerHandle | None = None
        self._heard = 0.0
        self._hello: asyncio.TimerHandle | None = None
        self._cancelled = 0.0
        self._cancelled_at = 0.0

    # -- asyncio --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.peer = _peer(transport)
        if not self._server.admit(self):
            transport.abort()
            return
        self.http.initiate_connection()
        self.http.update_settings(
            {SettingCodes.MAX_CONCURRENT_STREAMS: _CALLS, SettingCodes.MAX_HEADER_LIST_SIZE: _HEADERS}
        )
        self.flush()
        self._hello = asyncio.get_running_loop().call_later(_HELLO, self.abort)
        self._guard()

    def data_received(self, data: bytes) -> None:
        self._heard = asyncio.get_running_loop().time()
        try:
            for begin in range(0, len(data), _BITE):
                for event in self.http.receive_data(data[begin : begin + _BITE]):
                    self._heed(event)
                if self._transport is None or self._transport.is_closing():
                    return
        except (ProtocolError, ValueError) as error:
            log.info("gRPC: %s does not speak HTTP/2 as it should: %s", self.peer, error)
            self.flush()
            self.close()
            return
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._watch, self._hello):
            if timer is not None:
                timer.cancel()
        self._transport = None
        calls, self._calls = self._calls, {}
        for call in calls.values():
            if call.task is not None:
                call.task.cancel()
        self._server.connections.discard(self)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._wake()

    # -- calls ----------------------------------------------------------------------------------------------

    def room(self, stream: int) -> int:
        """Return how many bytes may be sent on a stream now."""
        if self._paused or self._transport is None:
            return 0
        return min(self.http.local_flow_control_window(stream), self.http.max_outbound_frame_size)

    def flush(self) -> None:
        """Hand what h2 wants to send to the transport."""
        data = self.http.data_to_send()
        if data and self._transport is not None:
            self._transport.write(data)
            if self._transport.get_write_buffer_size() > _BACKLOG:
                log.info("gRPC: %s asks and does not read: closing its connection", self.peer)
                self._transport.abort()

    def finish(self, stream: int, status: Status, half_closed: bool) -> None:
        """End a stream with a status."""
        if self._calls.pop(stream, None) is None or self._transport is None:
            return
        trailers = [("grpc-status", str(status.code))]
        if status.text:
            trailers.append(("grpc-message", quote(status.text, safe=" !\"#$&'()*+,/:;<=>?@[]^_`{|}~")))
        try:
            self.http.send_headers(stream, trailers, end_stream=True)
            if not half_closed:
                # The answer is complete, whatever the client would still have asked (RFC 9113, 8.1).
                self.http.reset_stream(stream, ErrorCodes.NO_ERROR)
        except ProtocolError as error:
            log.debug("gRPC: %s: the call had ended: %s", self.peer, error)
        self.flush()

    def close(self, code: ErrorCodes = ErrorCodes.NO_ERROR) -> None:
        """Say goodbye and close, once everything that was sent is on its way."""
        if self._transport is not None and not self._transport.is_closing():
            try:
                self.http.close_connection(code)
                self.flush()
            except ProtocolError as error:
                log.debug("gRPC: %s: %s", self.peer, error)
            self._transport.close()

    def abort(self) -> None:
        """Close now."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def unsent(self) -> int:
        """How many bytes wait for the client to read."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    @property
    def calls(self) -> Iterable[Call]:
        """The calls that run."""
        return list(self._calls.values())

    # -- events of HTTP/2 -----------------------------------------------------------------------------------

    def _heed(self, event: events.Event) -> None:
        match event:
            case events.RequestReceived():
                self._begin(event.stream_id or 0, dict(event.headers or ()))  # type: ignore[arg-type]
            case events.DataReceived():
                if event.flow_controlled_length:
                    self.http.acknowledge_received_data(event.flow_controlled_length, event.stream_id or 0)
                if call := self._calls.get(event.stream_id or 0):
                    call.feed(event.data or b"")
            case events.StreamEnded():
                if call := self._calls.get(event.stream_id or 0):
                    call.half_close()
            case events.StreamReset():
                call = self._calls.pop(event.stream_id or 0, None)
                if call is not None and call.task is not None:
                    call.task.cancel()
                self._count_cancelled()
            case events.WindowUpdated():
                self._wake()
            case events.RemoteSettingsChanged():
                if self._hello is not None:
                    self._hello.cancel()
                self._wake()
            case events.ConnectionTerminated():
                # Clients say so when they leave; nothing can be sent any more.
                self.close()
            case _:
                return

    def _begin(self, stream: int, headers: dict[str, str]) -> None:
        path = headers.get(":path", "")
        handler = self._server.handlers.get(path)
        if headers.get(":method") != "POST" or not headers.get("content-type", "").startswith("application/grpc"):
            self._head(stream, [(":status", "415")], end=True)
        elif handler is None:
            status = [("grpc-status", str(UNIMPLEMENTED)), ("grpc-message", "there is no such method")]
            self._head(stream, [*_ANSWER, *status], end=True)
        elif self._head(stream, _ANSWER):
            call = self._calls[stream] = Call(self, stream, path, seconds(headers.get("grpc-timeout")))
            call.task = asyncio.get_running_loop().create_task(call.run(handler))

    def _head(self, stream: int, headers: Headers, *, end: bool = False) -> bool:
        """Send the head of an answer; false when the client has cancelled the call, in the same breath even."""
        try:
            self.http.send_headers(stream, headers, end_stream=end)
        except ProtocolError:
            return False
        return True

    def _count_cancelled(self) -> None:
        """Let go of a client that makes calls only to cancel them (CVE-2023-44487)."""
        left = self._cancelled - (self._heard - self._cancelled_at) * _CANCELLED_PER_SECOND
        self._cancelled, self._cancelled_at = max(0.0, left) + 1, self._heard
        if self._cancelled > _CANCELLED:
            log.info("gRPC: %s cancels calls as fast as it makes them: closing its connection", self.peer)
            self.close(ErrorCodes.ENHANCE_YOUR_CALM)

    def _wake(self) -> None:
        for call in self._calls.values():
            call.wake()

    # -- is it still there? ---------------------------------------------------------------------------------

    def _guard(self) -> None:
        """Look from time to time whether the client still answers; one that does not is let go."""
        keepalive = self._server.keepalive
        if keepalive is None or self._transport is None:
            return
        loop = asyncio.get_running_loop()
        silent = loop.time() - self._heard if self._heard else 0.0
        if silent > 2 * keepalive:
            log.info("gRPC: %s has not answered for %.0f s: closing its connection", self.peer, silent)
            self.abort()
            return
        if silent > keepalive / 2:
            self.http.ping(b"rxalerts")
            self.flush()
        self._heard = self._heard or loop.time()
        self._watch = loop.call_later(keepalive / 2, self._guard)


def _peer(transport: asyncio.Transport) -> str:
    """Name a client: its process for a unix socket, else its address."""
    sock: socket.socket | None = transport.get_extra_info("socket")
    if sock is not None and sock.family == socket.AF_UNIX:
        try:
            pid, uid, _ = struct.unpack("iII", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        except (OSError, AttributeError):
            return "unix client"
        return f"process {pid} (uid {uid})"
    name: Any = transport.get_extra_info("peername")
    return f"{name[0]}:{name[1]}" if name else "?"
