"""Alerts from Falco's gRPC output: the client of a Falco 0.24 to 0.43, or of another rxalerts."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from rxalerts.alert import Alert
from rxalerts.errors import AlertError, OptionError, SourceError
from rxalerts.flow.backoff import Retry
from rxalerts.flow.source import Emitter, Source

if TYPE_CHECKING:
    import grpc as _grpc

log = logging.getLogger("rxalerts")

_SERVICE = "/falco.outputs.service/"
# How much may lie here unread, in bytes: beyond it the sender waits.
_LOOKAHEAD = 256 << 10
_MAX_MESSAGE = 64 << 20
# A stream that has held so long, in seconds, was a success: the pauses start small again.
_STEADY = 10.0
# How many of the first messages that were no alert are kept in words.
_FIRST = 10

Path = str | os.PathLike[str]


class GrpcSource(Source[Alert]):
    """Subscribes to a gRPC service for alerts; see `rxalerts.sources.grpc`."""

    live: ClassVar[bool] = True

    def __init__(
        self, address: str, *, tls: _Tls | None, method: str, poll: float, retry: Retry, server_name: str, name: str
    ) -> None:
        super().__init__(name)
        self._address = address
        self._tls = tls
        self._method = method
        self._poll = poll
        self._retry = retry
        self._server_name = server_name

    def produce(self, emitter: Emitter[Alert]) -> None:
        running = _Running()
        emitter.on_stop(running.stop)
        failures, since = 0, time.monotonic()
        while not running.stopped.is_set():
            began, read = time.monotonic(), self._stats.read
            try:
                self._session(emitter, running)
                error = "the service ended the stream"
            except _Lost as lost:
                error = str(lost)
            if running.stopped.is_set():
                return
            now = time.monotonic()
            if self._stats.read > read or now - began > _STEADY:
                failures, since = 0, now
            failures += 1
            if self._retry.exhausted(failures, now - since):
                raise SourceError(f"{self.name}: {error}; gave up after {failures} attempts")
            pause = self._retry.pause(failures)
            level = logging.WARNING if failures == 1 else logging.INFO
            log.log(level, "%s: %s; connecting again in %.1f s", self.name, error, pause)
            running.stopped.wait(pause)

    def _session(self, emitter: Emitter[Alert], running: _Running) -> None:
        """Connect, and read until the stream ends or breaks."""
        channel = self._channel()
        try:
            while not running.stopped.is_set():
                stream = _Stream(channel, self._method, self._poll)
                try:
                    running.begin(stream)
                    self._read(stream, emitter)
                finally:
                    stream.cancel()
                if self._method == "sub":
                    return
                running.stopped.wait(self._poll)
        finally:
            channel.close()

    def _read(self, stream: _Stream, emitter: Emitter[Alert]) -> None:
        from rxalerts.wire.protobuf import from_message

        stats = self._stats
        for data in stream:
            stats.read += 1
            try:
                alert = from_message(data)
            except AlertError as error:
                self._rejected(error)
                continue
            # Waits under pressure: what is not read here stays with the sender.
            if not emitter.emit(alert):
                return

    def _rejected(self, error: AlertError) -> None:
        self._stats.rejected += 1
        log.warning("%s: message %d is no alert: %s", self.name, self._stats.read, error)
        if len(self._stats.first_rejects) < _FIRST:
            self._stats.first_rejects.append(f"message {self._stats.read}: {error}")

    def _channel(self) -> _grpc.Channel:
        import grpc

        options: list[tuple[str, Any]] = [
            ("grpc.max_receive_message_length", _MAX_MESSAGE),
            # A window that does not grow: what is unread stays bounded.
            ("grpc.http2.bdp_probe", 0),
            ("grpc.http2.lookahead_bytes", _LOOKAHEAD),
            # The pauses between attempts are ours.
            ("grpc.use_local_subchannel_pool", 1),
            # More often than every five minutes a Falco calls it abuse, and hangs up.
            ("grpc.keepalive_time_ms", 330_000),
            ("grpc.keepalive_timeout_ms", 20_000),
        ]
        if self._server_name:
            options.append(("grpc.ssl_target_name_override", self._server_name))
        if self._tls is None:
            return grpc.insecure_channel(self._address, options)
        return grpc.secure_channel(self._address, self._tls.credentials(), options)


class _Running:
    """The call that runs, which whoever stops the source cancels."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self._stream: _Stream | None = None

    def begin(self, stream: _Stream) -> None:
        """Note the call, and cancel it if the end has come before it."""
        self._stream = stream
        if self.stopped.is_set():
            stream.cancel()

    def stop(self) -> None:
        """End the call; called from any thread."""
        self.stopped.set()
        if self._stream is not None:
            self._stream.cancel()


class _Lost(Exception):
    """The stream broke, and another attempt may help."""


