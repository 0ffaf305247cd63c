"""What goes on when a cell has returned: one of each for a cell, and not too many."""

from __future__ import annotations

import threading
from typing import Protocol

from rxalerts.notebook.jupyter import running_cell

__all__ = ["Ongoing"]

_MOST = 8


class _Stoppable(Protocol):
    def stop(self) -> None: ...


class Ongoing:
    """The things of one kind that go on behind the cells that began them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._things: list[tuple[_Stoppable, str, str]] = []

    def open(self, thing: _Stoppable) -> None:
        """Note a thing; those of an earlier run of the same cell, and the oldest ones of too many, are stopped."""
        cell, run = running_cell()
        with self._lock:
            old = [each for each, its_cell, its_run in self._things if cell and its_cell == cell and its_run != run]
            left = [entry for entry in self._things if entry[0] not in old]
            old += [entry[0] for entry in left[: max(0, len(left) + 1 - _MOST)]]
            self._things.append((thing, cell, run))
        for each in old:
            each.stop()

    def close(self, thing: _Stoppable) -> None:
        """Forget a thing that has ended."""
        with self._lock:
            self._things = [entry for entry in self._things if entry[0] is not thing]
