"""The HTTP source into a file sink, durable or not. Usage: FILE [durable].

Prints its url, and the report's figures when standard input ends.
"""

import json
import shutil
import sys
from typing import Any

import rxalerts as rxa
from rxalerts import sinks, sources


def main(path: str, how: str = "plain") -> None:
    """Serve until the parent closes our standard input."""
    source = sources.http("127.0.0.1:0")
    options: dict[str, Any] = {}
    if how == "durable":
        shutil.rmtree(f"{path}.spool", ignore_errors=True)
        options["durable"] = f"{path}.spool"
    sink = sinks.FileSink(path, keep_alive=True, format="json", **options)
    pipeline = rxa.Pipeline(source, sink, timeout=30).start()
    source.wait_bound(30)
    print(source.url, flush=True)
    sys.stdin.read()
    pipeline.stop()
    report = pipeline.wait()
    print(json.dumps({"read": report.read, "lost": report.lost, "delivered": report.delivered}))


main(*sys.argv[1:])
