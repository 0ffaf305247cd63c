"""What the ways to a syslog daemon have in common, and the one by UDP."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import socket
import struct
import termios
import time
from collections.abc import Callable, Sequence
from typing import Any

from rxalerts.flow.channel import Retryable
from rxalerts.sinks._orders import Orders
from rxalerts.sinks._syslog_message import Message

# Longest payload of a UDP datagram over IPv4, in bytes.
_UDP_LIMIT = 65507
# A message that is refused as too long below this length, in bytes, has another trouble.
_LEAST = 64
# How long what was sent may take to be read or acknowledged before it counts as handed over, in seconds.
SETTLE = 1.0

Done = Callable[[int], None]
Cut = Callable[[], None]


class Lost(Exception):
    """The connection is gone. `read` of the batch's messages are known to have been read."""

    def __init__(self, reason: str, *, read: int = 0) -> None:
        super().__init__(reason)
        self.read = read


class Full(Retryable):
    """The daemon is there and takes nothing."""


class Transport:
    """A way to a daemon: `deliver` connects by itself, once, when what it had is gone.

    Arguments:
        name: the destination, as messages name it.
        timeout: seconds for connecting, and for a daemon that takes nothing.
        max_length: bytes of the longest message, or None.
        cut: called for each message that had to be cut.
        orders: what the sink's owner asks for meanwhile.
    """

    def __init__(self, name: str, timeout: float, max_length: int | None, cut: Cut, orders: Orders) -> None:
        self.name = name
        self._orders = orders
        self._timeout = timeout
        self._limit = max_length
        self._cut = cut

    def connect(self) -> None:
        """Connect; raises Retryable with the reason and a remedy."""
        raise TypeError(f"{type(self).__name__} has no connect(): override it")

    def close(self) -> None:
        """Leave in order."""
        self.drop()

    def drop(self) -> None:
        """Let go of the connection at once."""
        raise TypeError(f"{type(self).__name__} has no drop(): override it")

    def send(self, messages: Sequence[Message], start: int, done: Done) -> None:
        """Send the messages from number `start` on; raises Lost when the connection is gone."""
        raise TypeError(f"{type(self).__name__} has no send(): override it")

    def deliver(self, messages: Sequence[Message], done: Done) -> None:
        """Send the messages, over a new connection if the old one turns out to be gone."""
        try:
            self.send(messages, 0, done)
        except Lost as lost:
            done(lost.read)
            self.drop()
            if self._orders.out_of_time:
                raise Retryable(f"{self.name}: {lost}") from lost
            self.connect()
            self._again(messages, lost.read, done)

    def _again(self, messages: Sequence[Message], start: int, done: Done) -> None:
        try:
            self.send(messages, start, done)
        except Lost as lost:
            done(lost.read)
            self.drop()
            raise Retryable(f"{self.name}: {lost}") from lost

    def fit(self, message: Message) -> bytes:
        """Return the message within `max_length`; counts it if it had to be cut."""
        whole = message.whole()
        if self._limit is None or len(whole) <= self._limit:
            return whole
        self._cut()
        return message.cut(self._limit)

    def send_datagram(self, sock: socket.socket, message: Message, ceiling: int) -> None:
        """Send one datagram; what is too long for one is cut, to `ceiling` bytes or as far as it takes.

        A daemon whose queue is full is waited for.
        """
        whole = message.whole()
        limit = len(whole) if self._limit is None else min(len(whole), self._limit)
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                sock.send(whole if limit == len(whole) else message.cut(limit))
                break
            except OSError as error:
                if error.errno == errno.EMSGSIZE and limit > _LEAST:
                    limit = ceiling if limit > ceiling else limit * 3 // 4
                elif error.errno in (errno.EAGAIN, errno.ENOBUFS):
                    self.await_room(sock, deadline, error)
                else:
                    raise
        if limit < len(whole):
            self._cut()

    def await_room(self, sock: socket.socket, deadline: float, error: OSError) -> None:
        if time.monotonic() >= deadline or self._orders.out_of_time or self._orders.reopen:
            raise Full(f"{self.name}: takes nothing ({error.strerror}): is the daemon stopped?") from error
        if error.errno == errno.EAGAIN:
            wait_for(sock, select.POLLOUT, 0.1)
        else:
            # No memory for the packet: there is nothing to wait for but time.
            time.sleep(0.01)


class UdpTransport(Transport):
    """Datagrams to a host: nobody knows whether they arrive, unless the host says that nobody listens."""

    def __init__(
        self,
        name: str,
        host: str,
        port: int,
        timeout: float,
        max_length: int | None,
        cut: Cut,
        orders: Orders,
    ) -> None:
        super().__init__(name, timeout, max_length, cut, orders)
        self._host = host
        self._port = port
        self._sock: socket.socket | None = None

    def connect(self) -> None:
        error: OSError | None = None
        for family, kind, protocol, _, place in resolve(self.name, self._host, self._port, socket.SOCK_DGRAM):
            sock = socket.socket(family, kind, protocol)
            try:
                sock.connect(place)
            except OSError as failed:
                sock.close()
                error = failed
                continue
            sock.setblocking(False)
            self._sock = sock
            return
        raise Retryable(f"{self.name}: cannot be reached: {error}")

    def drop(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def send(self, messages: Sequence[Message], start: int, done: Done) -> None:
        if self._sock is None:
            self.connect()
        assert self._sock is not None
        for number in range(start, len(messages)):
            try:
                self.send_datagram(self._sock, messages[number], _UDP_LIMIT)
                code = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            except ConnectionRefusedError:
                raise Lost("nobody listens there (Connection refused)", read=number) from None
            if code:
                # The host has answered already: what has just been sent reached nobody.
                raise Lost(f"nobody listens there ({os.strerror(code)})", read=number)
            done(number + 1)


def resolve(name: str, host: str, port: int, kind: socket.SocketKind) -> list[Any]:
    """Return a host's addresses as getaddrinfo does, or raise Retryable: a name server may come back."""
    try:
        return socket.getaddrinfo(host, port, type=kind)
    except OSError as error:
        raise unresolved(name, host, error) from error


def unresolved(name: str, host: str, error: OSError) -> Retryable:
    """Return what to raise when a host's name means nothing."""
    return Retryable(
        f"{name}: the host {host!r} does not resolve ({error.strerror}): check `address` and the name server"
    )


def outstanding(sock: socket.socket) -> int | None:
    """Return how much of what was sent has not been read (unix) or acknowledged (TCP) yet; None: unknown.

    Linux answers SIOCOUTQ, which is TIOCOUTQ, for both; for unix sockets in bytes of its own memory.
    """
    try:
        return int(struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0])
    except OSError:
        return None


def wait_for(sock: socket.socket, events: int, seconds: float) -> int:
    """Wait until something happens at a socket; returns what."""
    poll = select.poll()
    poll.register(sock.fileno(), events)
    found = poll.poll(max(0.0, seconds) * 1000)
    return found[0][1] if found else 0


def settle(sock: socket.socket, orders: Orders) -> bool:
    """Wait a moment until the other side has taken everything; false: it has not, or nobody can tell."""
    pause, deadline = 0.0001, time.monotonic() + SETTLE
    while (left := outstanding(sock)) is not None:
        if left == 0:
            return True
        if time.monotonic() >= deadline or orders.out_of_time:
            break
        time.sleep(pause)
        pause = min(pause * 2, 0.02)
    return False
