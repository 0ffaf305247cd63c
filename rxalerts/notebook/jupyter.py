"""What a running Jupyter kernel is asked for: displays that change, a button, the name of the running cell."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from importlib import import_module
from typing import Any

__all__ = ["display", "in_notebook", "running_cell", "show", "show_html"]


def in_notebook() -> bool:
    """Tell whether this is a kernel of Jupyter."""
    return _shell() is not None


def display(draw: Callable[[], str], stop: Callable[[], None]) -> tuple[Callable[[str], object] | None, Any]:
    """Show HTML in the running cell, below a button that stops it.

    Returns what replaces the HTML, and the button; None if this is no notebook, and no button without ipywidgets.
    """
    if _shell() is None:
        return None, None
    ipython: Any = import_module("IPython.display")
    button = _stop_button(stop)
    handle = ipython.display(ipython.HTML(draw()), display_id=True)
    return (lambda html: handle.update(ipython.HTML(html))), button


def show(value: object) -> None:
    """Show a value in the running cell."""
    ipython: Any = import_module("IPython.display")
    ipython.display(value)


def show_html(html: str) -> None:
    """Show HTML in the running cell."""
    ipython: Any = import_module("IPython.display")
    show(ipython.HTML(html))


def running_cell() -> tuple[str, str]:
    """Return what names the running cell, and this run of it; the code stands for a cell without a name."""
    shell = _shell()
    if shell is None:
        return "", ""
    parent: dict[str, dict[str, Any]] = shell.get_parent()
    metadata, content, header = (parent.get(part, {}) for part in ("metadata", "content", "header"))
    name = metadata.get("cellId") or metadata.get("cell_id") or content.get("code", "")
    return str(name), str(header.get("msg_id", ""))


def _shell() -> Any:
    """Return the shell of the running kernel, if there is one."""
    try:
        shell: Any = import_module("IPython").get_ipython()
    except ImportError:
        return None
    return shell if getattr(shell, "kernel", None) is not None else None


def _stop_button(stop: Callable[[], None]) -> Any:
    try:
        widgets: Any = import_module("ipywidgets")
    except ImportError:
        return None
    button = widgets.Button(description="Stop", icon="stop", tooltip="Let go of the stream")
    # The button lives as long as the notebook; it must not keep the view.
    method = weakref.WeakMethod(stop)

    def click(_: object) -> None:
        if (still := method()) is not None:
            still()

    button.on_click(click)
    show(button)
    return button
