"""rxalerts: file, at_least, to_json, file. Usage: IN OUT."""

import sys

import rxalerts as rxa
from rxalerts import operators as ops
from rxalerts import sinks, sources


def main(source: str, target: str) -> None:
    """Copy the alerts of at least warning; fail if one got lost."""
    report = rxa.run(
        sources.replay(source),
        rxa.route(ops.at_least("warning"), ops.to_json(), to=sinks.FileSink(target, keep_alive=True)),
    )
    assert report.lost == 0, report


main(*sys.argv[1:])
