"""What conditions and keyed operators cost per alert."""

import statistics

from benchmarks.measure import run
from benchmarks.registry import Bench, row


def costs(bench: Bench) -> dict[str, float]:
    """Return the median figure of each over several processes."""
    figures = [run(bench.program("keyed")).json() for _ in range(bench.repetitions)]
    return {name: statistics.median(figure[name] for figure in figures) for name in figures[0]}


def cost(bench: Bench, name: str) -> float:
    """Return one of the figures; all come from the same processes."""
    return bench.once("operators", lambda: costs(bench))[name]


@row("a condition of four terms, per alert", "µs", at_most=1)
def condition(bench: Bench) -> float:
    """All four terms are looked at."""
    return cost(bench, "condition")


@row("rate_limit, 20,000 keys, per alert", "µs", at_most=5)
def rate_limit(bench: Bench) -> float:
    """A bucket for each key; few are withheld."""
    return cost(bench, "rate_limit")


@row("suppress_repeats, 20,000 keys, per alert", "µs", at_most=5)
def suppress_repeats(bench: Bench) -> float:
    """Most alerts are withheld, with their summaries."""
    return cost(bench, "suppress_repeats")


@row("tally, 20,000 keys, per alert", "µs", at_most=5)
def tally(bench: Bench) -> float:
    """With the alerts that tell the counts."""
    return cost(bench, "tally")


@row("correlate, 20,000 keys, per alert", "µs", at_most=5)
def correlate(bench: Bench) -> float:
    """With the alerts that it raises."""
    return cost(bench, "correlate")


@row("absence, 20,000 keys, per alert", "µs", at_most=5)
def absence(bench: Bench) -> float:
    """With the alerts that it raises."""
    return cost(bench, "absence")
