"""The road of an alert in Python: a recorded log, two routes, two sinks, a report.

Run by `make demo`, from the folder above: python examples/demo.py [FILE]
"""

import sys
from pathlib import Path

import rxalerts as rxa
from rxalerts import operators as ops
from rxalerts import sinks, sources

LOG = Path(__file__).with_name("alerts.jsonl")


def main(target: str = "warnings.jsonl") -> None:
    """Write warnings and worse to `target` as JSON, print errors and worse as text, then the report."""
    report = rxa.run(
        sources.replay(str(LOG)),
        rxa.route(ops.at_least("warning"), ops.to_json(), to=sinks.FileSink(target, keep_alive=True)),
        rxa.route(ops.at_least("error"), to=sinks.StdoutSink()),
    )
    print(report, file=sys.stderr)
    assert report.lost == 0


if __name__ == "__main__":
    main(*sys.argv[1:])
