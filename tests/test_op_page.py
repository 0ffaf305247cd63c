"""docs/operators.md, and what each operator's docstring has to say."""

from __future__ import annotations

import inspect
import typing
from pathlib import Path

import pytest

from rxalerts import operators
from rxalerts.operators import _page

# Functions that are no operators.
OTHERS = {"compile_condition"}

NAMES = sorted(
    name
    for name in dir(operators)
    if inspect.isfunction(getattr(operators, name)) and not name.startswith("_") and name not in OTHERS
)


def test_the_page_is_up_to_date(root: Path) -> None:
    """After a change of a docstring: python -m rxalerts.operators."""
    assert (root / "docs/operators.md").read_text(encoding="utf-8") == _page.render()


def test_every_operator_has_its_place_on_the_page() -> None:
    """In one family, once; and the table of needs names only what is there."""
    assert sorted(name for _, names in _page.FAMILIES for name in names) == NAMES
    assert {name for _, name, _ in _page.NEEDS} - set(NAMES) == {""}


@pytest.mark.parametrize("name", NAMES)
def test_every_operator_explains_itself(name: str) -> None:
    """A marble diagram, an example, its arguments, what happens on completion and on error, and types for all."""
    operator = getattr(operators, name)
    text = inspect.getdoc(operator) or ""
    assert ">>>" in text and "--|" in text
    assert "ompletion" in text and "rror" in text
    assert "Arguments:" in text
    hints = typing.get_type_hints(operator)
    parameters = inspect.signature(operator).parameters
    assert hints.keys() == {*parameters, "return"}
    assert [argument for argument in parameters if argument not in text] == []
