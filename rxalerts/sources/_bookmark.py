"""Where a replay was when it ended: how many alerts of which files every sink is done with."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from rxalerts.alert import Alert
from rxalerts.errors import OptionError, SourceError
from rxalerts.flow.watermark import Watermark
from rxalerts.sources import _states

log = logging.getLogger("rxalerts")

# How often it is saved, in seconds.
_SAVE = 1.0

# So many bytes at a file's beginning tell it from others.
_HEAD = 1024


class Bookmark:
    """The saved position of a replay.

    Arguments:
        path: the state file; none means the beginning.
        names: the files that are played, in order.
        limits: what else decides which alerts are played.
        until_delivered: count what is delivered; else what is accepted.

    Raises OptionError for standard input, SourceError when the state is not one of these files.
    """

    def __init__(self, path: str, names: Sequence[str], limits: Sequence[object], *, until_delivered: bool) -> None:
        if "-" in names:
            raise OptionError("resume", "standard input cannot be read again: name files")
        self._path = path
        self._until_delivered = until_delivered
        self._limits = [None if limit is None else str(limit) for limit in limits]
        self._files = [_fingerprint(name) for name in names]
        self.count = self._load()
        self._begin = self._saved = self.count
        self._mark: Watermark | None = None
        self._saved_at = 0.0

    def watermark(self) -> Watermark:
        """Return the mark of a reading that begins here."""
        self._begin = self.count
        self._mark = Watermark(until_delivered=self._until_delivered)
        return self._mark

    def following(self, alerts: Iterator[Alert]) -> Iterator[Alert]:
        """Yield the alerts behind the position, saving it from time to time."""
        for alert in islice(alerts, self._begin, None):
            yield alert
            self.checkpoint()

    def checkpoint(self) -> None:
        """Save it from time to time."""
        if time.monotonic() - self._saved_at >= _SAVE:
            self.save()

    def save(self) -> None:
        """Save up to where every sink is done."""
        if self._mark is None:
            return
        self.count = self._begin + self._mark.committed
        self._saved_at = time.monotonic()
        if self.count == self._saved:
            return
        try:
            _states.save(self._path, {"count": self.count, "limits": self._limits, "files": self._files})
        except OSError as error:
            log.error("%s: the position cannot be saved: %s", self._path, error)
        else:
            self._saved = self.count

    def _load(self) -> int:
        try:
            with open(self._path, encoding="utf-8") as file:
                state: Any = json.load(file)
            count, limits, files = int(state["count"]), state["limits"], list(state["files"])
            same = limits == self._limits and len(files) == len(self._files)
            same = same and all(_is_same(*pair) for pair in zip(files, self._files, strict=True))
            # A single file may have grown; alerts that were added to one of several may belong further back.
            same = same and (len(files) == 1 or [old["size"] for old in files] == [now["size"] for now in self._files])
        except FileNotFoundError:
            return 0
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise SourceError(f"{self._path}: is no saved position ({error}): remove it to begin anew") from None
        if not same:
            raise SourceError(
                f"{self._path}: is the position in other files, in files that have changed, or between other moments: "
                "remove it to begin anew"
            )
        return count


def _fingerprint(name: str) -> dict[str, Any]:
    with open(name, "rb") as file:
        head = file.read(_HEAD)
        size = os.fstat(file.fileno()).st_size
    return {"path": os.path.abspath(name), "size": size, "head_size": len(head), "head": _states.fingerprint(head)}


def _is_same(old: dict[str, Any], now: dict[str, Any]) -> bool:
    """Tell whether a file begins as it did, and has not become shorter."""
    if (old["path"], old["size"] <= now["size"]) != (now["path"], True):
        return False
    with open(now["path"], "rb") as file:
        head: str = old["head"]
        return _states.fingerprint(file.read(old["head_size"])) == head
