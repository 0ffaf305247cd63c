"""What is done with the pieces of input that are no alert: report, raise, call, or write to a file."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable
from types import TracebackType
from typing import BinaryIO, cast

from rxalerts.errors import OptionError
from rxalerts.wire.rejected import Rejected

__all__ = ["OnBad", "Rejects"]

log = logging.getLogger("rxalerts")

OnBad = str | os.PathLike[str] | BinaryIO | Callable[[Rejected], object]
"""``report``, ``raise``, a function that takes a `Rejected`, a path, or a binary file."""


class Rejects:
    """Does with each rejected piece what `on_bad` says; see `rxalerts.wire.read`.

    Arguments:
        on_bad: what to do.
        where: the input's name, for messages.
    """

    def __init__(self, on_bad: OnBad, where: str) -> None:
        self._where = where or "input"
        self._file: BinaryIO | None = None
        self._owned = False
        self._reported = False
        self.add = self._action(on_bad)

    def _action(self, on_bad: OnBad) -> Callable[[Rejected], object]:
        if on_bad == "report":
            return self._report
        if on_bad == "raise":
            return self._raise
        if isinstance(on_bad, str | os.PathLike):
            path = os.fspath(cast("str", on_bad))
            if os.path.exists(path) and os.path.exists(self._where) and os.path.samefile(path, self._where):
                # It would be emptied before it is read.
                raise OptionError("on_bad", f"{path} is the file that is read: name another")
            self._file, self._owned = open(path, "wb"), True
        elif callable(on_bad):
            return on_bad
        else:
            self._file = on_bad
        return self._write

    def _report(self, piece: Rejected) -> None:
        if not self._reported:
            self._reported = True
            log.warning("%s: not everything is an alert; first: %s", self._where, piece)

    def _raise(self, piece: Rejected) -> None:
        raise piece.error(self._where)

    def _write(self, piece: Rejected) -> None:
        if self._file is not None:
            # One line for each: between the parts of a JSON object, a blank is as good as a newline.
            self._file.write(re.sub(rb"[\r\n]+", b" ", piece.marked) + b"\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file, if it was opened here."""
        if self._file is not None and self._owned:
            self._file.close()
            self._file = None

    def __enter__(self) -> Rejects:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
