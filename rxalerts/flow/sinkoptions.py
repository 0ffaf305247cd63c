"""The options that every sink has, and their checks."""

from __future__ import annotations

import os
from dataclasses import dataclass

from rxalerts.errors import OptionError
from rxalerts.flow.backoff import Retry
from rxalerts.flow.options import option
from rxalerts.flow.overflow import Overflow
from rxalerts.flow.places import spool_file
from rxalerts.format import JSON, TEXT, Format

_FORMATS = {"text": TEXT, "json": JSON}


@dataclass(eq=False, repr=False, kw_only=True)
class SinkOptions:
    """What can be said of a sink whatever its channel."""

    name: str = option("", "name in logs, reports and statistics; the channel's name if empty")
    format: Format | str = option("text", "text or json: how an alert that is not formatted yet is rendered")
    capacity: int = option(10_000, "how many alerts the mailbox holds")
    on_full: Overflow | str = option(
        "block", "block, drop_newest, drop_oldest, drop_lowest, latest or fail: what a full mailbox does"
    )
    block_timeout: float | None = option(
        None, "with block: seconds that a source waits before `then` applies; none: as long as it takes"
    )
    then: Overflow | str = option("drop_newest", "the policy after block_timeout")
    retry: Retry = option(Retry(), "pauses after a failure, and when to give up")
    output_timeout: float = option(2.0, "seconds after which one write is reported as blocked")
    durable: bool | str | os.PathLike[str] = option(
        False, "keep the backlog on disk until it is delivered: true, or the folder to keep it in"
    )
    spool_dir: str = option("", "the folder of durable sinks; by default below $XDG_STATE_HOME, or /var/lib for root")
    spool_bytes: int = option(1 << 30, "how much the spool holds at most, in bytes; then on_full applies")
    dead_store: bool | str | os.PathLike[str] | None = option(
        None,
        "keep what is rejected or given up on disk for `rxalerts dead`: true (in spool_dir), a folder, or false; "
        "if not set, durable sinks do",
    )
    dead_bytes: int = option(1 << 26, "how much of it is kept at most, in bytes; then the oldest goes")
    dead_age: float | None = option(None, "for how many seconds it is kept; none: until it is purged")
    max_batch: int = option(
        1000,
        "how many alerts are handed to the channel at once, at most; with durable, twice as many may come again after "
        "a crash",
    )

    def check_common(self) -> Format:
        """Raise OptionError for what makes no sense, and make objects of words; returns the format."""
        self.on_full = _overflow("on_full", self.on_full)
        self.then = _overflow("then", self.then)
        if self.then is Overflow.BLOCK:
            raise OptionError("then", "cannot be block: say what happens when blocking has lasted long enough")
        if self.durable is not False and self.on_full is Overflow.LATEST:
            raise OptionError("on_full", "latest makes no sense with durable: it keeps one alert only")
        for key in ("capacity", "max_batch", "spool_bytes", "dead_bytes"):
            if getattr(self, key) < 1:
                raise OptionError(key, f"must be 1 or more, got {getattr(self, key)}")
        for key in ("block_timeout", "output_timeout", "dead_age"):
            seconds = getattr(self, key)
            if seconds is not None and seconds <= 0:
                raise OptionError(key, f"must be more than 0 seconds, got {seconds}")
        if isinstance(self.format, str):
            if self.format not in _FORMATS:
                raise OptionError("format", f"must be text or json, got {self.format!r}")
            self.format = _FORMATS[self.format]
        # A map, as in falco.yaml, would be noticed by the first failure, and that much too late.
        for key, kind in (("format", Format), ("retry", Retry)):
            if not isinstance(value := getattr(self, key), kind):
                raise OptionError(key, f"must be a {kind.__module__}.{kind.__name__}(…), got {value!r}")
        return self.format

    def spool_path(self) -> str:
        """Return the file that this sink's backlog is in when it is durable."""
        return spool_file(self.name, self.durable, self.spool_dir)


def _overflow(key: str, value: Overflow | str) -> Overflow:
    try:
        return Overflow(value)
    except ValueError:
        raise OptionError(key, f"must be one of {', '.join(Overflow)}, got {value!r}") from None
