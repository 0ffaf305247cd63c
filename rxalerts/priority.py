"""Priorities: Falco's eight, which are syslog's severities."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["BY_LABEL", "LABELS", "Priority"]


class Priority(IntEnum):
    """Tells how urgent an alert is: 0 (Emergency) is the most urgent, 7 (Debug) the least.

    It compares as a number, so "at least a warning" is ``priority <= Priority.WARNING``.

    >>> Priority.parse("warning")
    <Priority.WARNING: 4>
    >>> str(Priority.INFORMATIONAL)
    'Informational'
    """

    EMERGENCY = 0
    ALERT = 1
    CRITICAL = 2
    ERROR = 3
    WARNING = 4
    NOTICE = 5
    INFORMATIONAL = 6
    DEBUG = 7

    @property
    def label(self) -> str:
        """Return the name as Falco spells it in its alerts, such as ``Informational``."""
        return LABELS[self]

    def __str__(self) -> str:
        return LABELS[self]

    def __format__(self, spec: str) -> str:
        # f"{priority:d}" still gives the number.
        return (
            format(int(self), spec) if spec[-1:] in ("d", "n", "x", "X", "o", "b") and spec else format(str(self), spec)
        )

    @classmethod
    def parse(cls, value: str | int | Priority) -> Priority:
        """Return the priority that a name, a number or a priority stands for.

        Arguments:
            value: a name in any case (``info`` stands for ``informational``), or 0 to 7, also as text.

        Raises:
            ValueError: it is none of these; the message names the choices.

        >>> Priority.parse("INFO"), Priority.parse("3")
        (<Priority.INFORMATIONAL: 6>, <Priority.ERROR: 3>)
        """
        if isinstance(value, str):
            found = _BY_NAME.get(value.strip().lower())
            if found is not None:
                return found
        elif type(value) is not bool and value in range(8):
            return cls(value)
        raise ValueError(
            f"unknown priority {value!r}: must be one of emergency, alert, critical, error, warning, notice, "
            "informational (or info), debug, or a number from 0 to 7"
        )


LABELS: dict[int, str] = {int(p): p.name.capitalize() for p in Priority}
"""Falco's spelling of each priority."""
BY_LABEL: dict[str, Priority] = {p.name.capitalize(): p for p in Priority}
"""Priorities by Falco's spelling: the one look-up of the fast path."""
_BY_NAME: dict[str, Priority] = {
    **{p.name.lower(): p for p in Priority},
    **{str(int(p)): p for p in Priority},
    "info": Priority.INFORMATIONAL,
}
