"""Live views: they update in place, are bounded, and leave nothing behind."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import nbclient
import nbformat
import pytest
import reactivex
from jupyter_client.blocking.client import BlockingKernelClient
from reactivex import Observable, Subject

import rxalerts
from rxalerts import Alert, Priority, sources
from rxalerts import operators as ops
from rxalerts.notebook.live import View
from rxalerts.notebook.palette import COLOURS
from rxalerts.testing import VirtualClock, eventually


def threads() -> list[str]:
    """Return the threads of live views."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("rxalerts-live")]


def html(view: View) -> str:
    """Return what the view shows."""
    return view._repr_html_()  # pyright: ignore[reportPrivateUsage]


def test_a_view_shows_the_latest_and_counts_all() -> None:
    """The table has the newest alerts, the counts have all, escaped as everything is."""
    view = rxalerts.live([Alert(f"<rule {n}>", "error" if n % 2 else "debug") for n in range(50)], rows=5)
    assert view.wait(10) and not view.running
    assert (view.total, dict(view.counts)) == (50, {"Debug": 25, "Error": 25})
    shown = html(view)
    assert "&lt;rule 49&gt;" in shown and "&lt;rule 45&gt;" in shown and "rule 44" not in shown
    assert shown.index("rule 49") < shown.index("rule 48") and "ended" in shown and "50 alerts" in shown
    eventually(lambda: not threads(), "the threads end")


def test_the_chart_moves_with_the_clock() -> None:
    """Bars are stacked by priority, and leave when their second is too long ago."""
    clock = VirtualClock(100.0)
    subject: Subject[Alert] = Subject()
    view = rxalerts.live(subject, seconds=10, clock=clock)
    subject.on_next(Alert("a", "critical"))
    subject.on_next(Alert("b", "notice"))
    clock.advance(5)
    subject.on_next(Alert("c", "notice"))
    shown = html(view)
    assert shown.count("<rect") == 3 and COLOURS[Priority.CRITICAL] in shown and "at most 2" in shown
    clock.advance(5)
    assert html(view).count("<rect") == 1
    clock.advance(5)
    assert "<rect" not in html(view) and view.total == 3
    view.stop()
    assert "stopped" in html(view)


def test_stopping_lets_go_of_the_stream() -> None:
    """stop() disposes of the subscription, may be repeated, and nothing is counted afterwards."""
    subject: Subject[Alert] = Subject()
    view = rxalerts.live(subject)
    subject.on_next(Alert("a"))
    view.stop()
    view.stop()
    assert not subject.observers and not view.running
    subject.on_next(Alert("b"))
    assert view.total == 1
    eventually(lambda: not threads(), "the threads end")


def test_a_paced_replay_can_be_stopped() -> None:
    """A view of a log at the recorded pace ends at once, not at the next alert."""
    view = rxalerts.live(sources.replay("examples/alerts.jsonl", speed=1))
    eventually(lambda: view.total == 1, "the first alert")
    view.stop()
    eventually(lambda: not threads(), "the threads end")


def test_memory_is_bounded() -> None:
    """However many alerts come, the view keeps `rows` of them and `seconds` counts."""
    clock = VirtualClock()

    def each() -> Iterator[Alert]:
        for n in range(2000):
            clock.advance(1)
            yield Alert(str(n))

    view = rxalerts.live(each(), rows=3, seconds=7, clock=clock)
    assert view.wait(10) and view.total == 2000
    assert len(html(view)) < 10_000 and html(view).count("<rect") == 7


def test_an_error_is_shown() -> None:
    """A stream that fails, and things that are no alerts, are told in the view."""
    failing: Observable[Alert] = reactivex.throw(OSError("<gone>"))
    view = rxalerts.live(failing)
    assert view.wait(10) and "failed: OSError: &lt;gone&gt;" in html(view)
    wrong: list[Any] = [1]
    view = rxalerts.live(wrong)
    assert view.wait(10) and "live shows alerts, not int" in html(view)


