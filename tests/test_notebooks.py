"""The notebooks run from top to bottom, in time, and give what is stored in them."""

import importlib.util
import json
import re
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))

# What may be different the next time: durations.
VARYING = re.compile(r"\b\d+(?:\.\d+)? m?s\b|seconds=[\d.e-]+")


@pytest.fixture(scope="module")
def execute() -> ModuleType:
    """notebooks/execute.py, as a module."""
    spec = importlib.util.spec_from_file_location("execute", FOLDER / "execute.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def stored(path: Path) -> list[dict[str, Any]]:
    """Return the code cells of a notebook as they are in the file."""
    cells: list[dict[str, Any]] = json.loads(path.read_text())["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def text(value: str | list[str]) -> str:
    """Return a text that the format may have split into lines."""
    return value if isinstance(value, str) else "".join(value)


def gist(outputs: list[Any]) -> list[Any]:
    """Return of outputs what has to be the same every time: kinds, and texts without durations."""
    printed = "".join(text(output["text"]) for output in outputs if output["output_type"] == "stream")
    kinds = [sorted(output["data"]) for output in outputs if output["output_type"] != "stream"]
    values = [text(output["data"].get("text/plain", "")) for output in outputs if output["output_type"] != "stream"]
    return [VARYING.sub("…", part) for part in (printed, *values)] + kinds


def test_there_are_five_notebooks() -> None:
    """Each is there, with the number that gives its place."""
    assert [path.name[:3] for path in NOTEBOOKS] == ["01-", "02-", "03-", "04-", "05-"]


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_gives_what_is_stored(path: Path, execute: ModuleType) -> None:
    """Every cell runs, all together within a minute, and the outputs say what they said when they were stored."""
    begin = time.monotonic()
    notebook = execute.run(path)
    seconds = time.monotonic() - begin
    for now, then in zip([c for c in notebook.cells if c.cell_type == "code"], stored(path), strict=True):
        assert gist(now.outputs) == gist(then["outputs"]), then["source"]
    assert seconds < 60


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_stored_and_small(path: Path) -> None:
    """Whoever only looks sees results: every cell was run in order, none failed, and the file stays below 500 KB."""
    cells = stored(path)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert all(output["output_type"] != "error" for cell in cells for output in cell["outputs"])
    assert sum(bool(cell["outputs"]) for cell in cells) >= len(cells) // 2
    assert path.stat().st_size < 500_000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_nothing_tells_where_it_was_run(path: Path) -> None:
    """No path, host, address in memory or log of the machine is in a stored notebook."""
    content = path.read_text()
    assert re.findall(r"0x[0-9a-f]{8,}|site-packages|ipykernel_|/home/|/tmp/tmp|Traceback", content) == []
    assert str(FOLDER.parent) not in content
