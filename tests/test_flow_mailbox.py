"""The mailbox, against a simple model, for every policy; and its two ends under threads."""

import threading
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rxalerts.flow.mailbox import Entry, Mailbox
from rxalerts.flow.overflow import Offer, Overflow
from rxalerts.flow.watermark import Watermark
from rxalerts.priority import Priority
from rxalerts.testing import VirtualClock, eventually

WAITABLE = Overflow.BLOCK


@dataclass(frozen=True)
class Listener:
    """An audience that hears of every drop, or not."""

    observed: bool


@dataclass(frozen=True)
class Item:
    """Something with a priority, and a number that tells it from the others."""

    number: int
    priority: Priority
    seq: int = 0


class MailboxMachine(RuleBasedStateMachine):
    """Offers, takes and settles in any order; after each step the mailbox equals the model."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 0
        self.waiting: list[Item] = []
        self.hand: list[Item] = []
        self.entries: list[Entry] = []
        self.losses: list[Item] = []
        self.received = 0
        self.left = 0
        self.closed = False
        self.pressed = False
        self.mark = Watermark()

    @initialize(policy=st.sampled_from(Overflow), capacity=st.integers(1, 6))
    def begin(self, policy: Overflow, capacity: int) -> None:
        """Make the mailbox."""
        self.policy = policy
        self.capacity = 1 if policy is Overflow.LATEST else capacity
        self.told: list[tuple[Any, str]] = []
        self.box = Mailbox(capacity, policy, on_drop=lambda item, reason: self.told.append((item, reason)))

    def lose(self, item: Item) -> None:
        """Note a loss in the model."""
        self.losses.append(item)

    @rule(priority=st.sampled_from(Priority))
    def offer(self, priority: Priority) -> None:
        """Offer an item, as a source does."""
        self.number += 1
        item = Item(self.number, priority, self.number)
        outcome = self.box.offer(item, self.number, self.mark)
        self.mark.emitted(self.number)
        self.received += 1
        assert outcome is self.expected(item)

    @rule(priorities=st.lists(st.sampled_from(Priority), min_size=1, max_size=8))
    def offer_all(self, priorities: list[Priority]) -> None:
        """Offer several items of one emission: the same as one after the other."""
        seq = self.number + 1
        items = [Item(seq + index, priority, seq) for index, priority in enumerate(priorities)]
        self.number += len(items)
        outcome = self.box.offer_all(items, seq, self.mark)
        self.mark.emitted(self.number)
        self.received += len(items)
        outcomes = [self.expected(item) for item in items]
        grave = [each for each in outcomes if each in (Offer.PRESSED, Offer.OVERFLOW)]
        assert outcome is (grave[0] if grave else Offer.ACCEPTED)

    @invariant()
    def room_is_what_it_takes_without_pressing_or_failing(self) -> None:
        """With `block` and `fail` the free places; other policies, and a closed mailbox, do neither."""
        if self.policy in (Overflow.BLOCK, Overflow.FAIL) and not self.closed:
            assert self.box.room == max(0, self.capacity - len(self.waiting) - len(self.hand))
        else:
            assert self.box.room > 1_000_000

    def expected(self, item: Item) -> Offer:
        """Do the same to the model, and return what the mailbox has to answer."""
        if self.closed:
            self.lose(item)
            return Offer.CLOSED
        if len(self.waiting) + len(self.hand) < self.capacity:
            self.waiting.append(item)
            return Offer.ACCEPTED
        if self.policy is Overflow.BLOCK:
            self.waiting.append(item)
            self.pressed = True
            return Offer.PRESSED
        if self.policy is Overflow.FAIL:
            self.lose(item)
            return Offer.OVERFLOW
        if self.policy is Overflow.DROP_NEWEST:
            self.lose(item)
            return Offer.DROPPED
        if not self.waiting:
            self.waiting.append(item)
            return Offer.ACCEPTED
        victim = self.victim(item)
        self.lose(victim)
        if victim is item:
            return Offer.DROPPED
        self.waiting.remove(victim)
        self.left += 1
        self.waiting.append(item)
        return Offer.REPLACED

    def victim(self, item: Item) -> Item:
        """Return what has to go: the oldest, or the oldest of the least urgent."""
        if self.policy is not Overflow.DROP_LOWEST:
            return self.waiting[0]
        lowest = max(waiting.priority for waiting in self.waiting)
        if item.priority > lowest:
            return item
        return next(waiting for waiting in self.waiting if waiting.priority == lowest)

    @rule()
    def offer_and_wait(self) -> None:
        """Offer an item from a producer that would rather wait: with `block` and no room nothing happens."""
        full = len(self.waiting) + len(self.hand) >= self.capacity
        if self.policy is Overflow.BLOCK and full and not self.closed:
            assert self.box.offer(Item(0, Priority.DEBUG), may_wait=True) is Offer.FULL

    @rule(limit=st.integers(1, 8))
    def take(self, limit: int) -> None:
        """Take a batch: the oldest, and never more than half of the capacity in hand."""
        count = max(0, min(limit, max(1, self.capacity // 2) - len(self.hand), len(self.waiting)))
        entries = self.box.take(limit)
        taken, self.waiting = self.waiting[:count], self.waiting[count:]
        assert [entry[0] for entry in entries] == taken
        self.hand += taken
        self.entries += entries

    @precondition(lambda self: self.hand)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        """Settle the oldest of what is in hand, as delivered."""
        count = data.draw(st.integers(1, len(self.hand)))
        self.box.settle(self.entries[:count])
        self.box.confirm(self.entries[:count])
        del self.entries[:count], self.hand[:count]
        self.left += count

    @precondition(lambda self: not self.closed)
    @rule()
    def close(self) -> None:
        """Close: nothing comes in any more, and what is inside can still be taken."""
        self.box.close("closed")
        self.closed = True

    @rule()
    def discard(self) -> None:
        """Drop everything that waits."""
        assert self.box.discard("failed") == len(self.waiting)
        self.losses += self.waiting
        self.left += len(self.waiting)
        self.waiting.clear()

    @invariant()
    def nothing_is_lost_from_sight(self) -> None:
        """What was received is inside, settled, or told about as dropped."""
        assert self.box.depth == len(self.waiting) + len(self.hand)
        assert self.box.waiting == len(self.waiting)
        assert self.box.received == self.received
        assert [item for item, _ in self.told] == self.losses
        assert sum(self.box.dropped.values()) == len(self.losses)

    @invariant()
    def left_tells_up_to_where_all_are_gone(self) -> None:
        """`left` never counts past the oldest item that is still inside."""
        if self.policy is Overflow.DROP_LOWEST and self.hand:
            return  # counted when the hand is empty
        assert self.box.left <= self.box.entered
        if not self.waiting and not self.hand:
            assert self.box.left == self.box.entered
        elif self.policy is not Overflow.DROP_LOWEST:
            assert self.box.left == self.left

    @invariant()
    def watermark_is_below_the_oldest_inside(self) -> None:
        """What is inside holds the watermark back; what was dropped does not."""
        oldest = min((item.seq for item in self.waiting + self.hand), default=self.number + 1)
        assert self.mark.committed == oldest - 1

    @invariant()
    def pressing_only_with_block(self) -> None:
        """Only `block` asks sources to wait, and only until it is half empty."""
        if len(self.waiting) + len(self.hand) <= self.capacity // 2 and (self.hand or self.waiting) and self.closed:
            assert not self.box.pressing
        if self.policy is not Overflow.BLOCK:
            assert not self.box.pressing


MailboxMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestMailboxModel = MailboxMachine.TestCase


@pytest.mark.parametrize("heard", [True, False])
def test_only_the_first_drop_of_a_spell_is_told_where_nobody_listens(heard: bool) -> None:
    """All are counted; who wants to hear of each does, whether they come alone or together."""
    told: list[int] = []
    box = Mailbox(4, Overflow.DROP_OLDEST, on_drop=lambda item, _: told.append(item), audience=Listener(heard))
    box.offer_all([0, 1, 2, 3])
    for number in range(4, 8):
        box.offer(number)
    box.offer_all([8, 9, 10])
    assert box.dropped == {"overflow": 7}
    assert told == ([0, 1, 2, 3, 4, 5, 6] if heard else [0])
    assert [entry[0] for entry in box.take(2)] == [7, 8]


def test_patience_ends_in_the_then_policy() -> None:
    """With a block_timeout, what comes after it is dropped as `then` says, until the mailbox is half empty."""
    clock = VirtualClock()
    box = Mailbox(4, patience=10, then=Overflow.DROP_NEWEST, clock=clock)
    for number in range(4):
        box.offer(number)
    assert box.offer(4) is Offer.PRESSED
    assert box.pressing
    clock.advance(9.9)
    assert box.pressing
    clock.advance(0.1)
    assert not box.pressing
    assert box.offer(5) is Offer.DROPPED
    for _ in range(2):
        box.settle(box.take(2))
    assert box.offer(6) is Offer.ACCEPTED


def test_lost_patience_comes_back_with_room() -> None:
    """A mailbox that lost its patience with a loop's thread blocks again once it was half empty."""
    box = Mailbox(2)
    for number in range(3):
        box.offer(number)
    box.lose_patience()
    assert box.offer(3) is Offer.DROPPED
    for _ in range(3):
        box.settle(box.take(1))
    for number in range(2):
        box.offer(number)
    assert box.offer(9) is Offer.PRESSED


