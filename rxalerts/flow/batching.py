"""Many items in one call: what an observer offers to sources that have several at hand, as a log's reader does.

A call per item and stage is what a stream costs. Where nothing but our own stateless operators stands between a
source and its sinks, nobody can tell whether they see one alert after the other, and a whole list goes through.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TypeVar

from reactivex.abc import ObserverBase

T_contra = TypeVar("T_contra", contravariant=True)

UNBOUNDED = 1 << 30
"""The room of what never presses."""


class BatchObserver(ObserverBase[T_contra]):
    """An observer that also takes lists."""

    @property
    @abstractmethod
    def room(self) -> int:
        """How many items may come in one call now, without pressing; 0: they have to come one by one."""

    @abstractmethod
    def on_batch(self, items: Sequence[T_contra]) -> None:
        """Take `items`, in order, as if `on_next` were called for each."""
