"""The gRPC service: alerts for clients that connect, as Falco 0.24 to 0.43 served them."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from rxalerts.alert import Alert
from rxalerts.errors import OptionError
from rxalerts.flow.channel import AsyncChannel, Batch
from rxalerts.flow.mailbox import Mailbox
from rxalerts.flow.options import option
from rxalerts.flow.overflow import Overflow
from rxalerts.flow.sink import AsyncSink
from rxalerts.flow.stats import DeadLetter, SinkStats, State
from rxalerts.format import Format, Formatted
from rxalerts.sinks._grpc_listen import (
    Listener,
    TcpListener,
    UnixListener,
    check_address,
    host_port,
    parse_mode,
    tls_context,
    unix_path,
)

if TYPE_CHECKING:
    from rxalerts.sinks._grpc_fanout import Fanout
    from rxalerts.sinks._grpc_queue import Frame, Subscriber
    from rxalerts.sinks._grpc_server import Server

# How many alerts are handed on before the clients have their turn.
_TURN = 64
# How often a durable sink without a client looks whether one has come, in seconds.
_LOOK = 0.1
# Connections that have not subscribed (yet) beside those that have.
_SPARE = 16
# Seconds that a connection gets for its TLS handshake, and at the end for its last bytes.
_HANDSHAKE = 10.0
_GOODBYE = 0.5

log = logging.getLogger("rxalerts")


@dataclass(eq=False, repr=False)
class GrpcSink(AsyncSink[Alert | Formatted]):
    """Serve alerts to gRPC clients such as falco-exporter (Falco 0.24-0.43: grpc_server.cpp, outputs_grpc.cpp).

    Clients call `falco.outputs.service/sub` and are sent each alert at once, whether they ask again or not, or
    `get` for those that wait. Every subscriber gets every alert through a queue of its own, with this sink's
    `capacity` and `on_full`; a slow or dead one disturbs nobody, unless `on_full` is `block`. While there is no
    client the latest `capacity` alerts wait for the first one. With `mode` `competing` all clients share one
    queue, as in Falco: each alert goes to one of them.

    A unix socket is plain, and guarded by its permissions; a TCP port asks for a client certificate that
    `root_certs` has signed. `reopen` (SIGHUP) reads the certificates anew and drops no connection.

    Delivery: an alert counts as delivered when every subscriber's queue, or the one for the first client, has
    taken it over; with `durable` what nobody was there for stays on disk, and survives a restart. What a queue then
    drops is counted and appears in `dead_letters`, once for each subscriber that does not get it; what a client
    leaves behind that others got is counted as `unread`.

    >>> import tempfile
    >>> with GrpcSink("unix://" + tempfile.mkdtemp() + "/falco.sock", linger=0.1) as sink:
    ...     sink.on_next(Alert("Shell", "notice", "A shell was opened"))
    >>> sink.stats().dropped  # nobody came for it
    {'shutdown': 1}
    """

    channel_name: ClassVar[str] = "grpc"
    renewable: ClassVar[bool] = True

    bind_address: str = option(
        "unix:///run/falco/falco.sock",
        "where to listen: unix:///path for a socket, or host:port, with the three files below",
        falco="grpc.bind_address",
    )
    private_key: str = option(
        "/etc/falco/certs/server.key", "host:port: PEM file with the server's key", falco="grpc.private_key"
    )
    cert_chain: str = option(
        "/etc/falco/certs/server.crt", "host:port: PEM file with the server's certificate", falco="grpc.cert_chain"
    )
    root_certs: str = option(
        "/etc/falco/certs/ca.crt",
        "host:port: PEM file with the authority that clients' certificates must come from",
        falco="grpc.root_certs",
    )
    mode: Literal["fan_out", "competing"] = option(
        "fan_out", "fan_out: every subscriber gets every alert; competing: one of them does, as in Falco", kw_only=True
    )
    socket_mode: str = option(
        "", 'permissions of the unix socket, such as "0660"; empty: what the umask leaves', kw_only=True
    )
    health: bool = option(False, "answer grpc.health.v1 too", kw_only=True)
    reflection: bool = option(False, "answer grpc.reflection.v1 and v1alpha too", kw_only=True)
    max_clients: int = option(100, "how many may subscribe at a time", kw_only=True)
    keepalive: float | None = option(
        60.0, "seconds of silence after which a client is asked whether it is there; null: never", kw_only=True
    )
    linger: float = option(
        2.0, "at the end: seconds without a subscriber taking any of what waits for it", kw_only=True
    )
    # Written out, so that type checkers see that it is still a keyword.
    on_full: Overflow | str = field(
        default="drop_oldest",
        kw_only=True,
        metadata={"help": "what a full queue does, each subscriber's and the mailbox", "falco": None, "secret": False},
    )

    def validate(self) -> None:
        try:
            check_address(self.bind_address)
        except ValueError as error:
            raise OptionError("bind_address", str(error)) from None
        try:
            parse_mode(self.socket_mode)
        except ValueError as error:
            raise OptionError("socket_mode", str(error)) from None
        if self.mode not in ("fan_out", "competing"):
            raise OptionError("mode", f"must be fan_out or competing, got {self.mode!r}")
        if self.max_clients < 1:
            raise OptionError("max_clients", f"must be 1 or more, got {self.max_clients}")
        if self.keepalive is not None and self.keepalive <= 0:
            raise OptionError("keepalive", f"must be more than 0 seconds, got {self.keepalive}")
        if self.linger < 0:
            raise OptionError("linger", f"must be 0 seconds or more, got {self.linger}")

    def make_channel(self) -> AsyncChannel:
        self._service = _GrpcChannel(self)
        return self._service

    @property
    def address(self) -> str:
        """Where it listens, with the port that the system chose for port 0; empty while it does not."""
        return self._service.address

    @property
    def subscribers(self) -> Sequence[Subscriber]:
        """The subscribers that are connected: how many alerts each was sent, has waiting, has lost."""
        return self._service.subscribers()

    def stats(self) -> SinkStats:
        """Return the counts: an alert that somebody did not get counts as dropped, one that waits as depth."""
        stats = super().stats()
        spoiled, waiting = self._service.not_taken()
        delivered = max(0, stats.delivered - sum(spoiled.values()) - waiting)
        rejected = stats.rejected + spoiled.pop("rejected", 0)
        dropped = dict(stats.dropped)
        for reason, count in spoiled.items():
            if count:
                dropped[reason] = dropped.get(reason, 0) + count
        return dataclasses.replace(
            stats, delivered=delivered, rejected=rejected, dropped=dropped, depth=stats.depth + waiting
        )

    def queue(self, on_drop: Callable[[Any, str], None], alone: bool) -> Mailbox:
        """Return a queue for a subscriber; `alone`: for the time without any, when nobody can be waited for."""
        policy = Overflow(self.on_full)
        if alone and policy in (Overflow.BLOCK, Overflow.FAIL):
            policy = Overflow.DROP_OLDEST
        return Mailbox(
            self.capacity, policy, patience=self.block_timeout, then=Overflow(self.then), on_drop=on_drop
        )

    def spoiled(self, item: Alert | Formatted, reason: str, detail: str) -> None:
        """Put an alert that a subscriber does not get to the dead letters."""
        if self._undelivered.letters.observed:
            self._undelivered.bury(DeadLetter(item, reason, detail, 0, time.time()))


class _GrpcChannel(AsyncChannel):
    early = True

    def __init__(self, sink: GrpcSink) -> None:
        self._sink = sink
        self._fanout: Fanout | None = None
        self._server: Server | None = None
        self._listener: Listener | None = None
        self._accepting: asyncio.Server | None = None
        self._encode: Callable[[Alert | Formatted], Frame] | None = None
        self.address = ""

    # -- hooks ----------------------------------------------------------------------------------------------

    async def open(self) -> None:
        # Loaded here and not with the module: protobuf and h2 take a while.
        from rxalerts.sinks._grpc_fanout import Fanout
        from rxalerts.sinks._grpc_server import Server
        from rxalerts.sinks._grpc_services import handlers

        sink = self._sink
        if self._fanout is None:
            shelved = _LOOK if sink.durable is not False else 0.0
            self._fanout = Fanout(sink.queue, sink.spoiled, shared=sink.mode == "competing", notice=2 * shelved)
            self._encode = _encoder(sink)
        fanout = self._fanout
        methods = handlers(fanout, limit=sink.max_clients, health=sink.health, reflection=sink.reflection)
        self._server = Server(methods, sink.max_clients + _SPARE, sink.keepalive)
        await self._listen()

    async def write(self, batch: Batch[Alert | Formatted]) -> None:
        assert self._fanout is not None and self._encode is not None
        if self._sink.durable is not False and not self._fanout.attended:
            # Nobody is there: on disk is where alerts wait for somebody.
            batch.keep(_LOOK)
            return
        for index, item in enumerate(batch.items):
            try:
                frame = self._encode(item)
            except Exception as error:
                batch.reject(index, f"{type(error).__name__}: {error}")
                continue
            await self._fanout.put(frame)
            if index % _TURN == _TURN - 1:
                await asyncio.sleep(0)

    async def reopen(self) -> None:
        """Read the certificates anew, and listen again if the socket's file is gone; connections stay."""
        if self._server is None or self._listener is None:
            return
        if isinstance(self._listener, UnixListener):
            if not self._listener.there:
                self._stop_listening()
                await self._listen()
            return
        fresh = await self._accept(self._listener)
        old, self._accepting = self._accepting, fresh
        if old is not None:
            old.close()

    async def close(self) -> None:
        fanout, server, self._server = self._fanout, self._server, None
        if fanout is None or server is None:
            self._stop_listening()
            return
        # After a failure it is opened again, and the alerts wait for that; otherwise this is the end.
        final = self._sink.state in (State.DRAINING, State.FAILED, State.CLOSED)
        try:
            if final:
                await fanout.close(self._sink.linger)
            self._stop_listening()
            await server.close(max(_GOODBYE, self._sink.linger) if final else _GOODBYE)
        finally:
            # What is cut off here, because time ran out, counts its own alerts as it goes.
            self._stop_listening()
            server.abort()
            if final:
                fanout.abandon()

    # -- how ------------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        path = unix_path(self._sink.bind_address)
        if path is None:
            self._listener = TcpListener(*host_port(self._sink.bind_address))
        else:
            self._listener = UnixListener(path, parse_mode(self._sink.socket_mode))
        try:
            self._accepting = await self._accept(self._listener)
        except OSError:
            self._stop_listening()
            raise
        self.address = self._listener.address
        log.info("%s: serving on %s", self._sink.name, self.address)

    async def _accept(self, listener: Listener) -> asyncio.Server:
        from rxalerts.sinks._grpc_connection import Connection

        sink, server = self._sink, self._server
        assert server is not None
        loop = asyncio.get_running_loop()

        def connection() -> Connection:
            return Connection(server)

        # A socket of its own: the listener's stays open while the certificates are changed.
        own = listener.socket.dup()
        if isinstance(listener, UnixListener):
            return await loop.create_unix_server(connection, sock=own)
        try:
            tls = tls_context(sink.private_key, sink.cert_chain, sink.root_certs)
        except OSError:
            own.close()
            raise
        return await loop.create_server(connection, sock=own, ssl=tls, ssl_handshake_timeout=_HANDSHAKE)

    def _stop_listening(self) -> None:
        self.address = ""
        accepting, self._accepting = self._accepting, None
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.remove()
        if accepting is not None:
            accepting.close()

    # -- what the sink tells --------------------------------------------------------------------------------

    def not_taken(self) -> tuple[dict[str, int], int]:
        """Return how many alerts somebody did not get, by reason, and how many wait for a first client."""
        if self._fanout is None:
            return {}, 0
        return dict(self._fanout.spoiled), self._fanout.waiting.box.waiting

    def subscribers(self) -> Sequence[Subscriber]:
        """Tell about every subscriber."""
        return () if self._fanout is None else tuple(self._fanout.subscribers())


def _encoder(sink: GrpcSink) -> Callable[[Alert | Formatted], Frame]:
    from rxalerts.sinks._grpc_call import framed
    from rxalerts.sinks._grpc_queue import Frame
    from rxalerts.wire.protobuf import to_message

    form = sink.format
    assert isinstance(form, Format)
    return lambda item: Frame(item, framed(to_message(item, form)))