def test_when_low_is_called_once_at_half() -> None:
    """A waiting source is let go when the mailbox is at most half full, not before."""
    box = Mailbox(4)
    for number in range(4):
        box.offer(number)
    calls: list[int] = []
    box.when_low(lambda: calls.append(1))
    box.settle(box.take(1))
    assert calls == []
    box.settle(box.take(1))
    assert calls == [1]
    box.settle(box.take(1))
    assert calls == [1]
    box.when_low(lambda: calls.append(2))
    assert calls == [1, 2]


def test_closing_lets_waiters_go() -> None:
    """Nobody waits for a mailbox that was closed."""
    box = Mailbox(1)
    box.offer(1)
    calls: list[int] = []
    box.when_low(lambda: calls.append(1))
    box.close("failed")
    assert calls == [1]
    assert not box.pressing


def test_control_has_its_own_lane() -> None:
    """A control message is seen although the mailbox is full, and wakes a consumer that waits for control only."""
    box = Mailbox(1)
    box.offer("item")
    woken: list[int] = []
    assert box.arm(lambda: woken.append(1), control_only=True)
    box.offer("another")
    assert woken == []
    box.post("reopen")
    assert woken == [1]
    assert box.control() == ["reopen"]
    assert box.control() == []


def test_arm_refuses_when_there_is_mail() -> None:
    """A consumer never goes to sleep over mail."""
    box = Mailbox(2)
    box.offer(1)
    assert not box.arm(lambda: None)
    box.take(1)
    assert box.arm(lambda: None)