def test_a_program_ends_without_stopping_its_views() -> None:
    """The threads of a view that still runs, or waits, do not keep the interpreter alive; nor a kernel."""
    code = (
        "import rxalerts; from rxalerts import sources\n"
        "view = rxalerts.live(sources.replay('examples/alerts.jsonl', speed=1))\n"
        "assert view.running"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


def test_formatted_alerts_are_shown_too() -> None:
    """Behind to_json() the alert is still there."""
    view = rxalerts.live(sources.from_iterable([Alert("a")]).pipe(ops.to_json()))
    assert view.wait(10) and view.total == 1


def test_there_are_never_too_many_views() -> None:
    """A ninth view stops the first."""
    subjects = [Subject[Alert]() for _ in range(9)]
    views = [rxalerts.live(subject) for subject in subjects]
    assert [view.running for view in views] == [False] + [True] * 8
    for view in views:
        view.stop()
    eventually(lambda: not threads(), "the threads end")


@pytest.mark.parametrize("options", [{"rows": 0}, {"seconds": 0}, {"refresh": 0}])
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    """The error names the option."""
    with pytest.raises(ValueError, match=next(iter(options))):
        rxalerts.live([], **options)


OPEN = """
import threading, rxalerts
from rxalerts import sources
class Ticks:
    def __iter__(self):
        while not threading.Event().wait(0.005):
            yield rxalerts.Alert("Tick", "notice")
view = rxalerts.live(sources.from_iterable(Ticks()), refresh=0.02)
first = view.running
"""
WATCH = """
from rxalerts.testing import eventually
eventually(lambda: view.total > 20, "alerts while other cells run")
print(sorted(thread.name for thread in threading.enumerate() if "live" in thread.name))
"""
STOP = """
view.stop()
assert view.wait(5)
eventually(lambda: not [t for t in threading.enumerate() if "live" in t.name], "threads end")
print("nothing left")
"""
AWAIT = """
rules = [alert.rule async for alert in rxalerts.aiter(sources.from_iterable([rxalerts.Alert("x")]))]
report = await rxalerts.arun([rxalerts.Alert("y")], rxalerts.route(to=__import__("rxalerts.sinks").sinks.CollectSink()))
print(rules, report.delivered)
"""


def notebook_of(*cells: str) -> Any:
    """Return a notebook."""
    untyped: Any = nbformat.v4
    notebook = untyped.new_notebook()
    notebook.cells = [untyped.new_code_cell(code) for code in cells]
    return notebook


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_in_a_notebook() -> None:
    """The cell returns at once, the view updates in place, run again it replaces the old one; await works."""
    notebook = notebook_of(OPEN, WATCH, STOP, AWAIT)
    client = nbclient.NotebookClient(notebook, timeout=50, kernel_name="python3")
    with client.setup_kernel():
        for index in (0, 1, 0, 1, 2, 3):
            client.execute_cell(notebook.cells[index], index)
    opened, watched, stopped, awaited = (cell.outputs for cell in notebook.cells)
    assert watched[0].text == "['rxalerts-live', 'rxalerts-live-show']\n"
    assert stopped[0].text == "nothing left\n"
    assert awaited[0].text == "['x'] 1\n"
    assert "application/vnd.jupyter.widget-view+json" in opened[0].data
    assert "alerts per second" in opened[1].data["text/html"]
    assert len(opened) == 2


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_updates_go_to_the_display_of_the_view() -> None:
    """While the next cell runs, the notebook is sent new pictures for the display of the first one."""
    notebook = notebook_of(OPEN, WATCH, STOP)
    client = nbclient.NotebookClient(notebook, timeout=50, kernel_name="python3")
    pictures: list[str] = []
    with client.setup_kernel():
        manager: Any = client.km
        listener: Any = BlockingKernelClient()
        listener.load_connection_info(manager.get_connection_info())
        # The other channels would take the client's answers.
        listener.start_channels(shell=False, stdin=False, hb=False, control=False)
        for index, cell in enumerate(notebook.cells):
            client.execute_cell(cell, index)
        eventually(lambda: len(collect(listener, pictures)) >= 3, "updates", timeout=20)
        listener.stop_channels()
    assert "running" in pictures[0] and "Tick" in pictures[-1]


def collect(listener: Any, pictures: list[str]) -> list[str]:
    """Add the pictures that the kernel has sent since."""
    messages: list[Any] = []
    while listener.iopub_channel.msg_ready():
        messages.append(listener.get_iopub_msg(timeout=1))
    pictures += [m["content"]["data"]["text/html"] for m in messages if m["msg_type"] == "update_display_data"]
    return pictures
