"""The private event loop: one daemon thread for all asynchronous sinks and sources, made when first needed.

Scripts, Jupyter (whose own loop is already running) and asyncio programs then behave the same, and only one loop
in the process runs our network I/O.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from rxalerts.flow.threads import start

T = TypeVar("T")

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_thread: threading.Thread | None = None


def io_loop() -> asyncio.AbstractEventLoop:
    """Return the private loop, starting its thread if need be."""
    global _loop, _thread
    with _lock:
        if _loop is None or _thread is None or not _thread.is_alive():
            _loop = asyncio.new_event_loop()
            _thread = threading.Thread(target=_run, args=(_loop,), name="rxalerts-io", daemon=True)
            start(_thread)
        return _loop


def on_io_loop() -> bool:
    """Tell whether the caller runs on the private loop's thread, where waiting for it would be a deadlock."""
    return _thread is not None and threading.current_thread() is _thread


def spawn(coroutine: Coroutine[Any, Any, T]) -> Future[T]:
    """Run a coroutine on the private loop; the future may be waited for from any other thread."""
    try:
        loop = io_loop()
    except RuntimeError:
        coroutine.close()
        raise
    return asyncio.run_coroutine_threadsafe(coroutine, loop)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()


def _forget() -> None:
    """Forget the parent's loop in a forked child: its thread does not exist there."""
    global _loop, _thread, _lock
    _loop = _thread = None
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_forget)
