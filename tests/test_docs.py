"""The documentation names everything that there is."""

from __future__ import annotations

import inspect
import re
import tomllib
from pathlib import Path
from types import ModuleType

from rxalerts import operators, sources
from rxalerts.cli import COMMANDS
from rxalerts.config.registry import sink_classes


def functions(package: ModuleType) -> list[str]:
    """Return the names of the functions that a package exports."""
    return [name for name, value in vars(package).items() if not name.startswith("_") and inspect.isfunction(value)]


def test_every_command_is_described(root: Path) -> None:
    """The page about the command names each command between backticks."""
    codes = " ".join(re.findall(r"`([^`\n]+)`", (root / "docs/cli.md").read_text()))
    assert [name for name in COMMANDS if not re.search(rf"(^|\s){re.escape(name)}\b", codes)] == []


def test_readme_names_every_source_and_sink(root: Path) -> None:
    """README's tables have each source and each sink; operators are on a page of their own."""
    text = (root / "README.md").read_text()
    assert [name for name in functions(sources) if f"sources.{name}(" not in text] == []
    assert [sink.__name__ for sink in sink_classes().values() if f"`{sink.__name__}`" not in text] == []


def test_readme_names_every_extra(root: Path) -> None:
    """README's table of extras has each one of pyproject.toml."""
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    text = (root / "README.md").read_text()
    assert [name for name in extras if f"\n| `{name}` |" not in text] == []


def test_every_operator_is_on_its_page(root: Path) -> None:
    """The page about operators has a section for each function that rxalerts.operators exports."""
    text = (root / "docs/operators.md").read_text()
    names = set(functions(operators)) - {"compile_condition"}
    assert [name for name in sorted(names) if f"\n### {name}\n" not in text] == []


def test_every_channel_and_source_has_a_guide(root: Path) -> None:
    """There is a guide for each sink that is a channel, and one for each source that is a place."""
    guides = {path.stem for path in (root / "docs/how-to").glob("*.md")}
    assert {f"channel-{name}" for name in sink_classes().keys() - {"collect"}} <= guides
    assert {f"source-{name}" for name in set(functions(sources)) - {"from_iterable", "merge"}} <= guides


def test_every_page_is_in_the_navigation(root: Path) -> None:
    """The site's navigation has each page of docs/; `make docs` sees to the links."""
    text = (root / "mkdocs.yml").read_text()
    pages = [path.relative_to(root / "docs").as_posix() for path in (root / "docs").rglob("*.md")]
    assert [page for page in pages if not re.search(rf"(- |: ){re.escape(page)}$", text, re.MULTILINE)] == []
