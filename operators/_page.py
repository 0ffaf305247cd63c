"""The page about the operators, made of their own docstrings."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from typing import Any, Final

FAMILIES: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("Choose", ("where", "at_least", "sample", "split")),
    ("Calm down", ("suppress_repeats", "rate_limit")),
    ("Edit", ("enrich", "redact", "set_priority", "retag", "rename", "drop_fields")),
    ("Look over time", ("tally", "correlate", "absence", "buffer")),
    ("Format", ("to_json", "to_text")),
    ("Make harmless", ("tap", "catch")),
)
"""Every operator, in the order of the page."""

NEEDS: Final[tuple[tuple[str, str, str], ...]] = (
    ("only some alerts, by a condition", "where", 'where("proc.name in (bash, sh)")'),
    ("only urgent alerts", "at_least", 'at_least("warning")'),
    ("mute one pod, one rule, one host", "where", 'where("not k8s.pod.name = noisy")'),
    ("different alerts to different sinks", "split", 'route(when="priority >= error", to=pager), first_of(…)'),
    ("a stream for each kind of alert", "split", 'split(shells="rule = Shell")'),
    ("the same alert again and again only once", "suppress_repeats", 'suppress_repeats("rule", within=600)'),
    ("a flood must not drown the channel", "rate_limit", "rate_limit(10, burst=100)"),
    ("a part is enough, always the same one", "sample", 'sample(0.01, key="container.id")'),
    ("know the team, the cluster, the owner", "enrich", 'enrich(table="owners.csv", by="k8s.ns.name")'),
    ("no secrets in the output", "redact", 'redact(["proc.cmdline"], pattern="password=[^ ]+")'),
    ("another priority for some alerts", "set_priority", 'set_priority("tags = test", "debug")'),
    ("other tags, other names, fewer fields", "retag", 'retag(add=["prod"]), rename({…}), drop_fields("k8s.*")'),
    ("how many of each, every minute", "tally", 'tally(60, by="rule")'),
    ("an alarm when there are too many", "tally", 'tally(60), where("rxalerts.count > 100")'),
    ("one thing after another on the same host", "correlate", 'correlate(a, b, by="hostname", within=30)'),
    ("a heartbeat that stops", "absence", 'absence("rule = Heartbeat", within=300, clock="wall")'),
    ("lists for something that takes many at once", "buffer", "buffer(count=500, seconds=1)"),
    ("format once for several sinks", "to_json", "to_json(), to_text()"),
    ("a look at what flows, or a metric", "tap", "tap(print)"),
    ("an operator of my own or of reactivex", "catch", "catch(rx.map(change))"),
    ("several sources as one", "", "rxalerts.sources.merge(a, b)"),
)
"""What somebody wants, the operator to read about, and how it is written."""

INTRODUCTION: Final = """\
# Operators

<!-- Written by `python -m rxalerts.operators` from the operators' docstrings: change them, not this file. -->

An operator takes a stream of alerts and returns another one. It stands in a `pipe`, or in a `route`:

```python
from rxalerts import Alert, route, run, sinks
from rxalerts import operators as ops

alerts = [Alert("Shell", "warning", "A shell", {"proc.name": "bash"}) for _ in range(3)]
kept = sinks.CollectSink()
run(alerts, route(ops.where("proc.name = bash"), ops.suppress_repeats(), to=kept))
assert [alert.rule for alert in kept.items] == ["Shell", "rxalerts: repeats"]
```

In `falco.yaml`, `where`, `enrich`, `redact`, `suppress_repeats` and `rate_limit` are keys of
`rxalerts.channels.<name>` and of each entry of `rxalerts.outputs` ([configuration](configuration.md)); they apply in
that order. `rxalerts explain 'CONDITION' FILE` shows how a condition is read and what it would have matched, and
`rxalerts test tests.yaml -c falco.yaml` tries a whole configuration on given alerts.
"""

RULES: Final = """\
## What holds for all of them