def test_the_waker_is_called_once() -> None:
    """Under load the consumer is woken once, not once per item."""
    box = Mailbox(10)
    woken: list[int] = []
    box.arm(lambda: woken.append(1))
    box.offer(1)
    box.offer(2)
    assert woken == [1]


def test_a_spell_of_losses_is_told_once_it_is_over() -> None:
    """`loss` answers when there is room again: how many, from when to when, once."""
    box = Mailbox(2, Overflow.DROP_NEWEST)
    for number in range(5):
        box.offer(number)
    assert box.loss() is None
    for _ in range(2):
        box.settle(box.take(1))
    loss = box.loss()
    assert loss is not None
    assert loss.count == 3
    assert loss.first <= loss.last
    assert box.loss() is None


@pytest.mark.parametrize("priority", ["critical", None, 99, -1])
def test_drop_lowest_takes_what_has_no_priority_as_least_urgent(priority: object) -> None:
    """Items of any type may meet `drop_lowest`: what is no priority counts as the lowest."""

    class Odd:
        def __init__(self) -> None:
            self.priority = priority

    box = Mailbox(2, Overflow.DROP_LOWEST)
    odd, urgent = Odd(), Item(1, Priority.CRITICAL)
    box.offer(urgent)
    box.offer(odd)
    assert box.offer(Item(2, Priority.ERROR)) is Offer.REPLACED
    assert [entry[0] for entry in [*box.take(1)]] == [urgent]


def test_oldest_tells_how_long_the_first_one_waits() -> None:
    """`oldest` counts from the arrival of the oldest item, also while it is in the consumer's hands."""
    clock = VirtualClock()
    box = Mailbox(4, clock=clock)
    assert box.oldest == 0
    box.offer(1)
    clock.advance(3)
    box.offer(2)
    assert box.oldest == 3
    entries = box.take(1)
    clock.advance(1)
    assert box.oldest == 4
    box.settle(entries)
    assert box.oldest == 1


@pytest.mark.parametrize("policy", list(Overflow))
def test_producers_and_a_consumer_on_threads(policy: Overflow) -> None:
    """Under 4 producers and one consumer, each item is taken once, in order per producer, or dropped and told."""
    dropped: list[Any] = []
    box = Mailbox(16, policy, on_drop=lambda item, _: dropped.append(item))
    taken: list[tuple[int, int]] = []
    done = threading.Event()

    def produce(name: int) -> None:
        for number in range(2000):
            while box.offer((name, number), may_wait=True) is Offer.FULL:
                gate = threading.Event()
                box.when_low(gate.set)
                gate.wait(5)

    def consume() -> None:
        while not (done.is_set() and not box.waiting):
            wake = threading.Event()
            if box.arm(wake.set):
                wake.wait(0.05)
                box.disarm()
            entries = box.take(100)
            taken.extend(entry[0] for entry in entries)
            box.settle(entries)

    threads = [threading.Thread(target=produce, args=(name,)) for name in range(4)]
    consumer = threading.Thread(target=consume)
    for thread in [*threads, consumer]:
        thread.start()
    for thread in threads:
        thread.join(30)
    done.set()
    consumer.join(30)
    eventually(lambda: not consumer.is_alive(), "the consumer to end")
    assert sorted(taken + dropped) == [(name, number) for name in range(4) for number in range(2000)]
    for name in range(4):
        mine = [number for who, number in taken if who == name]
        assert mine == sorted(mine)
    assert box.depth == 0
    if policy is Overflow.BLOCK:
        assert not dropped
