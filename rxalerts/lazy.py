"""Packages that hand out names without importing what these stand for before somebody asks.

The index of such a package is a row of imports under `if TYPE_CHECKING:`, which type checkers and editors follow; at
run time `lazily` reads the same lines. Whoever writes a file and filters by priority loads neither HTTP nor
conditions: half of what the start of a short program costs.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

__all__ = ["lazily"]


def lazily(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the functions `__getattr__` and `__dir__` of a package with an index as described above.

    Arguments:
        package: its `__name__`.

    >>> find, names = lazily("rxalerts.sinks")
    >>> find("FileSink").__name__, "FileSink" in names()
    ('FileSink', True)
    """
    module = sys.modules[package]
    loader: Any = module.__spec__ and module.__spec__.loader
    source: str | None = loader.get_source(package)
    if source is None:
        raise ImportError(f"{package}: its names are listed in its source, which is not there: install the .py files")
    index = _index(source)

    def public() -> list[str]:
        here = {key for key, value in vars(module).items() if key[0] != "_" and not isinstance(value, ModuleType)}
        return sorted((here | index.keys()) - {"TYPE_CHECKING"})

    def find(name: str) -> Any:
        if name == "__all__":
            # What `from … import *` asks for.
            return public()
        if name not in index:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        where, what = index[name]
        if where == package:
            return importlib.import_module(f"{package}.{what}")
        value = getattr(importlib.import_module(where), what)
        # The next time it is found without us.
        setattr(module, name, value)
        return value

    return find, lambda: sorted({*vars(module), *index})


def _index(source: str) -> dict[str, tuple[str, str]]:
    """Return, for each name that is imported under `if TYPE_CHECKING:`, the module and the name there."""
    return {
        alias.asname or alias.name: (node.module or "", alias.name)
        for block in ast.parse(source).body
        if isinstance(block, ast.If) and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
