"""Read a log into a file sink, durable or not: durable_file.py LOG OUT plain|durable."""

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from rxalerts import route, run, sinks, sources


def main(log: str, out: str, how: str) -> None:
    """Print how many alerts a second have reached the file and, if durable, left the spool."""
    folder = Path(f"{out}.spool")
    shutil.rmtree(folder, ignore_errors=True)
    Path(out).unlink(missing_ok=True)
    options: dict[str, Any] = {"durable": folder} if how == "durable" else {}
    sink = sinks.FileSink(out, keep_alive=True, format="json", **options)
    began = time.perf_counter()
    report = run(sources.replay(log), route(to=sink))
    seconds = time.perf_counter() - began
    if report.lost or report.delivered != report.read:
        sys.exit(f"read {report.read}, delivered {report.delivered}")
    print(json.dumps({"alerts_per_s": report.read / seconds, "seconds": seconds}))


if __name__ == "__main__":
    main(*sys.argv[1:])
