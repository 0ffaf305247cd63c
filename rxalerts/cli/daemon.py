"""Into the background, and the file that says which process it is there."""

from __future__ import annotations

import fcntl
import os
import stat
import sys
import threading
from collections.abc import Callable

from rxalerts.errors import ConfigError

# What Falco's daemon used: its files are not readable by others.
_UMASK = 0o027


class PidFile:
    """A file with our process id, which only one live process can hold.

    Arguments:
        path: the file. One that a dead process left behind is taken over; a symbolic link is refused.

    Raises ConfigError when a live process has it, or it cannot be written.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            self._fd = os.open(path, flags, 0o644)
        except OSError as error:
            link = " (a symbolic link is not followed)" if os.path.islink(path) else ""
            raise ConfigError(f"--pidfile {path}: {error.strerror}{link}: name a file that can be written") from None
        try:
            self._claim()
        except BaseException:
            os.close(self._fd)
            raise

    def _claim(self) -> None:
        if not stat.S_ISREG(os.fstat(self._fd).st_mode):
            raise ConfigError(f"--pidfile {self.path}: is no regular file: name another")
        text = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip()
        try:
            # The lock belongs to the open file: children of a fork have it too, and it dies with the last of them.
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self._taken(text) from None
        if text and not text.isdigit():
            raise ConfigError(f"--pidfile {self.path}: holds {text[:20]!r} and no process id: name another file")
        if text and int(text) != os.getpid() and _wrote(int(text), os.fstat(self._fd).st_mtime):
            raise self._taken(text)

    def _taken(self, text: str) -> ConfigError:
        return ConfigError(
            f"--pidfile {self.path}: process {text or '?'} holds it and is running: stop it first, or name another file"
        )

    def write(self) -> None:
        """Write the id of this process."""
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def remove(self) -> None:
        """Remove the file if it is still ours; may be called any number of times."""
        if self._fd < 0:
            return
        try:
            if os.path.samestat(os.fstat(self._fd), os.lstat(self.path)):
                os.unlink(self.path)
        except OSError as error:
            os.write(2, f"rxalerts: --pidfile {self.path}: {error.strerror}\n".encode())
        fd, self._fd = self._fd, -1
        os.close(fd)


def _wrote(pid: int, written: float) -> bool:
    """Tell whether process `pid` lives and was there when the file was written, so that it may be its author."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return _started(pid) <= written + 1
    except (ProcessLookupError, OverflowError):
        return False
    return _started(pid) <= written + 1


def _started(pid: int) -> float:
    """Return when a process began (epoch seconds); 0 where that is not known."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            ticks = int(file.read().rpartition(")")[2].split()[19])
        with open("/proc/stat", encoding="ascii") as file:
            boot = next(int(line.split()[1]) for line in file if line.startswith("btime"))
    except (OSError, ValueError, IndexError, StopIteration):
        return 0.0
    return boot + ticks / os.sysconf("SC_CLK_TCK")


def daemonise() -> Callable[[], None]:
    """Go on in the background; call what is returned when everything is started, so that the foreground ends.

    Forks twice, in a session of its own, umask 027, descriptors 0 to 2 on /dev/null. The working folder stays, so
    that relative paths in the configuration mean what they say. The foreground exits with 0 when the background
    reports that it has started, and with 1 when it died before.
    """
    if threading.active_count() > 1:
        raise RuntimeError("a process with threads cannot go into the background")
    sys.stdout.flush()
    sys.stderr.flush()
    heard, told = os.pipe()
    if os.fork():
        os.close(told)
        os._exit(0 if os.read(heard, 1) else 1)
    os.close(heard)
    os.setsid()
    if os.fork():
        os._exit(0)
    os.umask(_UMASK)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for fd in (0, 1):
        os.dup2(null, fd)

    def started() -> None:
        # Until here, what goes wrong is still seen where the command was typed.
        os.dup2(null, 2)
        os.close(null)
        os.write(told, b"!")
        os.close(told)

    return started
