"""How an alert becomes a syslog message: RFC 3164 for the local daemon, RFC 5424 for the network."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from rxalerts import jsonvalues
from rxalerts.alert import Alert
from rxalerts.escapes import is_escaped
from rxalerts.format import Formatted, escape
from rxalerts.record import strip_prefix

FACILITIES = {
    name: number
    for number, name in enumerate(
        "kern user mail daemon auth syslog lpr news uucp cron authpriv ftp ntp security console clock".split()
        + [f"local{number}" for number in range(8)]
    )
}
"""The names of syslog.h (and of RFC 5424 for 12 to 15), without LOG_ and in lower case."""

CUT = "…[cut]".encode()
"""What ends a message that was too long."""

SHORTEST = 480
"""What every RFC 5424 receiver takes, in bytes; no header of ours is longer."""

_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_NOT_PRINTABLE = re.compile(r"[^\x21-\x7e]")
_NOT_SD_NAME = re.compile(r'[^\x21-\x7e]|[="\]]')
_SD_SPECIAL = re.compile(r'["\\\]]')
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_JSON_BLANKS = bytes.maketrans(bytes(range(32)) + b"\x7f", b" " * 33)


@dataclass(frozen=True, slots=True)
class Message:
    """One message in its parts: the header, the structured data (RFC 5424 only) and the text."""

    head: bytes
    data: bytes
    text: bytes

    def whole(self) -> bytes:
        """Return all of it."""
        return self.head + self.data + self.text

    def cut(self, limit: int) -> bytes:
        """Return it in at most `limit` bytes: without its structured data, and the text's end cut off.

        >>> Message(b"<13>x: ", b"", "Größe und mehr".encode()).cut(20).decode()
        '<13>x: Grö…[cut]'
        """
        whole = self.whole()
        if len(whole) <= limit:
            return whole
        data = self.data
        if data and len(self.head) + len(data) + len(CUT) > limit:
            data = b"- "
        room = max(0, limit - len(self.head) - len(data) - len(CUT))
        # A character that would be torn goes as a whole.
        kept = self.text[:room].decode("utf-8", "ignore").encode()
        return self.head + data + kept + CUT


@dataclass(frozen=True)
class Composer:
    """Makes messages of alerts.

    Arguments:
        ident: the program's name in the message.
        facility: its number.
        prefix: leave the alert's own time and priority in front of the text.
        modern: RFC 5424 instead of RFC 3164.
        sd_id: with RFC 5424: the name of the element of structured data; "": none.
    """

    ident: str
    facility: int
    prefix: bool = False
    modern: bool = False
    sd_id: str = ""

    def compose(self, item: Alert | Formatted, body: bytes, *, json: bool) -> Message:
        """Return the message for an alert whose rendering is `body`."""
        alert = item.alert if isinstance(item, Formatted) else item
        level = self.facility * 8 + alert.priority
        text = self._text(body, json)
        if not self.modern:
            stamp = _stamp(alert.time_ns // 1_000_000_000)
            return Message(f"<{level}>{stamp} {self.ident}: ".encode(), b"", text)
        stamp = f"{alert.time[:26]}Z"
        head = f"<{level}>1 {stamp} {_host(alert.hostname)} {self.ident} - - "
        data = structured(alert, self.sd_id) if self.sd_id else "-"
        return Message(head.encode(), f"{data} ".encode(), text)

    def _text(self, body: bytes, json: bool) -> bytes:
        if json:
            # Outside of its strings JSON takes a blank for a newline; inside there is none.
            return body.translate(_JSON_BLANKS)
        line = body.decode("utf-8", "replace")
        text = line if self.prefix else strip_prefix(line)
        # Our own renderings are escaped where it is needed; what somebody else has formatted may not be.
        return (text if is_escaped(text) and text.isprintable() else escape(text)).encode()


def structured(alert: Alert, sd_id: str) -> str:
    r"""Return the element of structured data that holds an alert's rule, source, tags and fields.

    >>> structured(Alert("r", output_fields={"fd.name": 'a"]\\', "n": 1, "x": None}, time=0), "falco@32473")
    '[falco@32473 rule="r" source="syscall" fd.name="a\\"\\]\\\\" n="1"]'
    """
    params = "".join(f' {_name(name)}="{_value(value)}"' for name, value in _parameters(alert))
    return f"[{sd_id}{params}]"


def _parameters(alert: Alert) -> Iterator[tuple[str, Any]]:
    for name, value in (("rule", alert.rule), ("source", alert.source), ("tags", ",".join(alert.tags))):
        if value:
            yield name, value
    for name, value in alert.output_fields.items():
        if value is not None:
            yield name, value


def _name(name: str) -> str:
    """Return a field's name as an SD-NAME: 1 to 32 printable characters, some of them not."""
    return _NOT_SD_NAME.sub("_", name)[:32] or "_"


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else jsonvalues.encode(value).decode()
    text = _CONTROL.sub(lambda found: f"\\u{ord(found.group()):04x}", text)
    return _SD_SPECIAL.sub(r"\\\g<0>", text)


@cache
def _machine() -> str:
    return socket.gethostname()


def _host(name: str) -> str:
    return _NOT_PRINTABLE.sub("_", name or _machine())[:255] or "-"


def _stamp(seconds: int) -> str:
    """Return the time as RFC 3164 has it: local, in English, the day padded with a blank."""
    at = time.localtime(seconds)
    return f"{_MONTHS[at.tm_mon - 1]} {at.tm_mday:2d} {at.tm_hour:02d}:{at.tm_min:02d}:{at.tm_sec:02d}"
