"""The `rxalerts` command. Alerts go to standard output only; everything else goes to standard error.

Exit status: 0 everything was delivered; 1 something was lost (or, with --strict, rejected); 2 wrong usage.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
from contextlib import suppress
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click

from rxalerts._version import __version__

# The commands: where each one is, and its line in the list. A module is imported when its command is used.
COMMANDS = {
    "run": ("rxalerts.cli.run", "Deliver alerts to the channels of a falco.yaml, until the source ends."),
    "replay": ("rxalerts.cli.replay", "Replay recorded alert logs to standard output, a file or channels."),
    "check": ("rxalerts.cli.check", "Show all errors of a falco.yaml, then its channels."),
    "send-test": ("rxalerts.cli.send_test", "Send one test alert through every channel of a falco.yaml."),
    "explain": ("rxalerts.cli.explain", "Show how a condition is read, and what it matches in a log."),
    "test": ("rxalerts.cli.test_", "Feed alerts through a falco.yaml and compare what each channel would get."),
    "stats": ("rxalerts.cli.stats", "Count a log's alerts by priority, rule and time."),
    "grep": ("rxalerts.cli.grep", "Print the alerts of a log that meet a condition."),
    "convert": ("rxalerts.cli.convert", "Write a log as JSON lines, text, CSV or Parquet."),
    "top": ("rxalerts.cli.top", "Show what flows as a live screen: rate, priorities, rules, channels."),
    "report": ("rxalerts.cli.report", "Write a page about a log: charts, and a table that can be searched."),
    "dead": ("rxalerts.cli.dead", "Look at the channels' dead letters, send them again, or remove them."),
    "spool": ("rxalerts.cli.spool", "Show what the durable channels still have to deliver."),
    "version": ("rxalerts.cli.version", "Print the version."),
}


# Metavars of what may be the name of a file.
_FILES = re.compile("FILE|PATH|YAML|OUT|STATE|SOURCE")


# Commands that do nothing but print.
_PRINTING = frozenset(("check", "explain", "grep", "stats", "top", "version"))


class _Commands(click.Group):
    """A group whose commands are imported when they are needed, and for which standard output may go away."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(COMMANDS[cmd_name][0]).command
        _finish(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        near = get_close_matches(args[0], COMMANDS, n=1)
        if near and args[0] not in COMMANDS and not ctx.resilient_parsing:
            ctx.fail(f"No such command {args[0]!r}. Did you mean {near[0]!r}?")
        if args[0] in _PRINTING and getattr(sys, "stdout", None) is None:
            ctx.fail("standard output is closed, and all that this command does is print")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # as in `| head`: whoever reads has seen enough
            _forget_output()
            ctx.exit(0)
        except KeyboardInterrupt:
            ctx.exit(128 + signal.SIGINT)

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run a command; a full disk behind standard output is told in a line."""
        try:
            return super().main(*args, **extra)
        except OSError as error:
            _forget_output()
            unwritten = error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
            what = f"standard output: {error.strerror}" if unwritten else str(error)
            with suppress(OSError):
                click.echo(f"Error: {what}", err=True)
            sys.exit(1)


def _finish(command: click.Command) -> None:
    """Have the help show an example on one line, to be copied, and shells complete the names of files."""
    if command.help:  # click fills paragraphs that have no such mark
        command.help = re.sub(r"\n\n( *)(?=Example: )", "\n\n\\1\b\n\\1", command.help)
    for each in command.commands.values() if isinstance(command, click.Group) else ():
        _finish(each)
    for parameter in command.params:
        if _FILES.search(parameter.metavar or "") and parameter.type is click.STRING:
            parameter.type = click.Path(readable=False)  # checks nothing


def _forget_output() -> None:
    """Send what is still buffered for standard output to nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="rxalerts")
def main() -> None:
    """Filter, format and deliver Falco's alerts: live between Falco and its channels, or from a recorded log."""
