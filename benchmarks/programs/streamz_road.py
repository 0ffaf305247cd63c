"""streamz as its documentation shows it: map(json.loads), filter, map(json.dumps), sink. Usage: IN OUT."""

import json
import sys

from streamz import Stream  # type: ignore[import-not-found,import-untyped,unused-ignore]

KEPT = {"Emergency", "Alert", "Critical", "Error", "Warning"}


def main(source: str, target: str) -> None:
    """Copy the alerts of at least warning."""
    with open(source, encoding="utf-8") as lines, open(target, "a", encoding="utf-8") as out:
        stream = Stream()
        kept = stream.map(json.loads).filter(lambda alert: alert["priority"] in KEPT)
        kept.map(json.dumps).sink(lambda text: out.write(text + "\n"))
        for line in lines:
            stream.emit(line)


main(*sys.argv[1:])
