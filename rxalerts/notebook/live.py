"""A view of a running stream, which updates in place while other cells run: `live`."""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Any

from reactivex import Observable

from rxalerts.alert import Alert
from rxalerts.flow.pulling import Subscription
from rxalerts.format import Formatted
from rxalerts.notebook.blocks import Html, badge, card, escape, page, table, whole
from rxalerts.notebook.cells import Ongoing
from rxalerts.notebook.jupyter import display, running_cell, show_html
from rxalerts.notebook.palette import COLOURS
from rxalerts.priority import Priority
from rxalerts.sources import from_iterable

__all__ = ["View", "live"]

log = logging.getLogger("rxalerts")

_TEXT = 160


def live(
    stream: Observable[Any] | Iterable[Any],
    *,
    rows: int = 10,
    seconds: int = 60,
    refresh: float = 0.5,
    clock: Callable[[], float] = time.monotonic,
) -> View:
    """Show a stream while it runs: the latest alerts, and how many came in each second; returns at once.

    Arguments:
        stream: a source of rxalerts, any Observable of alerts, or alerts.
        rows: how many of the latest alerts are shown.
        seconds: how far back the chart goes, by the time of arrival.
        refresh: seconds between two updates.
        clock: monotonic seconds, for tests.

    Returns a view with `stop()`. In Jupyter it is shown by itself, with a button to stop it if ipywidgets is there.
    Its memory is bounded by `rows` and `seconds`, not by the stream. It lets go of the stream and its two threads end
    at the stream's end, with `stop()`, when the cell is run again, when a ninth view is opened, and with the kernel.
    Nothing is held back: the stream runs as fast as it can; give `sources.replay` a `speed` to watch a log.

    >>> view = live([Alert("Shell", "warning"), Alert("Ping", "debug")])
    >>> view.wait(5), view.total, view.counts["Warning"]
    (True, 2, 1)
    """
    view = View(stream, rows=rows, seconds=seconds, refresh=refresh, clock=clock)
    _views.open(view)
    view.start()
    return view


