"""What durability costs: through a spool on disk, acknowledged over HTTP, and at a restart with a large backlog."""

import shutil
import statistics

from benchmarks.measure import Ran, ratio, run
from benchmarks.registry import Bench, CannotRun, row
from benchmarks.rows_road import the_log

BACKLOG = 1_000_000


def through_file(bench: Bench) -> dict[str, list[float]]:
    """Return the rates of both kinds, interleaved: plain, durable, plain, durable …"""
    rates: dict[str, list[float]] = {"plain": [], "durable": []}
    for _ in range(bench.repetitions):
        for how, figures in rates.items():
            command = bench.program("durable_file", the_log(bench), bench.folder / "durable.jsonl", how)
            figures.append(run(command).json()["alerts_per_s"])
    return rates


@row("file → durable file sink: rate against not durable", "×", at_least=0.35)
def durable_ratio(bench: Bench) -> float:
    """Everything is on disk before it is delivered."""
    rates = bench.once("durable", lambda: through_file(bench))
    return ratio(rates["durable"], rates["plain"])


@row("the same, its rate", "alerts/s", at_least=30_000)
def durable_rate(bench: Bench) -> float:
    """The median."""
    return statistics.median(bench.once("durable", lambda: through_file(bench))["durable"])


@row("HTTP source, ack accepted, durable sink, 32 connections: requests against not durable", "×", at_least=0.6)
def accepted(bench: Bench) -> float:
    """An answer of 200 says that the alert is on disk; one alert per request."""
    rates: dict[str, list[float]] = {"plain": [], "durable": []}
    for _ in range(bench.repetitions):
        for how, figures in rates.items():
            out = bench.folder / "durable-http.jsonl"
            command = bench.program("http_load", the_log(bench), out, bench.count // 20, 1, 32, how)
            figures.append(run(command).json()["requests_per_s"])
    return ratio(rates["durable"], rates["plain"])


def restart(bench: Bench) -> Ran:
    """Make a backlog, and let another process deliver it."""
    folder = bench.folder / "backlog"
    shutil.rmtree(folder, ignore_errors=True)
    run(bench.program("backlog", folder, BACKLOG))
    ran = run(bench.program("backlog", folder))
    shutil.rmtree(folder, ignore_errors=True)
    if ran.json()["alerts"] != BACKLOG:
        raise CannotRun(f"the backlog was {ran.json()['alerts']:.0f}")
    return ran


@row("restart with a backlog of 1,000,000 alerts: first one out", "s", at_most=2)
def first_out(bench: Bench) -> float:
    """From making the sink until something is in the file."""
    return bench.once("backlog", lambda: restart(bench)).json()["first_s"]


@row("the same, until all are out: peak RSS", "MB", at_most=150)
def restart_memory(bench: Bench) -> float:
    """The window in memory stays as small as the mailbox."""
    return bench.once("backlog", lambda: restart(bench)).peak_bytes / 1e6
