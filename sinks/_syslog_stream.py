"""Syslog over TCP and TLS: octet counting (RFC 6587, RFC 5425), with an eye on connections that are half gone."""

from __future__ import annotations

import logging
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Sequence

from rxalerts.flow.channel import Retryable
from rxalerts.sinks._orders import Orders
from rxalerts.sinks._syslog_message import Message
from rxalerts.sinks._syslog_transport import (
    SETTLE,
    Cut,
    Done,
    Lost,
    Transport,
    outstanding,
    settle,
    unresolved,
    wait_for,
)

log = logging.getLogger("rxalerts")

# How long a message is remembered that a receiver's kernel has and the receiver may not have read, in seconds.
_MEMORY = 1.0
# And how many of them at most.
_MEMORY_LENGTH = 10_000
# How long a receiver may take to refuse our certificate after the handshake (TLS 1.3), in seconds.
_VERDICT = 0.3
# How often a wait looks whether something else was asked for, in seconds.
_TICK = 0.1
_CHUNK = 1 << 16


class StreamTransport(Transport):
    """A TCP or TLS connection.

    TCP tells when the receiver's kernel has the data, not when the receiver has read it. One that closes with
    unread data resets the connection; what was sent in the second before that is then sent again. A receiver
    that closes in order has read everything (TCP), or may not have (TLS).
    """

    def __init__(
        self,
        name: str,
        host: str,
        port: int,
        timeout: float,
        max_length: int | None,
        cut: Cut,
        orders: Orders,
        tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        super().__init__(name, timeout, max_length, cut, orders)
        self._host = host
        self._port = port
        self._tls = tls
        self._sock: socket.socket | None = None
        self._recent: deque[tuple[float, bytes]] = deque(maxlen=_MEMORY_LENGTH)
        # What has to be sent once more over a new connection.
        self._repeat: list[bytes] = []

    # -- connecting -----------------------------------------------------------------------------------------

    def connect(self) -> None:
        self._orders.reopen = False
        try:
            sock = socket.create_connection((self._host, self._port), self._timeout)
        except socket.gaierror as error:
            raise unresolved(self.name, self._host, error) from error
        except OSError as error:
            raise Retryable(f"{self.name}: cannot connect: {error.strerror or error}") from error
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # Unacknowledged data ends the connection after this, not after a quarter of an hour.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(self._timeout * 3000))
            self._sock = self._secure(sock) if self._tls is not None else sock
        except BaseException:
            sock.close()
            raise

    def _secure(self, sock: socket.socket) -> ssl.SSLSocket:
        assert self._tls is not None
        try:
            secured = self._tls().wrap_socket(sock, server_hostname=self._host)
        except ssl.SSLCertVerificationError as error:
            raise Retryable(f"{self.name}: {_advice(error, self._host)}") from error
        except OSError as error:
            raise Retryable(f"{self.name}: no TLS connection: {error}") from error
        try:
            if secured.version() == "TLSv1.3":
                # Here a receiver looks at our certificate after the handshake: wait for what it says.
                wait_for(secured, select.POLLIN, _VERDICT)
                _drain(secured, self._timeout)
        except (OSError, Lost) as error:
            secured.close()
            raise Retryable(
                f"{self.name}: closed the connection after the handshake ({error}): does it ask for a `client_cert` "
                "that it trusts?"
            ) from error
        return secured

    def drop(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def close(self) -> None:
        """Say that this was all, and wait a moment for the receiver to have read it."""
        if self._sock is None:
            return
        try:
            self._leave()
        except (Lost, OSError) as error:
            self._remember_all()
            self._last_chance(str(error))
        finally:
            self.drop()

    def _leave(self) -> None:
        assert self._sock is not None
        settle(self._sock, self._orders)
        if not self._look() or self._tls is not None:
            return
        self._sock.shutdown(socket.SHUT_WR)
        self._sock.settimeout(_TICK if self._orders.out_of_time else SETTLE)
        try:
            while self._sock.recv(_CHUNK):
                continue
        except TimeoutError:
            # It does not close when we do; nothing more can be known.
            log.debug("%s: does not close its side", self.name)

    def _last_chance(self, reason: str) -> None:
        """Send what the receiver may not have read once more, now that there will be no next batch."""
        if not self._repeat:
            return
        count = len(self._repeat)
        self.drop()
        try:
            self.connect()
            assert self._sock is not None
            self._push(self._repeat)
            self._repeat = []
            settle(self._sock, self._orders)
            log.info("%s: %s; sent %d alerts again", self.name, reason, count)
        except (Retryable, Lost, OSError) as error:
            log.error("%s: %s; %d alerts may not have been read: %s", self.name, reason, count, error)

    # -- sending --------------------------------------------------------------------------------------------

    def send(self, messages: Sequence[Message], start: int, done: Done) -> None:
        if self._sock is not None:
            self._look()
        if self._sock is None:
            self.connect()
        assert self._sock is not None
        frames = [self._frame(message) for message in messages[start:]]
        try:
            self._push([*self._repeat, *frames])
            connected = not settle(self._sock, self._orders) or self._look(fresh=True)
        except (Lost, OSError) as error:
            self._remember_all()
            raise Lost(str(error), read=start) from error
        if connected:
            now = time.monotonic()
            self._recent.extend((now, frame) for frame in [*self._repeat, *frames])
        self._repeat = []
        done(len(messages))

    def _frame(self, message: Message) -> bytes:
        data = self.fit(message)
        return b"%d %s" % (len(data), data)

    def _push(self, frames: Sequence[bytes]) -> None:
        assert self._sock is not None
        self._sock.settimeout(_TICK)
        data = memoryview(b"".join(frames))
        offset = 0
        while offset < len(data):
            try:
                offset += self._sock.send(data[offset : offset + _CHUNK])
            except TimeoutError:
                # A receiver that is there and does not read is waited for: it would read the same twice, if we
                # began anew. One that is not there any more is the kernel's business (TCP_USER_TIMEOUT).
                if self._orders.out_of_time or self._orders.reopen:
                    raise Lost("takes nothing") from None

    # -- knowing what became of it --------------------------------------------------------------------------

    def _look(self, *, fresh: bool = False) -> bool:
        """See whether the receiver has closed, and forget what it must have read by now; says whether it has not.

        A connection that was closed in order is dropped: the next batch makes a new one. `fresh`: the last
        batch has just gone, so what a TLS receiver has not read may be that.
        """
        assert self._sock is not None
        try:
            closed = _drain(self._sock, self._timeout)
        except OSError as error:
            self._remember_all()
            raise Lost(f"the connection is gone ({error})") from error
        if not closed:
            self._forget()
            return True
        failed = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failed or outstanding(self._sock) or (self._tls is not None and (fresh or self._recent)):
            self._remember_all()
            raise Lost("the receiver closed the connection and may not have read everything")
        log.info("%s: the receiver closed the connection", self.name)
        self._recent.clear()
        self.drop()
        return False

    def _forget(self) -> None:
        assert self._sock is not None
        if outstanding(self._sock):
            return
        before = time.monotonic() - _MEMORY
        while self._recent and self._recent[0][0] < before:
            self._recent.popleft()

    def _remember_all(self) -> None:
        if self._recent:
            log.warning(
                "%s: the last %d alerts may not have been read: they are sent again", self.name, len(self._recent)
            )
        self._repeat += [frame for _, frame in self._recent]
        self._recent.clear()


def _drain(sock: socket.socket, timeout: float) -> bool:
    """Throw away what the receiver says, which has nothing to say; true when it has closed its side."""
    sock.setblocking(False)
    try:
        while sock.recv(_CHUNK):
            continue
        return True
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    finally:
        sock.settimeout(timeout)


def _advice(error: ssl.SSLCertVerificationError, host: str) -> str:
    """Return what is wrong with the receiver's certificate, and what to do about it."""
    if error.verify_code in (62, 64):  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
        return f"its certificate is for another host: put the name that it is for in place of {host!r} in `address`"
    if error.verify_code in (9, 10):  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED
        return f"its certificate is out of date ({error.verify_message}): renew it, or set the clock"
    return (
        f"its certificate is not trusted ({error.verify_message}): set `ca` to a PEM file with the authority "
        "that signed it, or with the certificate itself"
    )
