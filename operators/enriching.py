"""Add what is known elsewhere to alerts: constants, computed values, rows of a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from reactivex import Observable

from rxalerts.alert import Alert
from rxalerts.flow.guard import OnFault
from rxalerts.operators._editing import change_each
from rxalerts.operators._enriching import (
    Added,
    Table,
    enriching,
)


def enrich(
    compute: Callable[[Alert], Added] | Mapping[str, Any] | None = None,
    /,
    *,
    table: Table | None = None,
    by: str | None = None,
    replace: bool = True,
    on_fault: OnFault | None = None,
    **fields: Any,
) -> Callable[[Observable[Alert]], Observable[Alert]]:
    """Add output fields to alerts; their text stays as it is.

    Arguments:
        compute: a callable that is given the alert and gives the fields to add (or None, or a whole new
            alert); or a mapping of fields, for names that are no Python names.
        table: a CSV file (first line: names of the columns), a JSON file (an object of rows by key, or a
            list of rows), or a mapping of rows by key. The row whose column `by` equals the alert's value is
            added, without that column. It is read once, when the operator is made.
        by: what the table is looked up by: an output field, or `rule`, `source`, `hostname`, `priority`.
        replace: False keeps values (but null) that the alert has already.
        on_fault: called with the DeadLetter of each alert for which `compute` raised.
        fields: constants to add.

    Later ones win: table, then constants, then computed values. An alert whose key is not in the table, or that
    lacks it, gets no row. All values of a CSV file are text; empty ones are not added.

    Raises:
        OptionError: the table cannot be read, has no such column, or has one key twice.

    Completion and errors pass through.

        --a--b--|
        enrich(cluster="prod")
        --A--B--|

    >>> import reactivex
    >>> alert = Alert("r", output_fields={"k8s.ns.name": "web"})
    >>> owners = {"web": {"team": "blue"}}
    >>> stream = reactivex.of(alert).pipe(enrich(cluster="prod", table=owners, by="k8s.ns.name"))
    >>> stream.subscribe(lambda a: print(a.output_fields)) and None
    {'cluster': 'prod', 'k8s.ns.name': 'web', 'team': 'blue'}
    """
    change = enriching(compute, table=table, by=by, replace=replace, fields=fields)
    return change_each(change, "enrich", on_fault)
