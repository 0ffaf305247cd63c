"""Watch a growing file from a process of its own. Usage: FILE LINES.

Prints `ready`, then, once LINES lines are visible, one JSON list: for each line when it could first be read
(time.monotonic_ns, the same clock in all processes of a machine).
"""

import json
import os
import sys
import time


def main(path: str, lines: int) -> None:
    """Read without a pause: a nap would be part of the measured latency."""
    seen: list[int] = []
    file = os.open(path, os.O_RDONLY | os.O_CREAT)
    print("ready", flush=True)
    deadline = time.monotonic() + 120
    while len(seen) < lines and time.monotonic() < deadline:
        data = os.read(file, 1 << 20)
        if data:
            seen.extend([time.monotonic_ns()] * data.count(b"\n"))
    print(json.dumps(seen))


main(sys.argv[1], int(sys.argv[2]))
