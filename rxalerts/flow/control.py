"""What a supervisor asks of its driver, step by step, and the messages that a sink is sent beside its alerts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for mail, for at most `timeout` seconds; with `control_only`, alerts do not end the wait."""

    timeout: float | None = None
    control_only: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """Call a hook of the channel."""

    hook: Callable[..., Any]
    args: tuple[Any, ...] = ()


Steps = Generator[Wait | Call, Any, None]


@dataclass(slots=True)
class Flush:
    """Control: set `done` when everything that had entered before `target` is delivered and flushed.

    `kept` is true then, and stays false when the sink ended before it came to that.
    """

    target: int
    done: threading.Event = field(default_factory=threading.Event)
    kept: bool = False


@dataclass(slots=True)
class Reopen:
    """Control: close and open again; `done` is set afterwards."""

    done: threading.Event = field(default_factory=threading.Event)


@dataclass(slots=True)
class Stop:
    """Control: deliver what is inside, then close; at `deadline` (monotonic) drop what is left."""

    deadline: float | None = None


@dataclass(slots=True)
class GiveUp:
    """Control: fail, for this reason."""

    reason: str
