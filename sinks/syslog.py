"""Syslog: the local daemon, or one in the network by UDP, TCP or TLS."""

from __future__ import annotations

import logging
import re
import ssl
from dataclasses import dataclass, field
from typing import ClassVar
from urllib.parse import urlsplit

from rxalerts.alert import Alert
from rxalerts.errors import OptionError
from rxalerts.flow.channel import Batch, Channel, Retryable
from rxalerts.flow.options import option
from rxalerts.flow.sink import ThreadSink
from rxalerts.flow.tls import ClientTls, load_pair
from rxalerts.format import Format, Formatted
from rxalerts.sinks._orders import Orders
from rxalerts.sinks._syslog_message import FACILITIES, SHORTEST, Composer, Message
from rxalerts.sinks._syslog_stream import StreamTransport
from rxalerts.sinks._syslog_transport import Transport, UdpTransport
from rxalerts.sinks._syslog_unix import UnixTransport

log = logging.getLogger("rxalerts")

_PORTS = {"udp": 514, "tcp": 514, "tls": 6514}
_IDENT = re.compile(r"[!-9;-Z\\^-~]{1,48}\Z")
_SD_ID = re.compile(r"[!#-<>-\\^-~]{1,32}\Z")


class CutTally:
    """Counts the messages that were cut, and says so the first time."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, name: str, place: str) -> None:
        """Count one more."""
        self.count += 1
        if self.count == 1:
            log.warning(
                "%s: a message was too long for %s and has been cut (…[cut]); further ones are only counted",
                name,
                place,
            )


@dataclass(eq=False, repr=False)
class SyslogSink(ThreadSink[Alert | Formatted]):
    """Send one syslog message per alert (Falco: outputs_syslog.cpp).

    The alert's priority is the message's severity, its time the message's time. Without `address` the message
    goes to the local daemon as glibc's syslog(3) sends it (RFC 3164: ``<12>Jun  7 10:20:05 falco: text``), with
    one as RFC 5424, with octet counting over TCP (RFC 6587) and TLS (RFC 5425), one message per datagram over UDP
    (RFC 5426). The text is the alert's without its time and priority, as Falco's documentation shows it; with
    `prefix` they stay, as Falco 0.44 really sends them. A control character in it is escaped, so that nobody can
    forge a message. JSON goes as it is; non-ASCII text is UTF-8 without a byte order mark.

    A message that is too long for a datagram, or longer than `max_length`, ends in ``…[cut]`` and is counted
    (`cut`). Receivers have limits of their own, which nobody can ask for: rsyslog cuts at 8 KiB by default, in
    silence.

    Structured data (RFC 5424 only): rule, source, tags and the output fields as parameters of one element,
    ``[falco@32473 rule="…" fd.name="…"]``; fields that are null are left out, names are cut to 32 characters.
    32473 is the enterprise number that RFC 5612 reserves for documentation: set `sd_id` to one of your own.

    Delivery: a daemon that is not there yet, or restarts, is waited for. Local: at least once; what a daemon that
    ends has left unread in its socket is sent again. TCP, TLS: at least once as far as TCP can know: what was sent
    up to a second before a receiver broke the connection is sent again, and noticed at the next alert or when the
    sink closes; what a receiver loses after reading it is lost. UDP: at most once; only a host that says at once
    that nobody listens is tried again.

    >>> SyslogSink(address="tls://logs.example.com").name
    'syslog'
    """

    channel_name: ClassVar[str] = "syslog"

    address: str = option(
        "", "udp://host:port, tcp://host:port or tls://host:port (ports: 514, 514, 6514); empty: the local daemon"
    )
    path: str = option("/dev/log", "the local daemon's socket", kw_only=True)
    facility: str = option("user", "kern, user, mail, daemon, …, local0 to local7, or a number", kw_only=True)
    ident: str = option("falco", "the program's name in the message, up to 48 characters", kw_only=True)
    prefix: bool = option(False, "leave the alert's time and priority in front of the text", kw_only=True)
    structured_data: bool = option(False, "with address: send the alert's fields as structured data", kw_only=True)
    sd_id: str = option("falco@32473", "the structured data's name@enterprise-number", kw_only=True)
    max_length: int | None = option(None, "cut messages that are longer than so many bytes", kw_only=True)
    ca: str = option("", "tls: PEM file of the authorities to trust; empty: the system's", kw_only=True)
    client_cert: str = option("", "tls: PEM file of our own certificate", kw_only=True)
    client_key: str = option("", "tls: PEM file of its key; empty: it is in client_cert", kw_only=True)
    timeout: float = option(
        10.0,
        "seconds for connecting, and for a local daemon that takes nothing, before the next attempt",
        kw_only=True,
    )
    _orders: Orders = field(default_factory=Orders, init=False)
    _tally: CutTally = field(default_factory=CutTally, init=False)

    def validate(self) -> None:
        if not _IDENT.match(self.ident):
            raise OptionError(
                "ident", f"must be 1 to 48 printable characters, no blank, ':' or '[', got {self.ident!r}"
            )
        if not _SD_ID.match(self.sd_id) or "@" not in self.sd_id:
            raise OptionError("sd_id", f"must be name@enterprise-number, as falco@32473, got {self.sd_id!r}")
        if self.max_length is not None and self.max_length < SHORTEST:
            raise OptionError("max_length", f"must be {SHORTEST} or more (RFC 5424), got {self.max_length}")
        if self.timeout <= 0:
            raise OptionError("timeout", f"must be more than 0 seconds, got {self.timeout}")
        _facility(self.facility)
        scheme = _parse(self.address)[0] if self.address else ""
        if not self.address and not self.path:
            raise OptionError("path", "is empty: name the daemon's socket, such as /dev/log, or set address")
        if not self.address and self.structured_data:
            raise OptionError(
                "structured_data", "needs `address`: the local daemon's format (RFC 3164) has no place for it"
            )
        for key in ("ca", "client_cert", "client_key"):
            if getattr(self, key) and scheme != "tls":
                raise OptionError(key, f"needs an address that begins with tls://, got {self.address!r}")
        if self.client_key and not self.client_cert:
            raise OptionError("client_key", "needs client_cert")
        if scheme == "tls":
            self._tls()

    def make_channel(self) -> Channel:
        return _SyslogChannel(self)

    def reopen(self, timeout: float | None = 0.0) -> bool:
        """Connect anew, as SIGUSR1 does; also when the receiver has stopped reading."""
        self._orders.reopen = True
        return super().reopen(timeout)

    def stop(self, timeout: float | None = None) -> None:
        """Ask for the end and do not wait: deliver what is inside, within `timeout` seconds, then close."""
        self._orders.stop(timeout)
        super().stop(timeout)

    @property
    def cut(self) -> int:
        """How many messages were cut because they were too long."""
        return self._tally.count

    def _tls(self) -> ssl.SSLContext:
        """Return a context made of the files as they are now."""
        key = "ca"
        try:
            context = ClientTls(ca_cert=self.ca).context()
            if self.client_cert:
                key = "client_cert"
                load_pair(context, self.client_cert, self.client_key)
        except OSError as error:
            raise OptionError(key, f"cannot use {error.strerror or error}") from error
        return context

    def _tls_again(self) -> ssl.SSLContext:
        """Do the same while running, where a file that is being replaced is no mistake in the options."""
        try:
            return self._tls()
        except OptionError as error:
            raise Retryable(f"{self.address}: {error}") from error

    def _transport(self) -> Transport:
        place = self.address or self.path

        def cut() -> None:
            self._tally.add(self.name, place)

        if not self.address:
            return UnixTransport(self.path, self.timeout, self.max_length, cut, self._orders)
        scheme, host, port = _parse(self.address)
        if scheme == "udp":
            return UdpTransport(self.address, host, port, self.timeout, self.max_length, cut, self._orders)
        tls = self._tls_again if scheme == "tls" else None
        return StreamTransport(self.address, host, port, self.timeout, self.max_length, cut, self._orders, tls)


class _SyslogChannel(Channel):
    def __init__(self, sink: SyslogSink) -> None:
        self._sink = sink
        modern = bool(sink.address)
        self._composer = Composer(
            ident=sink.ident,
            facility=_facility(sink.facility),
            prefix=sink.prefix,
            modern=modern,
            sd_id=sink.sd_id if sink.structured_data else "",
        )
        self._json = isinstance(sink.format, Format) and sink.format.json
        self._transport = sink._transport()  # pyright: ignore[reportPrivateUsage]

    def open(self) -> None:
        self._transport.connect()

    def write(self, batch: Batch[Alert | Formatted]) -> None:
        self._transport.deliver([self._compose(item) for item in batch.items], batch.done)

    def reopen(self) -> None:
        """Connect anew."""
        self._transport.close()
        self._transport.connect()

    def close(self) -> None:
        self._transport.close()

    def _compose(self, item: Alert | Formatted) -> Message:
        json = "json" in item.content_type if isinstance(item, Formatted) else self._json
        return self._composer.compose(item, self._sink.render(item), json=json)


def _facility(name: str) -> int:
    """Return a facility's number by its name, with or without LOG_, or by its number."""
    text = str(name).lower().removeprefix("log_")
    if text in FACILITIES:
        return FACILITIES[text]
    if text.isdecimal() and int(text) <= 23:
        return int(text)
    raise OptionError("facility", f"must be one of {', '.join(FACILITIES)} or 0 to 23, got {name!r}")


def _parse(address: str) -> tuple[str, str, int]:
    """Return scheme, host and port of an address, or raise OptionError.

    >>> _parse("tls://[::1]:7000"), _parse("udp://logs")
    (('tls', '::1', 7000), ('udp', 'logs', 514))
    """
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError as error:
        raise OptionError("address", f"{address!r}: {error}") from None
    more = parts.path.strip("/") or parts.query or parts.fragment or parts.username
    if parts.scheme not in _PORTS or not parts.hostname or more or port == 0:
        raise OptionError("address", f"must be udp://host:port, tcp://host:port or tls://host:port, got {address!r}")
    return parts.scheme, parts.hostname, port or _PORTS[parts.scheme]
