"""What other programs put in front of an alert on its line: syslog headers, and the marks of collectors."""

from __future__ import annotations

import re

from rxalerts.timestamps import parse_rfc3339
from rxalerts.wire.days import Days

__all__ = ["COLLECTOR", "COLORS", "HEADER", "STAMPED", "is_falcos", "looks_like", "stamp_ns", "time_of", "unix_ns"]

_ISO = (
    rb"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]{1,9})?(?: ?(?:Z|[+-][0-9]{2}:?[0-9]{2}))?"
)
# RFC 3164, with journalctl's fraction or a year; ISO 8601; journalctl's short-full and short-unix
_STAMP = (
    rb"(?:[A-Z][a-z]{2} [ 0-9][0-9] (?:[0-9]{4} )?[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?"
    rb"|(?:[A-Z][a-z]{2} )?" + _ISO + rb"(?: [A-Z]{1,5})?|[0-9]{9,11}\.[0-9]{6})"
)
_HOST = rb"(?:[\w.:-]{1,255} )"
_PID = rb"(?:\[[0-9]{1,10}\])?:[: ]*(?:@cee: *)?"

_SENT = rb"<[0-9]{1,3}>(?:" + _STAMP + rb" " + _HOST + rb"??)?"

HEADER = re.compile(
    rb"(?:[0-9]{1,6} )?"  # octet count
    rb"(?:<[0-9]{1,3}>1 \S+ \S+ (?P<app>\S+) \S+ \S+ "
    rb"(?:-|(?:\[(?:[^\]\\\"]|\"(?:[^\"\\]|\\.)*\")*\])+) ?(?:\xef\xbb\xbf)?"
    rb"|(?:<[0-9]{1,3}>)?(?:" + _STAMP + rb" " + _HOST + rb"??)?(?P<falco>[Ff]alco[\w.@-]*)" + _PID + rb""
    rb"|(?:" + _SENT + rb"|" + _STAMP + rb" " + _HOST + rb")(?![0-9]{2}:)[\w./@-]{1,128}" + _PID + rb""
    rb"|" + _SENT + rb"|" + _STAMP + rb" " + _HOST + rb"(?:[Ff]alco )?(?=\{|[0-9]{2}:[0-9]{2}:[0-9]{2}\.))"
)
"""A syslog header: RFC 5424, RFC 3164, as sent, as kept in files, and as journalctl prints it."""

COLORS = rb"(?:\x1b\[[0-9;]*[mK])"
"""A terminal's colours."""

COLLECTOR = re.compile(
    # the container runtime interface (CRI): time, stream, and P for a part of a line, F for its end
    rb"(?P<cri>" + _ISO + rb") (?P<stream>stdout|stderr) (?P<part>[FP])(?::\S*)?(?: |$|(?=\r?\n))"
    # kubectl logs --prefix; docker compose logs
    rb"|\[pod/[^\]\s]{1,512}\] "
    rb"|" + COLORS + rb"*[\w.-]{1,128} *" + COLORS + rb"*\|" + COLORS + rb"* " + COLORS + rb"*"
    # Fluentd's file output; [time, record] and ["tag", time, record]; Loki's logcli
    rb"|(?P<fluentd>" + _ISO + rb")\t[\w.*/-]{1,256}\t"
    rb'|[\[\], ]*\[(?:"[^"\n]{0,256}", ?)?(?P<unix>[0-9]{9,19}(?:\.[0-9]{1,9})?), ?(?=\{)'
    rb"|(?P<loki>" + _ISO + rb') \{(?:[A-Za-z_]\w*="(?:[^"\\\n]|\\.)*"(?:, ?)?)*\} +'
)
"""What stands in front of a whole line that was collected: behind it comes the line as it was."""

STAMPED = re.compile(rb"(?P<stamp>" + _ISO + rb")[ \t]")
"""A time in front of a line, as of ``kubectl logs --timestamps`` and ``docker logs -t``."""

_STAMP_PARTS = re.compile(
    rb"([0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:]{8}\S*)|([A-Z][a-z]{2}) ([ 0-9][0-9]) (?:([0-9]{4}) )?([0-9:]{8})"
    rb"|\A([0-9]{9,19}(?:\.[0-9]+)?)(?![0-9])"
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# What a line that cannot be read may be, for the reason of its rejection.
_LOOKS = (
    (re.compile(rb'(?:"?[^",{]*"?,)*"\{""'), "a row of CSV; export the log as JSON, one object per line"),
    (re.compile(rb"\[[0-9]+\] \S+: \[\[?[0-9]+\."), "Fluent Bit's standard output; set its format to json_lines"),
    (re.compile(rb"(?:__CURSOR|MESSAGE|_[A-Z_]+)="), "journalctl's export or verbose format; use -o json or -o cat"),
    (re.compile(rb"\s*<\??[a-z][\w:]*[ >/]", re.IGNORECASE), "markup"),
    (re.compile(rb"(?:time|ts|level|msg)=\S+ "), "logfmt"),
)


def is_falcos(header: re.Match[bytes]) -> bool:
    """Tell whether a syslog header says that Falco wrote the message."""
    return (header["app"] or header["falco"] or b"").lower().startswith(b"falco")


def time_of(mark: re.Match[bytes], days: Days) -> int | None:
    """Return the time in a collector's mark in nanoseconds; None if it has none."""
    stamps = [stamp for name, stamp in mark.groupdict().items() if name not in ("stream", "part") and stamp]
    return stamp_ns(stamps[0], days) if stamps else None


def looks_like(line: bytes) -> str:
    """Return what a line that is no alert seems to be; empty if there is no telling."""
    return next((what for pattern, what in _LOOKS if pattern.match(line)), "")


def stamp_ns(prefix: bytes, days: Days) -> int | None:
    """Return the time in what stands in front of an alert in nanoseconds; None if none makes sense."""
    match = _STAMP_PARTS.search(prefix)
    if match is None:
        return None
    iso, month, day, year, clock, unix = (part.decode() if part else "" for part in match.groups())
    try:
        if iso:
            return parse_rfc3339(iso)
        if unix:
            return unix_ns(unix)
        return days.ns_of_year(_MONTHS.index(month) + 1, int(day), clock, int(year) if year else None)
    except ValueError:
        return None


def unix_ns(text: str) -> int | None:
    """Return the nanoseconds of a time since the epoch in seconds, or in milli-, micro- or nanoseconds.

    >>> unix_ns("1704100805.5"), unix_ns("1704100805500")
    (1704100805500000000, 1704100805500000000)
    """
    whole, _, fraction = text.partition(".")
    if not (whole.isdigit() and whole.isascii() and 9 <= len(whole) <= 19):
        return None
    # A number of 9 to 11 digits are seconds: 1973 to 5138.
    unit = next(digits for digits in (9, 6, 3, 0) if len(whole) <= 20 - digits or digits == 0)
    scale: int = 10**unit
    return int(whole) * scale + (int(fraction[:9].ljust(9, "0")) if unit == 9 and fraction.isdigit() else 0)
