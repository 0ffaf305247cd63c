"""Stateless operators that compose into one function.

reactivex wraps the observer of every stage (0.13 µs each) and looks for a trampoline at every subscription. A
`Chain` is an ordinary Observable that remembers its steps instead: another step on top makes a longer chain, and
only its end is subscribed to. Between foreign operators it behaves like any other Observable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase

from rxalerts.flow.guard import Guard, OnFault
from rxalerts.flow.stages import Stream

A = TypeVar("A")
B = TypeVar("B")

# Given what to call with each result, return what to call with each item.
Step = Callable[[Callable[[Any], None]], Callable[[Any], None]]

# The results for a list of items, of a step that calls no function of the user's.
Batch = Callable[[Sequence[Any]], Sequence[Any]]


class Chain(Stream[B]):
    """The items of `root` after `steps`; what a step raises ends the stream with `on_error`, as in reactivex.

    `names` says what the steps are, for people. `batches` are the same steps for lists, None where there is no such
    form.
    """

    def __init__(
        self,
        root: Observable[Any],
        steps: tuple[Step, ...],
        names: tuple[str, ...] = (),
        batches: tuple[Batch | None, ...] = (None,),
    ) -> None:
        super().__init__()
        self.root = root
        self.steps = steps
        self.names = names
        self.batches = batches

    def compiled(self, on_next: Callable[[B], None]) -> Callable[[Any], None]:
        """Return the one function that sends an item of the root through all steps into `on_next`."""
        for step in reversed(self.steps):
            on_next = step(on_next)
        return on_next

    def batched(self) -> Batch | None:
        """Return the one function that gives the results for a list of items; None if a step has no such form."""
        batches = [each for each in self.batches if each is not None]
        if len(batches) < len(self.batches):
            return None

        def results(items: Sequence[Any]) -> Sequence[Any]:
            for each in batches:
                items = each(items)
            return items

        return results

    def _subscribe_core(self, observer: ObserverBase[B], scheduler: SchedulerBase | None = None) -> DisposableBase:
        head = self.compiled(observer.on_next)

        def on_next(value: Any) -> None:
            try:
                head(value)
            except Exception as error:
                observer.on_error(error)

        return self.root.subscribe(on_next, observer.on_error, observer.on_completed, scheduler=scheduler)


def chained(
    step: Callable[[Callable[[B], None]], Callable[[A], None]],
    name: str = "",
    batch: Batch | None = None,
) -> Callable[[Observable[A]], Observable[B]]:
    """Make an operator of a step.

    Arguments:
        step: given what to call with each result, returns what to call with each item.
        name: stands for it in drawings (default: the function that the step is in).
        batch: the same for a list; only where nobody can tell the difference, so no function of the user's in it.
            Where it raises, the items go through `step`, one by one.

    >>> import reactivex
    >>> doubled = chained(lambda on_next: lambda number: on_next(2 * number))
    >>> reactivex.of(1, 2).pipe(doubled, doubled).subscribe(print) and None
    4
    8
    """

    label = name or getattr(step, "__qualname__", "step").split(".")[0]

    def operator(source: Observable[A]) -> Observable[B]:
        if isinstance(source, Chain):
            return Chain(source.root, (*source.steps, step), (*source.names, label), (*source.batches, batch))
        return Chain(source, (step,), (label,), (batch,))

    setattr(operator, "label", label)  # noqa: B010 - no type has it
    return operator


def mapped(
    function: Callable[[A], B], name: str = "map", on_fault: OnFault | None = None
) -> Callable[[Observable[A]], Observable[B]]:
    """Make an operator that sends on `function(item)` for each item; where it raises, the item is a dead letter."""

    def step(on_next: Callable[[B], None]) -> Callable[[A], None]:
        guard = Guard(name, on_fault)

        def each(item: A) -> None:
            try:
                result = function(item)
            except Exception as error:
                guard(item, error)
            else:
                on_next(result)

        return each

    return chained(step, name)


def filtered(
    predicate: Callable[[A], object], name: str = "filter", on_fault: OnFault | None = None
) -> Callable[[Observable[A]], Observable[A]]:
    """Make an operator that sends on the items for which `predicate` is true; where it raises: a dead letter."""

    def step(on_next: Callable[[A], None]) -> Callable[[A], None]:
        guard = Guard(name, on_fault)

        def each(item: A) -> None:
            try:
                fits = predicate(item)
            except Exception as error:
                guard(item, error)
            else:
                if fits:
                    on_next(item)

        return each

    return chained(step, name)
