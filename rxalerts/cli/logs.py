"""The program's own log: standard error or syslog, never standard output."""

from __future__ import annotations

import logging
import logging.handlers
import os
import sys

# Falco's names for `log_level`.
LEVELS = {
    "emergency": logging.CRITICAL,
    "alert": logging.CRITICAL,
    "critical": logging.CRITICAL,
    "error": logging.ERROR,
    "warning": logging.WARNING,
    "notice": logging.INFO,
    "info": logging.INFO,
    "informational": logging.INFO,
    "debug": logging.DEBUG,
}


def set_up_logging(level: int = logging.WARNING, *, stderr: bool = True, syslog: bool = False) -> None:
    """Send the library's log to standard error, or to the local syslog, one line each.

    Syslog takes over where standard error is not wanted or, in the background, not there; a daemon that does not
    listen is passed over in silence, because there is nobody left to tell.
    """
    handlers: list[logging.Handler] = []
    if stderr:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        handlers.append(handler)
    if syslog and os.path.exists("/dev/log"):
        try:
            to_daemon = logging.handlers.SysLogHandler("/dev/log")
        except OSError:
            to_daemon = None
        if to_daemon is not None:
            to_daemon.ident = "rxalerts: "
            handlers.append(to_daemon)
    logger = logging.getLogger("rxalerts")
    logger.handlers[:] = handlers or [logging.NullHandler()]
    logger.setLevel(level)
    logger.propagate = False
