"""Tells systemd (Type=notify) how the program is getting on: sd_notify(3) without the library."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import MutableMapping

log = logging.getLogger("rxalerts")


class Notifier:
    """Sends states to the socket that `NOTIFY_SOCKET` names; does nothing when it is not set.

    The variable is taken out of the environment, so that programs that we start do not speak in our name.

    >>> Notifier({}).ready()
    """

    def __init__(self, environment: MutableMapping[str, str] | None = None) -> None:
        path = (os.environ if environment is None else environment).pop("NOTIFY_SOCKET", "")
        # A leading @ stands for the NUL of an abstract socket.
        self._address = "\0" + path[1:] if path.startswith("@") else path if path.startswith("/") else ""

    def ready(self, status: str = "") -> None:
        """Say that the sinks are started, or the reload is over."""
        self._send("READY=1", f"MAINPID={os.getpid()}", *([f"STATUS={status}"] if status else []))

    def reloading(self) -> None:
        """Say that the configuration is being read again."""
        # With the time on the clock that systemd compares with: Type=notify-reload asks for it.
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """Say that the sinks are being drained."""
        self._send("STOPPING=1")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                channel.settimeout(1.0)
                channel.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            log.warning("cannot tell systemd %s: %s: %s", lines[0], self._address.replace("\0", "@"), error)
