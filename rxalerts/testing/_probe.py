"""A probe between a sink's supervisor and its channel: watches the order of the hooks, and disturbs on request."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from rxalerts.flow.channel import AsyncChannel, Batch, Channel
from rxalerts.flow.sink import Sink


class Probe:
    """Watches the hooks of one sink.

    `faults` holds what was against the rules; `writes` counts the writes, `stuck` is set while one waits for
    `gate`. `failures` are raised, one per write, before the channel is asked; `inside` is called in each write.
    """

    def __init__(self, sink: Sink[Any]) -> None:
        self.sink = sink
        self.faults: list[str] = []
        self.failures: list[Exception] = []
        self.inside: Callable[[], object] | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.stuck = threading.Event()
        self.writes = 0
        self.over = False
        self._open = False
        self._running = ""
        self._lock = threading.Lock()
        sink.tap(self._wrap)

    def _wrap(self, channel: Any) -> Channel | AsyncChannel:
        self.inner = channel
        return _AsyncProbe(self) if isinstance(channel, AsyncChannel) else _ThreadProbe(self)

    def enter(self, hook: str) -> None:
        """Note that a hook begins."""
        with self._lock:
            if self._running:
                self.faults.append(f"{hook}() was called while {self._running}() ran")
            if self.over:
                self.faults.append(f"{hook}() was called after close() had returned")
            if hook == "open" and self._open:
                self.faults.append("open() was called twice without close()")
            if hook in ("write", "flush", "reopen", "close") and not self._open:
                self.faults.append(f"{hook}() was called without open()")
            self._running = hook
            self.writes += hook == "write"

    def leave(self, hook: str, *, succeeded: bool) -> None:
        """Note that a hook has ended."""
        with self._lock:
            self._running = ""
            if hook == "open":
                self._open = succeeded
            elif hook == "close":
                self._open = False

    def disturb(self) -> None:
        """Do to a write what was ordered."""
        if self.inside is not None:
            self.inside()
        if self.failures:
            raise self.failures.pop(0)


class _ThreadProbe(Channel):
    def __init__(self, probe: Probe) -> None:
        self._probe = probe

    @property
    def pending(self) -> int:  # type: ignore[override]
        return int(self._probe.inner.pending)

    @property
    def early(self) -> bool:  # type: ignore[override]
        return bool(self._probe.inner.early)

    def _run(self, hook: str, *args: Any) -> None:
        probe = self._probe
        probe.enter(hook)
        succeeded = False
        try:
            if hook == "write":
                if not probe.gate.is_set():
                    probe.stuck.set()
                    probe.gate.wait()
                probe.disturb()
            getattr(probe.inner, hook)(*args)
            succeeded = True
        finally:
            probe.leave(hook, succeeded=succeeded)

    def open(self) -> None:
        self._run("open")

    def write(self, batch: Batch[Any]) -> None:
        self._run("write", batch)

    def flush(self) -> None:
        self._run("flush")

    def reopen(self) -> None:
        self._run("reopen")

    def close(self) -> None:
        self._run("close")


class _AsyncProbe(AsyncChannel):
    def __init__(self, probe: Probe) -> None:
        self._probe = probe

    @property
    def pending(self) -> int:  # type: ignore[override]
        return int(self._probe.inner.pending)

    @property
    def early(self) -> bool:  # type: ignore[override]
        return bool(self._probe.inner.early)

    async def _run(self, hook: str, *args: Any) -> None:
        probe = self._probe
        probe.enter(hook)
        succeeded = False
        try:
            if hook == "write":
                while not probe.gate.is_set():
                    probe.stuck.set()
                    await asyncio.sleep(0.001)
                probe.disturb()
            await getattr(probe.inner, hook)(*args)
            succeeded = True
        finally:
            probe.leave(hook, succeeded=succeeded)

    async def open(self) -> None:
        await self._run("open")

    async def write(self, batch: Batch[Any]) -> None:
        await self._run("write", batch)

    async def flush(self) -> None:
        await self._run("flush")

    async def reopen(self) -> None:
        await self._run("reopen")

    async def close(self) -> None:
        await self._run("close")
