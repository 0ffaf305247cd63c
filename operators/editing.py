"""Edit alerts on their way: rename and drop fields, set tags and priorities.

Each operator makes new alerts and never changes the ones it got; an alert that stays as it is is passed on itself,
with the rendering that it remembers. Order is kept, nothing is held back, there is no state; completion and errors
pass through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from reactivex import Observable

from rxalerts.alert import Alert
from rxalerts.flow.chain import mapped
from rxalerts.flow.guard import OnFault
from rxalerts.operators._condition_regex import glob_matcher
from rxalerts.operators.condition import compile_condition
from rxalerts.priority import Priority

Change = Callable[[Alert], Alert]
When = str | Callable[[Alert], bool]


def change_each(
    change: Change, name: str = "change_each", on_fault: OnFault | None = None
) -> Callable[[Observable[Alert]], Observable[Alert]]:
    """Put each alert through a function that gives the alert to pass on; where it raises: a dead letter."""
    return mapped(change, name, on_fault)


def rename(names: Mapping[str, str]) -> Callable[[Observable[Alert]], Observable[Alert]]:
    """Rename output fields; those that an alert does not have are skipped.

    Args:
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


def renaming(names: Mapping[str, str]) -> Change:
    """Give the function that `rename` applies."""
    names = dict(names)
    twice = sorted({new for new in names.values() if list(names.values()).count(new) > 1})
    if twice:
        raise ValueError(f"rename: several fields would be named {', '.join(twice)}")

    def change(alert: Alert) -> Alert:
        fields = alert.output_fields
        if names.keys().isdisjoint(fields):
            return alert
        taken = {names[key] for key in fields if key in names}
        kept = {names.get(key, key): value for key, value in fields.items() if key in names or key not in taken}
        return alert.replace(output_fields=kept)

    return change


def drop_fields(*names: str) -> Callable[[Observable[Alert]], Observable[Alert]]:
    """Remove output fields; the text of the alert stays (`redact` hides values there too).

    Args:
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


def dropping(names: Iterable[str]) -> Change:
    """Give the function that `drop_fields` applies."""
    chosen = field_chooser(names)

    def change(alert: Alert) -> Alert:
        fields = alert.output_fields
        kept = {key: value for key, value in fields.items() if not chosen(key)}
        return alert if len(kept) == len(fields) else alert.replace(output_fields=kept)

    return change


def field_chooser(names: Iterable[str]) -> Callable[[str], bool]:
    """Tell whether a field is one of the given names, which may be globs.

    Only `*` and `?` are special: brackets belong to names.

    >>> chosen = field_chooser(["k8s.*", "proc.aname[?]"])
    >>> chosen("k8s.ns.name"), chosen("proc.aname[2]"), chosen("proc.name")
    (True, True, False)
    """
    if isinstance(names, str):
        raise TypeError(f"names of fields must be a sequence, not the text {names!r}")
    exact = frozenset(names)
    globs = [glob_matcher(name.replace("[", r"\[")) for name in exact if "*" in name or "?" in name]
    return lambda key: key in exact or any(glob(key) for glob in globs)


def retag(
    *, add: Iterable[str] = (), remove: Iterable[str] = (), to: Iterable[str] | None = None
) -> Callable[[Observable[Alert]], Observable[Alert]]:
    """Change the tags of alerts; the result is sorted and has each tag once, as Falco writes them.

    Args:
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


def retagging(add: Iterable[str], remove: Iterable[str], to: Iterable[str] | None) -> Change:
    """Give the function that `retag` applies."""
    for given in (add, remove, to):
        if isinstance(given, str):
            raise TypeError(f"tags must be a sequence, not the text {given!r}")
    added, removed = frozenset(add), frozenset(remove)
    fixed = None if to is None else frozenset(to)

    def change(alert: Alert) -> Alert:
        old = alert.tags
        tags = tuple(sorted((frozenset(old if fixed is None else fixed) - removed) | added))
        return alert if tags == old else alert.replace(tags=tags)

    return change


def set_priority(
    when: When, to: str | int | Priority, *, on_fault: OnFault | None = None
) -> Callable[[Observable[Alert]], Observable[Alert]]:
    """Give the alerts that fit a condition another priority, in their text too.

    Args:
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


def prioritising(when: When, to: str | int | Priority) -> Change:
    """Give the function that `set_priority` applies."""
    priority = Priority.parse(to)
    fits = compile_condition(when).test if isinstance(when, str) else when

    def change(alert: Alert) -> Alert:
        return alert.replace(priority=priority) if alert.priority != priority and fits(alert) else alert

    return change
