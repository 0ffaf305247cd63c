"""Read recorded logs for the commands that look at them, and tell about what is no alert."""

from __future__ import annotations

import contextlib
import heapq
import os
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from operator import attrgetter

import click

from rxalerts.alert import Alert
from rxalerts.errors import RxAlertsError
from rxalerts.sources._replay import expand
from rxalerts.wire import Reader, read


@contextmanager
def reading(paths: Sequence[str]) -> Generator[Iterator[Alert]]:
    """Give the alerts of the files, merged by time; what was no alert is counted on standard error afterwards.

    A path that names nothing, and a file that cannot be read, are usage errors.
    """
    try:
        with contextlib.ExitStack() as files:
            readers: list[Reader] = [files.enter_context(read(path)) for path in expand(list(paths))]
            yield iter(readers[0]) if len(readers) == 1 else heapq.merge(*readers, key=attrgetter("time_ns"))
            for reader in readers:
                if reader.rejected:
                    where = reader.path or "standard input"
                    click.echo(f"{where}: {reader.rejected} pieces are no alert", err=True)
                    for reject in reader.first_rejects[:3]:
                        click.echo(f"  {reject}", err=True)
    except BrokenPipeError:
        # Whoever reads this has seen enough; what is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except (RxAlertsError, ValueError, OSError) as error:
        raise click.UsageError(str(error)) from None
