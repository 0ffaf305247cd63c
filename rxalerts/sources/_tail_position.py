"""Where a follower of a log has got to, kept on disk."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from typing import BinaryIO

import msgspec

from rxalerts.errors import SourceError
from rxalerts.sources._tail_files import Place

log = logging.getLogger("rxalerts")


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
    """Save a place so that a crash leaves either the old one or the new one."""
    partial = f"{path}.new"
    fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with open(fd, "w", encoding="utf-8") as file:
        json.dump(asdict(place), file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


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
        log.error("%s: the position cannot be saved: %s", path, error)
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
