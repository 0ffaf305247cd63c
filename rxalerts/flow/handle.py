"""One of several streams into the same sink."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from reactivex.abc import ObserverBase

log = logging.getLogger("rxalerts")

T_contra = TypeVar("T_contra", contravariant=True)


class Handle(ObserverBase[T_contra]):
    """Passes on what comes, and tells once that this stream is over.

    Arguments:
        name: of the sink, for log lines.
        take: what each item is given to.
        done: called at the end, once.
    """

    def __init__(self, name: str, take: Callable[[T_contra], None], done: Callable[[], None]) -> None:
        self._name = name
        self._take = take
        self._done = done
        self._open = True

    def on_next(self, value: T_contra) -> None:
        self._take(value)

    def on_error(self, error: Exception) -> None:
        log.error("%s: a stream failed: %s: %s", self._name, type(error).__name__, error)
        self.on_completed()

    def on_completed(self) -> None:
        if self._open:
            self._open = False
            self._done()
