"""What the operators that edit alerts apply: functions from an alert to an alert."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from reactivex import Observable

from rxalerts.alert import Alert
from rxalerts.flow.chain import mapped
from rxalerts.flow.guard import OnFault
from rxalerts.operators._arguments import texts
from rxalerts.operators._condition_regex import glob_matcher
from rxalerts.operators._predicate import predicate
from rxalerts.priority import Priority

Change = Callable[[Alert], Alert]


When = str | Callable[[Alert], bool]


def change_each(
    change: Change, name: str = "change_each", on_fault: OnFault | None = None
) -> Callable[[Observable[Alert]], Observable[Alert]]:
    """Put each alert through a function that gives the alert to pass on; where it raises: a dead letter."""

    def each(alert: Alert) -> Alert:
        if not isinstance(alert, Alert):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"{name} takes alerts, not {type(alert).__name__}: put it before to_json() or to_text()")
        return change(alert)

    return mapped(each, name, on_fault)


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
    exact = frozenset(texts("names of fields", names))
    globs = [glob_matcher(name.replace("[", r"\[")) for name in exact if "*" in name or "?" in name]
    return lambda key: key in exact or any(glob(key) for glob in globs)


def retagging(add: Iterable[str], remove: Iterable[str], to: Iterable[str] | None) -> Change:
    """Give the function that `retag` applies."""
    added, removed = frozenset(texts("retag(add)", add)), frozenset(texts("retag(remove)", remove))
    fixed = None if to is None else frozenset(texts("retag(to)", to))

    def change(alert: Alert) -> Alert:
        old = alert.tags
        tags = tuple(sorted((frozenset(old if fixed is None else fixed) - removed) | added))
        return alert if tags == old else alert.replace(tags=tags)

    return change


def prioritising(when: When, to: str | int | Priority) -> Change:
    """Give the function that `set_priority` applies."""
    priority = Priority.parse(to)
    fits = predicate(when)

    def change(alert: Alert) -> Alert:
        return alert.replace(priority=priority) if alert.priority != priority and fits(alert) else alert

    return change
