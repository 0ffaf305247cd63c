"""A backlog is not left behind when the configuration changes: it goes out, or it is told where it waits."""

import json
import signal
from pathlib import Path

import pytest

from rxalerts.flow.spoolstatus import read_status
from tests.support.run import Run, alerts, config, numbers, read_all, rxalerts, until


class Kept:
    """A file channel whose folder is not there yet, and 50 alerts in its spool."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write(durable=True)
        (folder / "events.log").write_text("".join(alerts(50)))
        self.command = ("run", "-c", "falco.yaml", "--from", f"tail:events.log?state={folder}/state&ack=accepted")

    def write(self, *, durable: bool, name: str = "file") -> None:
        """Write the configuration."""
        output = {"channel": "file", "name": name, "filename": "logs/out.txt", "durable": durable, "retry": QUICK}
        own = {"spool_dir": str(self.folder / "spool"), "outputs": [output]}
        off = {"enabled": False}
        text = {"rxalerts": own, "output_timeout": 200, "stdout_output": off, "syslog_output": off}
        config(self.folder, json.dumps(text))

    def has_backlog(self) -> bool:
        """Tell whether all is on disk."""
        known = read_status(str(self.folder / "spool" / "file.spool"))
        return known is not None and known.backlog == 50

    def written(self) -> list[int]:
        """Return what has arrived."""
        return numbers(read_all(self.folder / "logs" / "out.txt"))

    def run(self) -> Run:
        """Start it."""
        return Run(*self.command, folder=self.folder)

    def end(self, run: Run) -> None:
        """End it."""
        run.signal(signal.SIGTERM)
        assert run.end() == 0, run.err


QUICK = {"initial": 0.05, "maximum": 0.1}


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    """A channel with a backlog to be."""
    return Kept(tmp_path)


@pytest.mark.parametrize("how", ["reload", "restart"])
def test_a_channel_stays_durable_while_it_has_a_backlog(kept: Kept, how: str) -> None:
    """Set to `durable: false`, it says so, and delivers what it has on disk."""
    with kept.run() as run:
        until(kept.has_backlog, "the backlog")
        kept.write(durable=False)
        if how == "reload":
            run.signal(signal.SIGHUP)
            run.said("stays durable until the next start")
            (kept.folder / "logs").mkdir()
            until(lambda: len(kept.written()) == 50, "all to arrive")
            assert "there is none" not in run.err
        kept.end(run)
    (kept.folder / "logs").mkdir(exist_ok=True)
    with kept.run() as run:
        run.ready()
        until(lambda: len(kept.written()) == 50, "all to arrive")
        kept.end(run)
        assert ("stays durable" in run.err) == (how == "restart")
    assert kept.written() == list(range(50))


def test_a_backlog_under_another_name_is_told(kept: Kept) -> None:
    """After a renaming: in the log at a reload and at the start, and in `spool status`; named again, it goes out."""
    with kept.run() as run:
        until(kept.has_backlog, "the backlog")
        kept.write(durable=True, name="other")
        run.signal(signal.SIGHUP)
        run.said("file.spool: 50 alerts wait here for a durable channel of the name file, and there is none")
        kept.end(run)
    with kept.run() as run:
        run.said("file.spool: 50 alerts wait here")
        kept.end(run)
    shown = rxalerts("spool", "status", "-c", "falco.yaml", folder=kept.folder).stdout.decode()
    assert "no channel here has this name" in shown
    kept.write(durable=True)
    (kept.folder / "logs").mkdir()
    with kept.run() as run:
        until(lambda: len(kept.written()) == 50, "all to arrive")
        kept.end(run)
    assert kept.written() == list(range(50))


def test_a_new_channel_that_cannot_be_made_costs_nothing_else(kept: Kept) -> None:
    """Its spool is in use by another process: the reload says so, and the channel that was there goes on."""
    (kept.folder / "logs").mkdir()
    with kept.run() as run:
        until(lambda: len(kept.written()) == 50, "the first alerts")
        other = kept.folder / "other"
        other.mkdir()
        taken = Kept(other)
        taken.write(durable=True, name="new")
        with taken.run() as one:
            one.ready()
            text = json.loads((kept.folder / "falco.yaml").read_text())
            outputs = text["rxalerts"]["outputs"]
            outputs.append({**outputs[0], "name": "new", "durable": str(other / "spool"), "filename": "new.txt"})
            config(kept.folder, json.dumps(text))
            run.signal(signal.SIGHUP)
            run.said("in use by another process")
            taken.end(one)
        with (kept.folder / "events.log").open("a") as log:
            log.writelines(alerts(50, 50))
        until(lambda: len(set(kept.written())) == 100, "the later alerts")
        kept.end(run)
