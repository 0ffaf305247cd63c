"""The colours of the priorities.

The lower six are from the palette of Okabe and Ito; purple and crimson stand above them. Any two can be told apart by
people with protanopia, deuteranopia and tritanopia as well (CIE76 distance 15 or more, in the simulation of Machado et
al. 2009; `tests/test_notebook_html.py` computes it), and wherever a colour says something, a text says it too.
"""

from __future__ import annotations

from rxalerts.priority import LABELS, Priority

__all__ = ["COLOURS", "ORDER", "text_on"]

COLOURS: dict[Priority, str] = {
    Priority.EMERGENCY: "#7B2CBF",
    Priority.ALERT: "#A3195B",
    Priority.CRITICAL: "#D55E00",
    Priority.ERROR: "#E69F00",
    Priority.WARNING: "#F0E442",
    Priority.NOTICE: "#009E73",
    Priority.INFORMATIONAL: "#56B4E9",
    Priority.DEBUG: "#BDBDBD",
}

ORDER: tuple[str, ...] = tuple(LABELS[priority] for priority in Priority)
"""The names of the priorities, the most urgent one first."""


def text_on(priority: Priority) -> str:
    """Return the colour of text on a priority's colour: black or white, whichever has the greater contrast.

    >>> text_on(Priority.WARNING), text_on(Priority.EMERGENCY)
    ('#000', '#fff')
    """
    light = luminance(COLOURS[priority])
    return "#000" if (light + 0.05) / 0.05 > 1.05 / (light + 0.05) else "#fff"


def luminance(colour: str) -> float:
    """Return the relative luminance of `#rrggbb`, as WCAG 2 defines it."""
    red, green, blue = linear(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def linear(colour: str) -> tuple[float, float, float]:
    """Return `#rrggbb` as linear red, green and blue from 0 to 1."""
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return _linear(red), _linear(green), _linear(blue)


def _linear(channel: float) -> float:
    below = channel / 12.92
    above: float = ((channel + 0.055) / 1.055) ** 2.4
    return below if channel <= 0.04045 else above
