"""One connection of the HTTP source: counted, and not waited for without end. Imports aiohttp."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from typing import Any, Protocol

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.web_protocol import RequestHandler

__all__ = ["Connection", "Limits"]

log = logging.getLogger("rxalerts")

_FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_SLOW = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True)
class Limits:
    """What a client may do."""

    max_body: int
    max_header: int
    read_timeout: float
    max_connections: int


class Owner(Protocol):
    """The server that a connection belongs to."""

    @property
    def name(self) -> str: ...
    @property
    def loop(self) -> asyncio.AbstractEventLoop: ...
    @property
    def limits(self) -> Limits: ...
    @property
    def connections(self) -> set[Connection]: ...
    @property
    def stopping(self) -> bool: ...


class Connection(RequestHandler):
    """aiohttp's connection, with a limit on their number and on the time that a request's head may take."""

    __slots__ = ("_server", "began", "busy", "refused")

    def __init__(self, server: Owner, inner: web.Server, **options: Any) -> None:
        super().__init__(inner, loop=server.loop, **options)
        self._server = server
        self.began: float | None = None  # when the head began that is not complete yet
        self.busy = False
        self.refused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A connection that was accepted just before the server closed comes here afterwards.
        if self._server.stopping or len(self._server.connections) >= self._server.limits.max_connections:
            self.refused = True
            assert isinstance(transport, asyncio.Transport)
            transport.write(_FULL)
            transport.close()
            return
        self._server.connections.add(self)
        self.began = self._server.loop.time()
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._server.connections.discard(self)
        if not self.refused:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.refused:
            return
        if self.began is None and not self.busy:
            self.began = self._server.loop.time()
        super().data_received(data)

    @property
    def idle(self) -> bool:
        """Whether it is kept open between two requests."""
        return self.began is None and not self.busy

    def drop(self) -> None:
        """End a connection whose request does not come."""
        if self.transport is not None:
            self.transport.write(_SLOW)
        self.force_close()

    def handle_error(
        self, request: Any, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer what is no HTTP as everything else is answered; what software we are is nobody's business."""
        super().handle_error(request, status, exc, message)
        if isinstance(exc, LineTooLong):
            status = 431
        answer = {"error": " ".join((message or "failed").split()) if status < 500 else "failed"}
        response = web.Response(
            body=json.dumps(answer).encode(), status=status, headers={"Server": "rxalerts"},
            content_type="application/json",
        )  # fmt: skip
        response.force_close()
        return response

    def log_exception(self, *args: Any, **kwargs: Any) -> None:
        """Keep quiet about what strangers send: they get their answer."""
        error = kwargs.get("exc_info")
        if isinstance(error, HttpProcessingError) or not isinstance(error, Exception):
            log.debug("%s: bad request: %s", self._server.name, error)
        else:
            log.error("%s: a request failed", self._server.name, exc_info=error)
