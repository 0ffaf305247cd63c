"""The processes that a shell has started, to be ended with it.

They are in our own process group, so a signal to the group would hit us: each gets its own, through a pidfd, which
cannot hit another process that has got the same number meanwhile.
"""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import suppress


class Family:
    """A process' children, and theirs, as they are now."""

    def __init__(self, pid: int) -> None:
        parents = _parents()
        family = [pid]
        for member in family:
            family += [child for child, parent in parents.items() if parent == member]
        self._members: list[int] = []
        for member in family[1:]:
            with suppress(OSError):
                pidfd = os.pidfd_open(member)
                if _parent(member) == parents[member]:
                    self._members.append(pidfd)
                else:
                    os.close(pidfd)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to all that are still there."""
        for pidfd in self._members:
            with suppress(OSError):
                signal.pidfd_send_signal(pidfd, number)

    def wait(self, seconds: float) -> bool:
        """Wait until all have ended; says whether they have."""
        deadline = time.monotonic() + seconds
        while self._members:
            poll = select.poll()
            for pidfd in self._members:
                poll.register(pidfd, select.POLLIN)
            ended = [pidfd for pidfd, _ in poll.poll(max(0.0, deadline - time.monotonic()) * 1000)]
            if not ended:
                return False
            for pidfd in ended:
                self._members.remove(pidfd)
                os.close(pidfd)
        return True

    def close(self) -> None:
        """Forget them."""
        while self._members:
            os.close(self._members.pop())


def _parents() -> dict[int, int]:
    """Return every process' parent."""
    found = {int(name): _parent(int(name)) for name in os.listdir("/proc") if name.isdecimal()}
    return {pid: parent for pid, parent in found.items() if parent}


def _parent(pid: int) -> int:
    """Return a process' parent; 0: it has none, or has gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name, in parentheses, may hold anything.
            return int(file.read().rpartition(b")")[2].split()[1])
    except OSError:
        return 0
