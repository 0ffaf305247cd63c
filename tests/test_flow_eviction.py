"""The queue from which the least urgent can be taken, against a plain list."""

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from rxalerts.flow.eviction import EvictionQueue

Entry = tuple["Thing", int]


class Thing:
    """Something with a priority."""

    def __init__(self, priority: int) -> None:
        self.priority = priority


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(0, 7)),
        st.tuples(st.just("popleft"), st.just(0)),
        st.tuples(st.just("evict"), st.integers(0, 7)),
        st.tuples(st.just("peek"), st.just(0)),
    ),
    max_size=200,
)


def least_urgent(model: list[Entry], priority: int) -> Entry | None:
    """Return the oldest entry of the least urgent priority, unless all are more urgent than `priority`."""
    lowest = max((entry[0].priority for entry in model), default=-1)
    if lowest < priority:
        return None
    return next(entry for entry in model if entry[0].priority == lowest)


@settings(max_examples=300, deadline=None)
@given(OPERATIONS)
def test_it_behaves_as_a_list_would(operations: list[tuple[str, int]]) -> None:
    """First in, first out; what is evicted is the oldest of the least urgent; nothing is lost or doubled."""
    queue, model = EvictionQueue(), list[Entry]()
    appended = 0
    for what, priority in operations:
        if what == "append":
            appended += 1
            entry = (Thing(priority), appended)
            queue.append(entry)
            model.append(entry)
        elif what == "evict":
            expected = least_urgent(model, priority)
            assert queue.evict(Thing(priority)) == expected
            if expected is not None:
                model.remove(expected)
        elif model:
            assert queue[0] == model[0]
            if what == "popleft":
                assert queue.popleft() == model.pop(0)
        assert len(queue) == len(model)
        assert queue.first == (model[0][1] if model else appended + 1)
    assert [queue.popleft() for _ in range(len(queue))] == model


def bounded(queue: EvictionQueue, check: Callable[[int], bool]) -> bool:
    """Tell whether the cells that the queue keeps, empty ones included, pass `check`."""
    return check(len(queue._line))  # pyright: ignore[reportPrivateUsage]


def test_memory_stays_bounded_when_only_evicting() -> None:
    """A queue that is full for ever, and from which nobody takes, does not grow with what it evicted."""
    queue = EvictionQueue()
    for number in range(100):
        queue.append((Thing(0), number))
    for number in range(20_000):
        assert queue.evict(Thing(0)) is not None
        queue.append((Thing(0), number))
    assert len(queue) == 100
    assert bounded(queue, lambda cells: cells < 300)


def test_clear_empties_it() -> None:
    """After `clear` it is as good as new."""
    queue = EvictionQueue()
    queue.append((Thing(3), 1))
    queue.clear()
    assert len(queue) == 0
    assert queue.evict(Thing(0)) is None
    queue.append((Thing(3), 2))
    assert queue.popleft()[1] == 2
