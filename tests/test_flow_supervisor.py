"""What a sink does about every kind of failure, in virtual time."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from rxalerts.flow.backoff import Retry
from rxalerts.flow.channel import Batch, Channel, Fatal, Gone, Rejected, Retryable
from rxalerts.flow.control import Flush, Reopen
from rxalerts.flow.custody import CHECKPOINT
from rxalerts.flow.scope import Scope
from rxalerts.flow.sink import Sink
from rxalerts.flow.stats import DeadLetter
from rxalerts.flow.watermark import Watermark
from rxalerts.testing import RecordingSink, VirtualDriver


def lived(**options: Any) -> tuple[RecordingSink[Any], VirtualDriver]:
    """Return a sink in virtual time, and its driver."""
    options.setdefault("retry", Retry(initial=1, maximum=8))
    sink: RecordingSink[Any] = RecordingSink(**options)
    return sink, VirtualDriver(sink)


def send(sink: Sink[Any], *items: Any, mark: Watermark | None = None) -> None:
    """Send items as a source does."""
    with Scope(mark) as scope:
        for item in items:
            scope.seq += 1
            sink.on_next(item)
            if mark is not None:
                mark.emitted(scope.seq)


def letters(sink: Sink[Any]) -> list[DeadLetter]:
    """Collect the dead letters of a sink."""
    found: list[DeadLetter] = []
    sink.dead_letters.subscribe(found.append)
    return found


def states(sink: Sink[Any]) -> list[str]:
    """Collect the changes of state of a sink."""
    found: list[str] = []
    sink.states.subscribe(lambda state: found.append(state.value))
    return found


def balanced(sink: Sink[Any]) -> bool:
    """Tell whether the counts add up."""
    stats = sink.stats()
    return stats.received == stats.delivered + stats.rejected + sum(stats.dropped.values()) + stats.depth


def test_a_life_without_failures() -> None:
    """Opened at the first alert, written in batches, closed at the end, with each state in turn."""
    sink, driver = lived()
    seen = states(sink)
    driver.run()
    assert sink.calls == []
    send(sink, 1, 2, 3)
    driver.run()
    sink.stop()
    driver.run()
    assert sink.calls == ["open", "write 3", "close"]
    assert sink.written == [1, 2, 3]
    assert seen == ["starting", "running", "draining", "closed"]
    assert driver.ended
    assert sink.wait(0)


def test_never_opened_when_nothing_comes() -> None:
    """A sink that gets no alert never touches its destination."""
    sink, driver = lived()
    sink.stop()
    driver.run()
    assert sink.calls == []
    assert sink.state == "closed"


def test_max_batch_bounds_a_write() -> None:
    """No write gets more than max_batch, nor more than half of the capacity."""
    sink, driver = lived(max_batch=4, capacity=100)
    send(sink, *range(10))
    driver.run()
    assert [len(batch) for batch in sink.batches] == [4, 4, 2]


@pytest.mark.parametrize("error", [Retryable("away"), OSError(28, "No space left"), TimeoutError("slow"),
                                   MemoryError(), RuntimeError("can't start new thread")])  # fmt: skip
def test_retryable_keeps_the_batch_at_the_head(error: Exception) -> None:
    """What failed is tried again after a pause, first, in order, and nothing is lost or doubled."""
    sink, driver = lived()
    sink.fail(error, times=2)
    send(sink, 1, 2, 3)
    driver.run()
    assert sink.state == "backoff"
    assert sink.stats().depth == 3
    assert sink.stats().last_error is not None
    send(sink, 4)
    driver.advance(10)
    assert sink.written == [1, 2, 3, 4]
    assert sink.state == "running"
    assert sink.stats().failures == 0
    assert sink.stats().retried == 3 + 1
    assert balanced(sink)


def test_the_channel_is_closed_and_opened_anew_after_a_failure() -> None:
    """The first attempt after a failure is a probe of one alert; then the batches double."""
    sink, driver = lived()
    sink.fail(OSError("broken"))
    send(sink, *range(8))
    driver.run()
    assert sink.calls == ["open", "write 8", "close"]
    driver.advance(1)
    assert sink.calls[3:] == ["open", "write 1", "write 2", "write 4", "write 1"]
    assert sink.written == list(range(8))


def test_what_was_done_before_the_failure_is_not_repeated() -> None:
    """A write that fails half-way has delivered what it marked."""
    sink, driver = lived()
    sink.fail(OSError("broken"), after=2)
    send(sink, 1, 2, 3)
    driver.run()
    assert sink.stats().delivered == 2
    driver.advance(1)
    assert sink.written == [1, 2, 3]


def test_pauses_stay_within_their_bounds() -> None:
    """Each pause is at most the bound, which doubles up to the maximum."""
    sink, driver = lived(retry=Retry(initial=1, maximum=8))
    sink.fail(OSError("broken"), times=20)
    send(sink, 1)
    driver.advance(1000)
    pauses = [pause for pause in driver.waits if pause is not None]
    assert len(pauses) == 20
    bounds = [min(8, 2**n) for n in range(20)]
    assert all(0 <= pause <= bound for pause, bound in zip(pauses, bounds, strict=True))
    assert len(set(pauses)) > 10
    assert sink.written == [1]


def test_retry_after_is_honoured() -> None:
    """The destination may ask for a longer pause."""
    sink, driver = lived()
    sink.fail(Retryable("busy", after=60))
    send(sink, 1)
    driver.advance(59.9)
    assert sink.written == []
    driver.advance(0.2)
    assert sink.written == [1]


def test_new_mail_does_not_cut_a_pause_short() -> None:
    """Alerts that come during the pause wait in the mailbox."""
    sink, driver = lived()
    sink.fail(Retryable("busy", after=5))
    send(sink, 1)
    driver.run()
    send(sink, 2)
    driver.run()
    driver.advance(4)
    assert sink.written == []
    driver.advance(2)
    assert sink.written == [1, 2]


@pytest.mark.parametrize("hook", ["open", "write"])
def test_gives_up_after_so_many_attempts(hook: str) -> None:
    """With `attempts`, the sink fails, and everything goes to the dead letters with the reason."""
    sink, driver = lived(retry=Retry(initial=1, maximum=1, attempts=3))
    dead = letters(sink)
    sink.fail(OSError("broken"), times=None, on=hook)
    send(sink, 1, 2)
    driver.advance(10)
    assert sink.state == "failed"
    assert [call for call in sink.calls if call.startswith(hook)].__len__() == 3
    assert [(letter.item, letter.reason) for letter in dead] == [(1, "failed"), (2, "failed")]
    assert "gave up after 3 attempts" in dead[0].detail
    sink.on_next(3)
    assert sink.stats().dropped == {"failed": 3}
    assert balanced(sink)
    assert driver.ended


def test_gives_up_after_so_much_time() -> None:
    """With `elapsed`, the time since the first failure in a row counts."""
    sink, driver = lived(retry=Retry(initial=1, maximum=1, elapsed=30))
    sink.fail(OSError("broken"), times=None)
    send(sink, 1)
    driver.advance(29)
    assert sink.state == "backoff"
    driver.advance(3)
    assert sink.state == "failed"


def test_a_success_forgets_the_failures() -> None:
    """Attempts count in a row: one success starts the count anew."""
    sink, driver = lived(retry=Retry(initial=1, maximum=1, attempts=3))
    for number in range(5):
        sink.fail(OSError("broken"), times=2)
        send(sink, number)
        driver.advance(5)
    assert sink.written == [0, 1, 2, 3, 4]
    assert sink.state == "running"


def test_fatal_fails_at_once() -> None:
    """A fatal failure is not tried again."""
    sink, driver = lived()
    dead = letters(sink)
    sink.fail(Fatal("refused login"), on="open")
    send(sink, 1, 2)
    driver.run()
    assert sink.state == "failed"
    assert [letter.reason for letter in dead] == ["failed", "failed"]
    assert sink.stats().last_error == "refused login"
    assert driver.ended


def test_exit_in_a_hook_is_fatal_to_this_sink_only() -> None:
    """`sys.exit()` in a channel ends its sink in order, not the thread in silence."""
    sink, driver = lived()
    sink.fail(SystemExit(3))
    send(sink, 1)
    driver.run()
    assert sink.state == "failed"
    assert sink.calls[-1] == "close"
    assert sink.stats().dropped == {"failed": 1}


def test_gone_closes_and_counts_the_rest_as_unread() -> None:
    """When the reader has left, nothing is lost: nobody wanted it."""
    sink, driver = lived()
    sink.fail(Gone("the reader left"), after=1)
    send(sink, 1, 2, 3)
    driver.run()
    assert sink.state == "closed"
    stats = sink.stats()
    assert (stats.delivered, stats.dropped, stats.lost) == (1, {"unread": 2}, 0)
    sink.on_next(4)
    assert sink.stats().dropped == {"unread": 3}
    assert sink.calls == ["open", "write 3", "close"]


def test_a_rejected_item_goes_to_the_dead_letters() -> None:
    """A channel that marks one item as refused delivers the others."""
    sink, driver = lived()
    dead = letters(sink)
    sink.refuse(lambda item: item == 2)
    send(sink, 1, 2, 3)
    driver.run()
    assert sink.written == [1, 3]
    assert [(letter.item, letter.reason, letter.detail) for letter in dead] == [(2, "rejected", "refused")]
    assert sink.stats().rejected == 1
    assert balanced(sink)


class _Choosy(Channel):
    """Refuses a batch as a whole when a bad item is in it, without saying which."""

    def __init__(self, sink: RecordingSink[Any], bad: set[int], error: type[Exception]) -> None:
        self._sink = sink
        self._bad = bad
        self._error = error

    def write(self, batch: Batch[Any]) -> None:
        self._sink.batches.append(list(batch))
        if self._bad & set(batch):
            raise self._error("one of them is bad")
        self._sink.written += batch.items


@pytest.mark.parametrize("error", [Rejected, ValueError, KeyError])
@pytest.mark.parametrize("bad", [{0}, {15}, {7}, {3, 4}, {0, 15}, set(range(16))])
def test_a_refused_batch_is_halved_until_the_culprit_is_found(error: type[Exception], bad: set[int]) -> None:
    """Only the bad items are rejected, the others arrive in order, in far fewer writes than n²."""
    sink: RecordingSink[Any] = RecordingSink()
    sink.tap(lambda _: _Choosy(sink, bad, error))
    driver = VirtualDriver(sink)
    dead = letters(sink)
    send(sink, *range(16))
    driver.run()
    assert sink.written == [number for number in range(16) if number not in bad]
    assert [letter.item for letter in dead] == sorted(bad)
    assert len(sink.batches) <= 16 + 8 * len(bad)
    assert sink.state == "running"
    assert balanced(sink)


@pytest.mark.parametrize("hook", ["open", "flush", "reopen"])
def test_a_refusal_outside_of_write_blames_no_alert(hook: str) -> None:
    """Rejected from another hook than write is a failure to try again, and costs no alert."""
    sink, driver = lived()
    sink.fail(Rejected("who are you?"), on=hook)
    send(sink, 1, 2)
    driver.run()
    sink.mailbox.post(Flush(2))
    sink.mailbox.post(Reopen())
    driver.advance(20)
    assert sink.written == [1, 2]
    assert sink.stats().rejected == 0
    assert sink.state == "running"


def test_a_refusal_when_all_is_delivered_costs_nothing() -> None:
    """A write that marks everything as done and then refuses has rejected nothing."""
    sink, driver = lived()
    sink.fail(Rejected("too late"), after=2)
    send(sink, 1, 2)
    driver.advance(5)
    send(sink, 3)
    driver.advance(5)
    assert sink.written == [1, 2, 3]
    assert sink.stats().rejected == 0


def test_marks_outside_of_the_batch_are_errors() -> None:
    """A channel that miscounts is told so in its own write, before anything is settled."""
    batch = Batch([1, 2])
    wrongs: list[Callable[[], None]] = [lambda: batch.done(3), lambda: batch.confirm(2), lambda: batch.reject(-1, "no")]
    for wrong in wrongs:
        with pytest.raises(IndexError, match="a batch of 2 items has no"):
            wrong()


# -- reopen ---------------------------------------------------------------------------------------------------


def test_reopen_between_batches() -> None:
    """A reopen is done before the next batch, and its waiter let go."""
    sink, driver = lived()
    send(sink, 1)
    driver.run()
    message = Reopen()
    sink.mailbox.post(message)
    send(sink, 2)
    driver.run()
    assert sink.calls == ["open", "write 1", "reopen", "write 1"]
    assert message.done.is_set()


def test_reopen_opens_a_sink_that_was_never_opened() -> None:
    """A file is there after SIGUSR1, also when no alert has come yet."""
    sink, driver = lived()
    sink.mailbox.post(Reopen())
    driver.run()
    assert sink.calls == ["open"]


def test_reopen_during_a_pause_ends_the_pause() -> None:
    """Whoever has mended the destination need not wait for the backoff."""
    sink, driver = lived()
    sink.fail(Retryable("away", after=1000))
    send(sink, 1)
    driver.run()
    assert sink.state == "backoff"
    sink.reopen()
    driver.run()
    assert sink.written == [1]
    assert driver.clock() == 0


def test_a_failed_reopen_closes_and_opens_anew() -> None:
    """After a reopen that failed half-way the old destination is not written to any more."""
    sink, driver = lived()
    send(sink, 1)
    driver.run()
    sink.fail(OSError("no such folder"), on="reopen")
    sink.reopen()
    driver.run()
    send(sink, 2)
    driver.advance(5)
    assert sink.calls == ["open", "write 1", "reopen", "close", "open", "write 1"]
    assert sink.written == [1, 2]


# -- the end --------------------------------------------------------------------------------------------------


def test_stop_delivers_what_is_inside() -> None:
    """The end comes after everything that was taken."""
    sink, driver = lived()
    send(sink, 1, 2)
    sink.stop()
    sink.on_next(3)
    driver.run()
    assert sink.written == [1, 2]
    assert sink.stats().dropped == {"closed": 1}
    assert balanced(sink)


def test_stop_during_a_pause_tries_once_more_at_once() -> None:
    """A stop without a deadline ends the pause, then goes on trying."""
    sink, driver = lived()
    sink.fail(Retryable("away", after=1000), times=2)
    send(sink, 1)
    driver.run()
    sink.stop()
    driver.run()
    assert len(sink.batches) == 2
    assert not driver.ended
    driver.advance(1001)
    assert sink.written == [1]
    assert driver.ended


def test_stop_with_a_deadline_gives_up_when_it_comes() -> None:
    """What is not delivered by the deadline goes to the dead letters as `shutdown`."""
    sink, driver = lived()
    dead = letters(sink)
    sink.fail(OSError("broken"), times=None)
    send(sink, 1, 2)
    driver.run()
    sink.stop(5)
    driver.run()
    driver.advance(4.9)
    assert not driver.ended
    driver.advance(0.2)
    assert driver.ended
    assert sink.state == "closed"
    assert [(letter.item, letter.reason) for letter in dead] == [(1, "shutdown"), (2, "shutdown")]
    assert balanced(sink)


def test_the_sooner_deadline_counts() -> None:
    """A second stop may shorten the time, never lengthen it."""
    sink, driver = lived()
    sink.fail(OSError("broken"), times=None)
    send(sink, 1)
    driver.run()
    sink.stop()
    sink.stop(3)
    sink.stop(100)
    driver.run()
    driver.advance(3.1)
    assert driver.ended


def test_nothing_is_flushed_or_reopened_after_giving_up() -> None:
    """What was counted as lost must not be written afterwards: neither a flush nor a reopen comes after it."""
    sink, driver = lived(buffered=True)
    sink.fail(OSError("broken"), times=None, on="flush")
    send(sink, 1, 2)
    driver.run()
    flush, reopen = Flush(2), Reopen()
    sink.mailbox.post(flush)
    driver.run()
    sink.stop(1)
    driver.run()
    sink.mailbox.post(reopen)
    sink.mend()
    driver.clock.advance(2)
    driver.run()
    assert driver.ended
    assert sink.written == []
    assert sink.stats().dropped == {"shutdown": 2}
    assert flush.done.is_set()
    assert not flush.kept
    assert reopen.done.is_set()


def test_a_failing_close_is_reported_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    """A close that raises changes nothing about what was delivered."""
    sink, driver = lived()
    sink.fail(OSError("not so fast"), on="close")
    send(sink, 1)
    sink.stop()
    with caplog.at_level(logging.WARNING, "rxalerts"):
        driver.run()
    assert sink.state == "closed"
    assert "recording: close: not so fast" in caplog.text


# -- flush and buffered channels ------------------------------------------------------------------------------


def test_flush_comes_after_what_was_taken_before() -> None:
    """A flush is done when what was there before it is delivered and flushed."""
    sink, driver = lived(max_batch=2)
    send(sink, 1, 2, 3)
    flush = Flush(sink.mailbox.entered)
    sink.mailbox.post(flush)
    send(sink, 4, 5, 6)
    driver.run()
    assert flush.kept
    assert sink.calls.index("flush") <= 3


def test_a_flush_is_not_starved_by_new_mail() -> None:
    """As soon as its turn has come a flush is done, however much waits behind it."""
    sink, driver = lived(max_batch=1, capacity=1000)
    send(sink, 0)
    flush = Flush(1)
    sink.mailbox.post(flush)
    send(sink, *range(1, 100))
    driver.run()
    assert sink.calls[:3] == ["open", "write 1", "flush"]


def test_flush_with_drop_lowest_waits_for_the_old_ones() -> None:
    """Later alerts that were evicted do not count as earlier ones that are delivered."""
    sink, driver = lived(capacity=4, on_full="drop_lowest", max_batch=1)
    urgent, idle = type("U", (), {"priority": 2}), type("I", (), {"priority": 7})
    sink.fail(Retryable("away", after=10))
    send(sink, urgent(), urgent())
    flush = Flush(sink.mailbox.entered)
    sink.mailbox.post(flush)
    send(sink, idle(), idle(), urgent(), urgent())
    assert sink.mailbox.dropped == {"overflow": 2}
    assert sink.mailbox.left < flush.target
    driver.run()
    assert not flush.done.is_set()
    driver.advance(11)
    assert flush.kept


def test_flush_that_fails_is_tried_again() -> None:
    """A flush into a broken destination keeps waiting until it works."""
    sink, driver = lived(buffered=True)
    sink.fail(OSError("full"), times=2, on="flush")
    send(sink, 1, 2)
    flush = Flush(2)
    sink.mailbox.post(flush)
    driver.run()
    assert not flush.done.is_set()
    assert sink.stats().delivered == 0
    driver.advance(20)
    assert flush.kept
    assert sink.written == [1, 2]
    assert sink.stats().delivered == 2
    assert sink.stats().failures == 0


def test_a_buffered_write_does_not_count_as_recovery() -> None:
    """With attempts=3, flushes that fail in a row end the sink although writes into the buffer succeed."""
    sink, driver = lived(buffered=True, retry=Retry(initial=1, maximum=1, attempts=3))
    sink.fail(OSError("full"), times=None, on="flush")
    flush = Flush(1)
    sink.mailbox.post(flush)
    for number in range(10):
        send(sink, number)
        driver.advance(2)
    assert sink.state == "failed"
    assert not flush.kept
    assert balanced(sink)


def test_what_is_only_buffered_is_not_delivered() -> None:
    """Alerts in the channel's own buffer count as inside until it sinks."""
    sink, driver = lived(buffered=True)
    send(sink, 1, 2)
    driver.run()
    stats = sink.stats()
    assert (stats.delivered, stats.depth) == (0, 2)
    assert balanced(sink)
    sink.stop()
    driver.run()
    assert sink.written == [1, 2]
    assert sink.stats().delivered == 2
    assert balanced(sink)


