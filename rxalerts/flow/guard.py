"""What a user's faulty callable costs: one alert, which becomes a dead letter with the traceback. Never the stream.

An operator makes one `Guard` for each subscription and hands it what failed. All dead letters of operators appear
in one feed, in the operator's own `on_fault`, in the log (the first one with its traceback, then ever more rarely),
and in the report of the pipeline that the operator was connected in.
"""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from rxalerts.flow.feed import Feed
from rxalerts.flow.stats import DeadLetter

log = logging.getLogger("rxalerts")

OnFault = Callable[[DeadLetter], object]

feed: Feed[DeadLetter] = Feed()
"""Every dead letter of every operator in this process."""


class Faults:
    """Counts of what failed in the operators of one pipeline: `counts` by operator, `lost` over all.

    >>> faults = Faults()
    >>> with counted_by(faults):
    ...     guard = Guard("where", on_fault=lambda letter: print(letter.reason, letter.item))
    >>> guard("an alert", ValueError("boom"))
    where an alert
    >>> faults.counts, faults.lost
    ({'where': 1}, 1)
    """

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.lost = 0
        self._lock = threading.Lock()

    def add(self, operator: str, lost: int) -> None:
        """Count one fault of `operator`, which cost `lost` alerts."""
        with self._lock:
            self.counts[operator] = self.counts.get(operator, 0) + 1
            self.lost += lost


class _Local(threading.local):
    faults: Faults | None = None


_local = _Local()


def counting() -> Faults | None:
    """Return who counts the faults of what is connected on this thread now."""
    return _local.faults


@contextmanager
def counted_by(faults: Faults | None) -> Generator[None]:
    """Have the operators that are connected inside the block count their faults in `faults`."""
    before, _local.faults = _local.faults, faults
    try:
        yield
    finally:
        _local.faults = before


class Guard:
    """Takes what failed in one subscription of one operator.

    Arguments:
        operator: its name; the dead letters have it as their `reason`.
        on_fault: called with each DeadLetter, on the thread of the stream; what it raises is logged.
        lost: false: the alert is passed on all the same.
    """

    __slots__ = ("_faults", "_lost", "_on_fault", "_operator", "count")

    def __init__(self, operator: str, on_fault: OnFault | None = None, *, lost: bool = True) -> None:
        self._operator = operator
        self._on_fault = on_fault
        self._lost = lost
        self._faults = _local.faults
        self.count = 0

    def __call__(self, item: Any, error: BaseException) -> None:
        """Report that `error` was raised for `item`; never raises."""
        self.count += 1
        if self._faults is not None:
            self._faults.add(self._operator, int(self._lost))
        self._log(error)
        if self._on_fault is None and not feed.observed:
            return
        trace = "".join(traceback.format_exception(error))
        letter = DeadLetter(item, self._operator, trace, 1, time.time())
        feed.emit(letter)
        if self._on_fault is not None:
            try:
                self._on_fault(letter)
            except Exception:
                log.exception("%s: on_fault raised", self._operator)

    def _log(self, error: BaseException) -> None:
        """Log the first fault whole, then the 10th, 100th, 1000th …: a fault per alert must not fill a disk."""
        count = self.count
        if count == 1:
            fate = "this alert is lost here" if self._lost else "the alert goes on"
            log.error("%s: its function failed; %s, the stream goes on", self._operator, fate, exc_info=error)
        elif str(count).strip("0") == "1":
            log.error("%s: its function has failed %d times; the latest: %r", self._operator, count, error)
