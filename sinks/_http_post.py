"""One POST of the HTTP sink, and what its outcome means."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import io
import json
import os
import ssl
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from rxalerts.flow import tls
from rxalerts.flow.channel import Retryable
from rxalerts.sinks._http_auth import Target
from rxalerts.sinks._http_body import Refused, TimedOut

# Statuses below 500 that say "later" and not "never".
_LATER = (408, 425, 429)
_MOVED = (301, 302, 303, 307, 308)
_MAX_REDIRECTS = 5

# How much of a response is read, and how much of a refusal is quoted.
_MAX_RESPONSE = 1 << 16
_QUOTED = 200
# Seconds that the rest of a response may take once its status says that the alert is taken.
_PATIENCE = 1.0
# An endpoint that asks for more patience than this, in seconds, is asked again earlier.
_MAX_AFTER = 3600.0
# aiohttp warns about longer bodies unless they come as a file.
_AS_FILE = 1 << 20

# What the whole request is refused for, whichever alerts are in it: no use to look for a culprit.
_FOR_ALL = (401, 404, 405, 407, 410, 415)


@dataclass
class Post:
    """Sends bodies to one url.

    Arguments:
        session: the connections.
        target: where to, and how that may be shown.
        headers: what every request carries, without the content type.
        context: TLS; None for plain HTTP.
        proxy: the proxy's url; None: no proxy.
        echo: print responses on standard output.
    """

    session: aiohttp.ClientSession
    target: Target
    headers: Mapping[str, str]
    context: ssl.SSLContext | None
    proxy: str | None
    echo: bool
    _answered: bool = field(default=False, init=False)
    _url: URL = field(init=False)
    _options: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        # As it was written: a signature in it may be over the very characters.
        self._url = URL(self.target.url, encoded=self.target.url.isascii())
        self._options = {"allow_redirects": False, "ssl": True if self.context is None else self.context}
        if self.proxy:
            self._options["proxy"] = self.proxy

    async def send(self, body: bytes, extra: Mapping[str, str]) -> None:
        """Post `body`; returns when it is taken, raises Refused, TimedOut or Retryable when it is not."""
        headers = CIMultiDict(extra)
        headers.update(self.headers)
        try:
            try:
                await self._follow(body, headers)
            except (aiohttp.ClientError, OSError) as error:
                if not (self._answered and _hung_up(error)):
                    raise
                # Most likely the endpoint closed an idle connection just when we used it.
                await self._follow(body, headers)
        except TimeoutError:
            raise TimedOut(f"{self.target.shown}: no answer within {self._limit():g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Retryable(f"{self.target.shown}: {self._explain(error)}") from None

    def _limit(self) -> float:
        return self.session.timeout.total or 0.0

    async def _follow(self, body: bytes, headers: CIMultiDict[str]) -> None:
        url = self._url
        for _ in range(_MAX_REDIRECTS + 1):
            data: Any = body if len(body) < _AS_FILE else io.BytesIO(body)
            async with self.session.post(url, data=data, headers=headers, **self._options) as response:
                status = response.status
                self._answered = True
                if 200 <= status < 300:
                    await self._taken(response)
                    return
                if status not in _MOVED:
                    await self._failed(response)
                url = self._moved(url, response)
        raise Retryable(f"{self.target.shown}: more than {_MAX_REDIRECTS} redirects in a row")

    async def _taken(self, response: aiohttp.ClientResponse) -> None:
        """Read what is left of a response, so that its connection can be used again."""
        if response.content.at_eof() and not self.echo:
            return
        # The status has said it: what goes wrong from here on does not make the alert less taken.
        with contextlib.suppress(aiohttp.ClientError, OSError):
            async with asyncio.timeout(_PATIENCE):
                text = await _read(response)
                if self.echo:
                    await asyncio.get_running_loop().run_in_executor(None, _print, text)

    async def _failed(self, response: aiohttp.ClientResponse) -> None:
        text = b""
        with contextlib.suppress(aiohttp.ClientError, OSError):
            async with asyncio.timeout(_PATIENCE):
                text = await _read(response)
        status = response.status
        reason = f"{self.target.shown}: HTTP {status} {_printable(response.reason or '')}".rstrip()
        if text:
            reason += f": {_quote(text)}"
        if 400 <= status < 500 and status not in _LATER:
            raise Refused(reason, for_all=status in _FOR_ALL)
        raise Retryable(reason, after=retry_after(response.headers.get("Retry-After")))

    def _moved(self, url: URL, response: aiohttp.ClientResponse) -> URL:
        location = response.headers.get("Location", "")
        try:
            there = url.join(URL(location))
            same = bool(location) and there.origin() == url.origin()
        except ValueError:
            there, same = url, False
        if not same:
            where = there.host if there.host != url.host else f"{there.scheme}://{there.host}:{there.port}"
            raise Retryable(
                f"{self.target.shown}: HTTP {response.status} redirects to {where}, which is not the same origin: "
                "set url to where the alerts should go"
            )
        return there

    def _explain(self, error: Exception) -> str:
        told = tls.explain(error)
        if told is None and "[SSL" in str(error):
            # A refusal behind the handshake, as TLS 1.3 has it, comes as text alone from older versions of aiohttp.
            told = tls.explain(ssl.SSLError(str(error)))
        if told:
            return told
        if isinstance(error, aiohttp.ClientHttpProxyError):
            return f"the proxy answers HTTP {error.status} {_printable(error.message)}"
        if isinstance(error, aiohttp.ClientProxyConnectionError):
            return f"cannot connect to the proxy: {_words(error.os_error)}"
        if isinstance(error, aiohttp.ClientConnectorError):
            return f"cannot connect: {_words(error.os_error)}"
        if isinstance(error, aiohttp.ClientResponseError):
            # Its own text has the whole url in it, and lines of what was received.
            return f"does not answer as HTTP does: {_printable(error.message)}"
        if isinstance(error, aiohttp.ServerDisconnectedError):
            return "closed the connection without an answer"
        if isinstance(error, aiohttp.ClientOSError):
            return _words(error) if error.errno else "the connection was closed while the request was sent"
        # Some of them name the whole url.
        text = _printable(str(error).replace(str(self._url), self.target.shown))
        return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _hung_up(error: Exception) -> bool:
    """Tell whether the connection was closed before any answer came."""
    if isinstance(error, (aiohttp.ServerDisconnectedError, ConnectionResetError, BrokenPipeError)):
        return True
    # No number: aiohttp itself found the connection closed when it was about to send.
    return isinstance(error, aiohttp.ClientOSError) and error.errno in (errno.ECONNRESET, errno.EPIPE, None)


def _words(error: OSError) -> str:
    """Return what the system says; asyncio has other words for it in which the reason is a number."""
    if error.errno and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error)


def _printable(text: str) -> str:
    """Return what a stranger sent as one line of at most 200 characters, none of which moves a cursor."""
    return " ".join("".join(char if char.isprintable() else " " for char in text[:_QUOTED]).split())


async def _read(response: aiohttp.ClientResponse) -> bytes:
    parts: list[bytes] = []
    size = 0
    while size <= _MAX_RESPONSE and (part := await response.content.readany()):
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def _print(text: bytes) -> None:
    if text:
        sys.stdout.write(text[:_MAX_RESPONSE].decode("utf-8", "replace"))
        sys.stdout.flush()


def _quote(text: bytes) -> str:
    """Return the beginning of a response as one line in which nothing can pretend to be ours."""
    shown = text[:_QUOTED].decode("utf-8", "replace")
    return json.dumps(shown) + ("…" if len(text) > _QUOTED else "")


def retry_after(value: str | None) -> float:
    """Return the seconds that `Retry-After` asks for, given as seconds or as a date (RFC 9110 10.2.3); else 0.

    >>> retry_after("7"), retry_after("soon"), retry_after(None), retry_after("Fri, 31 Dec 1999 23:59:59 GMT")
    (7.0, 0.0, 0.0, 0.0)
    """
    if not value:
        return 0.0
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value), _MAX_AFTER)
    try:
        seconds = parsedate_to_datetime(value).timestamp() - time.time()
    except (ValueError, OverflowError):
        return 0.0
    return min(max(0.0, seconds), _MAX_AFTER)