def test_a_buffer_is_flushed_when_a_source_wants_to_commit() -> None:
    """With a mark that waits for delivery, the buffer is flushed within a second."""
    sink, driver = lived(buffered=True)
    mark = Watermark()
    send(sink, 1, 2, mark=mark)
    driver.run()
    assert mark.committed == 0
    driver.advance(CHECKPOINT + 0.01)
    assert sink.written == [1, 2]
    assert mark.committed == 2


def test_a_buffer_is_left_alone_when_nobody_waits() -> None:
    """Without a mark, nothing is flushed before the end, as Falco does."""
    sink, driver = lived(buffered=True)
    send(sink, 1, 2)
    driver.advance(100)
    assert sink.written == []


# -- marks ----------------------------------------------------------------------------------------------------


def test_retries_hold_the_watermark_back() -> None:
    """What is tried again is not committed; what is rejected or given up is."""
    sink, driver = lived()
    mark = Watermark()
    sink.fail(OSError("broken"), after=1)
    sink.refuse(lambda item: item == 3)
    send(sink, 1, 2, 3, mark=mark)
    driver.run()
    assert mark.committed == 1
    driver.advance(5)
    assert mark.committed == 3


def test_giving_up_releases_the_watermark() -> None:
    """Dead letters count as finished."""
    sink, driver = lived()
    mark = Watermark()
    sink.fail(Fatal("no"))
    send(sink, 1, 2, mark=mark)
    driver.run()
    assert mark.committed == 2


