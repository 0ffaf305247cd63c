"""The server behind the HTTP source: connections, requests, answers. Imports aiohttp; loaded when it starts."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import json
import logging
import ssl
from collections.abc import Callable
from typing import Any

from aiohttp import web

from rxalerts.sources._http_body import Refusal, check_encoding, check_type, unpack
from rxalerts.sources._http_connection import Connection, Limits
from rxalerts.sources._http_intake import Intake
from rxalerts.sources._http_openapi import description

log = logging.getLogger("rxalerts")

# Seconds that an open connection may be silent between two requests.
_IDLE = 75.0
# How often slow connections are looked for, in seconds.
_LOOK = 0.5
# How long a request may take to arrive when the source has begun to stop, in seconds.
_LAST = 0.5
# How many turns of the loop it takes at most until an accepted connection is made.
_TURNS = 5
# Bodies from this size on are unpacked on another thread.
_BIG = 1 << 16
# All bodies that are being read, or wait, may take so much memory together, in bytes.
_ALL_BODIES = 1 << 26
_SERVER = {"Server": "rxalerts"}
_ONE = b'{"accepted":1}'


class HttpServer:
    """Serves one address until it is stopped; lives on one event loop.

    Arguments:
        name: for logs.
        intake: takes the bodies.
        path: where alerts are posted to; "/": everywhere but at the paths of our own.
        token: returns what clients must show, or None.
        context: TLS, or None.
    """

    def __init__(
        self,
        name: str,
        intake: Intake,
        limits: Limits,
        *,
        path: str,
        token: Callable[[], str | None],
        context: ssl.SSLContext | None,
    ) -> None:
        self.name = name
        self.limits = limits
        self.loop = asyncio.get_running_loop()
        self.connections: set[Connection] = set()
        self.stopping = False
        self._intake = intake
        self._path = path.rstrip("/") or "/"
        self._token = token
        self._context = context
        self._memory = 0
        self._server: asyncio.Server | None = None
        self._watch: asyncio.Task[None] | None = None
        self._pages = {
            "/healthz": (b'{"status": "ok"}', "application/json"),
            "/ping": (b"pong", "text/plain"),
            "/openapi.json": (_dump(description(self._path, token=token() is not None)), "application/json"),
        }

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen, and return host and port; raises OSError."""
        inner = web.Server(self._serve)
        options: dict[str, Any] = {
            "access_log": None,
            "auto_decompress": False,
            "keepalive_timeout": _IDLE,
            "lingering_time": 2.0,
            "max_line_size": self.limits.max_header,
            "max_field_size": self.limits.max_header,
        }

        def connect() -> Connection:
            return Connection(self, inner, **options)

        self._server = await self.loop.create_server(
            connect, host, port, ssl=self._context, backlog=1024,
            ssl_handshake_timeout=self.limits.read_timeout if self._context else None,
        )  # fmt: skip
        self._watch = self.loop.create_task(self._drop_slow())
        found = self._server.sockets[0].getsockname()
        return found[0], found[1]

    async def stop(self, timeout: float) -> None:
        """Stop listening, answer what is being worked on for up to `timeout` seconds, and close."""
        assert self._server is not None and self._watch is not None
        self.stopping = True
        for listening in self._server.sockets:
            self.loop.remove_reader(listening.fileno())
        # asyncio would lose a connection that it has accepted and not yet made when its server closes.
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        self._server.close()
        self._watch.cancel()
        self._intake.stop()
        began = self.loop.time()
        while self.connections and self.loop.time() < began + timeout:
            for connection in list(self.connections):
                # Not a request that is being answered, nor, for a moment, one that is just coming.
                if connection.idle or (not connection.busy and self.loop.time() > began + _LAST):
                    connection.force_close()
            await asyncio.sleep(0.02)
        left = list(self.connections)
        if left:
            log.warning("%s: %d connections not finished when time ran out", self.name, len(left))
            await asyncio.gather(*(connection.shutdown(0.1) for connection in left))
        await self._intake.close()

    async def _drop_slow(self) -> None:
        while True:
            await asyncio.sleep(_LOOK)
            late = self.loop.time() - self.limits.read_timeout
            for connection in list(self.connections):
                if connection.began is not None and connection.began < late:
                    connection.drop()

    # -- one request ----------------------------------------------------------------------------------------

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, Connection)
        connection.busy, connection.began = True, None
        last = False
        try:
            response = await self._answer(request)
        except Refusal as refusal:
            response = _json(refusal.answer, refusal.status, refusal.headers)
            last = refusal.last
        finally:
            connection.busy = False
        if last or self.stopping:
            response.force_close()
        return response

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path.rstrip("/") or "/"
        page = self._pages.get(path)
        if page is not None:
            if request.method not in ("GET", "HEAD"):
                raise Refusal(405, f"{request.method[:20]} {path}: only GET", {"Allow": "GET, HEAD"})
            return web.Response(body=page[0], headers=_SERVER, content_type=page[1])
        if self._path not in ("/", path):
            raise Refusal(404, f"alerts go to {self._path}")
        if request.method != "POST":
            raise Refusal(405, f"{request.method[:20]}: alerts are sent with POST", {"Allow": "POST"})
        return await self._take(request)

    async def _take(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = request.headers
        self._authorize(headers.get("Authorization", ""))
        check_type(headers.get("Content-Type", ""))
        packed = check_encoding(headers.get("Content-Encoding", ""))
        limit = self.limits.max_body
        body = await self._read(request, limit)
        size = len(body)
        try:
            if packed or body[:1] == b"\x1f":
                if len(body) < _BIG:
                    body = unpack(body, limit, packed=packed)
                else:
                    body = await self.loop.run_in_executor(None, lambda: unpack(body, limit, packed=packed))
                # What waits for a sink waits unpacked.
                self._memory += len(body) - size
                size = len(body)
                self._check_memory()
            answer = await self._intake.take(body, lambda: request.transport is None or request.transport.is_closing())
        finally:
            self._memory -= size
        if answer.rejected:
            return _json({"error": "some of it is no alert", **answer.body()}, 400, {})
        if answer.accepted == 1:
            return web.Response(body=_ONE, headers=_SERVER, content_type="application/json")
        if not (answer.accepted or answer.skipped):
            raise Refusal(400, "no alert in the body", answer=answer.body())
        return _json(answer.body(), 200, {})

    def _authorize(self, given: str) -> None:
        token = self._token()
        if token is None:
            return
        scheme, _, value = given.partition(" ")
        value = value.strip()
        if scheme.lower() == "basic":
            # All that Falco can send: user and password in its url. The password is the token.
            try:
                value = base64.b64decode(value, validate=True).decode().partition(":")[2]
            except (binascii.Error, ValueError):
                value = ""
        elif scheme.lower() != "bearer":
            value = ""
        # What is no UTF-8 comes as surrogates.
        if not hmac.compare_digest(value.encode("utf-8", "surrogateescape"), token.encode()):
            raise Refusal(401, "the token is missing or wrong", {"WWW-Authenticate": 'Bearer realm="rxalerts"'})

    def _check_memory(self) -> None:
        if self._memory > _ALL_BODIES:
            raise Refusal(503, "too many large bodies at once", {"Retry-After": "1"}, last=True)

    async def _read(self, request: web.BaseRequest, limit: int) -> bytes:
        length = request.content_length
        if length is not None and length > limit:
            raise Refusal(413, f"{length} bytes, and at most {limit} are taken", last=True)
        content = request.content
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            # The answer's own size is what aiohttp expects to count from here on.
            request.writer.output_size = 0
        if content.is_eof():
            body = content.read_nowait()
            self._memory += len(body)
            return body
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self.limits.read_timeout):
                while part := await content.readany():
                    parts.append(part)
                    size += len(part)
                    self._memory += len(part)
                    if size > limit:
                        raise Refusal(413, f"at most {limit} bytes are taken", last=True)
                    self._check_memory()
        except BaseException as error:
            self._memory -= size
            if isinstance(error, TimeoutError):
                raise Refusal(408, f"the body did not come within {self.limits.read_timeout:g} s", last=True) from None
            if isinstance(error, (web.RequestPayloadError, ConnectionError)):
                raise Refusal(400, "the body is cut off or malformed", last=True) from None
            raise
        return b"".join(parts)


def _dump(value: Any) -> bytes:
    return json.dumps(value).encode()


def _json(answer: dict[str, Any], status: int, headers: dict[str, str]) -> web.Response:
    headers = {**_SERVER, **headers}
    return web.Response(body=_dump(answer), status=status, headers=headers, content_type="application/json")
