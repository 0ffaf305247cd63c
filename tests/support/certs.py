"""Make the certificates that tests of TLS need: a good one, and one for each way of being bad.

Nothing is stored in the repository, so nothing grows old there: `make_certs(tmp_path)` takes some ten
milliseconds (P-256 keys). The certificates hold what strict verification asks for (RFC 5280: key usage, key
identifiers), which Python 3.13 and later check.
"""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = timedelta(days=1)
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, as PEM files; `both` holds the one after the other."""

    cert: Path
    key: Path
    both: Path


@dataclass(frozen=True)
class Certs:
    """The certificates of one test, as PEM files.

    Attributes:
        ca: the authority that clients and servers should trust.
        ca_path: a folder with that authority under OpenSSL's hashed name (`ca_path` in falco.yaml).
        other_ca: an authority that nobody should trust.
        server: good for localhost, 127.0.0.1 and ::1, signed by `ca`.
        self_signed: good for the same names, but signed by itself.
        expired: as `server`, but over since yesterday.
        not_yet: as `server`, but not valid before tomorrow.
        wrong_host: signed by `ca`, but for elsewhere.example.
        unknown_ca: as `server`, but signed by `other_ca`.
        client: a client's, signed by `ca`.
        stranger: a client's, signed by `other_ca`.
    """

    ca: Path
    ca_path: Path
    other_ca: Path
    server: Pair
    self_signed: Pair
    expired: Pair
    not_yet: Pair
    wrong_host: Pair
    unknown_ca: Pair
    client: Pair
    stranger: Pair


@dataclass(frozen=True)
class _Signed:
    cert: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def make_certs(folder: Path) -> Certs:
    """Write an authority and certificates of every kind into `folder`, and tell where they are."""
    folder.mkdir(parents=True, exist_ok=True)
    ca, other = _authority("rxalerts test CA"), _authority("rxalerts other CA")

    def server(name: str, issuer: _Signed | None = ca, hosts: tuple[str, ...] = LOCAL_NAMES,
               start: timedelta = -DAY, end: timedelta = DAY) -> Pair:  # fmt: skip
        made = _leaf(hosts[0], issuer, hosts, ExtendedKeyUsageOID.SERVER_AUTH, start, end)
        return _write(folder, name, made)

    def client(name: str, issuer: _Signed) -> Pair:
        made = _leaf(f"{name}.example", issuer, (), ExtendedKeyUsageOID.CLIENT_AUTH, -DAY, DAY)
        return _write(folder, name, made)

    return Certs(
        ca=_write(folder, "ca", ca).cert,
        ca_path=_hashed_folder(folder / "ca-path", ca.cert),
        other_ca=_write(folder, "other-ca", other).cert,
        server=server("server"),
        self_signed=server("self-signed", issuer=None),
        expired=server("expired", start=-3 * DAY, end=-DAY),
        not_yet=server("not-yet", start=DAY, end=3 * DAY),
        wrong_host=server("wrong-host", hosts=("elsewhere.example",)),
        unknown_ca=server("unknown-ca", issuer=other),
        client=client("client", ca),
        stranger=client("stranger", other),
    )


def _authority(name: str) -> _Signed:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(name, name, key, -DAY, DAY).add_extension(_usage(signs=True), critical=True)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return _Signed(builder.sign(key, SHA256()), key)


def _leaf(
    name: str,
    issuer: _Signed | None,
    hosts: tuple[str, ...],
    purpose: x509.ObjectIdentifier,
    start: timedelta,
    end: timedelta,
) -> _Signed:
    key = ec.generate_private_key(ec.SECP256R1())
    signer = issuer.key if issuer else key
    issuer_name = _common_name(issuer.cert) if issuer else name
    builder = (
        _builder(name, issuer_name, key, start, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if hosts:
        names = x509.SubjectAlternativeName([_host(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    return _Signed(builder.sign(signer, SHA256()), key)


def _builder(
    name: str, issuer: str, key: ec.EllipticCurvePrivateKey, start: timedelta, end: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + start)
        .not_valid_after(now + end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs, key_cert_sign=signs, crl_sign=signs, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
        decipher_only=False,
    )  # fmt: skip


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _common_name(cert: x509.Certificate) -> str:
    return str(cert.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def _write(folder: Path, name: str, made: _Signed) -> Pair:
    cert = made.cert.public_bytes(Encoding.PEM)
    key = made.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pair = Pair(folder / f"{name}.crt", folder / f"{name}.key", folder / f"{name}.pem")
    pair.cert.write_bytes(cert)
    pair.key.write_bytes(key)
    pair.both.write_bytes(cert + key)
    return pair


def _hashed_folder(folder: Path, cert: x509.Certificate) -> Path:
    """Put a certificate where OpenSSL looks for it: under a hash of its subject.

    The hash is the start of SHA-1 over the canonical name (X509_NAME_hash): here one common name, in lower
    case and as UTF-8.
    """
    value = _common_name(cert).lower().encode()
    attribute = b"\x06\x03\x55\x04\x03" + b"\x0c" + bytes([len(value)]) + value
    sequence = b"\x30" + bytes([len(attribute)]) + attribute
    digest = hashlib.sha1(b"\x31" + bytes([len(sequence)]) + sequence, usedforsecurity=False).digest()
    folder.mkdir(exist_ok=True)
    name = f"{int.from_bytes(digest[:4], 'little'):08x}.0"
    (folder / name).write_bytes(cert.public_bytes(Encoding.PEM))
    return folder
