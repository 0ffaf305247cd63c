"""What one request of the HTTP sink carries: an alert, or several as NDJSON or as a JSON array."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from rxalerts import jsonvalues
from rxalerts.alert import Alert
from rxalerts.flow.channel import Retryable
from rxalerts.format import Formatted

JSON = "application/json"
NDJSON = "application/x-ndjson"

# From this size on, compressing would hold up the other channels on the event loop.
BIG: Final = 1 << 16


class Refused(Exception):
    """The endpoint will never take this body; `for_all`: whichever alerts are in it."""

    def __init__(self, reason: str, *, for_all: bool = False) -> None:
        super().__init__(reason)
        self.for_all = for_all


class TimedOut(Retryable):
    """The endpoint did not answer in time."""


class Job:
    """One alert on its way: what is sent for it, and what became of it."""

    __slots__ = ("came", "content_type", "data", "finished", "item", "reason")

    def __init__(self, item: Alert | Formatted, data: bytes, content_type: str, came: float) -> None:
        self.item = item
        self.data = data
        self.content_type = content_type
        self.came = came
        self.finished = False
        self.reason: str | None = None

    def finish(self, reason: str | None = None) -> None:
        """Note that it was delivered, or why the endpoint refuses it."""
        self.finished = True
        self.reason = reason

    @property
    def alert_id(self) -> str:
        """The alert's stable id, for receivers that drop what they have had already."""
        return self.item.alert.id if isinstance(self.item, Formatted) else self.item.id


@dataclass(frozen=True)
class Packing:
    """How alerts share a request.

    Arguments:
        kind: none (one alert per request), ndjson or array.
        count, size: at most so many alerts, and bytes, in one request; a longer alert goes alone.
    """

    kinds: ClassVar[tuple[str, ...]] = ("none", "ndjson", "array")

    kind: str
    count: int
    size: int

    def cut(self, jobs: Sequence[Job], *, all_of_them: bool) -> tuple[list[list[Job]], list[Job]]:
        """Return the full requests, and what is left over for a request that is not full yet."""
        if self.kind == "none":
            return [[job] for job in jobs], []
        groups: list[list[Job]] = []
        group: list[Job] = []
        size = 0
        for job in jobs:
            if group and (size + len(job.data) > self.size or job.content_type != group[0].content_type):
                groups.append(group)
                group, size = [], 0
            group.append(job)
            size += len(job.data) + 1
            if len(group) >= self.count:
                groups.append(group)
                group, size = [], 0
        if group and all_of_them:
            groups.append(group)
            group = []
        return groups, group

    def pack(self, group: Sequence[Job]) -> tuple[bytes, str]:
        """Return body and content type."""
        kind = group[0].content_type
        if self.kind == "none":
            return group[0].data, kind
        if self.kind == "ndjson":
            return b"\n".join([job.data for job in group]), NDJSON if kind == JSON else kind
        items = [job.data for job in group]
        if kind != JSON:
            items = [jsonvalues.encode(data.decode("utf-8", "replace")) for data in items]
        return b"[" + b",".join(items) + b"]", JSON


def compress(body: bytes) -> bytes:
    """Gzip a body; the fastest level halves the time and costs few bytes with text as alike as alerts are."""
    return gzip.compress(body, compresslevel=1, mtime=0)
