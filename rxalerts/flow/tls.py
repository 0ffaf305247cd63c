"""TLS for the network channels: contexts made of PEM files, and what a failed handshake means in words."""

from __future__ import annotations

import hashlib
import os
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass

Path = str | os.PathLike[str]


@dataclass(frozen=True)
class ClientTls:
    """What a client needs to trust a server, and to be trusted.

    Arguments:
        ca_cert, ca_bundle, ca_path: a PEM file, a PEM file, a folder with hashed names (`openssl rehash`); the first
            one that is not empty is used, alone (as Falco 0.35+). None of them: what the system trusts.
        insecure: check neither the certificate nor the host.
        client_cert, client_key: PEM files for mutual TLS; empty: none.
    """

    ca_cert: Path = ""
    ca_bundle: Path = ""
    ca_path: Path = ""
    insecure: bool = False
    client_cert: Path = ""
    client_key: Path = ""

    def context(self) -> ssl.SSLContext:
        """Read the files; raises OSError that names the file at fault."""
        authority = self.ca_cert or self.ca_bundle
        context = ssl.create_default_context(cafile=None)
        if authority or self.ca_path:
            # A context of its own: the system's authorities are not trusted beside the one that was named.
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if authority:
            _load(authority, "authority", lambda: context.load_verify_locations(cafile=authority))
        elif self.ca_path:
            if not os.path.isdir(self.ca_path):
                raise NotADirectoryError(f"{os.fspath(self.ca_path)}: no such folder with authorities")
            context.load_verify_locations(capath=self.ca_path)
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.client_cert:
            load_pair(context, self.client_cert, self.client_key)
        return context

    def fingerprint(self) -> bytes:
        """Return a digest of the files, to tell whether they have changed."""
        return fingerprint((self.ca_cert, self.ca_bundle, self.client_cert, self.client_key))


def server_context(cert: Path, key: Path, client_ca: Path = "") -> ssl.SSLContext:
    """Return the context of a server; with `client_ca`, clients must show a certificate that it signed.

    Raises OSError that names the file at fault. To change the certificate of a running server call `load_pair` on
    the same context: connections that exist go on, new ones get the new certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    load_pair(context, cert, key)
    if client_ca:
        _load(client_ca, "authority", lambda: context.load_verify_locations(cafile=client_ca))
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def load_pair(context: ssl.SSLContext, cert: Path, key: Path = "") -> None:
    """Load a certificate and its key into a context; raises OSError that names them."""
    what = os.fspath(cert) + (f" with {os.fspath(key)}" if key else "")

    def load() -> None:
        # A key with a password would ask for it on the terminal.
        context.load_cert_chain(cert, key or None, password=lambda: "")

    _load(what, "certificate", load)


def _load(path: Path, kind: str, load: Callable[[], object]) -> None:
    try:
        load()
    except ssl.SSLError as error:
        raise OSError(f"{os.fspath(path)}: no {kind} in PEM form that can be used: {error.reason or error}") from None
    except OSError as error:
        raise OSError(error.errno, f"{os.fspath(path)}: {error.strerror or error}") from None


def fingerprint(paths: Iterable[Path]) -> bytes:
    """Return a digest of the content of files; one that cannot be read counts as empty."""
    digest = hashlib.sha256()
    for path in paths:
        data = b""
        if path:
            try:
                with open(path, "rb") as file:
                    data = file.read()
            except OSError:
                data = b"?"
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.digest()


# X509_V_ERR_* of OpenSSL -> what it is, and what to do about it.
_VERIFY: dict[int, str] = {
    9: "its certificate is not valid yet: check the clocks of both machines",
    10: "its certificate has expired: renew it there",
    18: "its certificate is self-signed: set ca_cert to a file with that certificate",
    19: "its certificate comes from an authority that is not trusted here: set ca_cert to the authority's file",
    20: "its certificate comes from an authority that is not trusted here: set ca_cert to the authority's file",
    21: "its certificate comes from an authority that is not trusted here: set ca_cert to the authority's file",
    23: "its certificate has been revoked",
}
_HOST = (62, 64)

# What the reason of an error that is not about the server's certificate has in it -> what it means.
_ALERTS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("CERTIFICATE_REQUIRED",), "it asks for a client certificate: set mtls, client_cert and client_key"),
    (
        ("HANDSHAKE_FAILURE",),
        "it breaks off the handshake: it asks for a client certificate (set mtls, client_cert and client_key), or has "
        "no cipher that is safe",
    ),
    (("CERTIFICATE_EXPIRED",), "it says that our client certificate has expired: renew client_cert"),
    (("UNKNOWN_CA", "BAD_CERTIFICATE"), "it does not accept our client certificate: see client_cert and client_key"),
    (("PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL"), "it speaks only versions of TLS before 1.2, which are not safe"),
    (
        ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"),
        "it does not speak TLS there: use http://, or the port that has TLS",
    ),
)


def explain(error: BaseException) -> str | None:
    """Say what a TLS error means and what to set; None when `error` is none.

    >>> explain(ValueError("no")) is None
    True
    """
    found = _find(error)
    if found is None:
        return None
    if isinstance(found, ssl.SSLCertVerificationError):
        code = found.verify_code
        if code in _HOST:
            return f"its certificate is for another host ({found.verify_message.rstrip('.')}): use the name it is for"
        known = _VERIFY.get(code)
        return known or f"its certificate is refused: {found.verify_message}"
    reason = (getattr(found, "reason", None) or str(found)).upper()
    for marks, meaning in _ALERTS:
        if any(mark in reason for mark in marks):
            return meaning
    return f"the TLS handshake failed: {reason}"


def _find(error: BaseException) -> ssl.SSLError | None:
    """Return the SSL error behind an error of a library, if there is one."""
    seen: set[int] = set()
    while id(error) not in seen:
        seen.add(id(error))
        # aiohttp's errors are SSL errors by name only; the real one is inside.
        inner = getattr(error, "certificate_error", None) or getattr(error, "os_error", None)
        if inner is None and isinstance(error, ssl.SSLError):
            return error
        inner = inner or error.__cause__ or error.__context__
        if not isinstance(inner, BaseException):
            return None
        error = inner
    return None
