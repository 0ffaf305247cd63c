"""What the HTTP sink's connections are made of: certificates, secrets, headers, the proxy; read at open and reopen."""

from __future__ import annotations

import importlib
import logging
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rxalerts.flow.tls import ClientTls
from rxalerts.sinks._http_auth import proxy_for

if TYPE_CHECKING:
    import aiohttp

    from rxalerts.sinks._http_post import Post
    from rxalerts.sinks.http import HttpSink

log = logging.getLogger("rxalerts")


class Setup:
    """Reads files on a thread of its own (`prepare`), then makes session and Post on the event loop."""

    def __init__(self, sink: HttpSink) -> None:
        self._sink = sink
        self._headers: Mapping[str, str] = {}
        self._context: ssl.SSLContext | None = None
        self._proxy: str | None = None
        self._tls = ClientTls()
        self._seen = b""
        self._warned = False

    def prepare(self) -> None:
        """Load aiohttp, read certificates and secrets; raises OSError or Fatal, and then changes nothing."""
        importlib.import_module("rxalerts.sinks._http_post")
        sink = self._sink
        headers = {"User-Agent": sink.user_agent, "Accept": "*/*"}
        if not sink.keep_alive:
            headers["Connection"] = "close"
        authorization = sink.auth().header()
        if authorization is not None:
            headers["Authorization"] = authorization
        headers.update(sink.headers)
        proxy = proxy_for(sink.target)
        if sink.target.secure:
            self._read_certificates()
        self._headers, self._proxy = headers, proxy

    def _read_certificates(self) -> None:
        """Make a new context if a file has changed; otherwise the old one is kept, and its connections with it."""
        sink = self._sink
        wanted = sink.tls()
        seen = wanted.fingerprint()
        if self._context is not None and (wanted, seen) == (self._tls, self._seen):
            return
        self._context = wanted.context()
        self._tls, self._seen = wanted, seen
        if sink.insecure and not self._warned:
            self._warned = True
            log.warning("%s: insecure: the certificate of %s is not checked", sink.name, sink.target.shown)

    def session(self) -> aiohttp.ClientSession:
        """Return new connections; on the event loop."""
        import aiohttp

        sink = self._sink
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=sink.in_flight, force_close=not sink.keep_alive),
            timeout=aiohttp.ClientTimeout(total=sink.timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("Accept-Encoding",),
        )

    def post(self, session: aiohttp.ClientSession) -> Post:
        """Return what sends requests over these connections, with what was read last."""
        from rxalerts.sinks._http_post import Post

        return Post(session, self._sink.target, self._headers, self._context, self._proxy, self._sink.echo)