class _Tls:
    """The files for mutual TLS, read anew for every connection."""

    def __init__(self, ca: Path | None, cert: Path | None, key: Path | None) -> None:
        self._ca, self._cert, self._key = ca, cert, key

    def credentials(self) -> _grpc.ChannelCredentials:
        import grpc

        return grpc.ssl_channel_credentials(_content(self._ca), _content(self._key), _content(self._cert))


def _content(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise _Lost(f"{os.fspath(path)}: {error.strerror}") from None


class _Stream:
    """One call: iterating reads, and asks for more with empty requests while nothing comes.

    A Falco writes only after a request, so that a client that does not ask gets what was waiting and then nothing.
    """

    def __init__(self, channel: Any, method: str, poll: float) -> None:
        self._done = threading.Event()
        self._poll = poll
        self._reading = False
        self._count = 0
        # Bytes in, bytes out: the messages are read by rxalerts.wire.
        if method == "sub":
            self._call: Any = channel.stream_stream(f"{_SERVICE}sub")(self._requests())
        else:
            self._call = channel.unary_stream(f"{_SERVICE}get")(b"")

    def cancel(self) -> None:
        """End the call, from any thread."""
        self._done.set()
        self._call.cancel()

    def _requests(self) -> Iterator[bytes]:
        seen = -1
        while True:
            # Not while alerts come, and not while a sink is too full to have more.
            if (self._reading and self._count == seen) or seen < 0:
                yield b""
            seen = self._count
            if self._done.wait(self._poll):
                return

    def __iter__(self) -> Iterator[bytes]:
        import grpc

        messages = iter(self._call)
        try:
            while True:
                self._reading = True
                data: bytes = next(messages)
                self._reading = False
                self._count += 1
                yield data
        except StopIteration:
            return
        except grpc.RpcError as error:
            self._explain(error)
        finally:
            self._done.set()

    def _explain(self, error: Any) -> None:
        """Raise what the end of the call means; nothing when it was ours."""
        import grpc

        if self._done.is_set():
            return
        # A server may end a call without a word.
        code, text = error.code(), (error.details() or "no reason given").splitlines()[0]
        if code is grpc.StatusCode.UNIMPLEMENTED:
            raise SourceError(f"there is no {_SERVICE} there that a Falco 0.24 to 0.43 would have: {text}") from None
        raise _Lost(f"{code.name}: {text}") from None


def grpc(
    address: str,
    *,
    ca: Path | None = None,
    cert: Path | None = None,
    key: Path | None = None,
    method: Literal["sub", "get"] = "sub",
    poll: float = 0.25,
    retry: Retry | None = None,
    server_name: str = "",
    name: str = "",
) -> Source[Alert]:
    """Subscribe to the gRPC output of a Falco 0.24 to 0.43, or to another rxalerts; connects again whenever it ends.

    Arguments:
        address: `unix:///run/falco/falco.sock` (plain), or `host:port` or `grpc://host:port` with TLS.
        ca: PEM file with the authority that the server's certificate must come from (default: gRPC's own list).
        cert, key: PEM files with the client's certificate and its key, which a Falco insists on; all three are
            read anew for every connection.
        method: `sub` for a stream that stays; `get` to fetch what waits, again and again.
        poll: seconds without an alert after which an empty request asks for more, as a Falco needs it (another
            rxalerts sends at once), and between two `get`.
        retry: pauses between attempts to connect; by default up to 30 s, and it never gives up.
        server_name: the name in the server's certificate, where it is not the host in `address`.
        name: the source's name in reports; by default the address.

    While a sink with `block` is full nothing is read, and the alerts wait with the sender. There are no
    acknowledgements: what was on its way when a connection broke is lost, as with every client of Falco. Output
    fields are strings, except from a sender with `json_output`, whose JSON is read instead.

    Raises:
        OptionError: the address or the files are wrong.
        SourceError: into the stream: the server has no such service.

    >>> grpc("unix:///run/falco/falco.sock").name
    'unix:///run/falco/falco.sock'
    """
    target = address.removeprefix("grpc://")
    is_unix = target.startswith("unix:")
    if not target or (not is_unix and ":" not in target):
        raise OptionError("address", f"must be unix:///path/to/socket or host:port, got {address!r}")
    if is_unix and (ca or cert or key):
        raise OptionError("ca", f"{address} is a plain socket: ca, cert and key are for host:port")
    if (cert is None) != (key is None):
        raise OptionError("key", "a client needs its certificate and its key, both or none")
    if method not in ("sub", "get"):
        raise OptionError("method", f"must be sub or get, got {method!r}")
    if poll <= 0:
        raise OptionError("poll", f"must be more than 0 seconds, got {poll}")
    return GrpcSource(
        target,
        tls=None if is_unix else _Tls(ca, cert, key),
        method=method,
        poll=poll,
        retry=retry or Retry(),
        server_name=server_name,
        name=name or address,
    )
