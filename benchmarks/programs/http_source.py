"""The HTTP source into a file sink. Usage: FILE. Prints its url, and the report's figures when standard input ends."""

import json
import sys

import rxalerts as rxa
from rxalerts import sinks, sources


def main(path: str) -> None:
    """Serve until the parent closes our standard input."""
    source = sources.http("127.0.0.1:0")
    pipeline = rxa.Pipeline(source, sinks.FileSink(path, keep_alive=True, format="json"), timeout=30).start()
    source.wait_bound(30)
    print(source.url, flush=True)
    sys.stdin.read()
    pipeline.stop()
    report = pipeline.wait()
    print(json.dumps({"read": report.read, "lost": report.lost, "delivered": report.delivered}))


main(sys.argv[1])
