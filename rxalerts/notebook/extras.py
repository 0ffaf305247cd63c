"""The packages of the extra `notebook`, loaded when first needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from rxalerts.errors import MissingPackageError

__all__ = ["load"]


def load(package: str, purpose: str) -> Any:
    """Return a package of the extra `notebook`.

    Raises:
        MissingPackageError: it is not installed; the message names the remedy.
    """
    try:
        return import_module(package)
    except ImportError:
        raise MissingPackageError(
            f"{purpose} needs the package {package}: install it, as with pip install 'rxalerts[notebook]'"
        ) from None
