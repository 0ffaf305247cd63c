"""Where a sink keeps what must survive it: the names of its files."""

from __future__ import annotations

import os
import re

# True: in the default folder; a path: in that one; False: not at all.
Where = bool | str | os.PathLike[str]


def default_spool_dir() -> str:
    """Return where spools are kept when nothing says otherwise."""
    if os.geteuid() == 0:
        return "/var/lib/rxalerts/spool"
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.join(state, "rxalerts", "spool")


def spool_name(name: str) -> str:
    """Return a sink's name as a file name: a name from a configuration must not lead out of the folder.

    >>> spool_name("http"), spool_name("../../etc/passwd")
    ('http', '_.._etc_passwd')
    """
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name).lstrip(".") or "sink"


def spool_file(name: str, durable: Where, spool_dir: str = "") -> str:
    """Return the file of a durable sink's backlog.

    >>> spool_file("http", True, "/spool"), spool_file("http", "/elsewhere", "/spool")
    ('/spool/http.spool', '/elsewhere/http.spool')
    """
    folder = spool_dir if isinstance(durable, bool) else os.fspath(durable)
    return os.path.join(folder or default_spool_dir(), f"{spool_name(name)}.spool")


def dead_file(name: str, dead_store: Where | None, durable: Where, spool_dir: str = "") -> str | None:
    """Return the file of a sink's dead letters; None when it keeps none.

    >>> dead_file("http", None, True, "/spool"), dead_file("http", None, False, "/spool")
    ('/spool/http.dead', None)
    >>> dead_file("http", "/elsewhere", False)
    '/elsewhere/http.dead'
    """
    if dead_store is False or (dead_store is None and durable is False):
        return None
    if dead_store is None or isinstance(dead_store, bool):
        return f"{spool_file(name, durable, spool_dir)[: -len('.spool')]}.dead"
    return os.path.join(os.fspath(dead_store), f"{spool_name(name)}.dead")
