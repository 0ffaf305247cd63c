"""What is no alert: a piece of input with its place and the reason."""

from __future__ import annotations

from dataclasses import dataclass

from rxalerts.errors import AlertError

__all__ = ["RAW_LIMIT", "Rejected"]

RAW_LIMIT = 4096
"""How many bytes of a rejected piece are kept."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """Describes a piece of input that is no alert.

    Arguments:
        line: number of the line that it begins on (from 1).
        offset: where it begins, in bytes of the decoded (unpacked, UTF-8) stream.
        reason: what is wrong.
        raw: its bytes; of a long piece the first 4096.
        key: the JSON key at fault, if it is one.
        size: its whole length in bytes.
    """

    line: int
    offset: int
    reason: str
    raw: bytes
    key: str = ""
    size: int = 0

    @property
    def text(self) -> str:
        """Return the reason behind the key at fault."""
        return f"{self.key}: {self.reason}" if self.key else self.reason

    @property
    def marked(self) -> bytes:
        """Return the raw bytes, with a mark that says how many are missing from a long piece."""
        missing = self.size - len(self.raw)
        return self.raw + f"…[{missing} bytes more]".encode() if missing > 0 else self.raw

    def error(self, path: str = "") -> AlertError:
        """Return the error that says the same."""
        return AlertError(self.reason, key=self.key, path=path, line=self.line, offset=self.offset, raw=self.raw)

    def __str__(self) -> str:
        return f"line {self.line}, byte {self.offset}: {self.text}: {self.marked[:80]!r}"
