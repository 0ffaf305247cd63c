"""A queue that is drained first in, first out, and from which the least urgent can be taken out in O(1)."""

from __future__ import annotations

from collections import deque
from typing import Any

# Priorities are 0 (most urgent) to 7; what carries none counts as least urgent.
_LANES = 8


class EvictionQueue:
    """First in, first out, with `evict`.

    Every entry stands in one line for all and in one lane for its priority. An evicted entry leaves an empty
    cell in the line, which is skipped; when half of the line is empty cells it is closed up, so that both the
    cost per entry and the memory stay bounded. A cell holds the entry, its lane and its number (from 1).
    """

    def __init__(self) -> None:
        self._line: deque[list[Any]] = deque()
        self._lanes: tuple[deque[list[Any]], ...] = tuple(deque() for _ in range(_LANES))
        self._size = 0
        self._appended = 0

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: int) -> Any:
        """Return the oldest entry (only index 0 is asked for)."""
        self._skip()
        return self._line[index][0]

    def append(self, entry: Any) -> None:
        """Put `entry` at the end; its first element is the item, whose `priority` is looked at."""
        lane = self._lanes[urgency(entry[0])]
        self._appended += 1
        cell = [entry, lane, self._appended]
        self._line.append(cell)
        lane.append(cell)
        self._size += 1

    @property
    def first(self) -> int:
        """The number of the oldest entry; how many there have been and one more, when empty."""
        if not self._size:
            return self._appended + 1
        self._skip()
        number: int = self._line[0][2]
        return number

    def popleft(self) -> Any:
        """Take the oldest entry."""
        self._skip()
        entry, lane, _ = self._line.popleft()
        # Lanes are first in, first out too, so that the oldest of all is the oldest of its lane.
        lane.popleft()
        self._size -= 1
        return entry

    def clear(self) -> None:
        """Drop everything."""
        self._line.clear()
        for lane in self._lanes:
            lane.clear()
        self._size = 0

    def evict(self, item: Any) -> Any | None:
        """Take out the oldest entry of the least urgent priority; None if `item` is less urgent than all."""
        for lane in reversed(self._lanes[urgency(item) :]):
            if lane:
                cell = lane.popleft()
                entry, cell[0] = cell[0], None
                self._size -= 1
                if len(self._line) > 2 * self._size + _LANES:
                    self._line = deque(cell for cell in self._line if cell[0] is not None)
                return entry
        return None

    def _skip(self) -> None:
        while self._line[0][0] is None:
            self._line.popleft()


def urgency(item: Any) -> int:
    """Return the item's priority as a number, the least urgent one for what carries none that is known."""
    priority = getattr(item, "priority", None)
    return priority if isinstance(priority, int) and 0 <= priority < _LANES else _LANES - 1
