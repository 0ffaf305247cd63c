"""Standard input, or any other descriptor, as a source."""

import os
import resource
import threading

from rxalerts import Alert, run
from rxalerts.pipeline import Pipeline
from rxalerts.sinks import CollectSink
from rxalerts.sources import stdin
from rxalerts.testing import eventually

LINE = b'{"rule":"Shell","priority":"Notice","time":"2026-01-01T00:00:00Z"}\n'


def test_a_descriptor_beyond_1024_is_read() -> None:
    """A process with many open files can read from any of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1101), hard))
    receiver, sender = os.pipe()
    os.dup2(receiver, 1100)
    os.write(sender, LINE)
    os.close(sender)
    kept: CollectSink[Alert] = CollectSink()
    try:
        assert run(stdin(fd=1100), kept).read == 1
    finally:
        os.close(1100)
        os.close(receiver)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_pipe_that_others_read_too() -> None:
    """When another reader of a non-blocking pipe was faster, the source waits for what comes next."""
    receiver, sender = os.pipe()
    os.set_blocking(receiver, False)
    kept: CollectSink[Alert] = CollectSink()
    stolen, stop = [0], threading.Event()

    def steal() -> None:
        while not stop.is_set():
            try:
                stolen[0] += len(os.read(receiver, 1 << 16)) // len(LINE)
            except BlockingIOError:
                continue

    thief = threading.Thread(target=steal)
    thief.start()
    pipeline = Pipeline(stdin(fd=receiver), kept).start()
    for _ in range(300):
        os.write(sender, LINE)
    eventually(lambda: len(kept.items) + stolen[0] == 300)
    stop.set()
    thief.join()
    os.write(sender, LINE)
    os.close(sender)
    assert "error" not in str(pipeline.wait())
    assert kept.items
    os.close(receiver)
