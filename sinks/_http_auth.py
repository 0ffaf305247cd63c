"""Who we are for an HTTP endpoint, and how we get there: secrets, the url without them, the proxy."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from rxalerts.errors import OptionError
from rxalerts.flow.channel import Fatal
from rxalerts.flow.secrets import Secret


@dataclass(frozen=True)
class Target:
    """A url, its user and password taken out, and what may be shown of it.

    Attributes:
        url: where to post to.
        shown: the url for logs: without user, password, query, and all but the first part of the path, which
            many a webhook uses as its secret.
        host: the host's name.
    """

    url: str
    shown: str
    host: str
    secure: bool
    username: str
    password: str


def target(url: str) -> Target:
    """Take a url apart; raises OptionError, which does not show the url's secrets.

    >>> found = target("https://me:secret@hooks.example/services/T00/B00?key=1")
    >>> found.shown, found.username, found.url
    ('https://hooks.example/services/…', 'me', 'https://hooks.example/services/T00/B00?key=1')
    """
    # Falco 0.35 and later takes quotes inside of the value away.
    text = url.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1]
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise OptionError("url", f"is no url: {error}") from None
    if any(char.isspace() or not char.isprintable() for char in text):
        raise OptionError("url", "has a blank or a control character in it: write %20 for a blank")
    if parts.scheme not in ("http", "https") or not host:
        raise OptionError("url", "must be http://host/… or https://host/…" if text else "is empty: where to post to?")
    name = f"[{host}]" if ":" in host else host
    place = name if port is None else f"{name}:{port}"
    bare = SplitResult(parts.scheme, place, parts.path or "/", parts.query, "")
    return Target(
        urlunsplit(bare), f"{parts.scheme}://{place}{_shown(parts.path)}", host, parts.scheme == "https",
        unquote(parts.username or ""), unquote(parts.password or ""),
    )  # fmt: skip


def _shown(path: str) -> str:
    parts = [part for part in path.split("/") if part]
    return path if len(parts) < 2 else f"/{parts[0]}/…"


@dataclass(frozen=True)
class Auth:
    """Makes the Authorization header: bearer with a token, basic with a user; None without either."""

    token: Secret
    username: str
    password: Secret
    target: Target

    def __post_init__(self) -> None:
        if self.token.wanted and (self.username or self.target.username):
            raise OptionError("token_env", "cannot be used together with a user name: bearer or basic, not both")
        if self.password.wanted and not (self.username or self.target.username):
            raise OptionError("username", "is empty, and there is a password")

    def header(self) -> str | None:
        """Read the secrets and return the value of the header; raises Fatal when there is none where it should be."""
        try:
            return self._header()
        except OptionError as error:
            raise Fatal(str(error)) from None

    def _header(self) -> str | None:
        if self.token.wanted:
            return f"Bearer {self.token.read()}"
        username = self.username or self.target.username
        if not username:
            return None
        password = self.password.read() if self.password.wanted else self.target.password
        return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def proxy_for(place: Target) -> str | None:
    """Return the url of the proxy that the environment asks for (http_proxy, https_proxy, all_proxy, no_proxy).

    It is looked up once per open, and not for each request, which would cost more than sending an alert.
    """
    # Loads a good deal of the standard library: not before a sink opens.
    import urllib.request

    proxies = urllib.request.getproxies_environment()
    if not proxies or urllib.request.proxy_bypass(urlsplit(place.url).netloc):
        return None
    found = proxies.get("https" if place.secure else "http") or proxies.get("all")
    if found and "://" not in found:
        found = f"http://{found}"
    if found and not found.lower().startswith(("http://", "https://")):
        kind = found.partition("://")[0]
        raise Fatal(
            f"the environment asks for a {kind} proxy (https_proxy, http_proxy, all_proxy): only http:// and https:// "
            f"ones can be used; to go without, add {place.host} to no_proxy"
        )
    return found or None
