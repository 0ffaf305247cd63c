"""Bytes to alerts and back: JSON of every Falco era, text lines, the tolerant reader."""

from rxalerts.wire.decoder import MAX_RECORD, Decoder
from rxalerts.wire.reader import OnBad, Reader, parse, read
from rxalerts.wire.rejected import Rejected

__all__ = ["MAX_RECORD", "Decoder", "OnBad", "Reader", "Rejected", "parse", "read"]
