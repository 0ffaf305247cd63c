"""Start threads, and say what is wrong when none can be started any more."""

from __future__ import annotations

import resource
import threading


class ThreadShortage(RuntimeError):
    """Says that no thread can be started, and what to allow more of."""


def start(thread: threading.Thread) -> threading.Thread:
    """Start `thread` and return it; raises ThreadShortage when the machine, or a limit, has no room for it."""
    try:
        thread.start()
    except (RuntimeError, MemoryError) as error:
        if not is_shortage(error):
            raise
        raise ThreadShortage(f"{thread.name}: no thread can be started: {remedy()}") from error
    return thread


def is_shortage(error: BaseException) -> bool:
    """Tell whether an error means that memory or threads have run out, which no alert is to blame for."""
    return isinstance(error, (MemoryError, ThreadShortage)) or (
        isinstance(error, RuntimeError) and "can't start new thread" in str(error)
    )


def remedy() -> str:
    """Return which limits to look at, as they are.

    >>> remedy().startswith("allow more address space (ulimit -v, now ")
    True
    """
    space, tasks = resource.getrlimit(resource.RLIMIT_AS)[0], resource.getrlimit(resource.RLIMIT_NPROC)[0]
    return (
        f"allow more address space (ulimit -v, now {_shown(space, 1024)}) "
        f"or tasks (ulimit -u, now {_shown(tasks, 1)}, and pids.max of the cgroup), or run fewer channels"
    )


def _shown(limit: int, unit: int) -> str:
    return "unlimited" if limit == resource.RLIM_INFINITY else str(limit // unit)
