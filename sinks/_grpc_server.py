"""The connections of the gRPC service: how many there may be, and how they end."""

from __future__ import annotations

import asyncio
import logging

from rxalerts.sinks._grpc_call import Handler
from rxalerts.sinks._grpc_connection import Connection

log = logging.getLogger("rxalerts")


class Server:
    """The calls that can be made, and the connections that there are."""

    def __init__(self, handlers: dict[str, Handler], limit: int, keepalive: float | None) -> None:
        self.handlers = handlers
        self.keepalive = keepalive
        self.connections: set[Connection] = set()
        self._limit = limit
        self._refused = False

    def admit(self, connection: Connection) -> bool:
        """Take a new connection in, unless there are too many."""
        if len(self.connections) >= self._limit:
            if not self._refused:
                log.warning("gRPC: %s refused: there are %d connections already", connection.peer, self._limit)
            self._refused = True
            return False
        self._refused = False
        self.connections.add(connection)
        return True

    async def close(self, timeout: float) -> None:
        """End every call with OK, close the connections, and cut those that take nothing for `timeout` seconds."""
        for connection in list(self.connections):
            for call in connection.calls:
                call.end()
        tasks = [call.task for connection in self.connections for call in connection.calls if call.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=timeout)
        for connection in list(self.connections):
            connection.close()
        loop = asyncio.get_running_loop()
        left, deadline = -1, 0.0
        while self.connections:
            now = sum(connection.unsent for connection in self.connections)
            if now != left:
                left, deadline = now, loop.time() + timeout
            elif loop.time() >= deadline:
                break
            await asyncio.sleep(0.002)
        self.abort()

    def abort(self) -> None:
        """Cut every connection."""
        for connection in list(self.connections):
            connection.abort()
