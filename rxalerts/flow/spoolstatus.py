"""The status file of a running spool: one connection only may be open, so others read this instead."""

from __future__ import annotations

import json
import logging
import os
import time
from dataclasses import asdict, dataclass

from rxalerts.flow.database import private
from rxalerts.flow.spool import Spool

log = logging.getLogger("rxalerts")

# How often the file is written at most, in seconds.
_PERIOD = 1.0


@dataclass(frozen=True, slots=True)
class SpoolStatus:
    """A spool's backlog: how many alerts, their bytes, when the oldest came and when this was noted (epoch seconds)."""

    name: str
    pid: int
    backlog: int
    bytes: int
    oldest: float | None
    at: float


class StatusFile:
    """Writes `<sink>.status` beside a spool when something has changed, at most once a second.

    Arguments:
        path: the spool's file.
        spool: the spool; only its own thread may call `update`.
    """

    def __init__(self, path: str, spool: Spool) -> None:
        self._path = status_path(path)
        self._spool = spool
        self._known: tuple[int, int] | None = None
        self._next = 0.0

    @property
    def pause(self) -> float | None:
        """Seconds until the next update is due; None when nothing has changed."""
        if self._known == self._now:
            return None
        return max(0.01, self._next - time.monotonic())

    @property
    def _now(self) -> tuple[int, int]:
        return (self._spool.count, self._spool.last_id)

    def update(self, name: str, *, final: bool = False) -> None:
        """Write the file, if it is time to."""
        now = time.monotonic()
        if self._known == self._now or (now < self._next and not final):
            return
        self._next = now + _PERIOD
        self._known = self._now
        spool = self._spool
        status = SpoolStatus(name, os.getpid(), spool.count, spool.bytes, spool.oldest(), time.time())
        partial = f"{self._path}.new"
        try:
            with open(partial, "w", opener=private) as file:
                json.dump(asdict(status), file)
            os.replace(partial, self._path)
        except OSError as error:
            log.debug("%s: %s", self._path, error)


def status_path(path: str) -> str:
    """Return where the status of the spool at `path` is.

    >>> status_path("/spool/http.spool")
    '/spool/http.status'
    """
    return f"{os.path.splitext(path)[0]}.status"


def read_status(path: str) -> SpoolStatus | None:
    """Return what a running process noted about the spool at `path`; None if it has not, or in another form."""
    try:
        with open(status_path(path), encoding="utf-8") as file:
            return SpoolStatus(**json.load(file))
    except (OSError, ValueError, TypeError):
        return None
