"""Where `--from` reads: a table of one small function per scheme."""

from __future__ import annotations

import inspect
import os
import stat
from collections.abc import Callable
from typing import Any, get_args, get_type_hints
from urllib.parse import parse_qsl

from rxalerts import sources
from rxalerts.alert import Alert
from rxalerts.errors import ConfigError, RxAlertsError
from rxalerts.flow.source import Source
from rxalerts.wire import OnBad

# What a scheme's function gets: the whole text, what to do with what is no alert, and the options behind a `?`.
Opener = Callable[[str, OnBad, dict[str, str]], Source[Alert]]


def open_source(spec: str, on_bad: OnBad = "report", *, stdin: int | None = None) -> Source[Alert]:
    """Return the source that `--from` or `rxalerts.source` names; nothing is opened yet.

    Arguments:
        spec: `-`, a path, `tail:PATH`, or an address; options of the source may follow behind a `?`.
        on_bad: what to do with what is no alert, see `rxalerts.wire.read`.
        stdin: the descriptor to read for `-`.

    Raises ConfigError, naming what can be written instead.

    >>> open_source("-").name
    'stdin'
    """
    if spec == "-":
        return sources.stdin(fd=stdin, on_bad=on_bad)
    scheme, colon, _ = spec.partition(":")
    opener = OPENERS.get(scheme) if colon else None
    try:
        if opener is None:
            if "://" in spec:
                known = ", ".join(f"{name}:" for name in OPENERS)
                raise ConfigError(f"unknown scheme {scheme}: write -, a path, or one of {known}")
            return _path(spec, on_bad)
        bare, _, query = spec.partition("?")
        return opener(bare, on_bad, dict(parse_qsl(query, keep_blank_values=True)))
    except (RxAlertsError, ValueError, TypeError, OSError) as error:
        raise ConfigError(f"--from {spec}: {error}") from None


def _path(spec: str, on_bad: OnBad) -> Source[Alert]:
    return sources.replay([spec], on_bad=on_bad, name=spec)


def _tail(spec: str, on_bad: OnBad, options: dict[str, str]) -> Source[Alert]:
    return _made("tail", spec.removeprefix("tail:"), on_bad, options)


def _http(spec: str, on_bad: OnBad, options: dict[str, str]) -> Source[Alert]:
    return _made("http", spec, on_bad, options)


def _grpc(spec: str, on_bad: OnBad, options: dict[str, str]) -> Source[Alert]:
    return _made("grpc", spec.removeprefix("grpc://"), on_bad, options)


OPENERS: dict[str, Opener] = {"tail": _tail, "http": _http, "https": _http, "unix": _grpc, "grpc": _grpc}


def _made(name: str, target: str, on_bad: OnBad, options: dict[str, str]) -> Source[Alert]:
    """Call `rxalerts.sources.NAME(target, …)` with the options that it knows, converted to their types."""
    make: Any = getattr(sources, name, None)
    if make is None:
        raise ConfigError(f"this version of rxalerts has no {name} source: read from -, or from a file")
    if not target:
        raise ConfigError(f"nothing behind {name}: name what to read")
    hints = get_type_hints(make)
    known = {
        parameter.name: kinds
        for parameter in inspect.signature(make).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
        and parameter.name != "on_bad"
        and (kinds := _kinds(hints[parameter.name]))
    }
    unknown = sorted(options.keys() - known.keys())
    if unknown:
        raise ConfigError(f"the {name} source has no option {unknown[0]}; it has {', '.join(sorted(known))}")
    arguments: dict[str, Any] = {key: _as(known[key], key, text) for key, text in options.items()}
    if "on_bad" in hints:
        arguments["on_bad"] = on_bad
    elif on_bad != "report":
        raise ConfigError(f"the {name} source has no use for --rejects: it cannot keep what is no alert; leave it away")
    source: Source[Alert] = make(target, **arguments)
    return source


def _kinds(hint: Any) -> set[type]:
    """Return which of the types that a text can stand for an option takes; none for what only code can give."""
    return {str if isinstance(each, str) else each for each in get_args(hint) or (hint,)} & {bool, int, float, str}


def _as(kinds: set[type], key: str, text: str) -> Any:
    """Return the text of an option as what the option takes."""
    if bool in kinds:
        if text.lower() not in ("true", "false", "yes", "no", "1", "0", ""):
            raise ConfigError(f"{key}={text}: write true or false")
        return text.lower() not in ("false", "no", "0")
    if kinds & {int, float}:
        try:
            return float(text) if float in kinds else int(text)
        except ValueError:
            raise ConfigError(f"{key}={text}: write a number") from None
    return text


def is_pipe(fd: int) -> bool:
    """Tell whether a descriptor is a pipe or a socket: what is in it is lost when nobody reads it."""
    return stat.S_IFMT(os.fstat(fd).st_mode) in (stat.S_IFIFO, stat.S_IFSOCK)
