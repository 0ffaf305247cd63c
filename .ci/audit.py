"""Look at what is installed, as far as that can be done offline; run by `make lint` with the venv's Python.

- every requirement is met, and no two packages contradict each other (as `pip check`);
- every file is what its package says it is: the hashes in RECORD, which the wheel came with;
- nothing but this project comes from elsewhere than a package index (a folder, an archive, a repository).

What it cannot do offline: tell whether a version has a known vulnerability. `pip-audit` asks a data base about that;
a list of our own would be out of date on the day after it was made, and look as if it were not.

Usage: audit.py [FOLDER]: the folder that packages are installed in; by default those of this Python.
"""

import base64
import hashlib
import importlib.metadata
import json
import subprocess
import sys

OURS = "rxalerts"


def main() -> int:
    """Print what is wrong, and return the exit status."""
    folders = sys.argv[1:]
    packages = list(importlib.metadata.distributions(**({"path": folders} if folders else {})))
    problems = [problem for package in packages for problem in (*wrong_files(package), *wrong_origin(package))]
    if not folders:
        check = [sys.executable, "-m", "pip", "--disable-pip-version-check", "check"]
        done = subprocess.run(check, capture_output=True)
        problems += [] if done.returncode == 0 else done.stdout.decode().splitlines()
    for problem in problems:
        print(problem)
    print(f"audit: {len(packages)} packages, {len(problems)} problems", file=sys.stderr)
    return 1 if problems or not packages else 0


def wrong_files(package: importlib.metadata.Distribution) -> list[str]:
    """Return the files that are gone, or are not what was packed."""
    problems = []
    for file in package.files or ():
        if file.hash is None:
            continue
        try:
            found = hashlib.new(file.hash.mode, file.locate().read_bytes()).digest()
        except OSError as error:
            problems.append(f"{package.name}: {file}: {error.strerror}")
            continue
        if base64.urlsafe_b64encode(found).rstrip(b"=").decode() != file.hash.value:
            problems.append(f"{package.name}: {file}: changed since it was installed")
    return problems


def wrong_origin(package: importlib.metadata.Distribution) -> list[str]:
    """Return where a package comes from, if that is no package index."""
    origin = package.read_text("direct_url.json")
    if origin is None or package.name == OURS:
        return []
    return [f"{package.name}: from {json.loads(origin).get('url', '?')}, and no package index"]


if __name__ == "__main__":
    sys.exit(main())
