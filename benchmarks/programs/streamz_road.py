"""streamz as its documentation shows it: map(json.loads), filter, map(json.dumps), sink. Usage: IN OUT."""

import json
import sys
from importlib import import_module
from typing import Any

KEPT = {"Emergency", "Alert", "Critical", "Error", "Warning"}


def kept(alert: dict[str, Any]) -> bool:
    """Whether the alert is at least a warning."""
    return alert["priority"] in KEPT


def main(source: str, target: str) -> None:
    """Copy the alerts of at least warning."""
    with open(source, encoding="utf-8") as lines, open(target, "a", encoding="utf-8") as out:

        def write(text: str) -> None:
            out.write(text + "\n")

        # By name: streamz is in the benchmarks' venv only, where the type checkers do not look.
        stream: Any = import_module("streamz").Stream()
        stream.map(json.loads).filter(kept).map(json.dumps).sink(write)
        for line in lines:
            stream.emit(line)


main(*sys.argv[1:])
