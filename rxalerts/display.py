"""How a value shows itself in a notebook, without knowing how.

IPython asks the class of a value for `_repr_html_`. The drawing of all of them is in `rxalerts.notebook.html`, on the
top floor, and is looked up by name when a notebook asks: the one place where something below reaches upwards. No
import statement does it, so nothing below depends on the notebook, and `import rxalerts` does not load it.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

__all__ = ["html_of"]


def html_of(value: object) -> str:
    """Return a value as HTML; a class takes it as its `_repr_html_`.

    >>> from rxalerts.alert import Alert
    >>> "&lt;b&gt;" in html_of(Alert("<b>", "error"))
    True
    """
    draw: Callable[[object], str] = import_module("rxalerts.notebook.html").draw
    return draw(value)
