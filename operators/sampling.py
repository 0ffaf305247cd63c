"""Let a share of the alerts through, always the same ones: `sample`."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from hashlib import blake2b

from reactivex import Observable

from rxalerts.alert import Alert
from rxalerts.flow.chain import filtered
from rxalerts.flow.guard import OnFault
from rxalerts.operators._keys import Key, key_function, key_text
from rxalerts.operators._stateful import spared
from rxalerts.priority import Priority


def sample(
    share: float,
    key: Key = None,
    *,
    spare: str | int | Priority | None = None,
    on_fault: OnFault | None = None,
) -> Callable[[Observable[Alert]], Observable[Alert]]:
    """Let a share of the alerts through, always the same ones.

    Arguments:
        share: one in how many, as a whole number of 1 or more; or the fraction, as a float above 0 and up to 1.0.
        key: what is chosen: all alerts of a key or none of them. A name (`rule`, `hostname`, an output field …),
            several, or a callable from an alert to something with a stable text; None: each alert by its content.
        spare: this priority and more urgent ones always pass; None: no priority is spared.
        on_fault: called with the DeadLetter of each alert for which `key` raised.

    The choice is made by a hash of the key (BLAKE2b), so it is the same in every process, on every host, and in a
    replay; what a smaller fraction chooses is part of what a larger one does. What is not chosen is gone without a
    trace. Order is kept; state: none. Completion and errors pass through.

        --a--b--c--d--|
        sample(2)
        -----b--c-----|

    >>> import reactivex
    >>> from rxalerts import Alert
    >>> alerts = [Alert("r", output_fields={"user.name": name}) for name in ("ann", "bob", "cy", "ann", "dee")]
    >>> stream = reactivex.of(*alerts).pipe(sample(0.5, key="user.name"))
    >>> stream.subscribe(lambda a: print(a.output_fields["user.name"])) and None
    bob
    dee
    """
    limit = _limit(share)
    urgent = spared("spare", spare)
    look = _content if key is None else key_function(key)

    def chosen(alert: Alert) -> bool:
        if alert.priority <= urgent:
            return True
        digest = blake2b(key_text(look(alert)).encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest) < limit

    return filtered(chosen, "sample", on_fault)


def _content(alert: Alert) -> Hashable:
    return alert.id


def _limit(share: float) -> int:
    """Return the number below which hashes of 64 bits are chosen."""
    whole = 1 << 64
    if isinstance(share, int) and not isinstance(share, bool) and share >= 1:
        return whole // share
    if isinstance(share, float) and 0.0 < share <= 1.0:
        return int(share * whole)
    raise ValueError(f"sample({share!r}): must be one in so many (2, 10 …) or a fraction (0.1, up to 1.0)")
