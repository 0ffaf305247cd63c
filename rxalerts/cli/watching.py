"""What `rxalerts top` shows: counts of what flows by, and the screen that they are drawn on."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rxalerts.alert import Alert
from rxalerts.cli.around import Around
from rxalerts.cli.summary import sparkline
from rxalerts.cli.terminal import visible
from rxalerts.flow.batching import BatchObserver
from rxalerts.flow.report import Report
from rxalerts.flow.source import Source
from rxalerts.notebook.palette import COLOURS, text_on
from rxalerts.priority import Priority

# For how many seconds rates are kept.
_KEPT = 60

# So many different rules are counted one by one.
_RULES = 10_000

_BAR = 30


class Watched(Around):
    """A source around another one, which counts what flows by."""

    def __init__(self, source: Source[Alert]) -> None:
        super().__init__(source)
        self.total = 0
        self.priorities: Counter[Priority] = Counter()
        self.rules: Counter[str] = Counter()
        self.worst: dict[str, Priority] = {}

    def receive(self, alert: Alert) -> None:
        self._note(alert)
        if self._observer is not None:
            self._observer.on_next(alert)

    def receive_all(self, alerts: Sequence[Alert]) -> None:
        for alert in alerts:
            self._note(alert)
        if isinstance(self._observer, BatchObserver):
            self._observer.on_batch(alerts)

    def _note(self, alert: Alert) -> None:
        self.total += 1
        priority, rule = alert.priority, alert.rule or "(no rule)"
        self.priorities[priority] += 1
        if rule not in self.rules and len(self.rules) >= _RULES:
            rule = "(others)"
        self.rules[rule] += 1
        self.worst[rule] = min(priority, self.worst.get(rule, priority))


class Rates:
    """How many came in each of the last seconds.

    Arguments:
        clock: seconds, from anywhere.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = self._second = clock()
        self._total = 0
        self._counts: deque[int] = deque(maxlen=_KEPT)

    def look(self, total: int) -> None:
        """Take note of how many there have been by now; called at least once a second, or their seconds are even."""
        passed = int(self._clock() - self._second)
        if passed:
            each, more = divmod(total - self._total, passed)
            self._counts.extend([each] * (min(passed, _KEPT) - 1))
            self._counts.append(each + more)
            self._second += passed
            self._total = total

    def over(self, seconds: int) -> float:
        """Return how many a second came lately, over so many whole seconds or as many as there were."""
        recent = list(self._counts)[-seconds:]
        return sum(recent) / max(1, len(recent))

    def line(self) -> str:
        """Return the last minute as a line of bars."""
        return sparkline(list(self._counts))


class Screen:
    """What is shown, made anew for each look.

    Arguments:
        watched: the counts.
        report: gives the sinks' counts.
        with_sinks: whether the sinks are anybody's business.
        leave: what ends it.
    """

    def __init__(
        self, watched: Watched, report: Callable[[], Report], *, with_sinks: bool, leave: str = "q quits"
    ) -> None:
        self._watched = watched
        self._report = report
        self._with_sinks = with_sinks
        self._leave = leave
        self.notes: deque[str] = deque()
        """The last lines of the log."""
        self._rates = Rates()

    def look(self) -> None:
        """Take note of the rate."""
        self._rates.look(self._watched.total)

    def plain(self) -> str:
        """Return everything that matters as one line."""
        priorities = self._watched.priorities.copy()
        parts = [f"{self._rates.over(1):,.0f}/s", f"{self._watched.total:,} alerts"]
        parts += [f"{priority} {priorities[priority]:,}" for priority in sorted(priorities)]
        report = self._report()
        if report.rejected:
            parts.append(f"no alert {report.rejected:,}")
        if self._with_sinks:
            for name, stats in report.sinks.items():
                parts.append(f"{visible(name)} {stats.state} waiting {stats.depth:,} lost {stats.lost:,}")
        return "  ".join(parts)

    def drawn(self, rows: int) -> RenderableType:
        """Return everything for a screen of so many rows."""
        report = self._report()
        priorities = self._watched.priorities.copy()
        parts: list[RenderableType] = [self._head(report), Text(self._rates.line(), no_wrap=True), Text("")]
        parts.append(self._priorities(priorities))
        sinks: list[RenderableType] = [Text(""), self._sinks(report)] if self._with_sinks else []
        used = 8 + len(priorities) + (len(report.sinks) + 2 if sinks else 0) + len(self.notes)
        parts += [Text(""), self._rules(max(3, rows - used)), *sinks]
        parts += [Text(visible(note), no_wrap=True, overflow="ellipsis") for note in self.notes]
        return Group(*parts)

    def _head(self, report: Report) -> Text:
        rates = self._rates
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append(f"{visible(self._watched.name)}  ", "bold")
        text.append(f"{rates.over(1):,.0f}/s", "bold")
        text.append(f"  10 s {rates.over(10):,.1f}/s  60 s {rates.over(60):,.1f}/s  {self._watched.total:,} alerts")
        if report.rejected:
            text.append(f"  {report.rejected:,} no alert")
        text.append(f"  {self._leave}", "dim")
        return text

    def _priorities(self, priorities: Counter[Priority]) -> Table:
        table = _table("priority", "alerts", "")
        most = max(priorities.values(), default=1)
        for priority in sorted(priorities):
            count = priorities[priority]
            bar = Text("█" * max(1, round(count / most * _BAR)), COLOURS[priority])
            table.add_row(_badge(str(priority), priority), f"{count:,}", bar)
        return table

    def _rules(self, rows: int) -> Table:
        table = _table("rule", "alerts", "share")
        total = max(1, self._watched.total)
        worst = self._watched.worst
        for rule, count in self._watched.rules.copy().most_common(rows):
            name = Text(no_wrap=True, overflow="ellipsis")
            name.append("● ", COLOURS[worst.get(rule, Priority.DEBUG)]).append(visible(rule))
            table.add_row(name, f"{count:,}", f"{count / total:.1%}")
        return table

    def _sinks(self, report: Report) -> Table:
        table = _table("sink", "delivered", "waiting", "lost", "state", "last error")
        for name, stats in report.sinks.items():
            error = Text(visible(stats.last_error or ""), no_wrap=True, overflow="ellipsis")
            numbers = (f"{stats.delivered:,}", f"{stats.depth:,}", f"{stats.lost:,}")
            table.add_row(Text(visible(name)), *numbers, str(stats.state), error)
        return table


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for title in titles:
        number = title in ("alerts", "share", "delivered", "waiting", "lost")
        # On a narrow screen these give way, and nothing else: cells of theirs are cut.
        gives_way = title in ("rule", "last error")
        table.add_column(title, justify="right" if number else "left", no_wrap=not gives_way)
    return table


def _badge(text: str, priority: Priority) -> Text:
    # Not "black" and "white", which many terminals' themes make grey.
    return Text(text, f"{'#000000' if text_on(priority) == '#000' else '#ffffff'} on {COLOURS[priority]}")
