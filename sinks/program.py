"""A program, run by the shell: one for each alert, or one that is kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from rxalerts.alert import Alert
from rxalerts.errors import OptionError
from rxalerts.flow.channel import Channel
from rxalerts.flow.options import option
from rxalerts.flow.sink import ThreadSink
from rxalerts.format import Formatted
from rxalerts.sinks._orders import Orders
from rxalerts.sinks._program_each import EachOptions, ProgramForEach, RunCounts
from rxalerts.sinks._program_kept import KeptOptions, KeptProgram

# How many alerts are taken at once for each process that may run: the next starts when any has ended.
_AHEAD = 8
# Seconds in which the channel has to begin to end its program once time is up.
_GRACE = 0.5


@dataclass(eq=False, repr=False)
class ProgramSink(ThreadSink[Alert | Formatted]):
    r"""Write each alert, and a newline, to the standard input of a program (Falco: outputs_program.cpp).

    The program is what /bin/sh runs, so a pipeline will do. It is in our process group and gets the signals that
    we get; stdout, the environment and the current folder are ours. So is stderr, of which the last 4 KiB are
    also kept, for the log message when the program fails.

    With `keep_alive` false (Falco's default) the program is run anew for each alert, one after the other, or up to
    `max_processes` at once (in no order then). With `keep_alive` true it is started before the first alert and its
    pipe is kept; output is buffered (64 KiB) and flushed when the sink closes or reopens, or at once with
    `unbuffered`. A kept program that ends, whatever its status, is started again after a pause (`retry`). On
    `reopen` its input ends, and it is started again when it has ended.

    When the sink closes, a kept program's input ends; after `output_timeout` it gets SIGTERM, and a second later
    SIGKILL: the shell and what it has started, each for itself. A program that is run for each alert may take as
    long as it likes, unless the time given to `close` is up.

    Delivery, at least once:

    * `keep_alive` false: an alert is delivered when the program has read all of it, or has ended with status 0.
      One that fails before that is run again for the same alert; so is one that fails later, with `check`.
      Without, that is logged and counted (`counts`), and the alert counts as delivered, as in Falco.
    * `keep_alive` true: an alert is delivered when the program has read it from the pipe. What it had not read
      when it died goes to the next one; a line that it had read in part is repeated as a whole. What it does with
      what it has read, nobody knows.

    A program that is kept and reads nothing for `output_timeout` makes the sink fail when it is to stop.

    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp(), "out")
    >>> with ProgramSink(f"cat >> {path}", keep_alive=True) as sink:
    ...     sink.on_next(Alert("Shell", "notice", "A shell was opened"))
    >>> path.read_text().endswith("Notice A shell was opened\n")
    True
    """

    channel_name: ClassVar[str] = "program"

    program: str = option(help="what /bin/sh runs", falco="program")
    keep_alive: bool = option(False, "start the program once and keep its pipe", falco="keep_alive")
    unbuffered: bool = option(False, "with keep_alive: write each alert at once", kw_only=True)
    max_processes: int = option(1, "without keep_alive: how many programs run at once", kw_only=True)
    check: bool = option(
        False, "without keep_alive: an exit status other than 0 means that the alert is not delivered", kw_only=True
    )
    _orders: Orders = field(default_factory=Orders, init=False)
    _counts: RunCounts = field(default_factory=RunCounts, init=False)

    def validate(self) -> None:
        if not self.program.strip():
            raise OptionError("program", "is empty: say what the shell is to run")
        if "\0" in self.program:
            raise OptionError("program", "holds a NUL character, which no command can")
        if self.max_processes < 1:
            raise OptionError("max_processes", f"must be 1 or more, got {self.max_processes}")
        if not self.keep_alive:
            # One write is one program, or a few rounds of them: that is what output_timeout is about.
            ahead = 1 if self.max_processes == 1 else self.max_processes * _AHEAD
            self.max_batch = min(self.max_batch, ahead)

    def make_channel(self) -> Channel:
        if not self.keep_alive:
            each = EachOptions(self.name, self.program, self.max_processes, self.check, self.render)
            return ProgramForEach(each, self._orders, self._counts)
        kept = KeptOptions(
            name=self.name,
            program=self.program,
            buffering=not self.unbuffered,
            patience=self.output_timeout,
            render=self.render,
            nudge=lambda: self.flush(0.0),
        )
        return KeptProgram(kept, self._orders)

    @property
    def counts(self) -> RunCounts:
        """How the runs went; without keep_alive only."""
        return self._counts

    def reopen(self, timeout: float | None = 0.0) -> bool:
        """End a kept program and start it again, as SIGUSR1 does; also one that has stopped reading."""
        self._orders.reopen = True
        return super().reopen(timeout)

    def stop(self, timeout: float | None = None) -> None:
        """Ask for the end and do not wait: deliver what is inside, within `timeout` seconds, then close."""
        self._orders.hurried = self._orders.hurried or timeout == 0.0
        self._orders.stop(timeout)
        super().stop(timeout)

    def close(self, timeout: float | None = None) -> bool:
        """Deliver what is inside, then close, as every sink; the program then gets its time to end, too.

        `close(0)` ends it at once, unless an earlier `stop` gave it time.
        """
        orders = self._orders
        hurried = orders.hurried or (timeout == 0.0 and not orders.stopping)
        if timeout is not None and not hurried and not self._is_own_thread():
            orders.stop(timeout)
            super().stop(timeout)
            ended = self.wait(timeout + _GRACE)
            while not ended and orders.ending:
                ended = self.wait(_GRACE)
        return super().close(timeout)
