"""A sink that remembers what was asked of it and does as it is told, and an observer that remembers what it saw."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from reactivex.abc import ObserverBase

from rxalerts.flow.channel import Batch, Channel
from rxalerts.flow.options import option
from rxalerts.flow.sink import ThreadSink

T = TypeVar("T")


@dataclass(eq=False, repr=False)
class RecordingSink(ThreadSink[T]):
    """Record every hook call, and what was written; fail, block or reject on request.

    Arguments:
        buffered: keep what was written in the channel's own buffer until `flush`, as a buffered file does.

    `calls` holds the hooks as they began (`"open"`, `"write 3"`, `"flush"`, `"reopen"`, `"close"`), `batches` each
    batch that `write` was given, `written` what has reached the destination. Give it a `VirtualDriver` to run in
    virtual time.

    >>> with RecordingSink[str]() as sink:
    ...     sink.on_next("a")
    >>> sink.calls, sink.written
    (['open', 'write 1', 'close'], ['a'])
    """

    channel_name: ClassVar[str] = "recording"

    buffered: bool = option(False, "keep what was written in the channel's own buffer until flush", kw_only=True)

    def __post_init__(self) -> None:
        self.calls: list[str] = []
        self.batches: list[list[T]] = []
        self.written: list[T] = []
        self._orders: list[_Order] = []
        self._refused: Callable[[T], bool] | None = None
        self._gate = threading.Event()
        self._gate.set()
        self._blocked_hook = ""
        self.stuck = threading.Event()
        super().__post_init__()

    def make_channel(self) -> Channel:
        return _RecordingChannel(self)

    def fail(self, error: BaseException, *, times: int | None = 1, on: str = "write", after: int = 0) -> None:
        """Let a hook raise `error`.

        Arguments:
            times: how often; None: until `mend`.
            on: which hook: open, write, flush, reopen or close.
            after: for write: how many items of each batch are delivered first.
        """
        self._orders.append(_Order(on, error, times, after))

    def mend(self) -> None:
        """Let no hook raise any more."""
        self._orders.clear()

    def refuse(self, predicate: Callable[[T], bool]) -> None:
        """Let `write` mark as rejected each item for which `predicate` is true."""
        self._refused = predicate

    def block(self, on: str = "write") -> None:
        """Let the hook `on` get stuck until `release`; `stuck` is set while it is."""
        self._blocked_hook = on
        self._gate.clear()

    def release(self) -> None:
        """Let the hook that is stuck go on."""
        self._gate.set()

    def begin(self, hook: str, detail: str = "") -> _Order | None:
        """Note that a hook was called, get stuck if told so, and return what it is to raise, if anything."""
        self.calls.append(f"{hook} {detail}".strip())
        if hook == self._blocked_hook and not self._gate.is_set():
            self.stuck.set()
            self._gate.wait()
            self.stuck.clear()
        order = next((order for order in self._orders if order.hook == hook), None)
        if order is not None and order.left is not None:
            order.left -= 1
            if not order.left:
                self._orders.remove(order)
        return order

    def refuses(self, item: T) -> bool:
        """Tell whether `item` is to be rejected."""
        return self._refused is not None and self._refused(item)


@dataclass
class _Order:
    """Which hook raises what, how often."""

    hook: str
    error: BaseException
    left: int | None
    after: int


class _RecordingChannel(Channel):
    def __init__(self, sink: RecordingSink[Any]) -> None:
        self._sink = sink
        self._kept: list[Any] = []

    def open(self) -> None:
        self._obey("open")

    def write(self, batch: Batch[Any]) -> None:
        sink = self._sink
        sink.batches.append(list(batch))
        order = sink.begin("write", str(len(batch)))
        for index, item in enumerate(batch if order is None else batch[: order.after]):
            if sink.refuses(item):
                batch.reject(index, "refused")
            else:
                self._put(item)
                batch.confirm(index)
        if order is not None:
            raise order.error

    def _put(self, item: Any) -> None:
        if self._sink.buffered:
            self._kept.append(item)
            self.pending = len(self._kept)
        else:
            self._sink.written.append(item)

    def flush(self) -> None:
        self._obey("flush")
        self._sink.written += self._kept
        self._kept.clear()
        self.pending = 0

    def reopen(self) -> None:
        self._obey("reopen")
        self._sink.written += self._kept
        self._kept.clear()
        self.pending = 0

    def close(self) -> None:
        self._obey("close")

    def _obey(self, hook: str) -> None:
        order = self._sink.begin(hook)
        if order is not None:
            raise order.error


class SignalLog(ObserverBase[Any]):
    """Records signals, and sees that none follows the last one."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.ends: list[Any] = []

    def on_next(self, value: Any) -> None:
        assert not self.ends, f"an item after the end: {value!r}"
        self.items.append(value)

    def on_error(self, error: Exception) -> None:
        self.ends.append(error)
        assert len(self.ends) == 1, f"a second end: {self.ends}"

    def on_completed(self) -> None:
        self.ends.append("completed")
        assert len(self.ends) == 1, f"a second end: {self.ends}"
