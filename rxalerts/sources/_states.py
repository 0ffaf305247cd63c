"""Files in which sources keep where they are."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any

__all__ = ["fingerprint", "save"]


def save(path: str, state: dict[str, Any]) -> None:
    """Write a state as JSON, so that a crash leaves either the old one or the new one; raises OSError."""
    partial = f"{path}.new"
    fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with open(fd, "w", encoding="utf-8") as file:
        json.dump(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def fingerprint(data: bytes) -> str:
    """Return what tells the beginning of a file from that of another one."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()
