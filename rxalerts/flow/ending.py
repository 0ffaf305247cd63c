"""What becomes of sinks that nobody has closed: when the interpreter ends, and in a forked child."""

from __future__ import annotations

import atexit
import os
import time
import weakref
from typing import Protocol

# Seconds that all sinks together get when the interpreter ends, and a moment to close their channels.
_EXIT_TIMEOUT = 5.0
_GRACE = 0.5


class Living(Protocol):
    """What can be ended: a sink."""

    def stop(self, timeout: float | None = None) -> None: ...
    def wait(self, timeout: float | None = None) -> bool: ...
    def give_up(self) -> None: ...
    def orphan(self) -> None: ...


_alive: weakref.WeakSet[Living] = weakref.WeakSet()


def watch(sink: Living) -> None:
    """End `sink` with the interpreter, and in a forked child."""
    _alive.add(sink)


def forget(sink: Living) -> None:
    """Leave it alone: it has ended, or nobody is to wait for it again."""
    _alive.discard(sink)


@atexit.register
def _close_all() -> None:
    """Close what was not closed when the interpreter ends: best effort, `with` and `close` are the contract."""
    deadline = time.monotonic() + _EXIT_TIMEOUT
    sinks = list(_alive)
    # All of them drain at the same time, so that a stuck one costs the others nothing.
    for sink in sinks:
        sink.stop(_EXIT_TIMEOUT)
    for sink in sinks:
        if not sink.wait(max(0.0, deadline + _GRACE - time.monotonic())):
            sink.give_up()


def _orphan_all() -> None:
    """End every sink in a forked child, where its thread does not exist."""
    sinks = list(_alive)
    _alive.clear()
    for sink in sinks:
        sink.orphan()


os.register_at_fork(after_in_child=_orphan_all)
