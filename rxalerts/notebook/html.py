"""How alerts, streams, sinks, routes and reports look in a notebook."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from reactivex import Observable

from rxalerts import jsonvalues
from rxalerts.alert import Alert
from rxalerts.flow.report import Report
from rxalerts.flow.sink import Sink
from rxalerts.flow.source import SourceStats
from rxalerts.flow.stages import operator_name, stages_of
from rxalerts.flow.stats import SinkStats, State
from rxalerts.notebook.blocks import Html, badge, card, escape, facts, page, stages, table, whole
from rxalerts.notebook.palette import COLOURS
from rxalerts.pipeline import Pipeline
from rxalerts.priority import Priority
from rxalerts.routes import Route

__all__ = ["draw"]

_SHOWN_FIELDS = 60
_SHOWN_TEXT = 2000

# What a state means for whoever looks: fine, busy with trouble, given up.
_LEVELS = {State.BACKOFF: Priority.WARNING, State.FAILED: Priority.CRITICAL, State.RUNNING: Priority.NOTICE}


def draw(value: object) -> str:
    """Return the HTML of a value of ours."""
    for kind, make in _PICTURES:
        if isinstance(value, kind):
            return page(make(value))
    raise TypeError(f"{type(value).__name__} has no picture")


def _alert(alert: Alert) -> Html:
    place = " · ".join(part for part in (alert.time, alert.hostname, alert.source) if part)
    head = f'{badge(alert.priority, alert.priority)} <b>{escape(alert.rule or "(no rule)")}</b>'
    parts = [
        Html(f'<div>{head} <span class="faint">{escape(place)}</span></div>'),
        Html(f"<div>{escape(_short(alert.message))}</div>"),
    ]
    fields = list(alert.output_fields.items())
    if fields:
        rows = [(Html(f"<code>{whole(_short(name))}</code>"), _value(value)) for name, value in fields[:_SHOWN_FIELDS]]
        more = len(fields) - len(rows)
        note = Html(f'<div class="faint">and {more} more</div>') if more > 0 else Html()
        parts.append(Html(f"<details><summary>{len(fields)} fields</summary>{table((), rows)}{note}</details>"))
    if alert.tags:
        parts.append(Html(f'<div class="faint">{escape(_short(", ".join(alert.tags)))}</div>'))
    return card(COLOURS[alert.priority], *parts)


def _value(value: object) -> Html:
    text = value if isinstance(value, str) else jsonvalues.encode(value).decode()
    return Html(f"<code>{escape(_short(text))}</code>")


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN_TEXT else f"{text[:_SHOWN_TEXT]}… ({len(text):,} characters)"


def _sink(sink: Sink[Any]) -> Html:
    stats = sink.stats()
    level = _LEVELS.get(stats.state, Priority.DEBUG)
    head = f"{badge(stats.state, level)} <b>{escape(sink.name)}</b>"
    pairs: list[tuple[str, object]] = [
        ("depth", f"{stats.depth:,} of {sink.mailbox.capacity:,} ({sink.on_full} when full)"),
        ("received", stats.received),
        ("delivered", stats.delivered),
    ]
    pairs += [(name, count) for name, count in _losses(stats).items()]
    if stats.retried:
        pairs.append(("retried", stats.retried))
    if stats.spooled:
        pairs.append(("safe on disk", stats.spooled))
    if stats.oldest_waiting >= 1:
        pairs.append(("oldest waits for", f"{stats.oldest_waiting:.0f} s"))
    pairs.append(("last error", stats.last_error or "none"))
    kind = Html(f' <span class="faint">{escape(type(sink).__name__)}</span>')
    return card(COLOURS[level], Html(f"<div>{head}{kind}</div>"), facts(pairs))


def _losses(stats: SinkStats) -> dict[str, int]:
    rejected = {"rejected": stats.rejected} if stats.rejected else {}
    return rejected | {f"dropped: {reason}": count for reason, count in stats.dropped.items()}


def _stream(stream: Observable[Any]) -> Html:
    return stages(stages_of(stream))


def _route(route: Route) -> Html:
    return stages([operator_name(each) for each in route.operators] or ["every alert"], [s.name for s in route.sinks])


def _report(report: Report) -> Html:
    level = Priority.NOTICE if not report.lost and not report.errors else Priority.ERROR
    state = f"{report.lost:,} lost" if report.lost else "nothing lost"
    about = f"{report.seconds:.1f} s" + (", interrupted" if report.interrupted else "")
    parts = [
        Html(f'<div>{badge(state, level)} <span class="faint">{escape(about)}</span></div>'),
        table(("source", "read", "rejected", "first of them"), [_source_row(each) for each in report.sources]),
        table(
            ("sink", "received", "delivered", "waiting", "lost", "state", "why, last error"),
            [_sink_row(name, stats) for name, stats in report.sinks.items()],
        ),
    ]
    trouble = [f"{name}: its function failed for {count:,} alerts" for name, count in report.faults.items()]
    trouble += [f"error: {error}" for error in report.errors]
    parts += [Html(f"<div>{escape(line)}</div>") for line in trouble]
    return card(COLOURS[level], *parts)


def _source_row(stats: SourceStats) -> tuple[object, ...]:
    return (stats.name, stats.read, stats.rejected, _short("; ".join(stats.first_rejects[:1])))


def _sink_row(name: str, stats: SinkStats) -> tuple[object, ...]:
    why = [f"{reason} {count:,}" for reason, count in _losses(stats).items()]
    reasons = "; ".join([*why, *([stats.last_error] if stats.last_error else [])])
    state = whole(str(stats.state))
    return (name, stats.received, stats.delivered, stats.depth, stats.lost, state, _short(reasons))


def _pipeline(pipeline: Pipeline) -> Html:
    return _report(pipeline.report())


_PICTURES: tuple[tuple[type[Any], Callable[[Any], Html]], ...] = (
    (Alert, _alert),
    (cast("type[Any]", Sink), _sink),
    (Route, _route),
    (Report, _report),
    (Pipeline, _pipeline),
    (cast("type[Any]", Observable), _stream),
)
