"""What a report draws, counted by priority in one pass and in bounded memory."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rxalerts.alert import Alert
from rxalerts.priority import Priority

_SECOND = 1_000_000_000

# How many spans of time are counted one by one; beyond that, two neighbours become one.
_SPANS = 4096

# So many different values of one field are counted one by one; rarer ones then count as "(others)".
_VALUES = 10_000

Counts = Counter[Priority]


class Spans:
    """Counts alerts in equal spans of time, which grow as the log does.

    >>> spans = Spans()
    >>> for second in (0, 1, 100_000): spans.add(second * 10**9, Priority.NOTICE)
    >>> [(begin, counts.total()) for begin, counts in spans.binned(3)]
    [(0, 2), (65536000000000, 1)]
    """

    def __init__(self) -> None:
        self._width = _SECOND
        self._counts: dict[int, Counts] = {}

    def add(self, moment: int, priority: Priority) -> None:
        """Count one alert."""
        span = moment // self._width
        counts = self._counts.get(span)
        if counts is None:
            counts = self._counts[span] = Counter()
            if len(self._counts) > _SPANS:
                self._widen()
                counts = self._counts[moment // self._width]
        counts[priority] += 1

    def _widen(self) -> None:
        self._width *= 2
        merged: defaultdict[int, Counts] = defaultdict(Counter)
        for span, counts in self._counts.items():
            merged[span // 2] += counts
            # A span that has just begun has no alert yet, and is there all the same.
            merged[span // 2].update()
        self._counts = dict(merged)

    @property
    def width(self) -> int:
        """How long a span is, in nanoseconds."""
        return self._width

    def binned(self, most: int) -> list[tuple[int, Counts]]:
        """Return beginning and counts of at most `most` spans, those without an alert left out."""
        while self._counts and max(self._counts) - min(self._counts) >= most:
            self._widen()
        return [(span * self._width, counts) for span, counts in sorted(self._counts.items())]


@dataclass
class Tallies:
    """Counts of rules and values, and the most urgent alerts.

    Arguments:
        fields: the output fields whose values are counted.
        rows: how many alerts are kept.
    """

    fields: Sequence[str]
    rows: int
    count: int = 0
    first: int | None = None
    last: int | None = None
    spans: Spans = field(default_factory=Spans)
    priorities: Counts = field(default_factory=Counter[Priority])
    rules: dict[str, Counts] = field(default_factory=dict[str, Counts])
    values: dict[str, dict[str, Counts]] = field(default_factory=dict[str, "dict[str, Counts]"])
    _kept: list[tuple[int, int, Alert]] = field(default_factory=list[tuple[int, int, Alert]])

    def add_all(self, alerts: Iterable[Alert]) -> Tallies:
        """Count all alerts, and return these tallies."""
        for alert in alerts:
            self._add(alert)
        return self

    def _add(self, alert: Alert) -> None:
        priority, moment = alert.priority, alert.time_ns
        self.count += 1
        self.first = moment if self.first is None else min(self.first, moment)
        self.last = moment if self.last is None else max(self.last, moment)
        self.spans.add(moment, priority)
        self.priorities[priority] += 1
        _count(self.rules, alert.rule or "(no rule)", priority)
        if self.fields:
            found = alert.output_fields
            for name in self.fields:
                value = found.get(name)
                if value is not None and value != "":
                    _count(self.values.setdefault(name, {}), str(value), priority)
        if self.rows:
            # The number makes each entry different, so that alerts are never compared; of equals the first stays.
            entry = (-priority, -self.count, alert)
            if len(self._kept) < self.rows:
                heapq.heappush(self._kept, entry)
            elif entry > self._kept[0]:
                heapq.heapreplace(self._kept, entry)

    @property
    def kept(self) -> list[Alert]:
        """The most urgent alerts, in order of time."""
        return sorted((alert for _, _, alert in self._kept), key=lambda alert: alert.time_ns)


def _count(values: dict[str, Counts], value: str, priority: Priority) -> None:
    if value not in values and len(values) >= _VALUES:
        value = "(others)"
    values.setdefault(value, Counter())[priority] += 1


def most_common(values: dict[str, Counts], most: int) -> list[tuple[str, Counts]]:
    """Return the most frequent values first."""
    return heapq.nsmallest(most, values.items(), key=lambda item: (-item[1].total(), item[0]))
