"""Run the notebooks from top to bottom and store what they print and draw.

    python notebooks/execute.py [--check] [NOTEBOOK…]

Stored is only what comes out the same every time: no times of execution, no state of widgets. `--check` stores
nothing; a cell that fails is an error in either case.
"""

import os
import re
import sys
from pathlib import Path
from typing import Any

import nbclient
import nbformat

FOLDER = Path(__file__).resolve().parent
TIMEOUT = 60  # seconds for a cell

# Charts are stored as pictures, which every viewer shows without a script or the network. Whoever runs a notebook gets
# the live ones that altair makes by default.
PICTURES = "import altair; altair.renderers.enable('svg')"

ADDRESS = re.compile(r" at 0x[0-9a-f]+")

# What an alert takes from its surroundings.
ENVIRONMENT = {"TZ": "UTC", "FALCO_HOSTNAME": "node-1"}


def run(path: Path) -> Any:
    """Return the notebook with the outputs of a run in its own folder; raises at the first cell that fails."""
    untyped: Any = nbformat
    notebook = untyped.read(path, as_version=4)
    client = nbclient.NotebookClient(
        notebook,
        timeout=TIMEOUT,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        store_widget_state=False,
    )
    client.extra_arguments = [f"--IPKernelApp.exec_lines={PICTURES}"]
    client.execute(env={**os.environ, **ENVIRONMENT})
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            # Buttons that nobody can press any more.
            if data.pop("application/vnd.jupyter.widget-view+json", None):
                data["text/plain"] = data["text/plain"].split("(")[0] + "(…)"
            if "text/plain" in data:
                data["text/plain"] = ADDRESS.sub("", data["text/plain"])
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


def main(arguments: list[str]) -> None:
    """Run the notebooks that are named, or all."""
    untyped: Any = nbformat
    store = "--check" not in arguments
    names = [name for name in arguments if not name.startswith("-")]
    for path in [Path(name).resolve() for name in names] or sorted(FOLDER.glob("*.ipynb")):
        notebook = run(path)
        print(f"{path.name}: {sum(cell.cell_type == 'code' for cell in notebook.cells)} cells")
        if store:
            untyped.write(notebook, path)


if __name__ == "__main__":
    main(sys.argv[1:])
