"""The main road, file → at_least → to_json → file, against what one would write without us."""

import shutil
from pathlib import Path

from benchmarks.generate import generate
from benchmarks.measure import ratio, run
from benchmarks.registry import Bench, CannotRun, row

JQ_FILTER = (
    'select(.priority == "Warning" or .priority == "Error" or .priority == "Critical"'
    ' or .priority == "Alert" or .priority == "Emergency")'
)


def the_log(bench: Bench) -> Path:
    """Return the generated log, made on first use."""
    return generate(bench.folder / f"alerts-{bench.count}.jsonl", bench.count)


def commands(bench: Bench) -> dict[str, list[str]]:
    """Return the commands that can be run here, each without its output file."""
    log = str(the_log(bench))
    found = {name: bench.program(name, log) for name in ("road", "bare_msgspec", "bare_json")}
    if jq := shutil.which("jq"):
        found["jq"] = [jq, "-c", JQ_FILTER, log]
    try:
        run([bench.python, "-c", "import streamz"])
        found["streamz"] = bench.program("streamz_road", log)
    except CannotRun:
        return found
    return found


def _round(bench: Bench, names: dict[str, list[str]], expected: list[int]) -> dict[str, float]:
    """Run each once and return the seconds; each must have written the same number of alerts."""
    seconds: dict[str, float] = {}
    for name, command in names.items():
        target = bench.folder / f"out-{name}.jsonl"
        target.unlink(missing_ok=True)
        ran = run(command, stdout=target) if name == "jq" else run([*command, str(target)])
        with target.open("rb") as lines:
            expected.append(sum(1 for _ in lines))
        if len(set(expected)) > 1:
            raise CannotRun(f"{name} wrote {expected[-1]} alerts, the others {expected[0]}")
        seconds[name] = ran.seconds
    return seconds


def measure(bench: Bench) -> dict[str, list[float]]:
    """Return the seconds of each, round by round, all of them interleaved; the first round only warms up."""
    names, expected = commands(bench), list[int]()
    rounds = [_round(bench, names, expected) for _ in range(bench.repetitions + 1)][1:]
    return {name: [seconds[name] for seconds in rounds] for name in names}


def against(bench: Bench, other: str, missing: str) -> float:
    """Return our time over that of `other`."""
    seconds = bench.once("road", lambda: measure(bench))
    if other not in seconds:
        raise CannotRun(missing)
    return ratio(seconds["road"], seconds[other])


@row("file → at_least → to_json → file, against a bare msgspec loop", "×", at_most=1.5)
def road_against_msgspec(bench: Bench) -> float:
    """Decode to a struct with dict fields; test; encode; write."""
    return against(bench, "bare_msgspec", "")


@row("the same, against a bare loop with stdlib json", "×", at_most=0.7)
def road_against_json(bench: Bench) -> float:
    """json.loads; test; json.dumps; write."""
    return against(bench, "bare_json", "")


@row("the same, against jq -c 'select(…)'", "×", at_most=0.5)
def road_against_jq(bench: Bench) -> float:
    """The filter that selects the same priorities."""
    return against(bench, "jq", "jq is not installed (Debian: apt-get install jq)")


@row("the same, against streamz map-filter-map-sink", "×", at_most=0.25)
def road_against_streamz(bench: Bench) -> float:
    """json.loads and json.dumps as its documentation shows it."""
    return against(bench, "streamz", "streamz is not installed (make bench installs it)")
