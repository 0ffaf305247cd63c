"""The body of a request to the HTTP source: its kind, its limits, unpacked."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

__all__ = ["Refusal", "check_encoding", "check_type", "unpack"]

_GZIP_MAGIC = b"\x1f\x8b"
# How many packed bytes are unpacked at a time: at the greatest possible ratio they give about 4 MiB.
_STEP = 4096
# A body of nothing but empty members would keep a processor busy.
_MAX_MEMBERS = 1000

# Falco sends application/json or text/plain, curl -d a form's type; falcosidekick looks at none of it. What is
# refused can hold no alert whatever its bytes are.
_WRONG_TYPES = ("multipart", "image", "audio", "video", "font", "model")
_WRONG = ("application/pdf", "application/zip", "application/xml", "text/html", "application/grpc")


class Refusal(Exception):
    """The request is answered with a status of 400 and over.

    Arguments:
        status: the HTTP status.
        reason: what the client is told.
        headers: further headers of the answer.
        answer: what else the answer says.
        last: true: the connection is closed behind the answer.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        headers: dict[str, str] | None = None,
        *,
        answer: dict[str, Any] | None = None,
        last: bool = False,
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.headers = headers or {}
        self.answer = {"error": reason, **(answer or {})}
        self.last = last


def check_type(content_type: str) -> None:
    """Refuse what is clearly no alert; an unknown or missing type is taken for what it turns out to be."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind.partition("/")[0] in _WRONG_TYPES or kind in _WRONG:
        raise Refusal(415, f"{kind}: send JSON, NDJSON, a JSON array or lines of text", {"Accept": ACCEPT})


ACCEPT = "application/json, application/x-ndjson, text/plain"


def check_encoding(encoding: str) -> bool:
    """Return whether the body is gzipped by its header; refuse other encodings."""
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return False
    if name in ("gzip", "x-gzip"):
        return True
    raise Refusal(415, f"content encoding {name[:40]}: send gzip, or none", {"Accept-Encoding": "gzip"})


def unpack(body: bytes, limit: int, *, packed: bool) -> bytes:
    """Return the body, unpacked if it is gzip by its header or its content, of at most `limit` bytes."""
    if not packed and not body.startswith(_GZIP_MAGIC):
        return body
    parts: list[bytes] = []
    room = limit + 1
    try:
        for part in _members(body):
            parts.append(part)
            room -= len(part)
            if room <= 0:
                raise Refusal(413, f"more than {limit} bytes when it is unpacked")
    except zlib.error as error:
        raise Refusal(400, f"damaged gzip data: {error}") from None
    return b"".join(parts)


def _members(body: bytes) -> Iterator[bytes]:
    """Yield the content of all gzip members, in pieces of a few MiB at most."""
    pos = 0
    for _ in range(_MAX_MEMBERS):
        frame = zlib.decompressobj(31)
        while not frame.eof:
            piece = body[pos : pos + _STEP]
            if not piece:
                raise zlib.error("cut off")
            pos += len(piece)
            yield frame.decompress(piece)
        pos -= len(frame.unused_data)
        if pos == len(body):
            return
    raise zlib.error(f"more than {_MAX_MEMBERS} members")
