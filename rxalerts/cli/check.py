"""`rxalerts check`: everything that is wrong in a falco.yaml, then what would run."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

import click

from rxalerts.cli.life import USAGE
from rxalerts.cli.run import DEFAULT_CONFIG
from rxalerts.config import Config, read_config
from rxalerts.errors import ConfigError
from rxalerts.format import Format

_SECRET = re.compile("key|token|secret|pass|pw|auth|cred|hook|sig|dsn", re.IGNORECASE)
_SWITCHES = [each.name for each in fields(Format) if each.init and each.name != "json"]


@click.command("check")
@click.argument("path", default=DEFAULT_CONFIG, metavar="[FALCO_YAML]")
@click.option("-o", "--option", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key of the file.")
def command(path: str, overrides: tuple[str, ...]) -> None:
    """Show all errors and warnings of a configuration, then its channels as they would run; secrets are masked.

    Exit status: 0 it can be used, 2 it cannot.

    Example: rxalerts check /etc/falco/falco.yaml -o json_output=true
    """
    config = read_config(path, overrides)
    problems = [str(problem) for problem in config.problems]
    wrong = _source_problem(config)
    if wrong:
        problems.append(wrong)
    for problem in problems:
        click.echo(problem, err=True)
    count = len(config.errors) + bool(wrong)
    if count:
        click.echo(f"{path}: {count} error{'s' if count > 1 else ''}: it cannot be used", err=True)
        sys.exit(USAGE)
    for line in _described(config):
        click.echo(line)


def _source_problem(config: Config) -> str:
    from rxalerts.cli.loops import inputs_of, outputs_of
    from rxalerts.cli.origins import open_source
    from rxalerts.flow.circle import refuse_loop

    source = config.settings.source
    try:
        open_source(source)
        if not config.errors:
            refuse_loop([each for each in inputs_of(source) if each != 0], outputs_of(config.channels))
    except ConfigError as error:
        return f"{config.source_place}: error: rxalerts.source: {str(error).removeprefix(f'--from {source}: ')}"
    return ""


def _described(config: Config) -> Iterable[str]:
    settings = config.settings
    limit = f"{settings.rate}/s, {settings.max_burst} at once" if settings.rate else "none"
    yield from _table(
        [
            ("files", ", ".join(config.files)),
            *([("not there", ", ".join(config.missing))] if config.missing else []),
            *([("left to Falco", ", ".join(config.left_to_falco))] if config.left_to_falco else []),
            ("source", settings.source),
            ("priority", str(settings.priority)),
            ("rate limit", limit),
            ("output_timeout", f"{settings.output_timeout:g} s"),
        ]
    )
    yield ""
    rows = [("CHANNEL", "KIND", "OPTION", "VALUE")]
    for channel in config.channels:
        name, kind = channel.name, channel.channel
        for key, value in channel.shown().items():
            if key != "name":
                rows.append((name, kind, key, _hide_variables(_shown(value), config.variables)))
                name = kind = ""
    yield from _table(rows)


def _hide_variables(text: str, variables: Mapping[str, str]) -> str:
    """Show the names of variables that may hold a secret in place of their values.

    >>> _hide_variables('{"key": "hush", "in": "prod"}', {"PD_KEY": "hush", "CLUSTER": "prod"})
    '{"key": "${PD_KEY}", "in": "prod"}'
    """
    for name, value in sorted(variables.items(), key=lambda item: -len(item[1])):  # one may begin as another does
        if _SECRET.search(name) and len(value) > 3:
            text = text.replace(value, f"${{{name}}}")
    return text


def _shown(value: Any) -> str:
    """Return a value as it would be written in the file; of a format, what differs from the default."""
    if isinstance(value, Format):
        plain = Format()
        switches = [
            f"{key}={str(getattr(value, key)).lower()}"
            for key in _SWITCHES
            if getattr(value, key) != getattr(plain, key)
        ]
        return " ".join(["json" if value.json else "text", *switches])
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _table(rows: list[Any]) -> Iterable[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        yield "  ".join([*cells, row[-1]]).rstrip()
