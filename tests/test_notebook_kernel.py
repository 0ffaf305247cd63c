"""Live views and players in a real kernel: cells that are run again, and kernels that are restarted."""

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from rxalerts.testing import eventually

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

SET_UP = """
import reactivex, rxalerts, threading
from rxalerts import sinks, sources
from rxalerts.testing import eventually
subject = reactivex.Subject()
tape = sources.replay("examples/alerts.jsonl", speed=1)
ours = lambda: sorted(t.name for t in threading.enumerate() if t.name.startswith(("rxalerts-live", "rxalerts-deck")))
"""
WATCH = "view = rxalerts.live(subject); view"
SEND = "subject.on_next(rxalerts.Alert('Shell', 'warning')); view.total, len(subject.observers), ours()"
PLAY = "pipeline = rxalerts.Pipeline(tape, sinks.CollectSink()).start()"
BUTTONS = "tape.player"
COUNT = """
import gc, ipywidgets
from rxalerts.notebook.deck import Deck
gc.collect()
(ours().count("rxalerts-deck"), sum(isinstance(each, Deck) for each in gc.get_objects()))
"""


class Kernel:
    """A kernel, and a client that runs cells in it."""

    def __init__(self) -> None:
        untyped: Any = KernelManager(kernel_name="python3")
        self.manager = untyped
        self.manager.start_kernel()
        self.client: Any = None
        self.connect()

    def connect(self) -> None:
        """Wait until the kernel answers."""
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def run(self, code: str) -> tuple[str, list[str], float]:
        """Run a cell: its value as text, the kinds of what it showed, and the seconds until it had returned."""
        value, shown = [""], list[str]()

        def note(message: Any) -> None:
            content = message["content"]
            if message["msg_type"] == "execute_result":
                value[0] = content["data"]["text/plain"]
            if message["msg_type"] in ("execute_result", "display_data"):
                shown.extend(content["data"])

        begin = time.monotonic()
        reply = self.client.execute_interactive(code, timeout=60, output_hook=note)
        assert reply["content"]["status"] == "ok", reply["content"]
        return value[0], shown, time.monotonic() - begin

    def click(self, model: str) -> None:
        """Press a button, as the browser does."""
        content = {"comm_id": model, "data": {"method": "custom", "content": {"event": "click"}}}
        self.client.shell_channel.send(self.client.session.msg("comm_msg", content))

    @property
    def pid(self) -> int:
        """The process of the kernel."""
        pid: int = self.manager.provisioner.pid
        return pid

    def end(self) -> None:
        """Close everything."""
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    """One kernel for the tests of this file, each of which begins with `SET_UP`."""
    kernel = Kernel()
    assert isinstance(kernel.client, BlockingKernelClient)
    yield kernel
    kernel.end()


def test_a_cell_that_is_run_again_replaces_its_view(kernel: Kernel) -> None:
    """It returns at once each time; one subscription and one view are left, however often; stop() leaves none."""
    kernel.run(SET_UP)
    for _ in range(3):
        _, shown, seconds = kernel.run(WATCH)
        assert seconds < 5
        assert {"text/html", "application/vnd.jupyter.widget-view+json"} <= set(shown)
    kernel.run("eventually(lambda: ours() == ['rxalerts-live-show'], timeout=10)")
    assert kernel.run(SEND)[0] == "(1, 1, ['rxalerts-live-show'])"
    kernel.run("view.stop(); eventually(lambda: not ours(), timeout=10)")
    assert kernel.run("len(subject.observers), ours()")[0] == "(0, [])"


def test_a_cell_that_is_run_again_replaces_its_buttons(kernel: Kernel) -> None:
    """It returns at once; one deck and one thread are left, and the tape plays on; at its end none is left."""
    kernel.run(SET_UP)
    kernel.run(PLAY)
    for _ in range(3):
        _, shown, seconds = kernel.run(BUTTONS)
        assert seconds < 5
        assert "application/vnd.jupyter.widget-view+json" in shown
    kernel.run("eventually(lambda: ours() == ['rxalerts-deck'], timeout=10)")
    assert kernel.run(COUNT)[0] == "(1, 1)"
    assert kernel.run("tape.player.playing, tape.player.running")[0] == "(True, True)"
    pause = kernel.run("next(e for e in gc.get_objects() if isinstance(e, Deck)).buttons['play'].model_id")[0]
    kernel.click(pause.strip("'"))
    assert kernel.run("tape.player.playing")[0] == "False"
    kernel.run("pipeline.stop(); eventually(lambda: not ours(), timeout=10)")
    assert kernel.run(COUNT)[0] == "(0, 0)"


def test_a_restart_of_the_kernel_leaves_nothing(kernel: Kernel) -> None:
    """With a view, a tape and its buttons that go on, the process ends promptly; the next one begins without them."""
    kernel.run(SET_UP)
    for cell in (WATCH, PLAY, BUTTONS):
        kernel.run(cell)
    assert "rxalerts-deck" in kernel.run("ours()")[0]
    before = kernel.pid
    kernel.client.stop_channels()
    begin = time.monotonic()
    # As the button of Jupyter does: ask it to end, and kill it if it does not within five seconds.
    kernel.manager.restart_kernel(now=False)
    assert time.monotonic() - begin < 5
    kernel.connect()
    assert kernel.pid != before
    eventually(lambda: not _alive(before), "the old process is gone")
    kernel.run(SET_UP)
    assert kernel.run("ours()")[0] == "[]"
    kernel.run(WATCH)
    assert kernel.run(SEND)[0].startswith("(1, 1, ")


def _alive(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")
