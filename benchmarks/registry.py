"""The rows of the table: one small function each, in a file `rows_*.py`, registered by `@row`.

A row says what is measured and what it must be; its function returns the figure, or raises CannotRun.
"""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class CannotRun(Exception):
    """A row could not be measured here; the message says what is missing."""


@dataclass
class Bench:
    """What a row may use: the interpreter under test, a folder of its own, how often to repeat."""

    python: str
    folder: Path
    repetitions: int = 5
    count: int = 200_000
    _once: dict[str, object] = field(default_factory=dict[str, object])

    def once(self, key: str, measure: Callable[[], T]) -> T:
        """Return what `measure` returned the first time: several rows can come from one measurement."""
        if key not in self._once:
            self._once[key] = measure()
        return self._once[key]  # type: ignore[return-value]

    def program(self, name: str, *arguments: object) -> list[str]:
        """Return the command that runs benchmarks/programs/<name>.py with the interpreter under test."""
        script = Path(__file__).parent / "programs" / f"{name}.py"
        return [self.python, str(script), *map(str, arguments)]


Measure = Callable[[Bench], float]


@dataclass(frozen=True)
class Row:
    """One line of the table. `at_most` and `at_least` are in `unit`; one of them is given."""

    what: str
    unit: str
    at_most: float | None
    at_least: float | None
    measure: Measure

    @property
    def target(self) -> str:
        """The target in words."""
        if self.at_most is not None:
            return f"≤ {self.at_most:g} {self.unit}"
        return f"≥ {self.at_least:g} {self.unit}"

    def holds(self, figure: float) -> bool:
        """Whether `figure` meets the target."""
        if self.at_most is not None and figure > self.at_most:
            return False
        return self.at_least is None or figure >= self.at_least


ROWS: list[Row] = []


def row(
    what: str, unit: str, *, at_most: float | None = None, at_least: float | None = None
) -> Callable[[Measure], Measure]:
    """Register the decorated function as a row of the table."""

    def register(measure: Measure) -> Measure:
        ROWS.append(Row(what, unit, at_most, at_least, measure))
        return measure

    return register


def load_rows() -> list[Row]:
    """Import every rows_*.py of this folder and return the rows, in the order of the files' names."""
    for module in sorted(pkgutil.iter_modules([str(Path(__file__).parent)]), key=lambda module: module.name):
        if module.name.startswith("rows_"):
            importlib.import_module(f"benchmarks.{module.name}")
    return ROWS
