"""A source around another one: the alerts go through it, the rest goes straight on."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from reactivex.abc import ObserverBase

from rxalerts.alert import Alert
from rxalerts.flow.batching import BatchObserver
from rxalerts.flow.source import Emitter, Source, SourceStats


class Around(Source[Alert]):
    """A source around another one; a subclass says in `receive` what becomes of an alert."""

    def __init__(self, source: Source[Alert]) -> None:
        super().__init__(source.name)
        self.source = source
        self._observer: ObserverBase[Alert] | None = None

    @abstractmethod
    def receive(self, alert: Alert) -> None:
        """Hand an alert on to the observer, or not; called by the source, within its scope."""

    def receive_all(self, alerts: Sequence[Alert]) -> None:
        """Do the same with several, if there is `room` for them."""
        for alert in alerts:
            self.receive(alert)

    @property
    def room(self) -> int:
        """How many alerts may come in one call (see `rxalerts.flow.batching`)."""
        return self._observer.room if isinstance(self._observer, BatchObserver) else 0

    def emitter(self, observer: ObserverBase[Alert]) -> Emitter[Alert]:
        self._observer = observer
        return self.source.emitter(_Inlet(self, observer))

    def feed(self, observer: ObserverBase[Alert], emitter: Emitter[Alert]) -> None:
        self.source.feed(_Inlet(self, observer), emitter)

    def stats(self) -> SourceStats:
        return self.source.stats()

    def finished(self) -> None:
        self.source.finished()


class _Inlet(BatchObserver[Alert]):
    """The end of the inner source."""

    def __init__(self, around: Around, observer: ObserverBase[Alert]) -> None:
        self._around = around
        self._observer = observer

    def on_next(self, value: Alert) -> None:
        self._around.receive(value)

    @property
    def room(self) -> int:
        return self._around.room

    def on_batch(self, items: Sequence[Alert]) -> None:
        self._around.receive_all(items)

    def on_error(self, error: Exception) -> None:
        self._observer.on_error(error)

    def on_completed(self) -> None:
        self._observer.on_completed()
