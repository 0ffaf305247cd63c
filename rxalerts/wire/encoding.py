"""Turns what a byte order mark announces into UTF-8."""

from __future__ import annotations

import codecs

__all__ = ["ToUtf8"]

# Longer marks first: UTF-32's little-endian one begins with UTF-16's.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, ""),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class ToUtf8:
    """Decodes a stream by its byte order mark, in pieces of any size; without a mark it is passed on as it is.

    Windows PowerShell writes UTF-16 when output is redirected to a file.
    """

    def __init__(self) -> None:
        self._head: bytes | None = b""
        self._decoder: codecs.IncrementalDecoder | None = None
        self.mark_size = 0
        """How many bytes a UTF-8 mark took."""

    def feed(self, data: bytes, final: bool = False) -> bytes:
        """Return the next piece as UTF-8; bytes that may be half a mark are held back until `final`."""
        if self._head is not None:
            data = self._head + data
            if not final and any(len(data) < len(mark) and mark.startswith(data) for mark, _ in _MARKS):
                self._head = data
                return b""
            self._head = None
            for mark, name in _MARKS:
                if data.startswith(mark):
                    data = data[len(mark) :]
                    if name:
                        self._decoder = codecs.getincrementaldecoder(name)(errors="replace")
                    else:
                        self.mark_size = len(mark)
                    break
        if self._decoder is None:
            return data
        return self._decoder.decode(data, final).encode("utf-8", "replace")
