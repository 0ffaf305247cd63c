"""An HTTP/2 client that does what no gRPC library would: every frame is sent when the test says so, and not before."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from types import TracebackType

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, ResponseReceived, TrailersReceived
from h2.settings import SettingCodes

SUB = "/falco.outputs.service/sub"
EMPTY = b"\0\0\0\0\0"


class Http2Client:
    """One connection to a unix socket; `http` is h2's own, whose frames go out with `flush`."""

    def __init__(self, path: str, window: int = 65_535) -> None:
        self.http = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(path)
        self.data = b""
        self.http.initiate_connection()
        self.http.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: window})
        if window > 65_535:
            self.http.increment_flow_control_window(window - 65_535)

    def call(self, path: str, *messages: bytes, end: bool = False, headers: Sequence[tuple[str, str]] = ()) -> int:
        """Prepare a call with its messages, framed already; returns the stream."""
        stream = self.http.get_next_available_stream_id()
        head = [(":method", "POST"), (":scheme", "http"), (":authority", "h"), (":path", path)]
        self.http.send_headers(stream, [*head, ("content-type", "application/grpc"), ("te", "trailers"), *headers])
        self.http.send_data(stream, b"".join(messages), end_stream=end)
        return stream

    def flush(self) -> None:
        """Send what is prepared, in one piece."""
        self.socket.sendall(self.http.data_to_send())

    def read(self) -> list[Event]:
        """Return what comes next; an empty list when the service has hung up."""
        data = self.socket.recv(1 << 16)
        events = self.http.receive_data(data) if data else []
        for event in events:
            if isinstance(event, DataReceived):
                self.data += event.data or b""
                self.http.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
        return events

    def status(self, stream: int) -> dict[str, str]:
        """Read until a call ends, and return its trailers, or its head if that is all."""
        while events := self.read():
            for event in events:
                if isinstance(event, TrailersReceived | ResponseReceived) and event.stream_id == stream:
                    headers = {str(name): str(value) for name, value in event.headers or ()}
                    if "grpc-status" in headers or headers[":status"] != "200":
                        return headers
        return {}

    def __enter__(self) -> Http2Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()
