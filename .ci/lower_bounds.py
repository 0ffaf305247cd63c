"""Print the core dependencies of pyproject.toml at exactly their lower bounds, one a line.

`make lowest` installs this list, so that the bounds are versions that the tests have passed with.
"""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def lower_bounds(requirements: list[str]) -> list[str]:
    """Turn `name>=version,<other` into `name==version`; a requirement without a lower bound is an error."""
    pins: list[str] = []
    for requirement in requirements:
        found = re.fullmatch(r"([A-Za-z0-9_.-]+)>=([^,;\s]+)(,\s*<[^;]+)?", requirement)
        if found is None:
            raise SystemExit(f"pyproject.toml: {requirement!r} has no lower bound: write it as name>=version")
        pins.append(f"{found[1]}=={found[2]}")
    return pins


if __name__ == "__main__":
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    print("\n".join(lower_bounds(project["dependencies"])))
