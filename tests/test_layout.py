"""The packages that are built, the folders of the tree and the two links say the same."""

import ast
import os
import tomllib
from pathlib import Path
from typing import Any

import pytest

# The folders at the top level that hold packages, and the package each becomes.
TOP_LEVEL = {"rxalerts": "rxalerts", "operators": "rxalerts.operators", "sinks": "rxalerts.sinks"}


@pytest.fixture
def setuptools_table(root: Path) -> dict[str, Any]:
    """The [tool.setuptools] table of pyproject.toml."""
    table: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]
    return table


def packages_in_tree(root: Path) -> set[str]:
    """Return the dotted name of each folder that holds an __init__.py, by its real place."""
    found: set[str] = set()
    for folder, package in TOP_LEVEL.items():
        for current, folders, files in os.walk(root / folder):  # does not follow the links
            folders[:] = [name for name in folders if name != "__pycache__"]
            if "__init__.py" in files:
                parts = Path(current).relative_to(root / folder).parts
                found.add(".".join((package, *parts)))
    return found


def test_packages_lists_every_folder(root: Path, setuptools_table: dict[str, Any]) -> None:
    """A folder with an __init__.py that pyproject.toml does not list would be missing from the wheel."""
    assert set(setuptools_table["packages"]) == packages_in_tree(root)


def test_packages_has_no_doubles_and_is_sorted(setuptools_table: dict[str, Any]) -> None:
    """The list is sorted, so that two changes to it do not meet on the last line."""
    assert setuptools_table["packages"] == sorted(set(setuptools_table["packages"]))


def test_package_dir_names_the_top_level_folders(setuptools_table: dict[str, Any]) -> None:
    """The build takes rxalerts.operators and rxalerts.sinks from the top level."""
    assert setuptools_table["package-dir"] == {package: folder for folder, package in TOP_LEVEL.items()}


@pytest.mark.parametrize("folder", ["operators", "sinks"])
def test_links_point_to_the_top_level(root: Path, folder: str) -> None:
    """The two links that type checkers and editors read are relative and reach the real folders."""
    link = root / "rxalerts" / folder
    assert link.is_symlink()
    assert link.readlink() == Path("..") / folder
    assert link.resolve() == root / folder


def test_every_module_folder_is_a_package(root: Path) -> None:
    """A folder with modules but without __init__.py would be left out without a word."""
    lonely = [
        str(path.parent.relative_to(root))
        for folder in TOP_LEVEL
        for path in (root / folder).rglob("*.py")
        if not (path.parent / "__init__.py").exists()
    ]
    assert lonely == []


def test_every_test_has_a_docstring(root: Path) -> None:
    """The suite reads as a specification: each test says in one sentence what holds."""
    silent = [
        f"{path.relative_to(root)}:{node.lineno} {node.name}"
        for path in sorted((root / "tests").rglob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]
    assert silent == []
