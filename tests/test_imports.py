"""What an import costs, and that the public names are the ones that are listed."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TypeGuard

import pytest

# Slow to import (aiohttp 200 ms, grpc 90 ms), or there only with an extra: loaded when first needed.
HEAVY = {"aiohttp", "grpc", "google.protobuf", "polars", "altair", "zstandard", "asyncinotify", "IPython"}
PUBLIC = ["rxalerts", "rxalerts.operators", "rxalerts.sinks", "rxalerts.sources", "rxalerts.testing"]

LOADED = f"; import sys; print('loaded:', *sorted({HEAVY!r} & set(sys.modules)))"


def is_channel(node: ast.stmt) -> TypeGuard[ast.ClassDef]:
    """Whether the statement is a class that sets `channel_name`."""
    return isinstance(node, ast.ClassDef) and any(
        isinstance(part, ast.AnnAssign)
        and isinstance(part.target, ast.Name)
        and part.target.id == "channel_name"
        and part.value is not None
        for part in node.body
    )


def loaded_by(code: str) -> list[str]:
    """Return which heavy modules a fresh interpreter has loaded after `code`."""
    done = subprocess.run([sys.executable, "-c", code + LOADED], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split()[1:]


def test_importing_the_library_loads_nothing_heavy() -> None:
    """`import rxalerts` loads neither aiohttp nor grpc, nor what belongs to an extra."""
    assert loaded_by("import rxalerts") == []


def test_importing_sinks_and_sources_loads_nothing_heavy() -> None:
    """The sinks and sources that need aiohttp or grpc load them when one is built."""
    assert loaded_by("from rxalerts import operators, sinks, sources") == []


def test_help_loads_nothing_heavy() -> None:
    """`rxalerts --help` answers without loading what only a running sink needs."""
    code = "from rxalerts.cli import main\ntry: main(['--help'])\nexcept SystemExit: print()\n0"
    assert loaded_by(code) == []


def test_help_is_printed_by_the_command() -> None:
    """The installed command starts, and names its subcommands."""
    command = str(Path(sys.executable).parent / "rxalerts")
    done = subprocess.run([command, "--help"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert "replay" in done.stdout


def exports(name: str) -> list[str]:
    """Return the public names of a package: what its __init__.py imports as itself (`from x import A as A`).

    That is the form that type checkers take as a re-export (PEP 484), so no second list is needed. The names of an
    index (see rxalerts.lazy) are among them, the packages that it names are not.
    """
    tree = ast.parse(Path(str(import_module(name).__file__)).read_text())
    return [
        alias.name
        for statement in tree.body
        for node in (statement.body if isinstance(statement, ast.If) else [statement])
        if isinstance(node, ast.ImportFrom) and node.module != name
        for alias in node.names
        if alias.asname == alias.name
    ]


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_are_listed_once_and_exist(name: str) -> None:
    """A public package re-exports something, each name once, and nothing that is not there."""
    listed = exports(name)
    assert listed and len(listed) == len(set(listed))
    assert [item for item in listed if not hasattr(import_module(name), item)] == []


@pytest.mark.parametrize("name", PUBLIC)
def test_nothing_becomes_public_by_accident(name: str) -> None:
    """What of ours stands in a public package without an underscore was re-exported on purpose."""
    ours = {
        key
        for key, value in vars(import_module(name)).items()
        if not key.startswith("_")
        and not isinstance(value, ModuleType)
        and str(getattr(value, "__module__", "")).startswith("rxalerts")
    }
    assert ours - set(exports(name)) == set()


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_have_docstrings(name: str) -> None:
    """Each public class and function says what it does."""
    module = import_module(name)
    silent = [
        item
        for item in exports(name)
        if callable(getattr(module, item)) and not (getattr(module, item).__doc__ or "").strip()
    ]
    assert silent == []


def test_every_operator_and_sink_is_exported(root: Path) -> None:
    """A function of a public module in operators/ and a class with a channel in sinks/ can be used by name."""
    hidden: list[str] = []
    for folder in ("operators", "sinks"):
        for path in sorted((root / folder).glob("[!_]*.py")):
            for node in ast.parse(path.read_text()).body:
                if (isinstance(node, ast.FunctionDef) and folder == "operators") or is_channel(node):
                    if not node.name.startswith("_") and node.name not in exports(f"rxalerts.{folder}"):
                        hidden.append(f"{path.name}: {node.name}")
    assert hidden == []
