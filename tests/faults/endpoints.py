"""HTTP endpoints that can be broken in one way each, and mended."""

from __future__ import annotations

import ssl
import threading
from pathlib import Path
from typing import Any

from rxalerts.sinks import HttpSink
from tests.faults.places import CAPACITY, COMMON, Place
from tests.support.certs import make_certs
from tests.support.http_servers import Endpoint, Reply, Request
from tests.support.run import numbers

FAULTS = {
    "HTTP 500": Reply(500),
    "HTTP 429": Reply(429, {"Retry-After": "0"}),
    "HTTP timeout": Reply(how="hang"),
    "HTTP reset": Reply(how="reset"),
    # Taken, and said so, but the answer never ends.
    "HTTP answer torn": Reply(how="head"),
}
# Those that are noticed by the time they take. Who no longer waits for an answer cannot know what it would have been.
SLOW = {"HTTP timeout", "HTTP answer torn"}
OPTIONS: dict[str, Any] = {**COMMON, "timeout": 5.0, "max_consecutive_timeouts": 0}


class BrokenEndpoint(Place):
    """An endpoint that answers wrongly, or not at all."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self._endpoint = Endpoint(self._reply)
        self._broken = threading.Event()
        slow = name in SLOW
        options: dict[str, Any] = {**OPTIONS, "timeout": 0.2} if slow else OPTIONS
        self.sink = HttpSink(self._endpoint.url, **options)
        self.doubles = CAPACITY if slow else 0
        self.stalls = name == "HTTP answer torn"

    def _reply(self, request: Request) -> Reply:
        return FAULTS[self.name] if self._broken.is_set() else Reply()

    def break_it(self) -> None:
        self._broken.set()

    def mend(self) -> None:
        self._broken.clear()

    def got(self) -> list[int]:
        return numbers("\n".join(self._endpoint.bodies))

    def close(self) -> None:
        self._endpoint.__exit__()


class WrongCertificate(Place):
    """An HTTPS endpoint that shows the certificate of another host for a while."""

    name = "HTTP TLS failure"

    def __init__(self, folder: Path) -> None:
        self._certs = make_certs(folder / "certs")
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.mend()
        self._endpoint = Endpoint(context=self._context)
        self.sink = HttpSink(self._endpoint.url, ca_cert=self._certs.ca, keep_alive=False, **OPTIONS)

    def break_it(self) -> None:
        self._context.load_cert_chain(self._certs.wrong_host.cert, self._certs.wrong_host.key)

    def mend(self) -> None:
        self._context.load_cert_chain(self._certs.server.cert, self._certs.server.key)

    def got(self) -> list[int]:
        return numbers("\n".join(self._endpoint.bodies))

    def close(self) -> None:
        self._endpoint.__exit__()
