"""Collects what is wrong in a configuration, so that all of it is shown at once.

Reading a file goes on after an error wherever that makes sense. Each problem names the place
(file, line, column), the thing and the remedy; the report is sorted by place, in the order in
which the files were read.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal

from rxalerts.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Place:
    """Say where something stands: a file with line and column (from 1), or an ``-o`` override.

    >>> print(Place("falco.yaml", 3, 12))
    falco.yaml:3:12
    >>> print(Place("-o json_output"))
    -o json_output
    """

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: ``level`` is "error" or "warning"; ``str()`` is the line to show."""

    place: Place
    message: str
    level: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        return f"{self.place}: {self.level}: {self.message}"


@dataclass(slots=True)
class Problems:
    """Collect the problems of one configuration.

    >>> problems = Problems()
    >>> problems.error(Place("falco.yaml", 2, 1), "json_output is 'maybe': write true or false")
    >>> problems.warn(Place("falco.yaml", 1, 1), "unknown key 'jsn_output'")
    >>> for problem in problems.sorted():
    ...     print(problem)
    falco.yaml:1:1: warning: unknown key 'jsn_output'
    falco.yaml:2:1: error: json_output is 'maybe': write true or false
    """

    items: list[Problem] = field(default_factory=list[Problem])
    files: list[str] = field(default_factory=list[str])

    def reading(self, file: str) -> None:
        """Note that ``file`` is read now: reports are sorted in this order."""
        if file not in self.files:
            self.files.append(file)

    def error(self, place: Place, message: str) -> None:
        """Note an error: the configuration cannot be used, but reading goes on."""
        self._add(Problem(place, message))

    def warn(self, place: Place, message: str) -> None:
        """Note a warning: the configuration can be used."""
        self._add(Problem(place, message, "warning"))

    def _add(self, problem: Problem) -> None:
        self.reading(problem.place.file)
        if problem not in self.items:
            self.items.append(problem)

    def sorted(self) -> tuple[Problem, ...]:
        """Return everything, by file in reading order, then by line and column."""
        # Overrides are the last word, so they come last here too.
        rank = {file: (file.startswith("-o "), number) for number, file in enumerate(self.files)}
        return tuple(sorted(self.items, key=lambda p: (rank[p.place.file], p.place.line, p.place.column)))

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The errors, sorted by place."""
        return tuple(problem for problem in self.sorted() if problem.level == "error")

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The warnings, sorted by place."""
        return tuple(problem for problem in self.sorted() if problem.level == "warning")

    def raise_errors(self) -> None:
        """Raise `ConfigError` with all errors, one a line, if there are any."""
        if self.errors:
            raise ConfigError("\n".join(str(problem) for problem in self.errors))


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for the choice that is nearest to ``name``, or nothing.

    >>> did_you_mean("jsn_output", ["json_output", "priority"])
    "; did you mean 'json_output'?"
    >>> did_you_mean("zzz", ["json_output"])
    ''
    """
    near = get_close_matches(name, list(choices), n=1, cutoff=0.7)
    return f"; did you mean {near[0]!r}?" if near else ""
