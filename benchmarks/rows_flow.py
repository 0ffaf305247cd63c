"""Fan-out, latency, a stuck sink, memory."""

import statistics

from benchmarks.measure import ratio, run
from benchmarks.registry import Bench, CannotRun, row
from benchmarks.rows_road import the_log


@row("six routes (filter and format each) into six sinks, per alert", "µs", at_most=10)
def six_routes(bench: Bench) -> float:
    """The median of several processes."""
    command = bench.program("fanout", the_log(bench), bench.count // 2)
    return statistics.median(run(command).json()["us_per_alert"] for _ in range(bench.repetitions))


def latency(bench: Bench) -> dict[str, float]:
    """Return the percentiles of the middle one of three processes."""
    command = bench.program("latency", the_log(bench), bench.folder / "latency.jsonl", 5000)
    figures = sorted((run(command).json() for _ in range(3)), key=lambda figure: figure["p99_ms"])
    return figures[1]


@row("latency, on_next → visible in the file, 1,000/s, unbuffered, p50", "ms", at_most=1)
def latency_p50(bench: Bench) -> float:
    """Half of the alerts are faster."""
    return bench.once("latency", lambda: latency(bench))["p50_ms"]


@row("the same, p99", "ms", at_most=10)
def latency_p99(bench: Bench) -> float:
    """One alert in a hundred is slower."""
    return bench.once("latency", lambda: latency(bench))["p99_ms"]


@row("one of three sinks stuck, drop_oldest: rate of the other two against none stuck", "×", at_least=0.9)
def one_stuck(bench: Bench) -> float:
    """Interleaved: none, one, none, one …"""
    seconds: dict[str, list[float]] = {"none": [], "one": []}
    for _ in range(bench.repetitions):
        for how_many, figures in seconds.items():
            figures.append(run(bench.program("stuck", the_log(bench), how_many)).json()["seconds"])
    return ratio(seconds["none"], seconds["one"])


@row("memory: 1,000,000 alerts, one sink stuck: peak RSS", "MB", at_most=120)
def memory(bench: Bench) -> float:
    """The log five times over, as one stream."""
    times = max(1, 1_000_000 // bench.count)
    ran = run(bench.program("memory", the_log(bench), times))
    if ran.json()["alerts"] != times * bench.count:
        raise CannotRun(f"the working sink got {ran.json()['alerts']:.0f} of {times * bench.count} alerts")
    return ran.peak_bytes / 1e6
