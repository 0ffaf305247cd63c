"""Read logs and tables for the commands that look at them, tell about what is no alert, and write what they make."""

from __future__ import annotations

import contextlib
import heapq
import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from operator import attrgetter

import click

from rxalerts.alert import Alert
from rxalerts.cli.tables import table_reader
from rxalerts.errors import RxAlertsError
from rxalerts.sources._replay import expand
from rxalerts.wire import Reader, read
from rxalerts.wire.rejected import Rejected


@contextmanager
def reading(paths: Sequence[str]) -> Generator[Iterator[Alert]]:
    """Give the alerts of logs and tables, merged by time; what was no alert is counted on standard error afterwards.

    A path that names nothing, and a file that cannot be read, are usage errors.
    """
    try:
        names = expand(list(paths))
    except (RxAlertsError, ValueError, OSError) as error:
        raise click.UsageError(str(error)) from None
    try:
        with contextlib.ExitStack() as files:
            readers: list[Reader] = []
            streams: list[Iterator[Alert]] = []
            for name in names:
                table = table_reader(name)
                if table is None:
                    readers.append(files.enter_context(read(name, on_bad=_later)))
                streams.append(iter(readers[-1]) if table is None else table(name))
            yield streams[0] if len(streams) == 1 else heapq.merge(*streams, key=attrgetter("time_ns"))
            for reader in readers:
                _tell(reader)
    except (RxAlertsError, ValueError) as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        if error.filename not in names:  # not about what is read
            raise
        raise click.UsageError(f"{error.filename}: cannot be read: {error.strerror}") from None


def _later(reject: Rejected) -> None:
    """Leave it to the reader to count what is no alert: `_tell` says it."""


def _tell(reader: Reader) -> None:
    if reader.rejected:
        what = "1 piece is no alert" if reader.rejected == 1 else f"{reader.rejected:,} pieces are no alert"
        click.echo(f"{reader.path or 'standard input'}: {what}", err=True)
        for reject in reader.first_rejects[:3]:
            click.echo(f"  {reject}", err=True)


@contextmanager
def replacing(target: str) -> Generator[str]:
    """Give the name of a file to write, which takes the target's place when the block ends well, and is gone if not."""
    partial = f"{target}.part"
    try:
        yield partial
        os.replace(partial, target)
    except OSError as error:
        if error.filename == partial:
            raise click.UsageError(f"--to {target}: cannot be written: {error.strerror}") from None
        if error.filename is None:
            raise click.ClickException(f"{target} cannot be written: {error.strerror}") from None
        raise
    finally:
        if os.path.exists(partial):
            os.unlink(partial)
