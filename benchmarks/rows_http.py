"""HTTP, both directions: the source under load, the sink against a bare server, a dead endpoint."""

import statistics

from benchmarks.measure import ratio, run
from benchmarks.registry import Bench, row
from benchmarks.rows_road import the_log


def load(bench: Bench, requests: int, per_request: int) -> dict[str, float]:
    """Return the median run of several: 32 keep-alive connections, client and source on the same cores."""
    command = bench.program("http_load", the_log(bench), bench.folder / "http.jsonl", requests, per_request, 32)
    runs = [run(command).json() for _ in range(bench.repetitions)]
    return sorted(runs, key=lambda figures: figures["requests_per_s"])[len(runs) // 2]


@row("HTTP source, one alert per request, 32 keep-alive connections, into a file", "requests/s", at_least=4000)
def source_single(bench: Bench) -> float:
    """Client included."""
    return load(bench, bench.count // 10, 1)["requests_per_s"]


@row("HTTP source, NDJSON of 100 per request", "alerts/s", at_least=60_000)
def source_ndjson(bench: Bench) -> float:
    """Client included."""
    return load(bench, bench.count // 100, 100)["alerts_per_s"]


def sink(bench: Bench, count: int, batch: str, in_flight: int) -> float:
    """Return the median of several runs, server included."""
    command = bench.program("http_sink", the_log(bench), count, batch, in_flight)
    return statistics.median(run(command).json()["alerts_per_s"] for _ in range(bench.repetitions))


@row("HTTP sink, one alert per request, 16 in flight", "alerts/s", at_least=4000)
def sink_single(bench: Bench) -> float:
    """Against a bare aiohttp server in another process."""
    return sink(bench, bench.count // 10, "none", 16)


@row("HTTP sink, batches of 100", "alerts/s", at_least=50_000)
def sink_batch(bench: Bench) -> float:
    """NDJSON, one request at a time."""
    return sink(bench, bench.count, "ndjson", 1)


def beside_dead(bench: Bench, how: str) -> float:
    """Return without against dead, interleaved. The endpoint takes connections and never answers."""
    seconds: dict[str, list[float]] = {"none": [], "dead": []}
    for _ in range(bench.repetitions):
        for which, figures in seconds.items():
            out = bench.folder / "http-dead"
            figures.append(run(bench.program("http_dead", the_log(bench), out, which, how)).json()["seconds"])
    return ratio(seconds["none"], seconds["dead"])


@row("HTTP endpoint dead, drop_oldest: rate of the other sinks against without", "×", at_least=0.9)
def dead(bench: Bench) -> float:
    """A log that is replayed."""
    return beside_dead(bench, "replay")


@row("the same, alerts from a generator", "×", at_least=0.9)
def dead_generated(bench: Bench) -> float:
    """One alert after the other, as a program of one's own yields them."""
    return beside_dead(bench, "read")
