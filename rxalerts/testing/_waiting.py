"""Wait for a condition, with a deadline: what tests do instead of sleeping."""

from __future__ import annotations

import time
from collections.abc import Callable


def eventually(condition: Callable[[], object], what: str = "", *, timeout: float = 10.0) -> None:
    """Return as soon as `condition()` is true.

    Arguments:
        condition: looked at every millisecond or so.
        what: what is waited for, in words, for the error.
        timeout: seconds after which AssertionError is raised.

    >>> eventually(lambda: True)
    >>> eventually(lambda: False, "pigs fly", timeout=0.01)
    Traceback (most recent call last):
    AssertionError: not within 0.01 s: pigs fly
    """
    deadline = time.monotonic() + timeout
    pause = 0.0002
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what or condition}")
        time.sleep(pause)
        pause = min(0.01, pause * 1.5)
