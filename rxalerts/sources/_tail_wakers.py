"""How a follower of files learns of changes: from the kernel, or by looking again."""

from __future__ import annotations

import logging
import os
import threading
from importlib.util import find_spec
from typing import Any

from rxalerts.errors import MissingPackageError

log = logging.getLogger("rxalerts")


class Waker:
    """Waits until the file may have changed: by looking again after a while."""

    def __init__(self, poll: float) -> None:
        self._poll = poll

    def __call__(self, stopped: threading.Event) -> None:
        stopped.wait(self._poll)

    def __enter__(self) -> Waker:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held open."""


class InotifyWaker(Waker):
    """Waits for the kernel to tell of a change in the folder, for at most `poll` seconds."""

    def __init__(self, path: str, poll: float) -> None:
        super().__init__(poll)
        from asyncinotify import Inotify, Mask

        self._inotify: Any = Inotify(sync_timeout=poll)
        self._inotify.add_watch(
            os.path.dirname(os.path.abspath(path)),
            Mask.MODIFY | Mask.CREATE | Mask.MOVED_TO | Mask.MOVED_FROM | Mask.DELETE,
        )

    def __call__(self, stopped: threading.Event) -> None:
        self._inotify.sync_get()

    def __exit__(self, *_: object) -> None:
        self._inotify.close()


def waker(path: str, poll: float, inotify: bool) -> Waker:
    if not inotify:
        return Waker(poll)
    try:
        return InotifyWaker(path, poll)
    except ImportError:
        raise MissingPackageError("tail(inotify=True) needs asyncinotify: pip install 'rxalerts[inotify]'") from None
    except OSError as error:
        # No such folder yet, or more watches than the kernel allows.
        log.info("%s: inotify cannot watch it (%s): looking every %s s", path, error, poll)
        return Waker(poll)


def has_inotify() -> bool:
    """Tell whether the package for inotify is installed."""
    return find_spec("asyncinotify") is not None
