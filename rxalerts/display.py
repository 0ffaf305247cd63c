"""How a value shows itself in a notebook, without knowing how.

IPython asks the class of a value for `_repr_html_`, or for `_ipython_display_` when it has more to show than a picture.
The drawing of all of them is in `rxalerts.notebook`, on the top floor, and is looked up by name when a notebook asks:
the one place where something below reaches upwards. No import statement does it, so nothing below depends on the
notebook, and `import rxalerts` does not load it.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

__all__ = ["html_of", "show_player"]


def html_of(value: object) -> str:
    """Return a value as HTML; a class takes it as its `_repr_html_`.

    >>> from rxalerts.alert import Alert
    >>> "&lt;b&gt;" in html_of(Alert("<b>", "error"))
    True
    """
    draw: Callable[[object], str] = import_module("rxalerts.notebook.html").draw
    return draw(value)


def show_player(player: object) -> None:
    """Show the buttons of a player in the running cell; its class takes it as its `_ipython_display_`."""
    shown: Callable[[object], None] = import_module("rxalerts.notebook.deck").show_player
    shown(player)
