"""A sink's side of its dead letters: a thread that writes them, and sends again what was asked for."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any

from rxalerts.alert import Alert
from rxalerts.errors import SinkError
from rxalerts.flow.database import Lock
from rxalerts.flow.deadletters import DeadLetters, Letter, letter_for
from rxalerts.flow.mailbox import Mailbox
from rxalerts.flow.stats import DeadLetter
from rxalerts.flow.threads import ThreadShortage, start
from rxalerts.format import Formatted

log = logging.getLogger("rxalerts")

# The reasons under which letters are kept: what the policy drops, or finds no time at the end, is not given up.
KEPT = frozenset({"rejected", "failed"})

# How often the thread looks whether somebody wants letters sent again, in seconds.
POLL = 1.0

# Pause after a failed transaction, in seconds.
_PAUSE = 0.5

# How often letters that have become too old are looked for, in seconds.
_EXPIRE = 60.0

# How many letters may wait to be written before their sink waits as well.
_WAITING = 10_000

# Two changes within so many nanoseconds may leave the same time stamp.
_TICK = 100_000_000

# How many letters are sent again at a time.
_AGAIN = 100


class DeadBox:
    """Writes a sink's dead letters, and is the mark of those that are sent again.

    Arguments:
        name: of the sink, for log lines.
        store: where they are kept.
        lock: held until the end, to show that this process looks after the store; None: the spool's lock does.
        durable: what is rejected stays in a spool until its letter is written.

    A letter that is sent again stays in the store until it is delivered. If it fails again, its row is updated.
    """

    until_delivered = True

    def __init__(self, name: str, store: DeadLetters, lock: Lock | None, *, durable: bool = False) -> None:
        self.store = store
        self._name = name
        self._durable = durable
        self._file_lock = lock
        self._lock = threading.Lock()
        self._bell = threading.Event()
        self._mailbox: Mailbox | None = None
        self._thread: threading.Thread | None = None
        self._new: list[tuple[Letter, Callable[[], None]]] = []
        self._again: list[tuple[Letter, Callable[[], None]]] = []
        self._delivered: list[int] = []
        # Letters on their way: the item of each, by number, and the number of each, by the item's identity.
        self._sent: dict[int, Any] = {}
        self._numbers: dict[int, int] = {}
        # Those that have failed again and are not written yet.
        self._back: set[int] = set()
        self._seen = -1
        self._next_expiry = 0.0
        self._ending = False
        self._then: list[Callable[[], None]] = []
        self._complained = False
        self._unkept = 0
        self._capacity = 0

    def start(self, mailbox: Mailbox) -> None:
        """Look after the store from now on; what is wanted goes into `mailbox`."""
        self._mailbox = mailbox
        self._capacity = mailbox.capacity
        with self._lock:
            self._run()

    def _run(self) -> None:
        """Have a thread, under the lock."""
        if self._thread is None:
            thread = threading.Thread(target=self._live, name=f"rxalerts-dead-{self._name}", daemon=True)
            try:
                self._thread = start(thread)
            except ThreadShortage as error:
                # What waits is written when there is one, at the end at the latest.
                self._complain(error)

    # -- what the sink tells --------------------------------------------------------------------------------

    def add(self, letter: DeadLetter, done: Callable[[], None]) -> None:
        """Keep a letter, and call `done` when it is on disk; a reason that is not kept is `done` at once."""
        item = letter.item
        with self._lock:
            number = self._numbers.pop(id(item), 0)
            if number:
                del self._sent[number]
        if letter.reason not in KEPT or not isinstance(item, Alert | Formatted):
            done()
            return
        stored = letter_for(
            item, letter.reason, letter.detail, letter.attempts, letter.first or letter.at, letter.at, number
        )
        with self._lock:
            # A sink that gives up hands over all that it has; what it refuses afterwards has no end.
            if letter.reason == "failed" and self._waiting >= _WAITING + self._capacity:
                self._unkept += 1
                if self._unkept == 1:
                    log.error("%s: %s cannot keep up: letters are not kept", self._name, self.store.path)
                return
            (self._again if number else self._new).append((stored, done))
            if number:
                self._back.add(number)
            self._run()
        self._bell.set()

    def hold(self, seq: int) -> None:
        """Letters are held by being in the store."""

    def release(self, seq: int) -> None:
        """Note that letter `seq` was delivered, unless it is known to have failed."""
        with self._lock:
            item = self._sent.pop(seq, None)
            if item is None:
                return
            self._numbers.pop(id(item), None)
            self._delivered.append(seq)
            self._run()
        self._bell.set()

    @property
    def _waiting(self) -> int:
        return len(self._new) + len(self._again)

    @property
    def full(self) -> bool:
        """Whether so many letters wait to be written that no more should be made."""
        return self._waiting >= _WAITING

    @property
    def busy(self) -> bool:
        """Whether something waits to be written, or letters are on their way."""
        return bool(self._new or self._again or self._delivered or self._sent)

    def end(self, then: Callable[[], None]) -> None:
        """Write what waits, let the store go, and call `then`, from the thread if there is one."""
        with self._lock:
            self._ending = True
            if self._thread is not None:
                self._then.append(then)
                self._bell.set()
                return
        self._tried(self._write)
        self._let_go()
        then()

    def forked(self) -> None:
        """Forget everything, in a forked child."""
        self._lock = threading.Lock()
        self._thread = None
        self._new, self._again, self._delivered = [], [], []
        self._let_go()

    def _let_go(self) -> None:
        lock, self._file_lock = self._file_lock, None
        if lock is not None:
            lock.close()

    # -- the thread -----------------------------------------------------------------------------------------

    def _live(self) -> None:
        while True:
            self._bell.clear()
            worked = self._tried(self._write)
            if worked and not self._ending:
                worked = self._tried(self._look)
            with self._lock:
                idle = not (self._new or self._again or self._delivered or self._unkept)
                over = self._ending and idle
                callbacks: list[Callable[[], None]] = []
                if self._ending and (idle or not worked):
                    callbacks, self._then = self._then, []
                if over:
                    self._thread = None
            if callbacks and not idle:
                self._linger()
            if over:
                self._let_go()
            for callback in callbacks:
                callback()
            if over:
                return
            if not worked:
                self._hold_off()
            elif idle:
                self._bell.wait(POLL)

    def _linger(self) -> None:
        """Let the sink end without waiting any longer, and go on trying for as long as the process lives."""
        with self._lock:
            if self._durable:
                # They are in the spool, and come again.
                self._new = [each for each in self._new if each[0].reason != "rejected"]
            left = self._waiting + self._unkept
        log.error(
            "%s: %s: %d letters are not written yet: trying on until the process ends",
            self._name,
            self.store.path,
            left,
        )

    def _hold_off(self) -> None:
        """Wait after a failure, however many letters ring meanwhile."""
        until = time.monotonic() + _PAUSE
        while (left := until - time.monotonic()) > 0 and not self._then:
            self._bell.clear()
            self._bell.wait(left)

    def _tried(self, step: Callable[[], None]) -> bool:
        try:
            step()
        except (sqlite3.Error, OSError, SinkError) as error:
            self._complain(error)
            return False
        except Exception:
            log.exception("%s: %s: a fault in its own machinery", self._name, self.store.path)
            return False
        self._complained = False
        return True

    def _complain(self, error: Exception) -> None:
        """Say once what is wrong, until it is over."""
        if not self._complained:
            self._complained = True
            log.error("%s: %s: %s; trying again", self._name, self.store.path, error)

    def _write(self) -> None:
        with self._lock:
            new, again, delivered = list(self._new), list(self._again), list(self._delivered)
            unkept = self._unkept
        if not (new or again or delivered or unkept):
            return
        # First into the store, then out of wherever it came from.
        self.store.change([letter for letter, _ in new], [letter for letter, _ in again], delivered, unkept)
        if unkept:
            log.error("%s: %s: %d letters were not kept", self._name, self.store.path, unkept)
        with self._lock:
            self._unkept -= unkept
            self._back.difference_update(letter.id for letter, _ in again)
            del self._new[: len(new)], self._again[: len(again)], self._delivered[: len(delivered)]
        # What failed again is finished by its row: its mark is ours, and would take it for delivered.
        for _, done in new:
            done()

    def _look(self) -> None:
        """Send again what somebody wants sent again, as far as there is room."""
        now = time.monotonic()
        if now >= self._next_expiry:
            self._next_expiry = now + _EXPIRE
            self.store.expire()
        changed = self.store.changed
        if changed == self._seen or self._mailbox is None:
            return
        if self._send_again(self._mailbox) and time.time_ns() - changed > _TICK:
            self._seen = changed

    def _is_under_way(self, number: int) -> bool:
        """Tell whether a letter is with the sink, or has come back and is still marked as wanted on disk."""
        return number in self._sent or number in self._delivered or number in self._back

    def _send_again(self, mailbox: Mailbox) -> bool:
        """Offer what is wanted; true when nothing more is."""
        after = 0
        while letters := self.store.wanted(after, _AGAIN):
            for letter in letters:
                after = letter.id
                with self._lock:
                    if self._is_under_way(letter.id):
                        continue
                    item = letter.item
                    self._sent[letter.id] = item
                    self._numbers[id(item)] = letter.id
                if not mailbox.slip_in(item, letter.id, self):
                    with self._lock, contextlib.suppress(KeyError):
                        del self._sent[letter.id], self._numbers[id(item)]
                    return False
        return True
