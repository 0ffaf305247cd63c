"""The errors that rxalerts raises.

::

    RxAlertsError
    ├── AlertError            (also ValueError)   some bytes, or some values, are no alert
    ├── ConfigError           (also ValueError)   a configuration file or a command line is wrong
    │   └── OptionError                           one option of a sink, source or operator is wrong
    ├── SinkError                                 a sink gave up
    ├── SourceError                               a source cannot be read
    ├── ConditionError                            a condition is wrong (`rxalerts.operators.condition`)
    ├── SinkFault                                 a channel tells its sink what to do (`rxalerts.flow.channel`)
    └── MissingPackageError   (also ImportError)  an optional package is needed and not installed

Each message names the thing, the place and, where there is one, the remedy.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "AlertError",
    "ConfigError",
    "MissingPackageError",
    "OptionError",
    "RxAlertsError",
    "SinkError",
    "SourceError",
]


class RxAlertsError(Exception):
    """Is the root of every error that rxalerts raises on purpose."""


class AlertError(RxAlertsError, ValueError):
    """Says why something is no alert.

    Arguments:
        reason: what is wrong, as a phrase.
        key: the JSON key at fault ("" when it is none in particular).
        path: the file that was read, if any.
        line: number of the line in it (from 1; 0 = unknown).
        offset: byte offset of the piece in the decoded stream (-1 = unknown).
        raw: the first bytes of the rejected piece.

    >>> str(AlertError("missing", key="priority", path="events.txt", line=3))
    'events.txt:3: priority: missing'
    """

    def __init__(
        self,
        reason: str,
        *,
        key: str = "",
        path: str = "",
        line: int = 0,
        offset: int = -1,
        raw: bytes = b"",
    ) -> None:
        self.reason = reason
        self.key = key
        self.path = path
        self.line = line
        self.offset = offset
        self.raw = raw
        place = f"{path}:{line}: " if path and line else f"{path}: " if path else f"line {line}: " if line else ""
        super().__init__(f"{place}{key}: {reason}" if key else f"{place}{reason}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by keyword: the plain form would hand the whole message over as the reason."""
        return (_alert_error, (self.reason, self.key, self.path, self.line, self.offset, self.raw))


def _alert_error(reason: str, key: str, path: str, line: int, offset: int, raw: bytes) -> AlertError:
    return AlertError(reason, key=key, path=path, line=line, offset=offset, raw=raw)


class ConfigError(RxAlertsError, ValueError):
    """Says what is wrong in a configuration file or on a command line."""


class OptionError(ConfigError):
    """Says which option is wrong, and why.

    >>> str(OptionError("capacity", "must be at least 1, not 0"))
    'capacity: must be at least 1, not 0'
    """

    def __init__(self, key: str, reason: str) -> None:
        self.key = key
        self.reason = reason
        super().__init__(key, reason)

    def __str__(self) -> str:
        return f"{self.key}: {self.reason}"


class SinkError(RxAlertsError):
    """Says why a sink gave up."""


class SourceError(RxAlertsError):
    """Says why a source cannot be read."""


class MissingPackageError(RxAlertsError, ImportError):
    """Names an optional package that is needed here, and how to install it."""
