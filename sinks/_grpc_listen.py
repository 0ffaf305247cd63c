"""Where the gRPC service listens: a unix socket in its folder, or a TCP port with mutual TLS."""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
import stat

from rxalerts.flow.tls import server_context

_UNIX = "unix://"
# What fits into sockaddr_un, the final zero not counted.
_PATH_LIMIT = 107
_HOST_PORT = re.compile(r"(?:\[([^\]]*)\]|([^:\[\]]*)):(\d{1,5})")


def unix_path(address: str) -> str | None:
    """Return the path of a unix address, None for any other.

    >>> unix_path("unix:///run/falco/falco.sock"), unix_path("0.0.0.0:5060")
    ('/run/falco/falco.sock', None)
    """
    return address[len(_UNIX) :] if address.startswith(_UNIX) else None


def host_port(address: str) -> tuple[str, int]:
    """Return host and port.

    >>> host_port("0.0.0.0:5060"), host_port("[::1]:0")
    (('0.0.0.0', 5060), ('::1', 0))
    """
    found = _HOST_PORT.fullmatch(address)
    if found is None or int(found[3]) > 65_535:
        raise ValueError(f"must be unix:///path/to/socket or host:port, got {address!r}")
    return found[1] or found[2] or "0.0.0.0", int(found[3])


def check_address(address: str) -> None:
    """Raise a ValueError that says what is wrong with an address."""
    path = unix_path(address)
    if path is None:
        host_port(address)
    elif not path:
        raise ValueError("names no socket: write unix:///path/to/socket")
    elif len(os.fsencode(path)) > _PATH_LIMIT:
        raise ValueError(f"{path}: a socket's path has at most {_PATH_LIMIT} bytes, not {len(os.fsencode(path))}")


def parse_mode(text: str) -> int | None:
    """Return permissions from octal digits; None for an empty text.

    >>> oct(parse_mode("0660") or 0), parse_mode("")
    ('0o660', None)
    """
    if not text:
        return None
    if not re.fullmatch(r"(0o)?[0-7]{3,4}", text):
        raise ValueError(f'must be three or four octal digits in quotes, such as "0660", got {text!r}')
    return int(text.removeprefix("0o"), 8)


class TcpListener:
    """A listening TCP socket."""

    def __init__(self, host: str, port: int) -> None:
        try:
            family, kind, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            self.socket = socket.socket(family, kind)
            try:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                self.socket.bind(where)
                self.socket.listen(128)
            except OSError:
                self.socket.close()
                raise
        except OSError as error:
            raise OSError(error.errno, f"{host}:{port}: {error.strerror or error}") from None
        bound = self.socket.getsockname()
        self.address = f"[{bound[0]}]:{bound[1]}" if family == socket.AF_INET6 else f"{bound[0]}:{bound[1]}"

    def remove(self) -> None:
        """Stop listening."""
        self.socket.close()


class UnixListener:
    """A listening unix socket: replaces a stale one, refuses to take over a live one."""

    def __init__(self, path: str, mode: int | None) -> None:
        self.path = path
        self.address = f"{_UNIX}{path}"
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        _make_way(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            if mode is not None:
                # Linux gives the file the mode of the socket: nobody can connect before it is right.
                os.fchmod(self.socket.fileno(), mode)
            self.socket.bind(path)
            self.socket.listen(128)
            if mode is not None:
                os.chmod(path, mode)
        except OSError as error:
            self.socket.close()
            raise OSError(error.errno, f"{path}: {error.strerror}") from None
        self._mine = _identity(path)

    @property
    def there(self) -> bool:
        """Whether the path still leads to this socket."""
        return self._mine is not None and _identity(self.path) == self._mine

    def remove(self) -> None:
        """Stop listening and remove the file, unless it is somebody else's by now."""
        self.socket.close()
        if self.there:
            os.unlink(self.path)


Listener = UnixListener | TcpListener


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _make_way(path: str) -> None:
    """Remove a socket that nobody listens on any more; an error says what else is there."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        if os.path.islink(path):
            raise FileExistsError(errno.EEXIST, f"{path}: is a link to nowhere: remove it") from None
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise FileExistsError(errno.EEXIST, f"{path}: is there and is no socket: not replacing it")
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    probe.settimeout(1.0)
    try:
        probe.connect(path)
    except ConnectionRefusedError:
        os.unlink(path)
        return
    except OSError as error:
        raise OSError(errno.EADDRINUSE, f"{path}: is in use, it seems: {error.strerror or error}") from None
    finally:
        probe.close()
    raise OSError(errno.EADDRINUSE, f"{path}: another process serves there: stop it, or set another bind_address")


def tls_context(private_key: str, cert_chain: str, root_certs: str) -> ssl.SSLContext:
    """Return the context for HTTP/2 with mutual TLS; raises OSError that names the file at fault."""
    if not root_certs:
        raise OSError("grpc.root_certs is empty: without it no client can be told from a stranger")
    context = server_context(cert_chain, private_key, root_certs)
    context.set_alpn_protocols(["h2"])
    return context
