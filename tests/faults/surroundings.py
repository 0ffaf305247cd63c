"""What the machine does to the command: clocks that jump, processes that stand still, limits that are reached."""

from __future__ import annotations

import random
import resource
import signal
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import rxalerts as rxa
from rxalerts import operators, sources
from rxalerts.sinks import FileSink, HttpSink
from tests.faults.command import Destinations, random_moment
from tests.faults.destinations import Flow
from tests.faults.kill import POSTED, Feed, HttpFeed, TailFeed
from tests.faults.ledger import Case, Row, compare
from tests.faults.places import QUICK, FullDisk
from tests.faults.signals import all_reached
from tests.support.durably import alert, wait_for
from tests.support.durably import numbers as numbers_of
from tests.support.http_servers import Endpoint, Reply
from tests.support.run import COMMAND, Run, alerts, numbers, read_all, until

DAY = 86_400.0

Disturb = Callable[[Run], None]


# -- clocks -------------------------------------------------------------------------------------------------


@contextmanager
def shifted(seconds: float) -> Generator[None]:
    """Let the wall's clock go wrong by so many seconds."""
    now, now_ns = time.time, time.time_ns
    with (
        patch("time.time", lambda: now() + seconds),
        patch("time.time_ns", lambda: now_ns() + round(seconds * 1e9)),
    ):
        yield


def clock_jumps(folder: Path, full: bool) -> Row:
    """The wall's clock jumps by a day, forwards or backwards, while a durable sink is in a pause and after it."""
    row = Row("clock jumps", tries=20 if full else 4)
    for number in range(row.tries):
        jump = DAY if number % 2 else -DAY
        with Endpoint(lambda _: Reply(503)) as endpoint:
            options: dict[str, Any] = {"durable": str(folder / f"spool{number}"), "retry": QUICK}
            first = HttpSink(endpoint.url, name="http", **options)
            rxa.Pipeline(sources.from_iterable(map(alert, range(50))), first, timeout=0.2).start().wait()
            endpoint.script = lambda _: Reply()
            with shifted(jump):
                second = HttpSink(endpoint.url, name="http", **options)
                pipeline = rxa.Pipeline(sources.from_iterable(map(alert, range(50, 100))), second).start()
                try:
                    wait_for(partial(answered, endpoint, 100), 10)
                except AssertionError:
                    row.wrong(f"after a jump of {jump:+.0f} s only {len(endpoint.requests)} of 100 arrived in 10 s")
                    second.close(0.1)
                pipeline.wait()
            got = [int(body.rpartition("number ")[2].split()[0]) for body in endpoint.bodies]
            row.add(compare(range(100), got), f"jump {jump:+.0f} s")
    return row


def answered(endpoint: Endpoint, count: int) -> bool:
    """Tell whether so many requests were answered with 200."""
    return len(endpoint.requests) >= count


def jumping_alerts(folder: Path, full: bool) -> Row:
    """Alerts whose own times jump by days pass through operators that keep time by them."""
    row = Row("alerts' times jump", tries=20 if full else 2)
    for number in range(row.tries):
        draw = random.Random(number)
        path = folder / f"{number}.txt"
        given = [alert(n).replace(time=1_700_000_000_000_000_000 + draw.randint(-9, 9) * 10**14) for n in range(300)]
        steps = (operators.suppress_repeats(key="output", within=5), operators.rate_limit(rate=1e6, burst=1e6))
        rxa.run(sources.from_iterable(given), rxa.route(*steps, to=FileSink(path)))
        row.add(compare(numbers_of(given), [int(line.split("number ")[1]) for line in path.read_text().splitlines()]),
                "file")  # fmt: skip
    return row


# -- a process that stands still, and limits ----------------------------------------------------------------


