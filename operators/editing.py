"""Edit alerts on their way: rename and drop fields, set tags and priorities.

Each operator makes new alerts and never changes the ones it got; an alert that stays as it is is passed on itself,
with the rendering that it remembers. Order is kept, nothing is held back, there is no state; completion and errors
pass through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from reactivex import Observable

from rxalerts.alert import Alert
from rxalerts.flow.guard import OnFault
from rxalerts.operators._editing import (
    When,
    change_each,
    dropping,
    prioritising,
    renaming,
    retagging,
)
from rxalerts.priority import Priority


def rename(names: Mapping[str, str]) -> Callable[[Observable[Alert]], Observable[Alert]]:
    """Rename output fields; those that an alert does not have are skipped.

    Arguments:
        names: new names by old ones. A field that already has the new name is replaced; names can be swapped.

    Raises:
        ValueError: two fields would get the same name.

    Completion and errors pass through.

        --a--b--|
        rename({"proc.name": "process"})
        --A--B--|

    >>> import reactivex
    >>> alert = Alert("r", output_fields={"proc.name": "sh", "user.name": "root"})
    >>> stream = reactivex.of(alert).pipe(rename({"proc.name": "process"}))
    >>> stream.subscribe(lambda a: print(a.output_fields)) and None
    {'process': 'sh', 'user.name': 'root'}
    """
    return change_each(renaming(names), "rename")


def drop_fields(*names: str) -> Callable[[Observable[Alert]], Observable[Alert]]:
    """Remove output fields; the text of the alert stays (`redact` hides values there too).

    Arguments:
        names: names of fields, or globs such as `k8s.*`.

    Completion and errors pass through.

        --a--b--|
        drop_fields("k8s.*")
        --A--B--|

    >>> import reactivex
    >>> alert = Alert("r", output_fields={"k8s.ns.name": "web", "k8s.pod.name": "a", "proc.name": "sh"})
    >>> reactivex.of(alert).pipe(drop_fields("k8s.*")).subscribe(lambda a: print(a.output_fields)) and None
    {'proc.name': 'sh'}
    """
    return change_each(dropping(names), "drop_fields")


def retag(
    *, add: Iterable[str] = (), remove: Iterable[str] = (), to: Iterable[str] | None = None
) -> Callable[[Observable[Alert]], Observable[Alert]]:
    """Change the tags of alerts; the result is sorted and has each tag once, as Falco writes them.

    Arguments:
        add: tags to add.
        remove: tags to remove.
        to: tags to have instead of the old ones, before `remove` and `add` apply.

    Completion and errors pass through.

        --a--b--|
        retag(add=["prod"])
        --A--B--|

    >>> import reactivex
    >>> stream = reactivex.of(Alert("r", tags=["network", "test"]))
    >>> stream.pipe(retag(add=["prod"], remove=["test"])).subscribe(lambda a: print(a.tags)) and None
    ('network', 'prod')
    """
    return change_each(retagging(add, remove, to), "retag")


def set_priority(
    when: When, to: str | int | Priority, *, on_fault: OnFault | None = None
) -> Callable[[Observable[Alert]], Observable[Alert]]:
    """Give the alerts that fit a condition another priority, in their text too.

    Arguments:
        when: a condition in Falco's syntax, or a callable from an alert to a bool.
        to: the new priority: a name in any case, a number or a `Priority`.
        on_fault: called with the DeadLetter of each alert for which the callable raised.

    Raises:
        ConditionError: the condition is wrong; it points at the column.
        ValueError: no such priority; it names the choices.

    Completion and errors pass through.

        --a--b--|
        set_priority("tags = test", "debug")
        --A--b--|

    >>> import reactivex
    >>> stream = reactivex.of(Alert("r", "error", tags=["test"]), Alert("s", "error"))
    >>> stream.pipe(set_priority("tags = test", "debug")).subscribe(lambda a: print(a.rule, a.priority)) and None
    r Debug
    s Error
    """
    return change_each(prioritising(when, to), "set_priority", on_fault)
