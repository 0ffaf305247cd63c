"""Run the fault suite and print its table: `python -m tests.faults [WORD…]`, only cases whose name holds a word.

RXALERTS_FAULTS=full: with the full numbers (about half an hour); else shortened, in about a minute.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.faults.ledger import Case, Row, table
from tests.faults.registry import FULL, chosen


def attempt(case: Case, folder: Path) -> Row:
    """Run one case; what it raises is a problem of its row."""
    began = time.monotonic()
    try:
        row = case.run(folder, FULL)
    except Exception as error:
        traceback.print_exc()
        row = Row(case.name, problems=[f"{type(error).__name__}: {error}"])
    print(f"{case.name}: {time.monotonic() - began:.1f} s", file=sys.stderr)
    return row


def main() -> int:
    """Run, print, and return the exit status."""
    # What the sinks say about the faults that are done to them is expected, and a lot.
    logging.getLogger("rxalerts").addHandler(logging.NullHandler())
    logging.getLogger("rxalerts").propagate = False
    rows: list[Row] = []
    for case in chosen(sys.argv[1:]):
        with tempfile.TemporaryDirectory(prefix="rxalerts-fault-") as folder:
            rows.append(attempt(case, Path(folder)))
    print(table(rows))
    for row in rows:
        for problem in row.problems:
            print(f"{row.fault}: {problem}")
    return int(any(row.problems for row in rows))


if __name__ == "__main__":
    sys.exit(main())
