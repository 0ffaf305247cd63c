"""The terminal of an interactive command: single keys, and a line at the bottom that stays. Restored at the end."""

from __future__ import annotations

import contextlib
import os
import re
import select
import sys
import termios
import threading
from collections.abc import Callable
from types import TracebackType

from rxalerts.errors import ConfigError

_NAMES = {b"A": "up", b"B": "down", b"C": "right", b"D": "left", b"H": "home", b"F": "end"}
_KEY = re.compile(rb"\x1b[\[O]([A-DFH])|\x1b[\[O][0-9;]*[~A-Za-z]|[^\x1b]|\x1b(?![\[O]|$)")


class Keys:
    """Calls a function with each key that is pressed, on a thread of its own, for as long as the block lasts.

    Arguments:
        pressed: gets the character, or `up`, `down`, `left`, `right`, `home`, `end`.
        fd: the terminal.

    Ctrl-C stays a signal; Ctrl-Z and Ctrl-\\ are switched off, since they would leave the terminal as it is then.
    Raises ConfigError when `fd` is no terminal.
    """

    def __init__(self, pressed: Callable[[str], object], fd: int = 0) -> None:
        self._pressed = pressed
        self._fd = fd
        self._heard, self._told = -1, -1
        self._before: list[object] | None = None
        self._thread = threading.Thread(target=self._listen, name="rxalerts-keys", daemon=True)

    def __enter__(self) -> Keys:
        try:
            self._before = termios.tcgetattr(self._fd)
        except termios.error:
            raise ConfigError("--interactive takes keys from standard input, which is no terminal") from None
        mode = termios.tcgetattr(self._fd)
        mode[3] &= ~(termios.ICANON | termios.ECHO)
        mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
        for control in (termios.VSUSP, termios.VQUIT):
            mode[6][control] = os.fpathconf(self._fd, "PC_VDISABLE").to_bytes(1, "little")
        termios.tcsetattr(self._fd, termios.TCSADRAIN, mode)
        self._heard, self._told = os.pipe()
        self._thread.start()
        return self

    def restore(self) -> None:
        """Give the terminal back as it was; may be called any number of times, from any thread."""
        if self._before is not None:
            # A terminal that has gone needs nothing.
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)  # type: ignore[arg-type]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.restore()
        os.write(self._told, b"!")
        self._thread.join()
        os.close(self._heard)
        os.close(self._told)

    def _listen(self) -> None:
        rest = b""
        while True:
            ready, _, _ = select.select([self._fd, self._heard], [], [])
            if self._heard in ready:
                return
            try:
                data = os.read(self._fd, 1024)
            except OSError:
                data = b""
            if not data:
                return
            names, rest = parsed(rest + data)
            for name in names:
                self._pressed(name)


def parsed(data: bytes) -> tuple[list[str], bytes]:
    """Return the keys in what a terminal sent, and what is the beginning of one.

    >>> parsed(b"a \\x1b[A\\x1bOD\\x1b[5~q\\x1b[")
    (['a', ' ', 'up', 'left', 'q'], b'\\x1b[')
    """
    keys: list[str] = []
    end = 0
    while (match := _KEY.match(data, end)) is not None:
        end = match.end()
        arrow: bytes | None = match.group(1)
        if arrow is not None:
            keys.append(_NAMES[arrow])
        elif len(match.group()) == 1:
            keys.append(match.group().decode("latin-1"))
    return keys, data[end:]


class StatusLine:
    """A line at the bottom of a terminal, below what scrolls; nothing where `fd` is no terminal.

    What others write to the same terminal scrolls above it: the rest of the screen is its scrolling region.
    """

    def __init__(self, fd: int = 2) -> None:
        self._fd = fd
        self._shown = os.isatty(fd) and os.environ.get("TERM", "dumb") != "dumb"
        self._rows = 0
        self._lock = threading.Lock()

    def __enter__(self) -> StatusLine:
        if self._shown:
            # Room for the line, when the cursor is on the last one.
            os.write(self._fd, b"\n\x1b[A")
        return self

    @property
    def columns(self) -> int:
        """How many characters fit."""
        return max(20, os.get_terminal_size(self._fd).columns - 1) if self._shown else 80

    def show(self, text: str) -> None:
        """Show a text, cut to the width; it must hold no control characters."""
        if not self._shown:
            return
        with self._lock, contextlib.suppress(OSError):
            size = os.get_terminal_size(self._fd)
            region = f"\x1b[1;{size.lines - 1}r" if size.lines != self._rows else ""
            self._rows = size.lines
            if size.lines < 3:
                return
            # In one write, so that nothing comes between: remember the cursor, draw, go back.
            encoding = sys.stderr.encoding or "ascii"
            line = text[: max(0, size.columns - 1)].encode(encoding, "replace").decode(encoding)
            drawn = f"\x1b7{region}\x1b[{size.lines};1H\x1b[2K{line}\x1b8"
            os.write(self._fd, drawn.encode(encoding, "replace"))

    def restore(self) -> None:
        """Take the line away; may be called any number of times, from any thread."""
        if self._shown and self._rows:
            with contextlib.suppress(OSError):
                os.write(self._fd, f"\x1b7\x1b[r\x1b[{self._rows};1H\x1b[2K\x1b8".encode())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self.restore()
            self._shown = False


def visible(text: str) -> str:
    """Return a text as one line for a terminal, control characters escaped.

    >>> visible("a\\x1b[31m")
    'a\\\\x1b[31m'
    """
    return text if text.isprintable() else text.encode("unicode_escape").decode()
