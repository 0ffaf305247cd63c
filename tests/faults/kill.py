"""kill -9 at random moments while alerts flow into three durable sinks at once."""

from __future__ import annotations

import json
import random
import signal
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

from rxalerts.sinks import FileSink
from rxalerts.sources._tail import LIST
from rxalerts.sources._tail_position import SAVE_COUNT
from tests.faults.command import BATCH, Destinations, post_until_taken, random_moment
from tests.faults.ledger import Case, Row, compare
from tests.support.rsyslog import free_port
from tests.support.run import Run, alerts, config, numbers, read_all, until

# The client posts so many alerts in one request.
POSTED = 20

# What a sink may deliver again: a batch that it has, and one whose deletion was under way.
SINK = 2 * BATCH

# What tail may read again: what was accepted since the position was saved, with the transaction that makes it so, and
# what went through together with the last of that.
TAIL = 2 * SAVE_COUNT + LIST

# What a line is about as long as, in bytes.
LINE = 67

# So many lines of at least 50 bytes are in a program's pipe, and in the buffer before it, which is looked at when it is
# pushed out: the program has read them, or does so after the kill.
PIPE = 2 * 65_536 // 50


class Feed(Protocol):
    """Where the alerts come from: knows the command's --from, and from which alert on one may come again."""

    origin: str
    goal: int

    def sure(self) -> int:
        """Return the number of the first alert that the source may deliver again."""
        ...

    def close(self) -> None:
        """Let everything go."""
        ...


class Writer:
    """Lets alerts flow, on a thread of its own, up to the `goal` that it is given."""

    def __init__(self) -> None:
        self.goal = 0
        self.written = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._flow, daemon=True)
        self._thread.start()

    def _flow(self) -> None:
        # Some thousand alerts a second: a stream and no flood, so that the kills fall into it.
        while not self._over.wait(0.004):
            count = min(POSTED, self.goal - self.written)
            if count and self.write(list(alerts(count, self.written))):
                self.written += count

    def write(self, lines: list[str]) -> bool:
        """Hand some alerts to the command; false if that was in vain."""
        raise AssertionError(f"{type(self).__name__} must say how")

    @property
    def over(self) -> bool:
        """Whether to give up."""
        return self._over.is_set()

    def close(self) -> None:
        """Stop."""
        self._over.set()
        self._thread.join(20)


