"""An HTTP or HTTPS endpoint: one POST per alert, or batches."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from rxalerts.alert import Alert
from rxalerts.errors import OptionError
from rxalerts.flow.channel import AsyncChannel
from rxalerts.flow.options import option
from rxalerts.flow.secrets import Secret
from rxalerts.flow.sink import AsyncSink
from rxalerts.flow.stats import State
from rxalerts.flow.tls import ClientTls
from rxalerts.format import Format, Formatted
from rxalerts.sinks._http_auth import Auth, target
from rxalerts.sinks._http_body import Packing
from rxalerts.sinks._http_channel import HttpChannel
from rxalerts.sinks._http_template import Template

Path = str | os.PathLike[str]

# What the connection itself decides about.
_OURS = {"content-length", "content-encoding", "transfer-encoding", "connection", "host", "x-alert-id"}
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(eq=False, repr=False)
class HttpSink(AsyncSink[Alert | Formatted]):
    """Post alerts to an HTTP or HTTPS endpoint (Falco: outputs_http.cpp, with failures noticed and retried).

    One request per alert, its body the alert without a newline, `application/json` or `text/plain`, with the
    alert's stable id in `X-Alert-Id`; or several per request with `batch`. HTTPS needs a valid certificate unless
    `ca_cert`, `ca_bundle` or `ca_path` (the first that is set counts, alone) or `insecure` say otherwise.

    2xx: delivered. 408, 425, 429, 5xx and failed connections: retried with backoff, not before `Retry-After`.
    Other 4xx: the alert goes to the dead letters with the beginning of the response; a batch is halved until the
    culprit is found, unless it is refused for all of it (401, 404, 405, 407, 410, 415). Redirects are followed, as
    POST, within the same origin only. A request that times out is repeated up to `max_consecutive_timeouts` times in
    a row.

    The circuit breaker is the sink's retry: after a failure it is open (state `backoff`: nothing is sent), then
    half open (one alert probes the endpoint), then closed again; `circuit` tells which, and each change is logged.

    Delivery: at least once while the process lives: an alert whose answer was lost is sent again. In order with
    `in_flight` 1; else in order per connection, except for what is retried. Secrets are read from the environment
    or from files when the sink opens or reopens, and never shown.

    >>> sink = HttpSink("https://me:secret@hooks.example/services/T0/B0", format="json", in_flight=4)
    >>> sink.target.shown, sink.circuit
    ('https://hooks.example/services/…', 'closed')
    """

    channel_name: ClassVar[str] = "http"
    renewable: ClassVar[bool] = True

    url: str = option(help="where to post to; a user and password in it are for basic auth", falco="url", secret=True)
    keep_alive: bool = option(True, "keep the connection; false: close it after each request", falco="keep_alive")
    user_agent: str = option("falcosecurity/falco", "the User-Agent header", falco="user_agent", kw_only=True)
    ca_cert: Path = option("", "PEM file of the authority to trust", falco="ca_cert", kw_only=True)
    ca_bundle: Path = option("", "PEM file of authorities, if ca_cert is empty", falco="ca_bundle", kw_only=True)
    ca_path: Path = option(
        "", "folder of authorities under hashed names, if the other two are empty; empty: the system's",
        falco="ca_path", kw_only=True,
    )  # fmt: skip
    insecure: bool = option(False, "check neither certificate nor host name", falco="insecure", kw_only=True)
    mtls: bool = option(False, "show a client certificate", falco="mtls", kw_only=True)
    client_cert: Path = option(
        "/etc/ssl/certs/client.crt", "with mtls: PEM file of the client certificate", falco="client_cert", kw_only=True
    )
    client_key: Path = option(
        "/etc/ssl/certs/client.key", "with mtls: PEM file of its key", falco="client_key", kw_only=True
    )
    echo: bool = option(False, "print responses on standard output", falco="echo", kw_only=True)
    compress_uploads: bool = option(
        False, "gzip bodies (Falco itself only asks for a compressed response)", falco="compress_uploads", kw_only=True
    )
    max_consecutive_timeouts: int = option(
        5, "repeat a call that timed out so often before backing off", falco="max_consecutive_timeouts", kw_only=True
    )
    headers: Mapping[str, str] = option(
        help="further headers; they may hold secrets and are never shown", factory=dict, secret=True, kw_only=True
    )
    token_env: str = option("", "environment variable with a bearer token", kw_only=True)
    token_file: Path = option("", "file with a bearer token", kw_only=True)
    username: str = option("", "user name for basic auth", kw_only=True)
    password_env: str = option("", "environment variable with the password", kw_only=True)
    password_file: Path = option("", "file with the password", kw_only=True)
    timeout: float = option(10.0, "seconds that one request may take, connecting included", kw_only=True)
    in_flight: int = option(1, "how many requests may be under way at once; 1: strict order", kw_only=True)
    batch: Literal["none", "ndjson", "array"] = option(
        "none", "none, ndjson or array: how several alerts share a request", kw_only=True
    )
    batch_count: int = option(100, "with batch: at most so many alerts in a request", kw_only=True)
    batch_bytes: int = option(1 << 20, "with batch: at most so many bytes in a request", kw_only=True)
    batch_seconds: float = option(1.0, "with batch: send what there is after so many seconds", kw_only=True)
    template: str = option(
        "", 'JSON body with placeholders, such as {"text": $output}; see the documentation', kw_only=True
    )

    def validate(self) -> None:
        self.target = target(self.url)
        for key in ("timeout", "batch_seconds"):
            if not getattr(self, key) > 0:
                raise OptionError(key, f"must be more than 0 seconds, got {getattr(self, key)}")
        for key in ("in_flight", "batch_count", "batch_bytes"):
            if getattr(self, key) < 1:
                raise OptionError(key, f"must be 1 or more, got {getattr(self, key)}")
        if not 0 <= self.max_consecutive_timeouts <= 255:
            raise OptionError("max_consecutive_timeouts", f"must be 0 to 255, got {self.max_consecutive_timeouts}")
        if self.batch not in Packing.kinds:
            raise OptionError("batch", f"must be one of {', '.join(Packing.kinds)}, got {self.batch!r}")
        self._check_headers()
        if self.template:
            Template(self.template)
        self.auth()
        per_request = 1 if self.batch == "none" else self.batch_count
        if per_request > self.max_batch:
            raise OptionError("batch_count", f"must not exceed max_batch ({self.max_batch}), got {self.batch_count}")
        # Twice what can be under way: while one half is answered, the other is ready.
        self.max_batch = min(self.max_batch, 2 * self.in_flight * per_request)

    def _check_headers(self) -> None:
        for name, value in {**self.headers, "User-Agent": self.user_agent}.items():
            if not _NAME.fullmatch(name):
                raise OptionError("headers", f"{name!r} is no name of a header")
            if name.lower() in _OURS:
                raise OptionError("headers", f"{name} is set by the sink itself")
            if any(ord(char) < 32 and char != "\t" for char in value) or "\x7f" in value:
                raise OptionError("headers", f"the value of {name} has control characters")

    @property
    def content_type(self) -> str:
        """The media type of what `render` returns for an alert."""
        return self.format.content_type if isinstance(self.format, Format) else "text/plain"

    @property
    def circuit(self) -> str:
        """The circuit breaker: closed (works), open (waits), half-open (probes after a failure)."""
        if self.state is State.BACKOFF:
            return "open"
        return "half-open" if self.supervisor.failures else "closed"

    def auth(self) -> Auth:
        """Return who we are for the endpoint; the secrets are not read yet."""
        token = Secret("token", self.token_env, self.token_file)
        password = Secret("password", self.password_env, self.password_file)
        return Auth(token, self.username, password, self.target)

    def tls(self) -> ClientTls:
        """Return whom we trust, and our client certificate."""
        cert, key = (self.client_cert, self.client_key) if self.mtls else ("", "")
        return ClientTls(self.ca_cert, self.ca_bundle, self.ca_path, self.insecure, cert, key)

    def packing(self) -> Packing:
        """Return how alerts share a request."""
        return Packing(self.batch, self.batch_count, self.batch_bytes)

    def make_channel(self) -> AsyncChannel:
        return HttpChannel(self)
