"""All cases, in the order of the table."""

from __future__ import annotations

import os
from collections.abc import Sequence

from tests.faults import destinations, fuzz, kill, overload, signals, soak, surroundings
from tests.faults.ledger import Case

FULL = os.environ.get("RXALERTS_FAULTS", "") == "full"

CASES: list[Case] = [
    *kill.CASES,
    *destinations.CASES,
    *signals.CASES,
    *surroundings.CASES,
    *overload.CASES,
    *soak.CASES,
    *fuzz.CASES,
]


def chosen(words: Sequence[str] = ()) -> list[Case]:
    """Return the cases of this form whose names hold one of `words`; all of them without words."""
    cases = [case for case in CASES if FULL or not case.only_full]
    return [case for case in cases if not words or any(word in case.name for word in words)]
