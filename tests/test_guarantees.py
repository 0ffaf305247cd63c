"""docs/guarantees.md names tests as proofs: they must exist."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_every_proof_exists() -> None:
    """Each test that is named there is one, and each file that is linked to is there."""
    text = (ROOT / "docs" / "guarantees.md").read_text()
    known = {
        name for path in (ROOT / "tests").glob("test_*.py") for name in re.findall(r"def (test_\w+)", path.read_text())
    }
    named = set(re.findall(r"`(test_\w+)`", text))
    assert len(named) > 40
    assert named - known == set()
    links = re.findall(r"\]\(([^)#]+)\)", text)
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []


def test_a_proof_is_in_the_file_that_is_linked() -> None:
    """A row that names a file names tests of that file."""
    for row in (ROOT / "docs" / "guarantees.md").read_text().splitlines():
        link = re.search(r"in \[(test_\w+\.py)\]", row)
        if link is None:
            continue
        tests = (ROOT / "tests" / link[1]).read_text()
        for name in re.findall(r"`(test_\w+)`", row):
            assert f"def {name}(" in tests, f"{name} is not in {link[1]}"