class View:
    """What `live` returns. `total` and `counts` (by priority) tell what has come so far."""

    def __init__(
        self,
        stream: Observable[Any] | Iterable[Any],
        *,
        rows: int,
        seconds: int,
        refresh: float,
        clock: Callable[[], float],
    ) -> None:
        for name, value in (("rows", rows), ("seconds", seconds)):
            if value < 1:
                raise ValueError(f"{name}={value}: must be 1 or more")
        if refresh <= 0:
            raise ValueError(f"refresh={refresh}: must be more than 0 seconds")
        self.total = 0
        self.counts: Counter[str] = Counter()
        self.seconds = seconds
        self._refresh = refresh
        self._clock = clock
        self._lock = threading.Lock()
        self._latest: deque[Alert] = deque(maxlen=rows)
        # The second of arrival, with the counts by priority in it.
        self._rates: deque[tuple[int, Counter[Priority]]] = deque(maxlen=seconds)
        self._done = threading.Event()
        self._over = threading.Event()
        self._stopped = False
        self._show: Callable[[str], object] | None = None
        self._button: Any = None
        self._run = ""
        observable: Observable[Any] = stream if isinstance(stream, Observable) else from_iterable(stream)
        self._watch = _Watch(observable, self)

    # -- life -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Show the view, if this is a notebook, and subscribe."""
        self._run = running_cell()[1]
        self._show, self._button = display(self._repr_html_, self.stop)
        self._watch.start()
        if self._show is None:
            return
        # What a thread shows belongs to the cell only if it runs in the cell's context.
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(self._repeat,), name="rxalerts-live-show", daemon=True).start()

    def stop(self, *_: object) -> None:
        """Let go of the stream; what was shown stays. May be called any number of times."""
        if not self._done.is_set():
            self._stopped = True
            self._watch.dispose()
            self.ended()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the stream has ended or the view was stopped; false after `timeout` seconds."""
        return self._done.wait(timeout) and (self._show is None or self._over.wait(timeout))

    @property
    def running(self) -> bool:
        """Whether alerts may still come."""
        return not self._done.is_set()

    def ended(self) -> None:
        """Note the end (called by the subscription)."""
        self._done.set()
        _views.close(self)

    def _repeat(self) -> None:
        shown = -1
        while not self._done.wait(self._refresh):
            # The chart moves on even when nothing comes, until it is empty.
            if self.total != shown or self._rates:
                shown = self.total
                self._update()
        self._update()
        if self._button is not None:
            self._button.disabled = True
        self._over.set()

    def _update(self) -> None:
        show = self._show
        try:
            if show is not None:
                show(self._repr_html_())
        except Exception:
            log.exception("live: cannot show")

    # -- what comes -----------------------------------------------------------------------------------------

    def add(self, item: Any) -> None:
        """Take an alert."""
        alert = item.alert if isinstance(item, Formatted) else item
        if not isinstance(alert, Alert):
            raise TypeError(f"live shows alerts, not {type(alert).__name__}")
        second = int(self._clock())
        with self._lock:
            self.total += 1
            self.counts[alert.priority.label] += 1
            self._latest.append(alert)
            if not self._rates or self._rates[-1][0] != second:
                self._rates.append((second, Counter()))
            self._rates[-1][1][alert.priority] += 1

    # -- how it looks ---------------------------------------------------------------------------------------

    def _repr_html_(self) -> str:
        now = int(self._clock())
        with self._lock:
            while self._rates and self._rates[0][0] <= now - self.seconds:
                self._rates.popleft()
            rates = [(second, counts.copy()) for second, counts in self._rates]
            latest, counts, total = list(self._latest), self.counts.copy(), self.total
        badges = [badge(f"{p.label} {counts[p.label]:,}", p) for p in Priority if counts[p.label]]
        rows = [
            (whole(alert.time), badge(alert.priority, alert.priority), _cut(alert.rule), _cut(alert.message))
            for alert in reversed(latest)
        ]
        count = f'<span class="faint">{total:,} alerts</span>'
        head = f"<div><b>{escape(self._state())}</b> {count} {' '.join(badges)}</div>"
        worst = min((alert.priority for alert in latest), default=Priority.DEBUG)
        parts = (Html(head), _bars(rates, now, self.seconds), table(("time", "priority", "rule", "message"), rows))
        return page(card(COLOURS[worst], *parts))

    def _ipython_display_(self) -> None:
        # The last value of a cell is shown; in the cell that opened the view it is there already.
        if self._show is None or running_cell()[1] != self._run:
            show_html(self._repr_html_())

    def __repr__(self) -> str:
        return f"<live view: {self._state()}, {self.total} alerts>"

    def _state(self) -> str:
        error = self._watch.error
        if error is not None:
            return f"failed: {type(error).__name__}: {error}"
        if self.running:
            return "running" if self._button is not None or self._show is None else "running (stop() ends it)"
        return "stopped" if self._stopped else "ended"


class _Watch(Subscription[Any]):
    """Feeds a view, which it does not keep alive for longer than the stream runs."""

    def __init__(self, stream: Observable[Any], view: View) -> None:
        super().__init__(stream, "rxalerts-live")
        self._view = view

    def take(self, value: Any) -> None:
        self._view.add(value)

    def over(self) -> None:
        self._view.ended()


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT else text[: _TEXT - 1] + "…"


def _bars(rates: list[tuple[int, Counter[Priority]]], now: int, seconds: int) -> Html:
    """Return the counts of the last seconds as bars of SVG, stacked by priority."""
    width, height = 600, 80
    peak = max((counts.total() for _, counts in rates), default=0)
    step = width / seconds
    bars: list[str] = []
    for second, counts in rates:
        base = float(height)
        for priority in Priority:
            if count := counts[priority]:
                tall = height * count / peak
                base -= tall
                at = (second - now + seconds - 1) * step
                bars.append(
                    f'<rect x="{at:.1f}" y="{base:.1f}" width="{step * 0.9:.1f}" height="{tall:.1f}" '
                    f'fill="{COLOURS[priority]}"><title>{priority}: {count:,} in a second</title></rect>'
                )
    return Html(
        f'<div class="faint">alerts per second, the last {seconds} s; at most {peak:,}</div>'
        f'<svg role="img" aria-label="alerts per second" viewBox="0 0 {width} {height}" '
        f'style="width:100%;max-width:{width}px;height:{height}px;border-bottom:1px solid currentColor">'
        f"{''.join(bars)}</svg>"
    )


_views = Ongoing()
