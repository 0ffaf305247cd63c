"""How long a start takes: whole processes, the interpreter's own start included."""

import statistics
from pathlib import Path

from benchmarks.measure import interleave
from benchmarks.registry import Bench, row


def starts(bench: Bench) -> dict[str, float]:
    """Return the median milliseconds of both starts."""
    commands = {
        "import": [bench.python, "-c", "import rxalerts"],
        "help": [str(Path(bench.python).parent / "rxalerts"), "--help"],
    }
    thorough = Bench(bench.python, bench.folder, repetitions=2 * bench.repetitions)
    return {name: statistics.median(took) * 1e3 for name, took in interleave(thorough, commands).items()}


@row("import rxalerts", "ms", at_most=150)
def import_time(bench: Bench) -> float:
    """`python -c "import rxalerts"`."""
    return bench.once("starts", lambda: starts(bench))["import"]


@row("rxalerts --help", "ms", at_most=250)
def help_time(bench: Bench) -> float:
    """The installed command."""
    return bench.once("starts", lambda: starts(bench))["help"]
