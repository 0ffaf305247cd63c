"""Secrets that an option only points at, so that no configuration file, log or repr holds them."""

from __future__ import annotations

import os
from dataclasses import dataclass

from rxalerts.errors import OptionError

Path = str | os.PathLike[str]


@dataclass(frozen=True)
class Secret:
    """Where a secret is found: in an environment variable or in a file; read anew at each open and reopen."""

    key: str
    env: str
    file: Path

    def __post_init__(self) -> None:
        if self.env and self.file:
            raise OptionError(f"{self.key}_env", f"and {self.key}_file are both set: the secret comes from one of them")

    @property
    def wanted(self) -> bool:
        """Whether there is such a secret at all."""
        return bool(self.env or self.file)

    def read(self) -> str:
        """Return the secret; raises OptionError, or OSError for a file, neither with the value in it."""
        if self.env:
            if self.env not in os.environ:
                raise OptionError(f"{self.key}_env", f"the environment variable {self.env} is not set")
            value = os.environ[self.env]
        else:
            with open(self.file, encoding="utf-8", errors="surrogateescape") as file:
                value = file.read()
        value = value.strip()
        # What is no UTF-8 comes as surrogates, from the environment too.
        if not value or any(ord(char) < 32 or 0xD800 <= ord(char) < 0xE000 for char in value):
            place = self.env or os.fspath(self.file)
            raise OptionError(self.key, f"what {place} holds is empty, has control characters, or is no UTF-8")
        return value
