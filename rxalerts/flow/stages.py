"""Streams that remember what they were piped through, so that a notebook can draw them."""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import TYPE_CHECKING, Any, TypeVar

from reactivex import Observable

from rxalerts.display import html_of

T = TypeVar("T")

_STAGES = "_rxalerts_stages"


class Stream(Observable[T]):
    """An observable that shows itself in a notebook as a drawing of its stages.

    What its `pipe` returns remembers them too, whoever made it.
    """

    _repr_html_ = html_of

    def __repr__(self) -> str:
        return f"<stream: {' → '.join(stages_of(self))}>"

    if not TYPE_CHECKING:  # for type checkers it is Observable's, with its overloads

        def pipe(self, *operators: Callable[[Any], Any]) -> Any:
            """Compose operators, as every observable does."""
            result = super().pipe(*operators)
            if isinstance(result, Observable) and result is not self:
                remember(result, (*stages_of(self), *map(operator_name, operators)))
            return result


def remember(stream: Observable[Any], stages: tuple[str, ...]) -> None:
    """Note the stages of a stream, and have it show them if it would not by itself."""
    setattr(stream, _STAGES, stages)
    if not isinstance(stream, Stream):
        setattr(stream, "_repr_html_", MethodType(html_of, stream))  # noqa: B010 - Observable has none


def stages_of(stream: Observable[Any]) -> tuple[str, ...]:
    """Return the names of a stream's stages, as far as they are known; the first one is where it begins.

    >>> from rxalerts import operators, sources
    >>> stages_of(sources.from_iterable([]).pipe(operators.at_least("error")))
    ('iterable', 'at_least Error')
    """
    noted: tuple[str, ...] | None = getattr(stream, _STAGES, None)
    if noted is not None:
        return noted
    root: Observable[Any] | None = getattr(stream, "root", None)
    names: tuple[str, ...] = getattr(stream, "names", ())
    if root is not None:  # a Chain
        return (*stages_of(root), *names)
    name: object = getattr(stream, "name", "")
    return (name if isinstance(name, str) and name else type(stream).__name__,)


def operator_name(operator: Callable[..., Any]) -> str:
    """Return what to call an operator in a drawing.

    >>> import reactivex.operators
    >>> operator_name(reactivex.operators.take(3)), operator_name(lambda stream: stream)
    ('take', 'lambda')
    """
    given: object = getattr(operator, "label", None)
    if isinstance(given, str):
        return given
    name: str = getattr(operator, "__qualname__", type(operator).__name__)
    # The operators of reactivex are closures over the function that has the name.
    code, cells = getattr(operator, "__code__", None), getattr(operator, "__closure__", None)
    if code is not None and cells:
        inner = dict(zip(code.co_freevars, cells, strict=True)).get("fun")
        name = getattr(inner.cell_contents, "__name__", name) if inner is not None else name
    return name.split(".<locals>")[0].split(".")[-1].strip("_<>") or "operator"
