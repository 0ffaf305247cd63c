"""Alerts over HTTP: what Falco's http_output and falcosidekick's clients send."""

from __future__ import annotations

import asyncio
import errno
import importlib
import ipaddress
import logging
import os
import resource
import ssl
import threading
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from rxalerts.alert import Alert
from rxalerts.errors import OptionError, SourceError
from rxalerts.flow import tls
from rxalerts.flow.loop import io_loop, spawn
from rxalerts.flow.secrets import Secret
from rxalerts.flow.source import Emitter, Source

__all__ = ["HttpSource", "http"]

log = logging.getLogger("rxalerts")

Path = str | os.PathLike[str]
_PORT = 2801


@dataclass(frozen=True)
class Options:
    """What `http` was told."""

    host: str
    port: int
    path: str
    secure: bool
    tls_cert: Path
    tls_key: Path
    tls_client_ca: Path
    token: Secret
    ack: str
    hold: float
    delivery_timeout: float
    max_body: int
    max_header: int
    read_timeout: float
    max_connections: int
    max_held: int
    stop_timeout: float

    def __post_init__(self) -> None:
        if self.ack not in ("accepted", "delivered"):
            raise OptionError("ack", f"must be accepted or delivered, got {self.ack!r}")
        for key in ("hold", "delivery_timeout", "read_timeout", "stop_timeout"):
            if not getattr(self, key) > 0:
                raise OptionError(key, f"must be more than 0 seconds, got {getattr(self, key)}")
        for key in ("max_body", "max_header", "max_connections", "max_held"):
            if getattr(self, key) < 1:
                raise OptionError(key, f"must be 1 or more, got {getattr(self, key)}")
        if self.secure and not self.tls_cert:
            raise OptionError("tls_cert", "is empty: https needs a certificate, and tls_key with it")
        if (self.tls_key or self.tls_client_ca) and not self.tls_cert:
            raise OptionError("tls_cert", "is empty: tls_key and tls_client_ca need it")
        if not self.path.startswith("/"):
            raise OptionError("path", f"must begin with /, got {self.path!r}")

    @property
    def loopback(self) -> bool:
        """Whether only this machine can connect."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


@dataclass
class _Running:
    """What belongs to one subscription while it serves."""

    stop: asyncio.Event = field(default_factory=asyncio.Event)
    context: ssl.SSLContext | None = None
    token: str | None = None


class HttpSource(Source[Alert]):
    """See `http`."""

    live = True

    def __init__(self, options: Options, name: str) -> None:
        super().__init__(name)
        self._options = options
        self._bound = threading.Event()
        self._address: tuple[str, int] | None = None
        self._running: _Running | None = None

    @property
    def address(self) -> str | None:
        """Where the source listens, as host:port; None before it does. With port 0 the system chose the port."""
        if self._address is None:
            return None
        host, port = self._address
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    @property
    def url(self) -> str | None:
        """Where to post alerts to; None before the source listens."""
        scheme = "https" if self._options.tls_cert else "http"
        return None if self._address is None else f"{scheme}://{self.address}{self._options.path}"

    def wait_bound(self, timeout: float | None = None) -> bool:
        """Wait until the source listens, or has ended; false when `timeout` seconds were not enough."""
        return self._bound.wait(timeout)

    def reopen(self) -> None:
        """Read certificate, key and token again (SIGHUP): connections go on, new ones get the new certificate.

        Files that cannot be used are reported, and what was there before stays in use.
        """
        running = self._running
        if running is None:
            return
        try:
            token = self._token()
            if running.context is not None:
                tls.load_pair(running.context, self._options.tls_cert, self._options.tls_key)
            running.token = token
        except (OSError, OptionError) as error:
            log.error("%s: not reopened: %s", self.name, error)

    def produce(self, emitter: Emitter[Alert]) -> None:
        try:
            running = self._prepare()
            # Loads aiohttp: here, on this thread, that holds up nobody.
            importlib.import_module("rxalerts.sources._http_server")
            serving = spawn(self._serve(emitter, running))
            loop = io_loop()
            emitter.on_stop(lambda: loop.call_soon_threadsafe(running.stop.set))
            serving.result()
        finally:
            self._running = None
            self._bound.set()

    def _prepare(self) -> _Running:
        options = self._options
        if not options.loopback and not (options.tls_client_ca or (options.tls_cert and options.token.wanted)):
            log.warning(
                "%s: listens on %s, beyond this machine, without %s: whoever reaches it can send alerts",
                self.name, options.host, "a token or tls_client_ca" if options.tls_cert else "TLS and a token",
            )  # fmt: skip
        running = _Running()
        try:
            running.token = self._token()
            if options.tls_cert:
                running.context = tls.server_context(options.tls_cert, options.tls_key, options.tls_client_ca)
        except OSError as error:
            raise SourceError(f"{self.name}: {error}") from None
        return running

    def _token(self) -> str | None:
        return self._options.token.read() if self._options.token.wanted else None

    async def _serve(self, emitter: Emitter[Alert], running: _Running) -> None:
        from rxalerts.sources._http_connection import Limits
        from rxalerts.sources._http_intake import Intake
        from rxalerts.sources._http_server import HttpServer

        options = self._options
        intake = Intake(
            emitter, self._stats, until_delivered=options.ack == "delivered", hold=options.hold,
            delivery_timeout=options.delivery_timeout, max_held=options.max_held,
        )  # fmt: skip
        # The channels need descriptors too, whoever connects.
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        connections = options.max_connections
        if descriptors != resource.RLIM_INFINITY:
            connections = min(connections, max(1, descriptors // 2))
        limits = Limits(options.max_body, options.max_header, options.read_timeout, connections)
        server = HttpServer(
            self.name, intake, limits, path=options.path, token=lambda: running.token, context=running.context
        )
        try:
            self._address = await server.start(options.host, options.port)
        except OSError as error:
            raise self._cannot_listen(error) from None
        self._running = running
        self._bound.set()
        log.info("%s: listening on %s", self.name, self.url)
        try:
            await running.stop.wait()
        finally:
            await server.stop(options.stop_timeout)

    def _cannot_listen(self, error: OSError) -> SourceError:
        place = f"{self._options.host}:{self._options.port}"
        hint = ""
        if error.errno == errno.EADDRINUSE:
            hint = f": another process listens there (`ss -ltnp 'sport = :{self._options.port}'` shows which)"
        elif error.errno == errno.EACCES:
            hint = ": ports below 1024 need privileges; take another one"
        what = os.strerror(error.errno) if error.errno in (errno.EADDRINUSE, errno.EACCES) else str(error)
        return SourceError(f"{self.name}: cannot listen on {place}: {what}{hint}")


def http(
    address: str = f"127.0.0.1:{_PORT}",
    *,
    path: str = "",
    tls_cert: Path = "",
    tls_key: Path = "",
    tls_client_ca: Path = "",
    token_env: str = "",
    token_file: Path = "",
    ack: Literal["accepted", "delivered"] = "accepted",
    hold: float = 1.5,
    delivery_timeout: float = 1.5,
    max_body: int = 10 << 20,
    max_header: int = 8190,
    read_timeout: float = 10.0,
    max_connections: int = 1000,
    max_held: int = 1000,
    stop_timeout: float = 5.0,
    name: str = "http",
) -> HttpSource:
    """Listen for alerts over HTTP or HTTPS, as `http_output` of Falco 0.15 and later sends them.

    A POST holds one alert, several lines of them (NDJSON), a JSON array, or text; gzip by its header or its
    content; Content-Type is not looked at, except that what can be no alert (`multipart/…`, images) gets 415. Answers:
    200 when every alert is taken; 400, naming index, line, key and reason of each piece that is none, while the
    rest is taken; 413, 415, 405, 408 as usual; 503 with `Retry-After` under pressure. `GET /healthz`, `/ping` and
    `/openapi.json` tell about the source.

    503 means: what the answer counts as `accepted` is in, the rest is not. Sending the same bytes again, as
    clients that retry do, takes only the rest, for ten minutes and the last 1000 such bodies. Falco itself does
    not retry: give sinks behind this source a large or durable mailbox, so that they seldom press.

    Arguments:
        address: host:port, a port alone (then on 127.0.0.1), or a url, http:// or https://, with a path.
            Port 0: any free one, see `address` of the source.
        path: where alerts are posted to; "/" (the default): any path, as falcosidekick.
        tls_cert, tls_key: PEM files: HTTPS. tls_client_ca: clients must show a certificate that it signed.
        token_env, token_file: environment variable or file with a token that clients must send, as
            `Authorization: Bearer …` or as the password of basic auth, which is all that Falco can (in its url).
        ack: when to answer 200: `accepted` by every sink's mailbox (on disk, if it is durable), or `delivered` (or
            rejected or dropped, which the report tells).
        hold: seconds that a request is held while a sink presses. Then, or when `max_held` requests wait: 503.
        delivery_timeout: with `delivered`, or a durable sink: seconds until 503; a client that comes back waits on.
            Falco waits for the answer itself, and reports a channel that takes two seconds.
        max_body: bytes of a body, packed and unpacked. max_header: bytes of a header line.
        read_timeout: seconds that a request may take to arrive.
        max_connections: how many clients may be connected at once; never more than half of `ulimit -n`.
        stop_timeout: seconds to answer what is being worked on when the source ends.
        name: the source's name in logs and reports.

    Raises OptionError here; SourceError, as the stream's error, when it cannot listen.

    >>> http("127.0.0.1:0").live
    True
    """
    host, port, secure, found = parse_address(address)
    options = Options(
        host, port, path or found or "/", secure, tls_cert, tls_key, tls_client_ca,
        Secret("token", token_env, token_file), ack, hold, delivery_timeout, max_body, max_header, read_timeout,
        max_connections, max_held, stop_timeout,
    )  # fmt: skip
    return HttpSource(options, name)


def parse_address(address: str) -> tuple[str, int, bool, str]:
    """Return host, port, whether it is https, and the path.

    >>> parse_address("2801"), parse_address("https://0.0.0.0/alerts")
    (('127.0.0.1', 2801, False, ''), ('0.0.0.0', 2801, True, '/alerts'))
    """
    text = address if "://" in address else f"http://127.0.0.1:{address}" if address.isdigit() else f"http://{address}"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "127.0.0.1", parts.port
    except ValueError as error:
        raise OptionError("address", f"{address!r}: {error}") from None
    if parts.scheme not in ("http", "https") or parts.username or parts.query or parts.fragment:
        raise OptionError("address", f"{address!r}: must be host:port, http://host:port/path or https://host:port/path")
    return host, _PORT if port is None else port, parts.scheme == "https", parts.path
