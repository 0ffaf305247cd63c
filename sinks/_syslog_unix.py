"""The local daemon's unix socket, as glibc's syslog(3) uses it, but with an eye on what the daemon has read."""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from collections.abc import Sequence

from rxalerts.flow.channel import Retryable
from rxalerts.sinks._orders import Orders
from rxalerts.sinks._syslog_message import Message
from rxalerts.sinks._syslog_transport import Cut, Done, Full, Lost, Transport, outstanding, settle, wait_for

# A message that waits in the daemon's queue takes at least so much of the kernel's memory, in bytes.
_LEAST_BUFFER = 512
_GONE = (errno.ECONNREFUSED, errno.ENOTCONN, errno.ECONNRESET, errno.EPIPE, errno.ENOENT)


class UnixTransport(Transport):
    """A datagram socket, or a stream one where the daemon has that.

    A daemon that ends takes what it has not read with it. Linux tells how much that is, so a batch counts as
    delivered when the daemon has read it; what a dead one left unread is sent again to its successor. Only a
    daemon that has not read for a second (SETTLE) is trusted with what lies in its queue, until the next batch.
    """

    def __init__(self, path: str, timeout: float, max_length: int | None, cut: Cut, orders: Orders) -> None:
        super().__init__(path, timeout, max_length, cut, orders)
        self._sock: socket.socket | None = None
        self._identity: tuple[int, int, int] | None = None
        self._ceiling = 0
        self._stream = False
        # Sent to a daemon that lives, and not read yet: at most what fits into its queue.
        self._limbo: list[Message] = []
        # To be sent once more: its daemon has gone.
        self._repeat: list[Message] = []
        # The daemon took nothing any more: the connection is kept, for the sake of what is in the queue.
        self._full = False

    def connect(self) -> None:
        self._orders.reopen = False
        if self._sock is not None:
            if self._lives():
                return
            self.drop()
        try:
            try:
                self._open(socket.SOCK_DGRAM)
            except OSError as error:
                if error.errno != errno.EPROTOTYPE:
                    raise
                self._open(socket.SOCK_STREAM)
        except OSError as error:
            raise Retryable(
                f"{self.name}: no syslog daemon takes messages there ({error.strerror}): start one, "
                "or set `path` or `address`"
            ) from error

    def _open(self, kind: socket.SocketKind) -> None:
        sock = socket.socket(socket.AF_UNIX, kind)
        try:
            sock.settimeout(self._timeout)
            # Before connecting: a daemon that restarts in between is taken for a stranger, not for itself.
            self._identity = self._who()
            sock.connect(self.name)
        except BaseException:
            sock.close()
            raise
        sock.setblocking(False)
        # What the kernel itself compares a datagram's length with.
        self._ceiling = sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) - 32
        self._stream = kind == socket.SOCK_STREAM
        self._sock = sock

    def _who(self) -> tuple[int, int, int] | None:
        try:
            status = os.stat(self.name)
        except OSError:
            return None
        # The inode's number alone may come back at once.
        return status.st_dev, status.st_ino, status.st_ctime_ns

    def close(self) -> None:
        if not self._full:
            self.drop()

    def drop(self) -> None:
        if self._sock is not None:
            # What is in a living daemon's queue stays there; a dead one's has gone.
            if not self._lives():
                self._repeat += self._limbo
            self._limbo = []
            self._sock.close()
            self._sock = None

    def __del__(self) -> None:
        self.drop()

    def send(self, messages: Sequence[Message], start: int, done: Done) -> None:
        if self._sock is not None and self._limbo:
            self._mend()
        if self._sock is None:
            self.connect()
        assert self._sock is not None
        for message in self._repeat:
            self._put(self._sock, message, start)
        read, number = start, start
        self._full = False
        try:
            for number in range(start, len(messages)):
                unread = outstanding(self._sock)
                self._put(self._sock, messages[number], read)
                # It lives, so what was not in its queue before this one has been read.
                if unread is not None:
                    read = max(read, number - -(-unread // _LEAST_BUFFER))
        except Full:
            self._full = True
            self._trust(messages[read:number])
            done(number)
            raise
        if not settle(self._sock, self._orders):
            self._trust(messages[read:])
        elif not self._lives():
            raise Lost("the daemon ended before it had read everything", read=read)
        self._repeat = []
        done(len(messages))

    def _trust(self, messages: Sequence[Message]) -> None:
        """Leave what a living daemon has not read yet in its queue."""
        assert self._sock is not None
        if outstanding(self._sock) is not None:
            self._limbo += [*self._repeat, *messages]
        self._repeat = []

    def _mend(self) -> None:
        """Look what became of the messages that a slow daemon had not read when the last batch ended."""
        assert self._sock is not None
        if not self._lives():
            self.drop()
        elif not outstanding(self._sock):
            self._limbo = []

    def _put(self, sock: socket.socket, message: Message, read: int) -> None:
        try:
            if self._stream:
                self._put_record(sock, self.fit(message) + b"\0")
            else:
                self.send_datagram(sock, message, self._ceiling)
        except OSError as error:
            if error.errno in _GONE:
                raise Lost(f"the daemon has gone ({error.strerror})", read=read) from error
            raise

    def _put_record(self, sock: socket.socket, record: bytes) -> None:
        """Write to a stream socket; records end in NUL there (glibc)."""
        deadline = time.monotonic() + self._timeout
        rest = record
        while rest:
            try:
                rest = rest[sock.send(rest) :]
            except BlockingIOError as error:
                try:
                    self.await_room(sock, deadline, error)
                except Full:
                    if len(rest) == len(record):
                        raise
                    # Nothing may follow half a record: the connection is of no use any more.
                    raise Lost("the daemon stopped reading in the middle of a message") from None

    def _lives(self) -> bool:
        """Say whether the daemon that we are connected to is still there."""
        assert self._sock is not None
        if self._stream:
            return not wait_for(self._sock, select.POLLIN, 0) & (select.POLLHUP | select.POLLERR)
        if self._who() != self._identity:
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(self.name)
            except OSError:
                return False
        return True