def disturbed(
    folder: Path,
    row: Row,
    feed: Feed,
    count: int,
    disturb: Disturb | None,
    command: list[str] | None = None,
    doubles: int = 0,
) -> None:
    """Let alerts flow into the command, do something to it half-way, and compare; so many may come twice."""
    with Destinations(folder) as destinations:
        config = destinations.write_config()
        try:
            with Run("run", "-c", config, "--from", feed.origin, folder=folder, command=command) as run:
                run.ready()
                feed.goal = count
                until(lambda: len(destinations.got()["file"]) > count // 10, "the first alerts")
                if disturb is not None:
                    disturb(run)
                until(lambda: all_reached(destinations, count), "all to arrive", 60 + count / 100)
                run.signal(signal.SIGTERM)
                status = run.end()
                row.check(status == 0, f"exit status {status}: {run.err[-600:]}")
        finally:
            feed.close()
        destinations.program_left()
        for sink, got in destinations.got().items():
            row.add(compare(range(count), got), sink, doubles=doubles)
        row.check(not destinations.torn(), f"torn lines: {destinations.torn()[:3]}")


def stopped(folder: Path, full: bool) -> Row:
    """SIGSTOP, and SIGCONT after a while."""
    row = Row("SIGSTOP", tries=1)

    def freeze(run: Run) -> None:
        run.signal(signal.SIGSTOP)
        random_moment(30.0 if full else 1.0, 1.0)
        run.signal(signal.SIGCONT)

    # For longer than the client waits for its answer: it posts the same body again.
    disturbed(folder, row, HttpFeed(folder), 20_000 if full else 2_000, freeze, doubles=POSTED if full else 0)
    return row


def no_descriptors(folder: Path, full: bool) -> Row:
    """Not one more descriptor can be opened for a while: no file, no connection, no program."""
    row = Row("descriptors exhausted", tries=2)
    makers: tuple[Callable[[Path], Feed], ...] = (TailFeed, HttpFeed)
    for number, make in enumerate(makers):
        inner = folder / str(number)
        inner.mkdir()
        disturbed(inner, row, make(inner), 20_000 if full else 1_000, exhaust)
    return row


def exhaust(run: Run) -> None:
    """Lower the limit to what is open, provoke a reopening, and raise it again."""
    pid = run.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    # Below what is open already: whatever is closed meanwhile cannot be opened again either.
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (5, before[1]))
    run.signal(signal.SIGUSR1)
    until(lambda: "Too many open files" in run.err or "Errno 24" in run.err, "it to notice")
    random_moment(0.3, 1.0)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def little_memory(folder: Path, full: bool) -> Row:
    """The address space is limited to 1.5 GiB, as by `ulimit -v`."""
    row = Row("memory limit (ulimit -v)", tries=1)
    command = ["/bin/sh", "-c", 'ulimit -v 1572864; exec "$@"', "sh", *COMMAND]
    disturbed(folder, row, TailFeed(folder), 20_000 if full else 2_000, None, command)
    return row


def no_memory(folder: Path, full: bool) -> Row:
    """With so little address space that it may not come up: it says why and what to allow, and loses nothing."""
    row = Row("too little memory", tries=10 if full else 2)
    for number in range(row.tries):
        inner = folder / str(number)
        inner.mkdir()
        (inner / "events.log").write_text("".join(alerts(50)))
        with Destinations(inner) as destinations:
            path = destinations.write_config()
            command = ("run", "-c", path, "--from", f"tail:{inner}/events.log?state={inner}/state&poll=0.02")
            space = 200_000 + 400_000 * number // row.tries
            limited = ["/bin/sh", "-c", f'ulimit -v {space}; exec "$@"', "sh", *COMMAND]
            with Run(*command, folder=inner, command=limited) as run:
                until(partial(has_begun, run), "it to be ready, or to refuse")
                run.signal(signal.SIGTERM)
                status = run.end()
            row.check(status in (0, 1, 2), f"exit status {status} with {space} KiB")
            row.check("Traceback" not in run.err, f"a traceback with {space} KiB: {run.err[-600:]}")
            row.check(status != 2 or "ulimit -v" in run.err, f"no remedy with {space} KiB: {run.err[-600:]}")
            with Run(*command, folder=inner) as run:
                until(partial(all_reached, destinations, 50), "all to arrive")
                run.signal(signal.SIGTERM)
                run.end()
            destinations.program_left()
            for sink, got in destinations.got().items():
                found = compare(range(50), got)
                row.add(found, sink, doubles=len(found.doubled))
    return row


def has_begun(run: Run) -> bool:
    """Tell whether it is ready, or has ended."""
    return run.process.poll() is not None or "rxalerts: ready" in run.err


def spool_full(folder: Path, full: bool) -> Row:
    """The file system of the spool is full for a while: the source waits, nothing is lost."""
    row = Row("spool's file system full", tries=5 if full else 1)
    for number in range(row.tries):
        inner = folder / str(number)
        inner.mkdir()
        # Larger than the log that SQLite keeps.
        disk = FullDisk(inner, "64m")
        out = inner / "out.txt"
        try:
            sink = FileSink(out, durable=str(disk.folder), capacity=16)
            flow = Flow(2000, 200)
            pipeline = rxa.Pipeline(sources.from_iterable(flow), sink).start()
            wait_for(partial(reached, out, flow.first), what="the first third")
            disk.break_it()
            flow.broken.set()
            wait_for(partial(getattr, sink.mailbox, "pressing"), what="the source to wait")
            row.check(flow.given < flow.count, "the source was not made to wait")
            disk.mend()
            try:
                wait_for(partial(reached, out, flow.count), 30, "the rest")
            except AssertionError:
                row.wrong(f"not over 30 s after the disk was freed: {sink.stats()}")
                pipeline.stop()
                sink.close(0.1)
            row.check(not pipeline.wait().lost, str(pipeline.report()))
            row.add(compare(range(flow.count), numbers(read_all(out))), "file")
        finally:
            disk.close()
    return row


def reached(path: Path, count: int) -> bool:
    """Tell whether a file holds so many alerts."""
    return len(numbers(read_all(path))) >= count


CASES = [
    Case("clock jumps", clock_jumps),
    Case("alerts' times jump", jumping_alerts),
    Case("SIGSTOP", stopped),
    Case("descriptors exhausted", no_descriptors),
    Case("memory limit", little_memory),
    Case("too little memory", no_memory),
    Case("spool full", spool_full),
]
