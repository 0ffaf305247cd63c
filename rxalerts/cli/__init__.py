"""The `rxalerts` command. Alerts go to standard output only; everything else goes to standard error.

Exit status: 0 everything was delivered; 1 something was lost (or, with --strict, rejected); 2 wrong usage.
"""

from __future__ import annotations

from importlib import import_module

import click

from rxalerts._version import __version__

# The commands and where they are: a module is imported when its command is used or listed.
COMMANDS = {
    "run": "rxalerts.cli.run",
    "replay": "rxalerts.cli.replay",
    "check": "rxalerts.cli.check",
    "send-test": "rxalerts.cli.send_test",
}


class _Commands(click.Group):
    """A group whose commands are imported when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        command: click.Command = import_module(COMMANDS[cmd_name]).command
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="rxalerts")
def main() -> None:
    """Filter, format and deliver Falco's alerts: live between Falco and its channels, or from a recorded log."""


@main.command()
def version() -> None:
    """Print the version."""
    click.echo(f"rxalerts {__version__}")
