"""An HTTP server for tests of clients: records what it gets, and answers, or misbehaves, as it is told to."""

from __future__ import annotations

import gzip
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Request:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    client: tuple[str, int]

    @property
    def text(self) -> str:
        """The body, unpacked if it is gzip."""
        packed = self.headers.get("content-encoding") == "gzip"
        return (gzip.decompress(self.body) if packed else self.body).decode()


@dataclass(frozen=True)
class Reply:
    """What the server answers.

    Attributes:
        how: "answer"; "hang" until the server ends; "reset" the connection instead of an answer; "drip" the body
            a byte at a time, waiting for `go` before each; "head" sends the status line and then hangs; "close" the
            connection quietly behind the answer, without having said so; "raw" sends the body and nothing else.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    how: str = "answer"


Script = Callable[[Request], Reply]


class Endpoint:
    """A server on a free port of 127.0.0.1, with a thread per connection.

    Arguments:
        script: returns the reply to a request; 200 by default.
        context: TLS.
    """

    def __init__(self, script: Script | None = None, context: ssl.SSLContext | None = None) -> None:
        self.script: Script = script or (lambda request: Reply())
        self.requests: list[Request] = []
        self.connections = 0
        self.at_once = 0
        self.most_at_once = 0
        self.ended = threading.Event()
        self._lock = threading.Lock()
        endpoint = self

        class Handler(_Handler):
            server_endpoint = endpoint

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def get_request(self) -> tuple[Any, Any]:
                connection, address = super().get_request()
                endpoint.connections += 1
                connection.settimeout(20)
                if context is not None:
                    # The handshake belongs to the connection's thread; it happens with the first read.
                    connection = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
                return connection, address

            def handle_error(self, request: Any, client_address: Any) -> None:
                """Refused handshakes and reset connections are what some tests are about."""

        self._server = Server(("127.0.0.1", 0), Handler)
        scheme = "http" if context is None else "https"
        self.port: int = self._server.server_address[1]
        self.url = f"{scheme}://127.0.0.1:{self.port}/alerts"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def bodies(self) -> list[str]:
        """The bodies that were answered with 2xx, unpacked."""
        return [request.text for request in list(self.requests)]

    def begin(self, request: Request) -> Reply:
        """Note a request and return what to do."""
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        reply = self.script(request)
        if 200 <= reply.status < 300 and reply.how in ("answer", "drip", "head", "close"):
            self.requests.append(request)
        return reply

    def end(self) -> None:
        """Note that a request is answered."""
        with self._lock:
            self.at_once -= 1

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    server_endpoint: Endpoint
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        """Take a request and do what the script says."""
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, body, self.client_address)
        reply = self.server_endpoint.begin(request)
        try:
            getattr(self, f"_{reply.how}")(reply)
        finally:
            self.server_endpoint.end()

    def _head_of(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()

    def _answer(self, reply: Reply) -> None:
        self._head_of(reply)
        self.wfile.write(reply.body)
        self.wfile.flush()

    def _close(self, reply: Reply) -> None:
        self._answer(reply)
        self.close_connection = True

    def _raw(self, reply: Reply) -> None:
        self.wfile.write(reply.body)
        self.wfile.flush()
        self.close_connection = True

    def _hang(self, reply: Reply) -> None:
        self.server_endpoint.ended.wait(20)
        self.close_connection = True

    def _head(self, reply: Reply) -> None:
        self._head_of(Reply(reply.status, reply.headers, b"never"))
        self.wfile.flush()
        self._hang(reply)

    def _drip(self, reply: Reply) -> None:
        self._head_of(reply)
        for byte in reply.body:
            self.wfile.write(bytes((byte,)))
            self.wfile.flush()
            if self.server_endpoint.ended.wait(0.05):
                break
        self.close_connection = True

    def _reset(self, reply: Reply) -> None:
        # Lingering for no time makes the kernel send RST.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True


def replies(*script: Reply) -> Script:
    """Return a script that gives each of these in turn, and 200 afterwards."""
    left = list(script)

    def next_reply(request: Request) -> Reply:
        return left.pop(0) if left else Reply()

    return next_reply
