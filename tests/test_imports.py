"""What an import costs, and that the public names are the ones that are listed."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

# Slow to import (aiohttp 200 ms, grpc 90 ms), or there only with an extra: loaded when first needed.
HEAVY = {"aiohttp", "grpc", "google.protobuf", "polars", "altair", "zstandard", "asyncinotify", "IPython"}
PUBLIC = ["rxalerts", "rxalerts.operators", "rxalerts.sinks", "rxalerts.sources", "rxalerts.testing"]

LOADED = f"; import sys; print('loaded:', *sorted({HEAVY!r} & set(sys.modules)))"


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
    names = "[getattr(m, name) for m in (operators, sinks, sources) for name in m.__all__]"
    assert loaded_by(f"from rxalerts import operators, sinks, sources; {names}") == []


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


@pytest.mark.parametrize("name", PUBLIC)
def test_all_lists_what_is_there(name: str) -> None:
    """Each name in __all__ exists, once."""
    module = import_module(name)
    listed = list(module.__all__)
    assert len(listed) == len(set(listed))
    assert [item for item in listed if not hasattr(module, item)] == []


@pytest.mark.parametrize("name", PUBLIC)
def test_all_lists_every_public_class_and_function(name: str) -> None:
    """What a public module defines or re-exports of ours, without an underscore, is in its __all__."""
    module = import_module(name)
    ours = {
        key
        for key, value in vars(module).items()
        if not key.startswith("_")
        and not isinstance(value, ModuleType)
        and str(getattr(value, "__module__", "")).startswith("rxalerts")
    }
    assert ours - set(module.__all__) == set()


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_have_docstrings(name: str) -> None:
    """Each public class and function says what it does."""
    module = import_module(name)
    silent = [
        item
        for item in module.__all__
        if callable(getattr(module, item)) and not (getattr(module, item).__doc__ or "").strip()
    ]
    assert silent == []