def test_a_spell_of_losses_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    """When dropping begins there is one warning, and one line with the number lost when it is over."""
    sink, driver = lived(capacity=4, on_full="drop_oldest")
    with caplog.at_level(logging.WARNING, "rxalerts"):
        send(sink, *range(10))
        driver.run()
    texts = [record.getMessage() for record in caplog.records]
    assert [text for text in texts if "dropping" in text] == ["recording: full (4 alerts): dropping (drop_oldest)"]
    assert len([text for text in texts if "6 alerts lost between" in text]) == 1


def test_losses_of_a_tiny_mailbox_are_told_once_a_second(caplog: pytest.LogCaptureFixture) -> None:
    """A mailbox that is full and empty for every alert does not fill the log; every loss is told in the end."""
    sink, driver = lived(capacity=1, on_full="drop_newest")
    with caplog.at_level(logging.WARNING, "rxalerts"):
        for number in range(0, 200, 2):
            send(sink, number, number + 1)
            driver.run()
        assert len(caplog.records) == 3  # full, lost, and full: the second spell goes on
        driver.advance(2)
    texts = [record.getMessage() for record in caplog.records]
    told = [int(text.split()[1]) for text in texts if "lost between" in text]
    assert (len(texts), told) == (4, [1, 99])


def test_early_channels_are_opened_at_the_start() -> None:
    """A channel that says `early` is opened before the first alert."""

    class Early(Channel):
        early = True
        opened = False

        def open(self) -> None:
            self.opened = True

    channel = Early()
    sink: RecordingSink[Any] = RecordingSink()
    sink.tap(lambda _: channel)
    VirtualDriver(sink).run()
    assert channel.opened
