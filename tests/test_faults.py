"""The fault suite in its shortened form; `make faults` prints its table, RXALERTS_FAULTS=full has the full numbers."""

from pathlib import Path

import pytest

from tests.faults.ledger import Case, table
from tests.faults.registry import FULL, chosen


@pytest.mark.slow
@pytest.mark.timeout(3600 if FULL else 180)
@pytest.mark.parametrize("case", chosen(), ids=lambda case: case.name)
def test_fault(case: Case, tmp_path: Path) -> None:
    """Every alert that went in came out, or was counted; the doubles have their bound, the order holds."""
    row = case.run(tmp_path, FULL)
    assert not row.problems, f"{row.problems}\n{table([row])}"
