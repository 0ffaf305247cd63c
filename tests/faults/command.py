"""What the cases share that torment the command: a configuration with durable channels, and their destinations."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from tests.support.http_servers import Endpoint
from tests.support.run import is_alive, numbers, read_all, until

BATCH = 50

_WHOLE = re.compile(r"\d\d:\d\d:\d\d\.\d{9}: Warning Shell opened \(number=\d+\)")


def random_moment(seconds: float, share: float) -> None:
    """Let a random part of a moment pass: that is the point of it."""
    time.sleep(seconds * share)


class Destinations:
    """A file, an HTTP endpoint and a program, and what has arrived at each of them.

    The program appends whole lines only: what it has read in part when its input ends was not delivered.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.endpoint = Endpoint()
        self._parsed = 0
        self._posted: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.endpoint.__exit__()

    @property
    def config(self) -> dict[str, Any]:
        """A falco.yaml (JSON is YAML) with the three channels, each of them durable."""
        spool = {"durable": str(self.folder / "spool"), "max_batch": BATCH, "retry": {"initial": 0.05, "maximum": 0.5}}
        loop = "echo $$ > program.pid; while IFS= read -r line; do printf '%s\\n' \"$line\"; done >> program.txt"
        return {
            "stdout_output": {"enabled": False},
            "syslog_output": {"enabled": False},
            "file_output": {"enabled": True, "filename": "file.txt"},
            "program_output": {"enabled": True, "keep_alive": True, "program": loop},
            "http_output": {"enabled": True, "url": self.endpoint.url},
            "output_timeout": 10000,
            "rxalerts": {
                "channels": {
                    "file": spool,
                    "program": spool,
                    "http": {**spool, "batch": "ndjson", "batch_count": BATCH, "batch_seconds": 0.02},
                }
            },
        }

    def write_config(self) -> Path:
        """Write the configuration and return its path."""
        path = self.folder / "falco.yaml"
        path.write_text(json.dumps(self.config))
        return path

    def got(self) -> dict[str, list[int]]:
        """Return the numbers that have arrived, by channel."""
        requests = self.endpoint.requests
        while self._parsed < len(requests):
            self._posted += numbers(requests[self._parsed].text)
            self._parsed += 1
        return {
            "file": numbers(read_all(self.folder / "file.txt")),
            "program": numbers(read_all(self.folder / "program.txt")),
            "http": list(self._posted),
        }

    def torn(self) -> list[str]:
        """Return the lines of the file that are not whole."""
        text = read_all(self.folder / "file.txt")
        lines = text.split("\n")
        return [line for line in lines[:-1] if _WHOLE.fullmatch(line) is None] + lines[-1:] * (lines[-1] != "")

    def program_left(self) -> None:
        """Wait until the program has read what was in its pipe, and ended."""
        pid = read_all(self.folder / "program.pid").strip()
        if pid:
            until(lambda: not is_alive(int(pid)), "the program to end")


def post_until_taken(url: str, body: str, alive: Callable[[], bool]) -> bool:
    """Post a body again and again until the answer is 200, as a careful client does; false if told to leave."""
    parts = urlsplit(url)
    while alive():
        client = HTTPConnection(str(parts.hostname), parts.port, timeout=20)
        try:
            client.request("POST", "/", body.encode())
            response = client.getresponse()
            response.read()
            if response.status == 200:
                return True
        except (OSError, HTTPException):
            # Not there at the moment.
            time.sleep(0.01)
        finally:
            client.close()
    return False
