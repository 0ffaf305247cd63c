"""The certificates of the tests are good or bad in the way that they say, in the eyes of `ssl`."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from tests.support.certs import Certs, Pair, make_certs

# OpenSSL's verification codes (x509_vfy.h).
NOT_YET_VALID, HAS_EXPIRED, SELF_SIGNED, NO_LOCAL_ISSUER, HOSTNAME_MISMATCH = 9, 10, 18, 20, 62
IP_MISMATCH = 64


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Certs:
    """Make one set of certificates for the tests of this module."""
    return make_certs(tmp_path_factory.mktemp("certs"))


def serving(pair: Pair, clients: Path | None = None) -> ssl.SSLContext:
    """Give the context of a server; with an authority for clients, one that asks for theirs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # In TLS 1.3 a client ends its handshake before the server has looked at its certificate.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(pair.cert, pair.key)
    if clients:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients)
    return context


def calling(ca: Path | None = None, ca_path: Path | None = None, pair: Pair | None = None) -> ssl.SSLContext:
    """Give the context of a client that trusts an authority, strictly, and may have a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_verify_locations(ca, ca_path)
    if pair:
        context.load_cert_chain(pair.both)
    return context


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, host: str) -> None:
    """Let a client and a server shake hands in memory; raise what either of them finds wrong."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(down, up, server_hostname=host),
        server.wrap_bio(up, down, server_side=True),
    ]
    for _ in range(10):
        for end in tuple(ends):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            ends.remove(end)
        if not ends:
            return
    raise AssertionError("the handshake does not end")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_server_certificate_is_good_for_local_names(certs: Certs, host: str) -> None:
    """A client that trusts the authority accepts the server under each of its names."""
    shake_hands(serving(certs.server), calling(certs.ca), host)


def test_hashed_folder_is_found(certs: Certs) -> None:
    """OpenSSL finds the authority in the folder of hashed names."""
    shake_hands(serving(certs.server), calling(ca_path=certs.ca_path), "localhost")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("self_signed", SELF_SIGNED),
        ("expired", HAS_EXPIRED),
        ("not_yet", NOT_YET_VALID),
        ("wrong_host", HOSTNAME_MISMATCH),
        ("unknown_ca", NO_LOCAL_ISSUER),
    ],
)
def test_bad_certificates_are_refused_for_their_reason(certs: Certs, name: str, code: int) -> None:
    """Each bad certificate is refused, and for what it is named after."""
    pair = getattr(certs, name)
    assert isinstance(pair, Pair)
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        shake_hands(serving(pair), calling(certs.ca), "localhost")
    assert caught.value.verify_code == code


def test_address_that_is_not_in_the_certificate_is_refused(certs: Certs) -> None:
    """The server's certificate is not good for any address but its own."""
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        shake_hands(serving(certs.server), calling(certs.ca), "127.0.0.2")
    assert caught.value.verify_code == IP_MISMATCH


def test_self_signed_certificate_is_good_when_it_is_trusted(certs: Certs) -> None:
    """Only its signature is wrong with the self-signed certificate: trusted by name, it works."""
    context = calling(certs.self_signed.cert)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    shake_hands(serving(certs.self_signed), context, "localhost")


def test_other_authority_makes_the_unknown_one_known(certs: Certs) -> None:
    """Only its authority is wrong with the certificate of the unknown authority."""
    shake_hands(serving(certs.unknown_ca), calling(certs.other_ca), "localhost")


def test_client_certificate_is_accepted(certs: Certs) -> None:
    """A server that asks for clients' certificates takes the client's."""
    shake_hands(serving(certs.server, clients=certs.ca), calling(certs.ca, pair=certs.client), "localhost")


def test_clients_without_a_known_certificate_are_refused(certs: Certs) -> None:
    """The same server refuses a stranger, and a client without a certificate."""
    server = serving(certs.server, clients=certs.ca)
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        shake_hands(server, calling(certs.ca, pair=certs.stranger), "localhost")
    assert caught.value.verify_code == NO_LOCAL_ISSUER
    with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
        shake_hands(server, calling(certs.ca), "localhost")
