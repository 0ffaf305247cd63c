"""`rxalerts version`."""

from __future__ import annotations

import click

from rxalerts._version import __version__


@click.command("version")
def command() -> None:
    """Print the version.

    Example: rxalerts version
    """
    click.echo(f"rxalerts {__version__}")
