"""Charts as SVG, drawn by ourselves: nothing is loaded from anywhere, and all text is escaped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from rxalerts.notebook.blocks import Html, escape
from rxalerts.notebook.palette import COLOURS
from rxalerts.priority import Priority

Counts = Counter[Priority]

_WIDTH, _HEIGHT = 900, 240
_LEFT, _BOTTOM, _TOP = 60, 30, 10
_ROW, _NAME = 24, 330
_LABEL = 46  # characters of a name beside a bar


def timeline(spans: Sequence[tuple[int, Counts]], width: int) -> Html:
    """Return bars over time, stacked by priority.

    Arguments:
        spans: beginning (epoch nanoseconds) and counts of each.
        width: how long a span is, in nanoseconds.
    """
    if not spans:
        return Html("")
    first, last = spans[0][0], spans[-1][0] + width
    highest = _nice(max(counts.total() for _, counts in spans))
    plot, floor = _WIDTH - _LEFT - 10, _HEIGHT - _BOTTOM
    scale = (floor - _TOP) / highest
    parts: list[str] = []
    for tick in sorted({0, highest // 2, highest}):
        y = floor - tick * scale
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - 10}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="axis" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:,}</text>')
    for begin, counts in spans:
        x = _LEFT + (begin - first) / (last - first) * plot
        y = float(floor)
        for priority in sorted(counts, reverse=True):
            height = counts[priority] * scale
            y -= height
            title = f"{_moment(begin)} UTC: {counts[priority]:,} {priority}"
            wide = max(0.8, width / (last - first) * plot - 0.3)
            parts.append(_bar(x, y, wide, height, priority, title))
    for number in range(5):
        moment = first + (last - first) * number // 5
        x = _LEFT + plot * number / 5
        parts.append(f'<text class="axis" x="{x:.1f}" y="{_HEIGHT - 8}">{_moment(moment)[:16]}</text>')
    return _svg(_HEIGHT, f"Alerts over time, per {span_words(width)}, stacked by priority", parts)


def bars(values: Sequence[tuple[str, Counts]], what: str) -> Html:
    """Return one bar for each value, stacked by priority, with its name and number."""
    if not values:
        return Html("")
    highest = max(counts.total() for _, counts in values)
    room = _WIDTH - _NAME - 90
    parts: list[str] = []
    for number, (name, counts) in enumerate(values):
        y = number * _ROW + 4
        short = name if len(name) <= _LABEL else name[: _LABEL - 1] + "…"
        text = (
            f'<text x="{_NAME - 8}" y="{y + 14}" text-anchor="end">{escape(short)}<title>{escape(name)}</title></text>'
        )
        parts.append(text)
        x = float(_NAME)
        for priority in sorted(counts):
            length = counts[priority] / highest * room
            parts.append(_bar(x, y, length, _ROW - 7, priority, f"{name}: {counts[priority]:,} {priority}"))
            x += length
        parts.append(f'<text x="{x + 6:.1f}" y="{y + 14}">{counts.total():,}</text>')
    return _svg(len(values) * _ROW + 4, f"Most frequent by {what}", parts)


def _svg(height: int, label: str, parts: Sequence[str]) -> Html:
    head = f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(label)}">'
    return Html(f"{head}{''.join(parts)}</svg>")


def _bar(x: float, y: float, width: float, height: float, priority: Priority, title: str) -> str:
    place = f'x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}"'
    return f'<rect {place} fill="{COLOURS[priority]}"><title>{escape(title)}</title></rect>'


def _moment(nanoseconds: int) -> str:
    """Return a moment in UTC; those beyond the calendar are shown as they are."""
    try:
        return datetime.fromtimestamp(nanoseconds // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return str(nanoseconds)


def _nice(number: int) -> int:
    """Return the next round number.

    >>> [_nice(number) for number in (1, 7, 23, 1001)]
    [2, 8, 40, 2000]
    """
    size: int = 10 ** (len(str(number)) - 1)
    return max(2, next(size * step for step in (1, 2, 4, 6, 8, 10) if size * step >= number))


def span_words(width: int) -> str:
    """Return a length of time in words.

    >>> span_words(1_000_000_000), span_words(128_000_000_000), span_words(16384_000_000_000)
    ('second', '2.1 minutes', '4.6 hours')
    """
    seconds = width / 1e9
    for name, size in (("day", 86400.0), ("hour", 3600.0), ("minute", 60.0), ("second", 1.0)):
        if seconds >= size:
            return name if seconds == size else f"{seconds / size:.2g} {name}s"
    return f"{seconds:g} seconds"
