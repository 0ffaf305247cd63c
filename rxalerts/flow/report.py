"""What became of every alert of a run, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field

from rxalerts.display import html_of
from rxalerts.flow.source import SourceStats
from rxalerts.flow.stats import SinkStats


@dataclass(frozen=True)
class Report:
    """What became of every alert: per sink, per source, and `lost` over all.

    `errors` holds what ended a source or a route early; `interrupted` tells that it was stopped from outside.
    `faults` counts by operator how often a user's function failed there, `faulty` the alerts that it cost.
    `cut` counts the alerts that came to a route which had failed, once for each of its sinks.
    """

    sinks: dict[str, SinkStats]
    sources: tuple[SourceStats, ...]
    seconds: float
    interrupted: bool = False
    errors: tuple[str, ...] = ()
    faults: dict[str, int] = field(default_factory=dict[str, int])
    faulty: int = 0
    cut: int = 0
    _repr_html_ = html_of

    @property
    def lost(self) -> int:
        """How many alerts did not get to the end of their route.

        Not delivered by a sink, faulty in an operator, or on a route that had failed.
        """
        waiting = sum(stats.lost + stats.depth - stats.spooled for stats in self.sinks.values())
        return waiting + self.faulty + self.cut

    @property
    def read(self) -> int:
        """How many alerts the sources read."""
        return sum(source.read for source in self.sources)

    @property
    def rejected(self) -> int:
        """How many pieces of the input were no alert."""
        return sum(source.rejected for source in self.sources)

    @property
    def delivered(self) -> int:
        """How many alerts were delivered, over all sinks."""
        return sum(stats.delivered for stats in self.sinks.values())

    def __str__(self) -> str:
        lines = [f"{'source':<20}{'read':>12}{'rejected':>12}"]
        lines += [f"{s.name:<20}{s.read:>12}{s.rejected:>12}" for s in self.sources]
        lines += [f"{'sink':<20}{'received':>12}{'delivered':>12}{'lost':>12}  state"]
        for name, stats in self.sinks.items():
            lost = stats.lost + stats.depth
            why = f" ({', '.join(f'{k} {v}' for k, v in stats.dropped.items())})" if stats.dropped else ""
            lines.append(f"{name:<20}{stats.received:>12}{stats.delivered:>12}{lost:>12}  {stats.state}{why}")
        lines.append(f"lost: {self.lost}; {self.seconds:.1f} s" + ("; interrupted" if self.interrupted else ""))
        lines += [f"operator {name}: its function failed for {n} alerts" for name, n in self.faults.items()]
        lines += [f"routes that failed: {self.cut} alerts did not get to a sink"] if self.cut else []
        return "\n".join([*lines, *(f"error: {error}" for error in self.errors)])
