"""Where alerts come from: recorded logs, standard input, iterables, the network."""

from typing import TYPE_CHECKING

from rxalerts.lazy import lazily as _lazily

if TYPE_CHECKING:  # the index, see rxalerts.lazy
    from rxalerts.flow.iterable import from_iterable as from_iterable
    from rxalerts.sources._grpc import grpc as grpc
    from rxalerts.sources._http import http as http
    from rxalerts.sources._merge import merge as merge
    from rxalerts.sources._player import Player as Player
    from rxalerts.sources._replay import replay as replay
    from rxalerts.sources._stdin import stdin as stdin
    from rxalerts.sources._tail import tail as tail

if not TYPE_CHECKING:
    __getattr__, __dir__ = _lazily(__name__)
