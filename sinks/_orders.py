"""What a sink's owner asks for while one of its hooks waits for somebody else."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(slots=True)
class Orders:
    """Is told by `stop` and `reopen` of a sink, and looked at by a channel that waits.

    `stopping`: there will be no more alerts. `deadline` (monotonic): when what is left is given up. `hurried`: a
    program gets no time to end. `reopen`: the connection or the program shall be replaced.
    `ending`: set by the channel while it waits for a program to end.
    """

    stopping: bool = False
    deadline: float | None = None
    hurried: bool = False
    reopen: bool = False
    ending: bool = False

    def stop(self, timeout: float | None) -> None:
        """Note a stop; of several the soonest counts."""
        self.stopping = True
        if timeout is not None:
            until = time.monotonic() + timeout
            self.deadline = until if self.deadline is None else min(self.deadline, until)

    @property
    def out_of_time(self) -> bool:
        """Whether the deadline has passed."""
        return self.deadline is not None and time.monotonic() >= self.deadline
