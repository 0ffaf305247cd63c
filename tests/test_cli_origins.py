"""Where `--from` reads: the options behind a question mark."""

from __future__ import annotations

import pytest

from rxalerts import sources
from rxalerts.cli.origins import open_source
from rxalerts.errors import ConfigError


@pytest.mark.parametrize(("text", "expected"), [("true", True), ("false", False), ("no", False), ("1", True)])
def test_options_are_what_they_stand_for(text: str, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """An option gets the type that it takes, also where its default is None."""
    given: dict[str, object] = {}

    def tail(path: str, *, inotify: bool | None = None, poll: float = 0.2, state: str | None = None) -> None:
        given.update(path=path, inotify=inotify, poll=poll, state=state)

    monkeypatch.setattr(sources, "tail", tail)
    open_source(f"tail:/a/log?inotify={text}&poll=3&state=/s")
    assert given == {"path": "/a/log", "inotify": expected, "poll": 3.0, "state": "/s"}


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("tail:/log?poll=often", "poll=often: write a number"),
        ("tail:/log?inotify=perhaps", "inotify=perhaps: write true or false"),
        ("tail:/log?on_bad=raise", "no option on_bad"),
        ("grpc://host:1?retry=3", "no option retry; it has ca, cert, key, method, name, poll, server_name"),
        ("tail:/log?start=middle", "must be beginning or end"),
        ("tail:", "nothing behind tail"),
        ("ftp://host/log", "unknown scheme ftp"),
    ],
)
def test_options_that_cannot_be_are_refused(spec: str, said: str) -> None:
    """What no option can be, and what only code can give, is a mistake that is named."""
    with pytest.raises(ConfigError, match=said):
        open_source(spec)


@pytest.mark.parametrize("spec", ["http://127.0.0.1:0", "unix:///run/falco.sock"])
def test_rejects_are_refused_where_nobody_would_write_them(spec: str) -> None:
    """A source that cannot keep what is no alert says so, instead of leaving the file empty."""
    with pytest.raises(ConfigError, match="no use for --rejects"):
        open_source(spec, "/rejects")
    assert open_source(spec).live


def test_rejects_reach_a_source_that_keeps_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the rejects go is handed on to a source that asks for it."""
    given: list[str] = []

    def tail(path: str, *, on_bad: str = "report") -> None:
        given.extend((path, on_bad))

    monkeypatch.setattr(sources, "tail", tail)
    open_source("tail:/log", "/rejects")
    assert given == ["/log", "/rejects"]
