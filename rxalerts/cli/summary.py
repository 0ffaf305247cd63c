"""What a recorded log holds, counted in one pass and in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rxalerts.alert import Alert
from rxalerts.priority import Priority
from rxalerts.timestamps import format_rfc3339

_MINUTE = 60 * 1_000_000_000

# So many different values of one field are counted one by one; rarer ones then count as "others".
_VALUES = 10_000

_BARS = "▁▂▃▄▅▆▇█"


@dataclass
class Summary:
    """Counts of a stream of alerts.

    Arguments:
        fields: the output fields whose values are counted.
    """

    fields: Sequence[str] = ()
    count: int = 0
    first_ns: int | None = None
    last_ns: int | None = None
    priorities: Counter[Priority] = field(default_factory=Counter[Priority])
    rules: Counter[str] = field(default_factory=Counter[str])
    minutes: Counter[int] = field(default_factory=Counter[int])
    values: dict[str, Counter[str]] = field(default_factory=dict[str, "Counter[str]"])

    def __post_init__(self) -> None:
        self.values = {name: Counter() for name in self.fields}

    def add(self, alert: Alert) -> None:
        """Count one alert."""
        moment = alert.time_ns
        self.count += 1
        self.first_ns = moment if self.first_ns is None else min(self.first_ns, moment)
        self.last_ns = moment if self.last_ns is None else max(self.last_ns, moment)
        self.priorities[alert.priority] += 1
        _count(self.rules, alert.rule or "(no rule)")
        self.minutes[moment // _MINUTE] += 1
        for name, counter in self.values.items():
            value = alert.output_fields.get(name)
            if value is not None:
                _count(counter, str(value))

    def add_all(self, alerts: Iterable[Alert]) -> Summary:
        """Count all alerts, and return this summary.

        >>> Summary().add_all([Alert("Shell", "notice"), Alert("Shell", "error")]).rules
        Counter({'Shell': 2})
        """
        for alert in alerts:
            self.add(alert)
        return self

    @property
    def seconds(self) -> float:
        """From the first alert to the last one."""
        return 0.0 if self.first_ns is None or self.last_ns is None else (self.last_ns - self.first_ns) / 1e9

    @property
    def per_minute(self) -> float:
        """How many alerts there were a minute, on average."""
        return self.count / max(1.0, self.seconds / 60)

    def spans(self, minutes: int) -> bool:
        """Tell whether the log is so long; every log has a minute."""
        return minutes == 1 or self.seconds >= minutes * 60

    @property
    def busiest(self) -> tuple[int, int] | None:
        """The minute with the most alerts (epoch nanoseconds of its beginning), and how many."""
        if not self.minutes:
            return None
        minute, count = max(self.minutes.items(), key=lambda item: (item[1], -item[0]))
        return minute * _MINUTE, count

    def timeline(self, width: int) -> list[int]:
        """Return the counts in `width` equal spans of time from the first alert to the last one."""
        if not self.minutes:
            return []
        first, last = min(self.minutes), max(self.minutes)
        spans = [0] * min(width, last - first + 1)
        for minute, count in self.minutes.items():
            spans[(minute - first) * len(spans) // (last - first + 1)] += count
        return spans

    def as_data(self, most: int) -> dict[str, Any]:
        """Return everything as plain data."""
        busiest = self.busiest
        return {
            "alerts": self.count,
            "first": None if self.first_ns is None else format_rfc3339(self.first_ns),
            "last": None if self.last_ns is None else format_rfc3339(self.last_ns),
            "per_minute": round(self.per_minute, 3),
            "busiest_minute": None if busiest is None else {"from": format_rfc3339(busiest[0]), "alerts": busiest[1]},
            "priorities": {str(priority): self.priorities[priority] for priority in sorted(self.priorities)},
            "rule_count": len(self.rules),
            "rules": dict(self.rules.most_common(most)),
            "fields": {name: dict(counter.most_common(most)) for name, counter in self.values.items()},
        }


def sparkline(counts: Sequence[int]) -> str:
    """Return counts as a line of bars; a span with any alert has at least the lowest one.

    >>> sparkline([0, 1, 50, 100])
    ' ▁▅█'
    """
    highest = max(counts, default=0)
    return "".join(
        " " if not count else _BARS[(count * (len(_BARS) - 1) + highest // 2) // highest] for count in counts
    )


def _count(counter: Counter[str], value: str) -> None:
    if value in counter or len(counter) < _VALUES:
        counter[value] += 1
    else:
        counter["(others)"] += 1
