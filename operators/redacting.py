"""Hide secrets in alerts, in their text too."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from reactivex import Observable

from rxalerts.alert import Alert
from rxalerts.operators._editing import change_each
from rxalerts.operators._redacting import (
    REDACTED,
    redacting,
)


def redact(
    fields: Iterable[str] = (),
    *,
    pattern: str | re.Pattern[str] | None = None,
    with_: str = REDACTED,
) -> Callable[[Observable[Alert]], Observable[Alert]]:
    """Hide values of output fields, or what matches a pattern, in the fields and in `output` and `message`.

    Arguments:
        fields: names of output fields, or globs such as `*.cmdline`. Alone, their whole values are hidden.
        pattern: what to hide, within the given fields, or in all texts of the alert (output fields with all
            that they hold, `extra`, `output`, `message`) when there are none. A text is read as the
            conditions' `regex` is: RE2's POSIX syntax, and no input makes it hang. A compiled pattern of `re`
            is used as it is, and may.
        with_: what stands there instead.

    Whatever is hidden in a field is hidden in `output` and `message` as well, also where Falco wrote it with
    escapes; of values with less than 4 characters and of numbers only whole words, of truth values nothing.
    Other fields that hold the same secret (`proc.cmdline` often does) must be named too.

    Raises:
        ValueError: nothing to hide was given, or the pattern is wrong.

    Completion and errors pass through.

        --a--b--|
        redact(["evt.arg.data"])
        --A--B--|

    >>> import reactivex
    >>> alert = Alert("r", "error", "login pw=hunter2", {"evt.arg.data": "hunter2"}, time=0)
    >>> stream = reactivex.of(alert).pipe(redact(["evt.arg.data"], with_="***"))
    >>> stream.subscribe(lambda a: print(a.message, a.output_fields)) and None
    login pw=*** {'evt.arg.data': '***'}
    """
    return change_each(redacting(fields, pattern, with_), "redact")
