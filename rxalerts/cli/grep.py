"""`rxalerts grep`: the alerts of a log that meet a condition."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator

import click

from rxalerts.alert import Alert
from rxalerts.cli.life import USAGE
from rxalerts.cli.reading import reading
from rxalerts.format import JSON, TEXT


@click.command("grep")
@click.argument("condition", metavar="CONDITION")
@click.argument("paths", nargs=-1, required=True, metavar="FILE...")
@click.option("-c", "--count", is_flag=True, help="Print only how many match.")
@click.option("-v", "--invert", is_flag=True, help="Those that do not match.")
@click.option(
    "-C",
    "--context",
    default=0,
    type=click.IntRange(min=0),
    metavar="N",
    help="Also N alerts before and after each match.",
)
@click.option("--json/--text", "as_json", default=True, help="One JSON object or one text line per alert [json].")
def command(condition: str, paths: tuple[str, ...], count: bool, invert: bool, context: int, as_json: bool) -> None:
    """Print the alerts of recorded logs that meet CONDITION, in Falco's syntax.

    Exit status: 0 some match, 1 none does, 2 wrong usage.

    Example: rxalerts grep 'proc.name in (bash, sh) and k8s.ns.name = shop' 'events*.jsonl.gz'
    """
    from rxalerts.operators.condition import ConditionError, compile_condition

    try:
        test: Callable[[Alert], bool] = compile_condition(condition)
    except ConditionError as error:
        click.echo(str(error), err=True)
        sys.exit(USAGE)
    render = (JSON if as_json else TEXT).render
    found = 0
    out = sys.stdout.buffer
    with reading(paths) as alerts:
        for alert, matches in _with_context(alerts, lambda a: test(a) != invert, context):
            found += matches
            if not count:
                if alert is None:
                    out.write(b"--\n")
                else:
                    out.write(render(alert) + b"\n")
        if count:
            click.echo(str(found))
        out.flush()
    sys.exit(0 if found else 1)


def _with_context(
    alerts: Iterable[Alert], test: Callable[[Alert], bool], context: int
) -> Iterator[tuple[Alert | None, bool]]:
    """Yield what is to be shown and whether it matches; None where a gap is, as grep's `--`."""
    before: deque[Alert] = deque(maxlen=context)
    after = 0
    gap = shown = False
    for alert in alerts:
        if test(alert):
            if gap and shown and context:
                yield None, False
            for earlier in before:
                yield earlier, False
            before.clear()
            yield alert, True
            after, gap, shown = context, False, True
        elif after:
            after -= 1
            yield alert, False
        else:
            gap = gap or (len(before) == context)
            before.append(alert)
