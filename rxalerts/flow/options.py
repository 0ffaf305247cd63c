"""How a sink declares its options: one line each, the single source of key, type, default, help and docs."""

from __future__ import annotations

import dataclasses
from typing import Any


def option(
    default: Any = dataclasses.MISSING,
    help: str = "",
    *,
    falco: str | None = None,
    secret: bool = False,
    kw_only: Any = dataclasses.MISSING,
    factory: Any = dataclasses.MISSING,
) -> Any:
    """Declare one option of a sink: a dataclass field that carries its documentation.

    Arguments:
        default: its default; left out, the option is required.
        help: one sentence for docs, `--help` and the example configuration; says the unit.
        falco: the key under `<channel>_output:` in falco.yaml, where Falco itself has one.
        secret: never shown in logs, errors or `check` output.
        kw_only: true: can only be given by name (as all options that every sink has).
        factory: makes the default anew for each sink, for mutable ones.
    """
    return dataclasses.field(
        default=default,
        default_factory=factory,
        kw_only=kw_only,
        metadata={"help": help, "falco": falco, "secret": secret},
    )
