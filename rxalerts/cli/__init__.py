"""The `rxalerts` command. Alerts go to standard output only; everything else goes to standard error.

Exit status: 0 everything was delivered; 1 something was lost (or, with --strict, rejected); 2 wrong usage.
"""

from __future__ import annotations

from importlib import import_module

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


class _Commands(click.Group):
    """A group whose commands are imported when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="rxalerts")
def main() -> None:
    """Filter, format and deliver Falco's alerts: live between Falco and its channels, or from a recorded log."""
