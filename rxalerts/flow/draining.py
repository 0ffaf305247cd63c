"""The end of several sinks together: each delivers what it holds, within one deadline or for as long as it gets on."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from rxalerts.flow.sink import Sink

log = logging.getLogger("rxalerts")

PATIENCE = 30.0
"""A sink that has delivered nothing for so long, in seconds, is given up when no timeout was asked for."""

# What a sink that was told to end at once gets to do so, in seconds.
_GRACE = 0.1


def close_all(sinks: Sequence[Sink[Any]], timeout: float | None) -> None:
    """Let all drain at the same time, and see each one to its end.

    Arguments:
        timeout: seconds that they get, all together; None: each for as long as it delivers.
    """
    for sink in sinks:
        sink.stop(timeout)
    deadline = None if timeout is None else time.monotonic() + timeout
    for sink in sinks:
        if deadline is None:
            _await_progress(sink)
        elif (left := deadline - time.monotonic()) > 0:
            sink.close(left)
        elif not sink.wait(_GRACE):
            sink.give_up()


def _await_progress(sink: Sink[Any]) -> None:
    """Wait for a sink's end for as long as it gets on."""
    progress, since = _progress(sink), time.monotonic()
    while not sink.wait(0.1):
        if (now := _progress(sink)) != progress:
            progress, since = now, time.monotonic()
        elif time.monotonic() - since > PATIENCE:
            log.error("%s: nothing delivered for %g s: given up", sink.name, PATIENCE)
            sink.close(0.0)
            return


def _progress(sink: Sink[Any]) -> int:
    stats = sink.stats()
    return stats.delivered + stats.lost
