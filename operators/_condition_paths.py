"""Match paths against path prefixes, component by component: Falco's `pmatch`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rxalerts.operators._condition_regex import glob_matcher

_Component = str | Callable[[str], bool]


def path_matcher(paths: Sequence[str]) -> Callable[[str], bool]:
    """Tell whether a path is one of the given ones or lies below it.

    Components are compared whole (`/var` holds `/var/log`, not `/variable`), repeated and closing
    slashes do not count, `.` and `..` are not resolved; a component with `*`, `?` or `[` is a glob
    (falcosecurity/libs, userspace/libsinsp/prefix_search.h).

    >>> below = path_matcher(["/tmp/", "/home/*/.ssh"])
    >>> below("/tmp/x"), below("/tmpfile"), below("/home/ann/.ssh/id_rsa"), below("/home/ann")
    (True, False, True, False)
    """
    plain = list[str]()
    globbed = list[list[_Component]]()
    for path in paths:
        parts = _components(path)
        if any(char in part for part in parts for char in "*?["):
            globbed.append([_component(part) for part in parts])
        else:
            plain.append("".join(f"/{part}" for part in parts) + "/")
    prefixes = tuple(plain)

    def matches(path: str) -> bool:
        if (path + "/").startswith(prefixes):
            return True
        parts = _components(path)
        if "".join(f"/{part}" for part in [*parts, ""]).startswith(prefixes):
            return True
        return any(_begins_with(parts, wanted) for wanted in globbed)

    return matches


def _components(path: str) -> list[str]:
    return [part for part in path.split("/") if part]


def _component(part: str) -> _Component:
    return glob_matcher(part) if any(char in part for char in "*?[") else part


def _begins_with(parts: list[str], wanted: list[_Component]) -> bool:
    if len(parts) < len(wanted):
        return False
    pairs = zip(parts, wanted, strict=False)
    return all(part == want if isinstance(want, str) else want(part) for part, want in pairs)
