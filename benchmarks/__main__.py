"""Measure the rows and print the table. Exit status: 0 all hold, 1 one is missed or did not run."""

import argparse
import os
import platform
import sys
from pathlib import Path

from benchmarks.registry import Bench, CannotRun, Row, load_rows


def arguments() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("words", nargs="*", help="only rows whose text contains one of these words")
    parser.add_argument(
        "--python", default=sys.executable, help="the interpreter that has rxalerts installed"
    )
    parser.add_argument(
        "--folder", default="build/bench", type=Path, help="for the input and what is written"
    )
    parser.add_argument("--repetitions", default=5, type=int, help="rounds after the one that warms up")
    parser.add_argument("--count", default=200_000, type=int, help="alerts in the generated log")
    parser.add_argument("--list", action="store_true", help="print the rows and their targets only")
    return parser.parse_args()


def measured(row: Row, bench: Bench) -> tuple[str, str]:
    """Return the figure and whether it holds, or why there is none."""
    try:
        figure = row.measure(bench)
    except CannotRun as reason:
        return "-", f"NOT RUN: {reason}"
    return f"{figure:.3g} {row.unit}", "yes" if row.holds(figure) else "NO"


def main() -> int:
    """Print one line per row as soon as it is measured."""
    options = arguments()
    rows = [r for r in load_rows() if not options.words or any(word in r.what for word in options.words)]
    folder = options.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    # absolute() and not resolve(): the link in a venv's bin/ is what makes it that venv's interpreter.
    python = str(Path(options.python).absolute())
    bench = Bench(python, folder, options.repetitions, options.count)
    version = f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    print(f"{version}, {options.count:,} alerts, {options.repetitions} rounds\n")
    print("| what | measured | must be | holds |\n|---|---|---|---|")
    good = True
    for row in rows:
        figure, holds = ("", "") if options.list else measured(row, bench)
        good = good and holds in ("", "yes")
        print(f"| {row.what} | {figure} | {row.target} | {holds} |", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
