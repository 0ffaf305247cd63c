"""The values of the steps that take several: maps in falco.yaml, arguments of operators in code."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from rxalerts.priority import Priority

Make = Callable[..., Callable[[Any], Any]]


@dataclass(frozen=True)
class StepOptions:
    """A map of arguments; `build` hands them to the operator."""

    def build(self, make: Make) -> Callable[[Any], Any]:
        """Make the operator."""
        return make(**self.arguments())

    def arguments(self) -> dict[str, Any]:
        """Return the arguments that are not the default.

        >>> RateLimit(rate=2).arguments()
        {'rate': 2}
        """
        given = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        return {key: value for key, value in given.items() if value != getattr(type(self)(), key)}

    def __str__(self) -> str:
        """Show the map as it is written in the file."""
        shown = (f"{key}: {_shown(value)}" for key, value in self.arguments().items())
        return "{" + ", ".join(shown) + "}"


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(map(str, cast("tuple[str, ...]", value))) + "]"
    return value.label.lower() if isinstance(value, Priority) else str(value)


@dataclass(frozen=True)
class RateLimit(StepOptions):
    """The arguments of `rate_limit`."""

    rate: float = 0.0
    burst: float = 1000.0
    key: tuple[str, ...] | None = None
    spare: Priority | None = None
    announce: float = 60.0
    max_keys: int = 20_000
    clock: Literal["event", "wall"] = "event"

    def build(self, make: Make) -> Callable[[Any], Any]:
        return make(**{"rate": self.rate, **self.arguments()})


@dataclass(frozen=True)
class SuppressRepeats(StepOptions):
    """The arguments of `suppress_repeats`."""

    key: tuple[str, ...] = ("rule", "hostname")
    within: float = 60.0
    spare: Priority | None = Priority.CRITICAL
    max_keys: int = 20_000
    clock: Literal["event", "wall"] = "event"


@dataclass(frozen=True)
class Where(StepOptions):
    """The arguments of `where`, for conditions that name lists and macros."""

    condition: str = ""
    lists: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    macros: dict[str, str] = field(default_factory=dict[str, str])

    def build(self, make: Make) -> Callable[[Any], Any]:
        return make(**{"condition": self.condition, **self.arguments()})


@dataclass(frozen=True)
class Redact(StepOptions):
    """The arguments of `redact`."""

    fields: tuple[str, ...] = ()
    pattern: str | None = None
    with_: str = "[redacted]"


@dataclass(frozen=True)
class Retag(StepOptions):
    """The arguments of `retag`."""

    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    to: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Enrich(StepOptions):
    """The arguments of `enrich`."""

    fields: dict[str, Any] = field(default_factory=dict[str, Any])
    table: str | None = None
    by: str | None = None
    replace: bool = True

    def build(self, make: Make) -> Callable[[Any], Any]:
        arguments = self.arguments()
        arguments.pop("fields", None)
        return make(self.fields or None, **arguments)
