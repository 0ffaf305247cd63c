"""Render alerts once, before they fan out to several sinks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from reactivex import Observable

from rxalerts.alert import Alert
from rxalerts.flow.chain import chained
from rxalerts.format import Format, Formatted


def to_json(
    *,
    style: Literal["falco", "classic"] = "falco",
    include_output: bool = True,
    include_tags: bool = True,
    include_message: bool = False,
    include_output_fields: bool = True,
    iso8601: bool = False,
) -> Callable[[Observable[Alert | Formatted]], Observable[Formatted]]:
    """Render each alert as one line of JSON, as Falco 0.39+ does: sorted keys, no blanks.

    Arguments:
        style: "classic" gives the older form, `, "output_fields": {…}` last.
        include_output, include_tags, include_message, include_output_fields: Falco's `json_include_*` switches.
        iso8601: Falco's `time_format_iso_8601`, for the prefix inside `output`.

    Every sink delivers the rendered bytes as they are; several routes with the same settings render once. Completion
    and errors pass through.

        --a--b--|
        to_json()
        --A--B--|

    >>> import reactivex
    >>> from rxalerts import Alert
    >>> alert = Alert("Shell", "notice", "A shell", time="2026-01-02T03:04:05Z", hostname="node-1")
    >>> reactivex.of(alert).pipe(to_json(include_output=False)).subscribe(lambda f: print(f.data.decode())) and None
    {"hostname":"node-1","output_fields":{},"priority":"Notice","rule":"Shell","source":"syscall","tags":[],"time":"2026-01-02T03:04:05.000000000Z"}
    """
    return _render(
        Format(
            json=True,
            style=style,
            include_output=include_output,
            include_tags=include_tags,
            include_message=include_message,
            include_output_fields=include_output_fields,
            iso8601=iso8601,
        )
    )


def to_text(*, iso8601: bool = False) -> Callable[[Observable[Alert | Formatted]], Observable[Formatted]]:
    """Render each alert as Falco's text line, `time: Priority message`; control characters are escaped.

    Arguments:
        iso8601: the time as UTC ISO 8601 instead of local `HH:MM:SS.nnnnnnnnn`.

    Completion and errors pass through.

        --a--b--|
        to_text()
        --A--B--|

    >>> import reactivex
    >>> from rxalerts import Alert
    >>> alert = Alert("Shell", "notice", "A shell", time="2026-01-02T03:04:05Z")
    >>> reactivex.of(alert).pipe(to_text(iso8601=True)).subscribe(lambda f: print(f.data.decode())) and None
    2026-01-02T03:04:05.000000000+0000: Notice A shell
    """
    return _render(Format(iso8601=iso8601))


# Per format, the alert that was rendered last and what came of it.
_latest: dict[Format, list[tuple[Alert | Formatted | None, Formatted | None]]] = {}


def _render(format: Format) -> Callable[[Observable[Alert | Formatted]], Observable[Formatted]]:
    """Render each alert in `format`; what is formatted already is rendered anew."""
    draw, content_type = format.render, format.content_type
    memo = _latest.setdefault(format, [(None, None)])

    def step(on_next: Callable[[Formatted], None]) -> Callable[[Alert | Formatted], None]:
        def each(item: Alert | Formatted) -> None:
            # Several routes that format the same alert share the result.
            latest, formatted = memo[0]
            if latest is not item or formatted is None:
                alert = item.alert if isinstance(item, Formatted) else item
                formatted = Formatted(alert, draw(alert), content_type)
                memo[0] = item, formatted
            on_next(formatted)

        return each

    def batch(items: Sequence[Alert | Formatted]) -> list[Formatted]:
        alerts = [item.alert if isinstance(item, Formatted) else item for item in items]
        lines = format.render_all(alerts)
        return [Formatted(alert, line, content_type) for alert, line in zip(alerts, lines, strict=True)]

    return chained(step, "to_json" if format.json else "to_text", batch)
