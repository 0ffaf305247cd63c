"""The building blocks of our HTML: cards, tables, boxes. Everything that comes from outside is escaped here.

Light and dark: text takes the colour of the page and backgrounds are see-through, so both follow the theme of the
notebook, whatever the desktop prefers. Lines are mixed from the colour of the text; the colours of priorities come
with a text on them that fits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape as _escape

from rxalerts.notebook.palette import COLOURS, text_on
from rxalerts.priority import Priority

__all__ = ["Html", "badge", "card", "escape", "facts", "page", "stages", "table", "whole"]


_SHORT = 40  # characters


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


STYLE = (
    "<style>"
    ".rxa{--rxa-line:color-mix(in srgb,currentColor 25%,transparent);"
    "color:var(--jp-content-font-color1,var(--vscode-foreground,inherit));background:transparent;"
    "font:13px/1.45 system-ui,sans-serif;max-width:60em;overflow-wrap:anywhere}"
    ".rxa *{box-sizing:border-box}"
    ".rxa table{border-collapse:collapse;margin:.3em 0;font-size:12px;color:inherit;background:transparent}"
    ".rxa td,.rxa th{border-bottom:1px solid var(--rxa-line)!important;padding:.15em .7em .15em 0;"
    "text-align:left!important;vertical-align:top;background:transparent;color:inherit}"
    ".rxa th{font-weight:600}.rxa th,.rxa .badge,.rxa .whole{white-space:nowrap;overflow-wrap:normal}"
    ".rxa .n{text-align:right!important;font-variant-numeric:tabular-nums}"
    ".rxa .card{border:1px solid var(--rxa-line);border-left:6px solid;border-radius:4px;padding:.5em .8em;"
    "margin:.3em 0}"
    ".rxa .badge{border-radius:3px;padding:.05em .45em;font-weight:600;font-size:12px}"
    ".rxa .faint{opacity:.75}.rxa code,.rxa .mono{font-family:ui-monospace,monospace;font-size:12px;"
    "background:transparent;color:inherit}"
    ".rxa .row{display:flex;flex-wrap:wrap;align-items:center;gap:.4em}"
    ".rxa .box{border:1px solid var(--rxa-line);border-radius:4px;padding:.25em .6em}"
    ".rxa .end{border-width:2px;border-color:currentColor}"
    "</style>"
)


def escape(text: object) -> Html:
    """Return a text as HTML, whatever is in it; what is `Html` already stays.

    >>> escape("<script>"), escape(Html("<b>"))
    ('&lt;script&gt;', '<b>')
    """
    if isinstance(text, Html):
        return text
    # A control character would vanish or, as U+202E, turn the text around.
    shown = "".join(char if char.isprintable() or char == "\n" else f"\\u{ord(char):04x}" for char in str(text))
    return Html(_escape(shown))


def page(*parts: Html) -> str:
    """Return blocks with the style that they need."""
    return f'{STYLE}<div class="rxa">{"".join(parts)}</div>'


def badge(text: object, priority: Priority) -> Html:
    """Return a text in a priority's colour."""
    style = f"background:{COLOURS[priority]};color:{text_on(priority)}"
    return Html(f'<span class="badge" style="{style}">{escape(text)}</span>')


def card(colour: str, *parts: Html) -> Html:
    """Return a card with a coloured edge."""
    return Html(f'<div class="card" style="border-left-color:{colour}">{"".join(parts)}</div>')


def table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> Html:
    """Return a table; numbers stand to the right."""
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    return Html(f"<table>{f'<thead><tr>{titles}</tr></thead>' if head else ''}<tbody>{body}</tbody></table>")


def _cell(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f'<td class="n">{value:,}</td>'
    return f"<td>{escape(value)}</td>"


def whole(text: str) -> Html:
    """Return a text that is not broken into lines, unless it is long."""
    return Html(f'<span class="whole">{escape(text)}</span>') if len(text) <= _SHORT else escape(text)


def facts(pairs: Iterable[tuple[str, object]]) -> Html:
    """Return names with their values."""
    return table((), [(Html(f'<span class="faint">{escape(name)}</span>'), value) for name, value in pairs])


def stages(names: Sequence[str], ends: Sequence[str] = ()) -> Html:
    """Return boxes in a row with arrows between them; `ends` are where it all goes."""
    boxes = [f'<span class="box mono">{escape(name)}</span>' for name in names]
    if ends:
        sinks = " ".join(f'<span class="box end mono">{escape(name)}</span>' for name in ends)
        boxes.append(f'<span class="row">{sinks}</span>')
    arrow = '<span aria-hidden="true">→</span>'
    label = escape(" to ".join((*names, *ends)))
    return Html(f'<div class="row" role="img" aria-label="{label}">{arrow.join(boxes)}</div>')
