"""Where a follower of a log has got to, kept on disk."""

from __future__ import annotations

import fcntl
import logging
import threading
import time
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from typing import BinaryIO

import msgspec

from rxalerts.errors import SourceError
from rxalerts.flow.watermark import Watermark
from rxalerts.sources import _states
from rxalerts.sources._tail_files import Place

log = logging.getLogger("rxalerts")

# How often it is saved, in seconds and, with `accepted`, in alerts: what was read since is read again after a crash.
# (What is delivered may be so on an event loop, which must not wait for a disk.)
_SAVE = 0.1
SAVE_COUNT = 1000

# So many places of unfinished alerts are kept; beyond that fewer of them, and what is saved is not as close.
MAX_PLACES = 1 << 15


class Position:
    """The saved position of a tail: the place up to which every sink is done.

    Arguments:
        path: the state file.
        until_delivered: count what is delivered; else what is accepted.
    """

    def __init__(self, path: str, *, until_delivered: bool) -> None:
        self._path = path
        self.mark = (
            Watermark() if until_delivered else Watermark(until_delivered=False, on_progress=self._progressed)
        )
        self._places: deque[tuple[int, Place]] = deque()
        self._saved_at = 0.0
        self._saved_seq = 0
        self._progress = 0
        self._complained = False
        self._lock = threading.Lock()

    def load(self) -> Place | None:
        """Return the place that an earlier run has saved."""
        return load_state(self._path)

    def begin(self, place: Place) -> None:
        """Save where reading begins: a crash before the first delivery then loses nothing that is rotated away."""
        self._save(place)

    def note(self, seq: int, place: Place) -> None:
        """Note which place is reached when emission `seq` is finished."""
        self._places.append((seq, place))
        if len(self._places) > MAX_PLACES:
            # One that is stuck holds them all back, for as long as it likes: every other one is forgotten.
            with self._lock:
                places = list(self._places)
                self._places = deque(places[(len(places) - 1) % 2 :: 2])

    @property
    def places(self) -> int:
        """How many places of unfinished alerts are remembered."""
        return len(self._places)

    def checkpoint(self) -> None:
        """Save it from time to time; called after each list of alerts, and when there is none."""
        if time.monotonic() - self._saved_at >= _SAVE:
            self.save()

    def save(self) -> None:
        """Save the place up to which every sink is done."""
        with self._lock:
            committed = self.mark.committed
            place: Place | None = None
            while self._places and self._places[0][0] <= committed:
                self._saved_seq, place = self._places.popleft()
            # Without a place, as in a packed file, there is no use in looking again soon.
            self._progress = 0 if place is None else committed - self._saved_seq
            self._saved_at = time.monotonic()
            if place is not None and not self._save(place):
                # With the next look then: there may be no next alert.
                self._places.appendleft((committed, place))

    def _progressed(self) -> None:
        """Count what has been accepted; called on whichever thread wrote it to disk, while the source may wait."""
        self._progress += 1
        if self._progress >= SAVE_COUNT:
            # By each of several sinks, it may be: only what all have is saved.
            self._progress = self.mark.committed - self._saved_seq
            if self._progress >= SAVE_COUNT:
                self.save()

    def _save(self, place: Place) -> bool:
        try:
            save_state(self._path, place)
        except OSError as error:
            if not self._complained:
                self._complained = True
                log.error("%s: the position cannot be saved: %s; trying again", self._path, error)
            return False
        self._complained = False
        return True


def load_state(path: str) -> Place | None:
    """Return the saved place; None when there is none. What is no state is reported and ignored."""
    try:
        with open(path, "rb") as file:
            return msgspec.json.decode(file.read(), type=Place)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, ValueError) as error:
        log.error("%s: the saved position cannot be used (%s): beginning anew, alerts may come twice", path, error)
        return None


def save_state(path: str, place: Place) -> None:
    """Save a place; raises OSError."""
    _states.save(path, asdict(place))


# How long a second user of a state waits for the first one to end, in seconds.
_LOCKED = 5.0


@contextmanager
def locked_state(path: str | None, stopped: threading.Event) -> Generator[None]:
    """Keep a state for oneself: two positions in one file would skip what one of them has not delivered.

    Raises SourceError if another one keeps it for longer than a restart takes.
    """
    if path is None:
        yield
        return
    try:
        file = open(f"{path}.lock", "ab")
    except OSError as error:
        # Whether the position can be saved is another question, which is asked, and told about, when it is.
        log.warning("%s: no lock can be kept (%s): see to it that no other source has this state", path, error)
        yield
        return
    with file:
        deadline = time.monotonic() + _LOCKED
        while not _try_lock(file) and not stopped.wait(0.05):
            if time.monotonic() > deadline:
                raise SourceError(f"{path}: another source keeps its position there: name another state")
        yield


def _try_lock(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:  # some network file systems have no locks
        log.debug("%s", error)
    return True