class TailFeed(Writer):
    """A log file that grows; the position is saved."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "events.log"
        self._state = folder / "events.state"
        self._log.touch()
        self._ends: list[int] = []
        self.origin = f"tail:{self._log}?state={self._state}&poll=0.02&ack=accepted"
        super().__init__()

    def write(self, lines: list[str]) -> bool:
        """Append."""
        with self._log.open("ab") as log:
            for line in lines:
                log.write(line.encode())
                self._ends.append(log.tell())
        return True

    def sure(self) -> int:
        """Return how many alerts the saved position has behind it."""
        if not self._state.exists():
            return 0
        offset = json.loads(self._state.read_text())["offset"]
        return sum(end <= offset for end in list(self._ends))


class HttpFeed(Writer):
    """A client that posts each body until it is answered with 200."""

    def __init__(self, folder: Path) -> None:
        self._port = free_port()
        self.origin = f"http://127.0.0.1:{self._port}"
        super().__init__()

    def write(self, lines: list[str]) -> bool:
        """Post."""
        return post_until_taken(f"http://127.0.0.1:{self._port}", "".join(lines), lambda: not self.over)

    def sure(self) -> int:
        """Return how many were answered for."""
        return self.written


def kill(make: Callable[[Path], Feed], name: str, folder: Path, full: bool) -> Row:
    """Kill the command again and again while alerts flow, start it anew, and compare at the end."""
    kills, count = (50, 20_000) if full else (3, 4_000)
    row = Row(name, tries=kills)
    draw = random.Random(name)
    excused: dict[str, set[int]] = {"file": set(), "program": set(), "http": set()}
    with Destinations(folder) as destinations:
        config = destinations.write_config()
        feed = make(folder)
        try:
            for part in range(kills):
                start, end = count * part // kills, count * (part + 1) // kills
                with Run("run", "-c", config, "--from", feed.origin, folder=folder) as run:
                    run.ready()
                    feed.goal = end
                    moment = draw.randrange(start, end)
                    until(partial(has_reached, destinations, moment), "progress")
                    random_moment(0.03, draw.random())
                    run.signal(signal.SIGKILL)
                    run.process.wait()
                destinations.program_left()
                excuse(excused, destinations.got(), feed.sure(), end)
            finish(destinations, feed, folder, count)
        finally:
            feed.close()
        for sink, got in destinations.got().items():
            found = compare(range(count), got)
            row.add(found, sink, doubles=len(found.doubled))
            beyond = [number for number in found.doubled if number not in excused[sink]]
            row.check(not beyond, f"{sink}: doubled beyond two batches and the saved position: {beyond[:5]}")
            source = TAIL if isinstance(feed, TailFeed) else POSTED
            bound = kills * (SINK + source + (PIPE if sink == "program" else 0))
            row.check(len(found.doubled) <= bound, f"{sink}: {len(found.doubled)} doubled, {bound} at most")
        row.check(not destinations.torn(), f"torn lines: {destinations.torn()[:3]}")
    return row


def has_reached(destinations: Destinations, moment: int) -> bool:
    """Tell whether the file has got so far."""
    return max(destinations.got()["file"], default=-1) >= moment


def excuse(excused: dict[str, set[int]], got: dict[str, list[int]], sure: int, end: int) -> None:
    """Note what may come again after a kill: batches of the sink, the pipe, and what the source was not sure of."""
    for sink, arrived in got.items():
        excused[sink].update(arrived[-SINK - (PIPE if sink == "program" else 0) :])
        excused[sink].update(range(sure, end))


def finish(destinations: Destinations, feed: Feed, folder: Path, count: int) -> None:
    """Start once more, and wait until everything has arrived; then end in order."""
    with Run("run", "-c", destinations.folder / "falco.yaml", "--from", feed.origin, folder=folder) as run:
        run.ready()
        until(lambda: all(len(set(got)) >= count for got in destinations.got().values()), "all to arrive", 60)
        run.signal(signal.SIGTERM)
        assert run.end() == 0, run.err
    destinations.program_left()


def kill_tail(folder: Path, full: bool) -> Row:
    """From a log file."""
    return kill(TailFeed, "kill -9, from tail", folder, full)


def kill_http(folder: Path, full: bool) -> Row:
    """From a client that retries."""
    return kill(HttpFeed, "kill -9, from HTTP", folder, full)


def kill_flood(folder: Path, full: bool) -> Row:
    """A log that is long already, as fast as it goes, into a file with the batches that it has by default."""
    kills, count = (20, 100_000) if full else (3, 20_000)
    row = Row("kill -9, in a flood", tries=kills)
    draw = random.Random("flood")
    log, out = folder / "events.log", folder / "file.txt"
    log.write_text("".join(alerts(count)))
    path = config(folder, json.dumps({
        "syslog_output": {"enabled": False}, "stdout_output": {"enabled": False},
        "file_output": {"enabled": True, "filename": str(out)},
        "rxalerts": {"channels": {"file": {"durable": str(folder / "spool")}}},
    }))  # fmt: skip
    command = ("run", "-c", path, "--from", f"tail:{log}?state={folder}/state&poll=0.02&ack=accepted")
    bound = 2 * FileSink(out).max_batch + TAIL
    before = 0
    for part in range(kills):
        with Run(*command, folder=folder) as run:
            moment = draw.randrange(count * part // kills, count * (part + 1) // kills)
            until(partial(is_as_long_as, out, moment), "progress")
            run.signal(signal.SIGKILL)
            run.process.wait()
        doubled = len(compare(range(count), numbers(read_all(out))).doubled)
        row.check(doubled - before <= bound, f"kill {part}: {doubled - before} doubled, {bound} at most")
        before = doubled
    with Run(*command, folder=folder) as run:
        run.ready()
        until(lambda: len(set(numbers(read_all(out)))) == count, "all to arrive", 60)
        run.signal(signal.SIGTERM)
        assert run.end() == 0, run.err
    row.add(compare(range(count), numbers(read_all(out))), "file", doubles=kills * bound)
    return row


def is_as_long_as(path: Path, count: int) -> bool:
    """Tell whether a file has about so many lines."""
    return path.exists() and path.stat().st_size >= count * LINE


CASES = [
    Case("kill -9, from tail", kill_tail),
    Case("kill -9, from HTTP", kill_http),
    Case("kill -9, in a flood", kill_flood),
]
