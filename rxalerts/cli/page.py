"""The report's page: one HTML file that loads nothing, and in which an alert is text wherever it stands.

What an attacker wrote comes into alerts. So every text is escaped; the table's rows are JSON whose brackets are
escaped too, put in by `textContent` alone; and the page's policy lets no script run but its own, which is named by
its hash.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from rxalerts._version import __version__
from rxalerts.alert import Alert
from rxalerts.cli import svg
from rxalerts.cli.tallies import Tallies, most_common
from rxalerts.jsonvalues import encode
from rxalerts.notebook.blocks import Html, badge, escape
from rxalerts.notebook.palette import COLOURS
from rxalerts.priority import Priority
from rxalerts.timestamps import format_rfc3339

# Bars of a timeline, and of each other chart.
_BINS, _MOST = 120, 12

# Characters of an output, and of an alert's fields, that the table keeps.
_OUTPUT, _FIELDS = 2000, 4000

_STYLE = """
:root{color-scheme:light dark;--page:#fff;--ink:#1b1f24;--faint:#5a6370;--line:#d5dae0}
@media(prefers-color-scheme:dark){:root{--page:#14181d;--ink:#e4e8ec;--faint:#9aa4b0;--line:#333b45}}
*{box-sizing:border-box}
body{background:var(--page);color:var(--ink);font:14px/1.45 system-ui,sans-serif;max-width:1100px;margin:2em auto;
padding:0 1em;overflow-wrap:anywhere}
h1{font-size:1.5em;margin:0}h2{font-size:1.1em;margin:1.6em 0 .4em}
.faint{color:var(--faint)}.badge{border-radius:3px;padding:.05em .45em;font-weight:600;font-size:12px;margin-right:.3em}
svg{width:100%;height:auto;display:block}svg text{fill:currentColor;font-size:12px}svg .axis{fill:var(--faint);
font-size:11px}svg .grid{stroke:var(--line)}
input,select,button{font:inherit;color:inherit;background:var(--page);border:1px solid var(--line);border-radius:4px;
padding:.3em .5em}input{width:24em;max-width:100%}
table{border-collapse:collapse;width:100%;font-size:12.5px;margin-top:.6em}
td,th{border-bottom:1px solid var(--line);padding:.25em .6em .25em 0;text-align:left;vertical-align:top}
td:first-child,td:nth-child(2){white-space:nowrap}td:nth-child(3){min-width:11em}
.dot{display:inline-block;width:.7em;height:.7em;border-radius:50%;margin-right:.4em}
pre{white-space:pre-wrap;margin:.3em 0;color:var(--faint);font:12px/1.4 ui-monospace,monospace}
"""

_SCRIPT = """
"use strict";
const rows = JSON.parse(document.getElementById("rows").textContent);
const body = document.querySelector("#alerts tbody");
const find = document.getElementById("find"), level = document.getElementById("level");
const note = document.getElementById("note"), next = document.getElementById("more");
// So many rows are drawn at once: a browser lays out some hundred in no time, and tens of thousands in seconds.
const SOME = 500;
const add = (parent, name, text) => {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
};
const made = row => {
  const line = document.createElement("tr");
  add(line, "td", row.time);
  const priority = add(line, "td");
  add(priority, "span").className = "dot p" + row.level;
  priority.append(row.priority);
  add(line, "td", row.rule);
  const details = add(add(line, "td"), "details");
  add(details, "summary", row.output);
  add(details, "pre", row.fields);
  return line;
};
for (const row of rows)
  row.text = [row.time, row.priority, row.rule, row.output, row.fields].join("\\n").toLowerCase();
let wanted = [], shown = 0;
const more = () => {
  for (const row of wanted.slice(shown, shown + SOME)) body.append(row.line ??= made(row));
  shown = Math.min(wanted.length, shown + SOME);
  next.hidden = shown === wanted.length;
  note.textContent = wanted.length + " of " + rows.length + " rows match" +
    (next.hidden ? "." : ", the first " + shown + " are shown.");
};
const show = () => {
  const words = find.value.toLowerCase().split(/\\s+/).filter(Boolean);
  wanted = rows.filter(row => row.level <= Number(level.value) && words.every(word => row.text.includes(word)));
  shown = 0;
  body.replaceChildren();
  more();
};
const ask = new URLSearchParams(location.hash.slice(1));
find.value = ask.get("find") || "";
find.addEventListener("input", show);
level.addEventListener("change", show);
next.addEventListener("click", more);
show();
"""


def page(tallies: Tallies, title: str) -> str:
    """Return the whole page.

    Arguments:
        tallies: what was counted.
        title: the logs' names.
    """
    spans = tallies.spans.binned(_BINS)
    charts = [
        _section("Over time", svg.timeline(spans, tallies.spans.width), _per(tallies.spans.width)),
        _section("Rules", svg.bars(most_common(tallies.rules, _MOST), "rule"), _left_out(tallies.rules)),
        *(
            _section(name, svg.bars(most_common(values, _MOST), name), _left_out(values))
            for name, values in tallies.values.items()
        ),
    ]
    source = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{source}'; base-uri 'none'"
    dots = "".join(f".p{int(priority)}{{background:{COLOURS[priority]}}}" for priority in Priority)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="referrer" content="no-referrer"><title>{escape(title)}</title>'
        f"<style>{_STYLE}{dots}</style></head><body>"
        f"{_heading(tallies, title)}{''.join(charts)}{_table(tallies)}"
        f'<p class="faint">rxalerts {escape(__version__)}</p><script>{_SCRIPT}</script></body></html>\n'
    )


def _heading(tallies: Tallies, title: str) -> str:
    counted = "no alerts" if not tallies.count else f"{tallies.count:,} alert{'s' if tallies.count > 1 else ''}"
    when = ""
    if tallies.first is not None and tallies.last is not None:
        when = f", {format_rfc3339(tallies.first)} to {format_rfc3339(tallies.last)}"
    badges = "".join(
        badge(f"{tallies.priorities[priority]:,} {priority}", priority) for priority in sorted(tallies.priorities)
    )
    return f"<h1>{escape(title)}</h1><p>{escape(counted + when)}</p><p>{badges}</p>"


def _section(title: str, chart: Html, note: str = "") -> str:
    faint = f'<p class="faint">{escape(note)}</p>' if note else ""
    return f"<section><h2>{escape(title)}</h2>{chart}{faint}</section>" if chart else ""


def _per(width: int) -> str:
    return f"Alerts per {svg.span_words(width)}, stacked by priority; times are UTC."


def _left_out(values: dict[str, Any]) -> str:
    rest = len(values) - _MOST
    return f"… and {rest:,} more" if rest > 0 else ""


def _table(tallies: Tallies) -> str:
    if not tallies.count:
        return ""
    rows = tallies.kept
    which = (
        "All alerts."
        if len(rows) == tallies.count
        else f"The {len(rows):,} most urgent of {tallies.count:,} alerts, in order of time."
    )
    levels = "".join(
        f'<option value="{int(each)}">{escape(each)} and above</option>' for each in reversed(list(Priority))
    )
    return (
        f'<section><h2>Alerts</h2><p class="faint">{escape(which)} <span id="note"></span></p>'
        '<p><input id="find" type="search" placeholder="Words, all of which must occur" aria-label="Search"> '
        f'<select id="level" aria-label="Priority">{levels}</select></p>'
        '<table id="alerts"><thead><tr><th>Time (UTC)</th><th>Priority</th><th>Rule</th><th>Output</th></tr></thead>'
        '<tbody></tbody></table><p><button id="more">More</button></p><noscript>The table needs JavaScript.</noscript>'
        f'<script type="application/json" id="rows">{embedded([_row(alert) for alert in rows])}</script></section>'
    )


def _row(alert: Alert) -> dict[str, Any]:
    return {
        "time": alert.time,
        "level": int(alert.priority),
        "priority": str(alert.priority),
        "rule": _cut(alert.rule, _OUTPUT),
        "output": _cut(alert.output, _OUTPUT),
        "fields": _cut(encode(alert.output_fields).decode("utf-8", "replace"), _FIELDS),
    }


def _cut(text: str, limit: int) -> str:
    """Return a text that is not longer than `limit`, with what would turn or hide text made visible."""
    short = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join(char if char.isprintable() or char == "\n" else f"\\u{ord(char):04x}" for char in short)


def embedded(rows: Sequence[dict[str, Any]]) -> str:
    """Return JSON that cannot end the element that it stands in.

    >>> embedded([{"a": "</script><!--"}])
    '[{"a": "\\\\u003c/script\\\\u003e\\\\u003c!--"}]'
    """
    text = json.dumps(rows)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
