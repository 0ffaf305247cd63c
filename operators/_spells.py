"""Spells: stretches of time in which alerts of one key are withheld and only counted."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

from rxalerts.alert import Alert
from rxalerts.flow.holding import Held
from rxalerts.operators._clock import FOREVER
from rxalerts.operators._keys import key_of, key_text, plain_key
from rxalerts.operators._stateful import alert_of, hold, internal_alert, plain_alert
from rxalerts.priority import Priority
from rxalerts.timestamps import format_rfc3339


class Spell:
    """One key's spell: when it ends, and what was withheld in it."""

    __slots__ = ("count", "ends", "example", "first", "held", "last", "urgency")

    def __init__(self, ends: int, first: int) -> None:
        self.ends = ends
        self.first = first
        self.last = first
        self.count = 0
        self.urgency: Priority = Priority.DEBUG
        self.example: Alert | None = None
        self.held: Held[None] | None = None

    def withhold(self, alert: Alert) -> None:
        """Count an alert that is not let through."""
        self.count += 1
        time_ns = alert.time_ns
        if time_ns > self.last:
            self.last = time_ns
        elif time_ns < self.first:
            self.first = time_ns
        if self.example is None:
            self.example = alert
        if alert.priority < self.urgency:
            self.urgency = alert.priority
        self.held = hold(self.held)


class Spells:
    """The running spells by key, all of the same length, so that they end in the order in which they began.

    Arguments:
        length: of a spell, in nanoseconds.
        most: how many spells run at once; when one more begins, the oldest one ends early.
        release: what emits the summary of an ended spell, with what it holds.
        rule: the summary's rule.
        words: makes its message out of the count, the seconds, and the example's text.
    """

    def __init__(
        self,
        length: int,
        most: int,
        release: Callable[[Alert | None, Held[None] | None], None],
        rule: str,
        words: Callable[[int, float, str], str],
    ) -> None:
        self._length = length
        self._most = most
        self._release = release
        self._rule = rule
        self._words = words
        self._spells: OrderedDict[Hashable, Spell] = OrderedDict()

    def __len__(self) -> int:
        return len(self._spells)

    def get(self, key: Hashable) -> Spell | None:
        """Return the running spell of a key."""
        return self._spells.get(key)

    def begin(self, key: Hashable, now: int, alert: Alert) -> Spell:
        """Begin a spell."""
        if len(self._spells) >= self._most:
            self._end_oldest()
        spell = self._spells[key] = Spell(now + self._length, alert.time_ns)
        return spell

    @property
    def due(self) -> int:
        """The time at which the next spell ends."""
        for spell in self._spells.values():
            return spell.ends
        return FOREVER

    def end_until(self, now: int) -> int:
        """End the spells that are over by `now`; returns when the next one is."""
        while (due := self.due) <= now:
            self._end_oldest()
        return due

    def end_all(self) -> None:
        """End all spells, the oldest first."""
        while self._spells:
            self._end_oldest()

    def _end_oldest(self) -> None:
        key, spell = self._spells.popitem(last=False)
        if spell.count:
            self._release(self._summary(key, spell), spell.held)

    def _summary(self, key: Hashable, spell: Spell) -> Alert:
        example = spell.example
        text = example.message if example is not None else ""
        fields = {
            "rxalerts.rule": example.rule if example is not None else "",
            "rxalerts.key": key_text(key),
            "rxalerts.count": spell.count,
            "rxalerts.first": format_rfc3339(spell.first),
            "rxalerts.last": format_rfc3339(spell.last),
            "rxalerts.example": text,
        }
        message = self._words(spell.count, (spell.last - spell.first) / 1e9, text)
        return internal_alert(self._rule, message, spell.urgency, spell.last, fields, example)

    # -- saved ----------------------------------------------------------------------------------------------

    def state(self) -> list[Any]:
        """Return the spells as JSON knows them."""
        return [
            [
                plain_key(key),
                spell.ends,
                spell.first,
                spell.last,
                spell.count,
                int(spell.urgency),
                *([] if spell.example is None else plain_alert(spell.example)),
            ]
            for key, spell in self._spells.items()
        ]

    def load(self, state: list[Any]) -> None:
        """Take over what `state` returned."""
        for key, ends, first, last, count, urgency, *example in state:
            spell = self._spells[key_of(key)] = Spell(int(ends), int(first))
            spell.last, spell.count, spell.urgency = int(last), int(count), Priority(urgency)
            if count:
                spell.example = alert_of(example, spell.first)

    def forget(self) -> None:
        """Leave what the spells hold unfinished."""
        for spell in self._spells.values():
            if spell.held is not None:
                spell.held.abandon()
