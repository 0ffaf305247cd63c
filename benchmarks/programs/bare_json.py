"""The same bare loop with the standard library's json. Usage: IN OUT."""

import json
import sys

KEPT = {"Emergency", "Alert", "Critical", "Error", "Warning"}


def main(source: str, target: str) -> None:
    """Copy the alerts of at least warning."""
    with open(source, encoding="utf-8") as lines, open(target, "a", encoding="utf-8") as out:
        for line in lines:
            alert = json.loads(line)
            if alert["priority"] in KEPT:
                out.write(json.dumps(alert, separators=(",", ":"), sort_keys=True) + "\n")


main(*sys.argv[1:])
