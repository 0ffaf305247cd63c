"""Files -> bytes: gzip, bzip2, xz and zstd are known by their content and unpacked in constant memory."""

from __future__ import annotations

import bz2
import importlib
import lzma
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, NamedTuple, Protocol

from rxalerts.errors import MissingPackageError

__all__ = ["Broken", "Readable", "is_packed", "unpacked"]

_HEAD = re.compile(rb"(\x1f\x8b)|(BZh[1-9])|(\xfd7zX)|(\x28\xb5\x2f\xfd)")
_HEAD_SIZE = 4


class Readable(Protocol):
    """What can be read: an open file, binary or text."""

    def read(self, size: int, /) -> bytes | str | None:
        """Return up to `size` bytes or characters; nothing at the end."""


class Broken(str):
    """Says why the rest of a packed file cannot be read; stands for its place in the stream of bytes."""


def is_packed(head: bytes) -> bool:
    """Tell whether a file that begins like this is packed with gzip, bzip2, xz or zstd."""
    return _HEAD.match(head) is not None


def unpacked(file: Readable, size: int) -> Iterator[bytes | Broken]:
    """Yield a file's bytes in pieces of at most about `size`, unpacked if it is packed.

    A packed file that is cut off or damaged gives what can be read of it, and then one `Broken`.

    Raises:
        MissingPackageError: it is packed with zstd, and no module is there to unpack it.
        OSError: the file cannot be read.
    """
    chunks = _chunks(file, size)
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= _HEAD_SIZE:
            break
    packed = _HEAD.match(head)
    if packed:
        codec = (_gzip, _bzip2, _xz, _zstd)[(packed.lastindex or 0) - 1]()
        yield from _members(codec, chain((head,), chunks))
    elif head:
        yield from chain((head,), chunks)


def _chunks(file: Readable, size: int) -> Iterator[bytes]:
    # read1 returns what is there: a pipe's alerts must not wait until a whole chunk has come.
    read: Callable[[int], bytes | str | None] = getattr(file, "read1", file.read)
    while data := read(size):
        yield data.encode("utf-8", "replace") if isinstance(data, str) else bytes(data)


class _Frame(Protocol):
    """Unpacks one member of a packed file."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


class _Bounded:
    """Unpacks at most 1 MiB at a time, for modules that can stop there: a block of bzip2 may hold 45 MB of blanks."""

    def __init__(self, frame: bz2.BZ2Decompressor | lzma.LZMADecompressor) -> None:
        self._frame = frame

    @property
    def eof(self) -> bool:
        return self._frame.eof

    @property
    def unused_data(self) -> bytes:
        return self._frame.unused_data

    def decompress(self, data: bytes, /) -> bytes:
        return self._frame.decompress(data, 1 << 20)

    @property
    def has_more(self) -> bool:
        return not self._frame.eof and not self._frame.needs_input


class _Codec(NamedTuple):
    name: str
    frame: Callable[[], _Frame]
    error: type[Exception]
    # How many packed bytes are unpacked at a time: at the greatest possible ratio they give about 4 MiB, so that a
    # file of nothing but blanks cannot fill the memory.
    step: int


def _gzip() -> _Codec:
    return _Codec("gzip", lambda: zlib.decompressobj(31), zlib.error, 4096)


def _bzip2() -> _Codec:
    return _Codec("bzip2", lambda: _Bounded(bz2.BZ2Decompressor()), OSError, 4096)


def _xz() -> _Codec:
    # The dictionary of `xz -9` takes 64 MiB.
    return _Codec("xz", lambda: _Bounded(lzma.LZMADecompressor(lzma.FORMAT_XZ, 1 << 27)), lzma.LZMAError, 4096)


def _zstd() -> _Codec:
    try:
        module: Any = importlib.import_module("compression.zstd")  # Python 3.14
        frame: Any = module.ZstdDecompressor
    except ImportError:
        try:
            module = importlib.import_module("zstandard")
        except ImportError:
            raise MissingPackageError(
                "this file is packed with zstd: install the package zstandard, as with pip install 'rxalerts[zstd]'"
            ) from None
        frame = module.ZstdDecompressor().decompressobj
    return _Codec("zstd", frame, module.ZstdError, 128)


def _members(codec: _Codec, chunks: Iterable[bytes]) -> Iterator[bytes | Broken]:
    frame: _Frame | None = None
    for chunk in chunks:
        pos = 0
        while pos < len(chunk):
            if frame is None:
                # Behind a member comes the next one; tapes and some tools fill up with NUL.
                pos += len(chunk) - pos - len(chunk[pos:].lstrip(b"\0"))
                if pos == len(chunk):
                    break
                frame = codec.frame()
            piece = chunk[pos : pos + codec.step]
            pos += len(piece)
            try:
                if data := frame.decompress(piece):
                    yield data
                while isinstance(frame, _Bounded) and frame.has_more:
                    yield frame.decompress(b"")
            except codec.error as error:
                yield Broken(f"damaged {codec.name} data: {error}")
                return
            if frame.eof:
                pos -= len(frame.unused_data)
                frame = None
    if frame is not None:
        yield Broken(f"the {codec.name} data are cut off")
