"""Where a sink's alerts are kept, as its options say: in memory or in a spool, and the dead ones in a file or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rxalerts.flow.mailbox import Mailbox
from rxalerts.flow.overflow import Overflow
from rxalerts.flow.places import dead_file
from rxalerts.flow.sinkoptions import SinkOptions
from rxalerts.flow.undelivered import Undelivered

if TYPE_CHECKING:
    from rxalerts.flow.deadbox import DeadBox


def make_mailbox(options: SinkOptions, undelivered: Undelivered, clock: Callable[[], float]) -> Mailbox:
    """Return the mailbox: in memory, or over a spool on disk if the sink is durable.

    Raises SinkError when the spool cannot be opened, or another process has it.
    """
    if options.durable is False:
        return Mailbox(
            options.capacity,
            Overflow(options.on_full),
            patience=options.block_timeout,
            then=Overflow(options.then),
            on_drop=undelivered.dropped,
            audience=undelivered.letters,
            clock=clock,
        )
    # SQLite (30 ms) is loaded only by those who need it.
    from rxalerts.flow.durable import DurableMailbox

    return DurableMailbox(
        options.spool_path(),
        options.capacity,
        Overflow(options.on_full),
        # One batch with the channel, and one whose deletion is under way.
        bound=2 * options.max_batch,
        max_bytes=options.spool_bytes,
        name=options.name,
        patience=options.block_timeout,
        then=Overflow(options.then),
        on_drop=undelivered.dropped,
        clock=clock,
    )


def make_dead_box(options: SinkOptions) -> DeadBox | None:
    """Return what keeps the sink's dead letters on disk; None if they are not kept.

    Raises SinkError when their file cannot be opened, or another process has it.
    """
    path = dead_file(options.name, options.dead_store, options.durable, options.spool_dir)
    if path is None:
        return None
    # As above: SQLite is loaded only by those who need it.
    from rxalerts.flow.database import Lock
    from rxalerts.flow.deadbox import DeadBox
    from rxalerts.flow.deadletters import DeadLetters
    from rxalerts.flow.spool import lock_path

    durable = options.durable is not False
    shared = durable and lock_path(options.spool_path()) == lock_path(path)
    lock = None if shared else Lock(lock_path(path))
    letters = DeadLetters(path, options.dead_bytes, options.dead_age)
    return DeadBox(options.name, letters, lock, durable=durable)