**Faults.** A function of yours that raises costs one alert, never the stream: the alert goes to
`operators.dead_letters`, an observable of all of them, with the operator's name as its reason and the traceback as
its detail; to the operator's `on_fault`, if given; and to the log. A pipeline's report counts it in `faults` and, if
the alert did not go on, in `lost`. `tap` passes it on all the same.

**Time.** Operators that know time take it from the alerts: it is the latest time that an alert has had. So a replay at
any speed gives what the live stream gave. Something ends when a later alert shows that its time is over; on a stream
that falls silent that may take long, and `clock="wall"` has it end by the clock and a timer. Alerts out of order do
no harm; after 100 in a row that are more than 60 s behind, everything is ended and the time is put back.

**Memory.** Whatever is kept for each key is bounded by `max_keys`; each operator says what goes first.

**State.** Every subscription has its own. `rate_limit`, `suppress_repeats`, `tally`, `correlate` and `absence` can
save it: `snapshot()` returns the state of the latest subscription as plain data that JSON can hold, and
`restore(snapshot)` has the next subscription go on from there. Use such an operator for one stream at a time.

**Delivery.** What an operator holds back or counts holds back the commits of a source that waits for delivery, until
what came of it is delivered. On completion, and before an error is handed on, everything held is let go.

**Their own alerts** have the source `internal`, as Falco's, and output fields that begin with `rxalerts.`, which
conditions can name.
"""


def render() -> str:
    """Return the page in Markdown."""
    from rxalerts import operators
    from rxalerts.operators import condition

    parts = [INTRODUCTION, "## Which operator do I need?\n", _table(), RULES]
    for family, names in FAMILIES:
        parts.append(f"## {family}\n")
        parts += [_section(name, getattr(operators, name)) for name in names]
    parts.append("## Conditions\n")
    parts.append(_prose(inspect.getdoc(condition) or "") + "\n")
    return "\n".join(parts)


def _table() -> str:
    lines = ["| I want | operator | for example |", "|---|---|---|"]
    for need, name, example in NEEDS:
        link = f"[`{name}`](#{name})" if name else "`sources.merge`"
        lines.append(f"| {need} | {link} | `{example}` |")
    return "\n".join(lines) + "\n"


def _section(name: str, operator: Callable[..., Any]) -> str:
    text = _prose(inspect.getdoc(operator) or "")
    return f"### {name}\n\n```\n{_call(name, operator)}\n```\n\n{text}\n"


def _call(name: str, operator: Callable[..., Any]) -> str:
    """Return how an operator is called: its arguments and their defaults."""
    bare = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in inspect.signature(operator).parameters.values()
    ]
    text = f"{name}{inspect.Signature(bare)}"
    return "\n".join(textwrap.wrap(text, 100, subsequent_indent=" " * (len(name) + 1), break_long_words=False))


def _prose(text: str) -> str:
    """Turn a docstring into Markdown: lists of arguments, drawings and examples."""
    return "\n\n".join(_block(block) for block in _blocks(text))


def _blocks(text: str) -> Iterator[str]:
    """Yield paragraphs, each list of arguments and each example whole."""
    yield from re.split(r"\n\n(?!    >>>)", text.strip())


def _block(block: str) -> str:
    first = block.split("\n", 1)[0]
    if first.startswith(">>>"):
        return f"```pycon\n{block}\n```"
    if first.startswith("    "):
        return f"```\n{textwrap.dedent(block)}\n```"
    if first in ("Arguments:", "Raises:"):
        return f"**{first[:-1]}**\n\n" + "\n".join(_entries(block.split("\n", 1)[1]))
    return block


def _entries(text: str) -> Iterator[str]:
    for entry in re.split(r"\n(?=\S)", textwrap.dedent(text)):
        name, _, meaning = entry.partition(":")
        names = ", ".join(f"`{each.strip()}`" for each in name.split(","))
        yield f"- {names}: {' '.join(meaning.split())}"
