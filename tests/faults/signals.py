"""SIGUSR1, SIGHUP and SIGTERM at random moments under full load."""

from __future__ import annotations

import random
import signal
from functools import partial
from pathlib import Path
from typing import Any

from tests.faults.command import Destinations, random_moment
from tests.faults.kill import TailFeed, has_reached
from tests.faults.ledger import Case, Row, compare
from tests.support.run import Run, numbers, read_all, until

# How much flows between two ends.
PER_ROUND = 600


class Rotated(Destinations):
    """The same destinations; in memory, and the file is moved away at each SIGUSR1, as logrotate does."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.moved: list[Path] = []
        self.capacity = 1000

    @property
    def config(self) -> dict[str, Any]:
        """Other capacities each time it is read, so that SIGHUP exchanges all three channels."""
        config = super().config
        self.capacity += 1
        for options in config["rxalerts"]["channels"].values():
            options.pop("durable", None)
            options["capacity"] = self.capacity
        config["file_output"]["keep_alive"] = True
        return config

    def rotate(self) -> None:
        """Move the file away."""
        path = self.folder / "file.txt"
        if path.exists():
            self.moved.append(self.folder / f"file.{len(self.moved)}.txt")
            path.rename(self.moved[-1])

    def got(self) -> dict[str, list[int]]:
        """Return what has arrived, in the files that were moved away too."""
        return {**super().got(), "file": numbers(read_all(*self.moved, self.folder / "file.txt"))}


def storm(folder: Path, full: bool) -> Row:
    """In each round the command is started, gets a SIGUSR1 and a SIGHUP, and is ended by a SIGTERM."""
    row = Row("SIGUSR1, SIGHUP, SIGTERM", tries=3 * (100 if full else 10))
    draw = random.Random("signals")
    rounds = row.tries // 3
    with Rotated(folder) as destinations:
        feed = TailFeed(folder)
        try:
            for number in range(rounds):
                last = number == rounds - 1
                one_round(destinations, feed, PER_ROUND * (number + 1), draw, row, last=last)
        finally:
            feed.close()
        for sink, got in destinations.got().items():
            row.add(compare(range(PER_ROUND * rounds), got), sink)
        row.check(not destinations.torn(), f"torn lines: {destinations.torn()[:3]}")
    return row


def one_round(destinations: Rotated, feed: TailFeed, goal: int, draw: random.Random, row: Row, *, last: bool) -> None:
    """Start, disturb twice, and end; everything that was read by then must be delivered."""
    config, folder = destinations.write_config(), destinations.folder
    with Run("run", "-c", config, "--from", feed.origin.replace("&ack=accepted", ""), folder=folder) as run:
        run.ready()
        feed.goal = goal
        for number in draw.sample([signal.SIGUSR1, signal.SIGHUP], 2):
            random_moment(0.05, draw.random())
            if number is signal.SIGUSR1:
                destinations.rotate()
            else:
                destinations.write_config()
            run.signal(number)
        if last:
            until(partial(all_reached, destinations, goal), "the rest")
        else:
            until(partial(has_reached, destinations, draw.randrange(goal - PER_ROUND, goal - 50)), "progress")
        run.signal(signal.SIGTERM)
        status = run.end()
        row.check(status == 0, f"exit status {status}: {run.err[-600:]}")
    destinations.program_left()


def all_reached(destinations: Destinations, count: int) -> bool:
    """Tell whether everything is everywhere."""
    return all(len(set(got)) >= count for got in destinations.got().values())


CASES = [Case("signals", storm)]
