"""What the tests of the HTTP source share: a running source, and a client without any manners of its own."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

import rxalerts as rxa
from rxalerts import sinks, sources
from rxalerts.flow.sink import Sink
from rxalerts.sources._http import HttpSource


@dataclass(frozen=True)
class Answer:
    """An answer, taken apart."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class Served:
    """A source that serves, and what it feeds."""

    source: HttpSource
    pipeline: rxa.Pipeline
    url: str
    host: str
    port: int
    sinks: list[Sink[Any]] = field(default_factory=list[Sink[Any]])

    def post(self, body: bytes | str, path: str = "/", method: str = "POST", **headers: str) -> Answer:
        """Send one request over a connection of its own; `_` in names of headers stand for `-`."""
        return request(self.url, body, path, method, None, **headers)

    def connect(self) -> socket.socket:
        """Return a bare connection."""
        return socket.create_connection((self.host, self.port), timeout=20)


def request(
    url: str,
    body: bytes | str = b"",
    path: str = "/",
    method: str = "POST",
    context: ssl.SSLContext | None = None,
    **headers: str,
) -> Answer:
    """Send one request."""
    parts = urlsplit(url)
    assert parts.hostname is not None and parts.port is not None
    client = (
        HTTPConnection(parts.hostname, parts.port, timeout=20)
        if parts.scheme == "http"
        else HTTPSConnection(parts.hostname, parts.port, timeout=20, context=context)
    )
    try:
        data = body.encode() if isinstance(body, str) else body
        client.request(method, path, data, {name.replace("_", "-"): value for name, value in headers.items()})
        response = client.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        client.close()


@contextmanager
def serving(*into: Sink[Any], **options: Any) -> Generator[Served, None, None]:
    """Serve on a free port into these sinks, a collecting one by default; waits for the end."""
    targets: list[Sink[Any]] = list(into) or [sinks.CollectSink[rxa.Alert]()]
    source = sources.http("127.0.0.1:0", **options)
    pipeline = rxa.Pipeline(source, *targets, timeout=10).start()
    assert source.wait_bound(20)
    url = source.url
    assert url is not None, pipeline.report()
    parts = urlsplit(url)
    try:
        yield Served(source, pipeline, url, str(parts.hostname), int(parts.port or 0), targets)
    finally:
        pipeline.stop()
        pipeline.wait()


def line(number: int, **more: Any) -> str:
    """Return one numbered alert as JSON."""
    alert: dict[str, Any] = {
        "rule": f"Rule {number}", "priority": "Warning", "time": f"2026-01-01T00:00:00.{number:09}Z",
        "output": f"message {number}", "output_fields": {"n": number}, **more,
    }  # fmt: skip
    return json.dumps(alert)
