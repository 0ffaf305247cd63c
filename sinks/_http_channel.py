"""The I/O of the HTTP sink: several requests under way at once, none of them waiting for a slower neighbour.

`write` hands its alerts to at most `in_flight` workers and returns as soon as there is room for more; what is not
answered yet stays in the supervisor's hand (`Batch.keep`) and comes again, first, with newer alerts behind it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from rxalerts.alert import Alert
from rxalerts.flow.channel import AsyncChannel, Batch, Fatal, Retryable, SinkFault
from rxalerts.format import Formatted
from rxalerts.sinks._http_body import BIG, JSON, Job, Refused, TimedOut, compress
from rxalerts.sinks._http_setup import Setup
from rxalerts.sinks._http_template import Template

if TYPE_CHECKING:
    import aiohttp

    from rxalerts.sinks._http_post import Post
    from rxalerts.sinks.http import HttpSink

log = logging.getLogger("rxalerts")

# While the sink is about to end, a write returns at least so often, in seconds, to have its deadline seen.
_TICK = 0.2


class HttpChannel(AsyncChannel):
    """Posts alerts for one HttpSink; all hooks and workers run on the private event loop."""

    early = True

    def __init__(self, sink: HttpSink) -> None:
        self._sink = sink
        self._packing = sink.packing()
        self._template = Template(sink.template) if sink.template else None
        self._jobs: list[Job] = []  # what `write` was given and has not settled, in order
        self._loose: list[Job] = []  # of these, what waits for its request to be full
        self._queue: deque[list[Job]] = deque()  # full requests that no worker has taken yet
        self._workers: set[asyncio.Task[None]] = set()
        self._progress = asyncio.Event()
        self._fault: Exception | None = None
        self._news = False  # some job is finished and not settled
        self._timeouts = 0
        self._session: aiohttp.ClientSession | None = None
        self._post: Post | None = None
        self._setup = Setup(sink)

    # -- hooks ----------------------------------------------------------------------------------------------

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        # Importing aiohttp and reading certificates take a while: others on this loop go on meanwhile.
        await loop.run_in_executor(None, self._setup.prepare)
        self._session = self._setup.session()
        self._post = self._setup.post(self._session)

    async def write(self, batch: Batch[Alert | Formatted]) -> None:
        grew = len(batch) > len(self._jobs)
        self._take(batch)
        self._hire()
        await self._until_progress(grew and len(batch) < self._sink.max_batch)
        if self._fault is not None:
            await self._let_finish()
        pause = self._linger()
        left: list[Job] = []
        for index, job in enumerate(self._jobs):
            if not job.finished:
                left.append(job)
            elif job.reason is None:
                batch.confirm(index)
            else:
                batch.reject(index, job.reason)
        self._jobs = left
        self._news = False
        if self._fault is not None:
            self._drop_work()
            fault, self._fault = self._fault, None
            raise fault
        if left:
            batch.keep(pause)

    async def reopen(self) -> None:
        """Read certificates and secrets again; requests under way, and connections that still fit, go on.

        What cannot be used is reported, and what was there before stays in use: it may be half written.
        """
        try:
            await asyncio.get_running_loop().run_in_executor(None, self._setup.prepare)
        except (OSError, Fatal) as error:
            log.error("%s: not reopened: %s", self._sink.name, error)
            return
        if self._session is not None:
            self._post = self._setup.post(self._session)

    async def close(self) -> None:
        workers, session = list(self._workers), self._session
        self._drop_work()
        self._session = self._post = None
        for worker in workers:
            worker.cancel()
        if workers:
            await asyncio.wait(workers)
        if session is not None:
            await session.close()

    # -- what goes into requests ----------------------------------------------------------------------------

    def _take(self, batch: Batch[Alert | Formatted]) -> None:
        now = time.monotonic()
        for item in batch.items[len(self._jobs) :]:
            job = self._job(item, now)
            self._jobs.append(job)
            if not job.finished:
                self._loose.append(job)
        self._cut(now)

    def _job(self, item: Alert | Formatted, now: float) -> Job:
        sink = self._sink
        try:
            if self._template is not None:
                alert = item.alert if isinstance(item, Formatted) else item
                return Job(item, self._template.fill(alert), JSON, now)
            kind = item.content_type if isinstance(item, Formatted) else sink.content_type
            return Job(item, sink.render(item), kind, now)
        except Exception as error:
            # It is this alert's fault; the others go on.
            job = Job(item, b"", JSON, now)
            job.finish(f"cannot be rendered: {type(error).__name__}: {error}")
            self._news = True
            return job

    def _cut(self, now: float) -> None:
        """Make requests of what waits: full ones, and the last one too when its time is over."""
        if not self._loose:
            return
        due = self._loose[0].came + self._sink.batch_seconds <= now or self._sink.supervisor.hurried
        groups, self._loose = self._packing.cut(self._loose, all_of_them=due)
        self._queue.extend(groups)

    def _linger(self) -> float | None:
        """Return the seconds to wait for a fuller request, if there is nothing else to do."""
        if self._workers or self._queue or not self._loose or self._fault is not None:
            return None
        return max(0.001, self._loose[0].came + self._sink.batch_seconds - time.monotonic())

    # -- waiting --------------------------------------------------------------------------------------------

    async def _until_progress(self, wants_more: bool) -> None:
        """Wait until there is something to settle and room for more, or mail, or a fault."""
        self._progress.clear()
        mailbox = self._sink.mailbox
        loop = asyncio.get_running_loop()

        def rouse() -> None:
            loop.call_soon_threadsafe(self._progress.set)

        while self._workers and self._fault is None and not self._settled():
            idle = len(self._workers) < self._sink.in_flight and wants_more
            if not mailbox.arm(rouse, control_only=not idle):
                return
            try:
                async with asyncio.timeout(self._patience()):
                    await self._progress.wait()
            except TimeoutError:
                self._cut(time.monotonic())
                self._hire()
                if self._sink.supervisor.hurried:
                    return
                continue
            finally:
                mailbox.disarm()
            if not self._news:
                return  # mail
            self._progress.clear()

    def _settled(self) -> bool:
        """Whether a new write would find room: some are answered, and nothing waits for a worker."""
        return not self._queue and self._news

    def _patience(self) -> float | None:
        if self._sink.supervisor.hurried:
            return _TICK
        if self._loose:
            return max(0.001, self._loose[0].came + self._sink.batch_seconds - time.monotonic())
        return None

    async def _let_finish(self) -> None:
        """After a fault: start nothing new, but do not cut off what may be delivered at this moment."""
        self._queue.clear()
        self._loose.clear()
        while self._workers:
            await asyncio.wait(self._workers)

    def _drop_work(self) -> None:
        self._queue.clear()
        self._loose.clear()
        self._jobs = []

    # -- workers --------------------------------------------------------------------------------------------

    def _hire(self) -> None:
        missing = min(len(self._queue), self._sink.in_flight - len(self._workers))
        for _ in range(missing):
            worker = asyncio.get_running_loop().create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._retire)

    def _retire(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        self._progress.set()

    async def _work(self) -> None:
        queue = self._queue
        while queue and self._fault is None:
            group = queue.popleft()
            await self._deliver(group)
            if not queue:
                self._progress.set()

    async def _deliver(self, group: list[Job]) -> None:
        """Send one request and note what became of it; never raises."""
        try:
            await self._send(group)
        except Refused as error:
            self._refused(group, error)
        except Exception as error:
            known = isinstance(error, (SinkFault, OSError))
            # Whatever else it is, it is not the alert's fault: better sent again than refused.
            self._fault = self._fault or (error if known else Retryable(f"{type(error).__name__}: {error}"))
            self._progress.set()
        else:
            for job in group:
                job.finish()
            self._news = True

    def _refused(self, group: list[Job], error: Refused) -> None:
        """Look for the culprit in halves: the other alerts of the request are not to blame."""
        if len(group) == 1 or error.for_all:
            for job in group:
                job.finish(str(error))
            self._news = True
            return
        half = len(group) // 2
        self._queue.appendleft(group[half:])
        self._queue.appendleft(group[:half])

    async def _send(self, group: list[Job]) -> None:
        body, kind = self._packing.pack(group)
        extra: dict[str, Any] = {"Content-Type": kind}
        if self._packing.kind == "none":
            extra["X-Alert-Id"] = group[0].alert_id
        if self._sink.compress_uploads:
            extra["Content-Encoding"] = "gzip"
            loop = asyncio.get_running_loop()
            body = compress(body) if len(body) < BIG else await loop.run_in_executor(None, compress, body)
        while True:
            post = self._post
            if post is None or self._fault is not None:
                raise Retryable("closed while the request waited")
            try:
                await post.send(body, extra)
            except TimedOut:
                # Falco 0.41 and later repeats a call that timed out, so many times in a row.
                self._timeouts += 1
                if self._timeouts > self._sink.max_consecutive_timeouts:
                    raise
            else:
                self._timeouts = 0
                return
