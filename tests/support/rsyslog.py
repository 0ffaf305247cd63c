"""Debian's rsyslogd, run by a test on sockets of its own, with what it receives read back from a file."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.certs import Certs

_MODULES = Path("/usr/lib")
_LIMIT = 20.0


def find_rsyslogd() -> str:
    """Return rsyslogd's path; skips the test if it is not installed."""
    found = shutil.which("rsyslogd", path="/usr/sbin:/usr/bin:/sbin")
    if found is None:
        pytest.skip("rsyslogd is missing: apt-get install rsyslog")
    return found


def find_tls_driver() -> str:
    """Return the name of rsyslog's TLS driver; skips the test if it has none."""
    for driver in ("gtls", "ossl"):
        if list(_MODULES.glob(f"*/rsyslog/lmnsd_{driver}.so")):
            return driver
    pytest.skip("rsyslog has no TLS driver: apt-get install rsyslog-gnutls")


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Return a port that nobody has on 127.0.0.1."""
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@dataclass
class Rsyslog:
    """A daemon with a unix socket, and UDP and TCP ports; with `certs` a TLS port too.

    `start` and `stop` may be called again and again: places and ports stay.
    """

    folder: Path
    certs: Certs | None = None
    process: subprocess.Popen[bytes] | None = None
    udp: int = field(default_factory=lambda: free_port(socket.SOCK_DGRAM))
    tcp: int = field(default_factory=free_port)
    tls: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.program = find_rsyslogd()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.socket = self.folder / "log"
        self.output = self.folder / "messages.jsonl"
        self.config = self.folder / "rsyslog.conf"
        self.config.write_text(self._config())

    def _config(self) -> str:
        return "\n".join(
            [
                f'global(workDirectory="{self.folder}" maxMessageSize="64k")',
                'module(load="imuxsock" SysSock.Use="off")',
                'module(load="imudp")',
                'module(load="imtcp")',
                *self._tls(),
                f'input(type="imuxsock" Socket="{self.socket}" RateLimit.Interval="0" IgnoreTimestamp="off")',
                f'input(type="imudp" address="127.0.0.1" port="{self.udp}")',
                f'input(type="imtcp" address="127.0.0.1" port="{self.tcp}")',
                'template(name="all" type="string" string="%jsonmesg%\\n")',
                f'action(type="omfile" file="{self.output}" template="all")',
                "",
            ]
        )

    def _tls(self) -> list[str]:
        if self.certs is None:
            return []
        server = self.certs.server
        files = (
            f'streamDriver.CAFile="{self.certs.ca}" streamDriver.CertFile="{server.cert}" '
            f'streamDriver.KeyFile="{server.key}"'
        )
        return [
            f'input(type="imtcp" address="127.0.0.1" port="{self.tls}" streamDriver.name="{find_tls_driver()}" '
            f'streamDriver.mode="1" streamDriver.authMode="x509/certvalid" {files})'
        ]

    def start(self) -> Rsyslog:
        """Start the daemon and wait until it listens."""
        pidfile = self.folder / "rsyslogd.pid"
        log = (self.folder / "rsyslogd.out").open("ab")
        with log:
            self.process = subprocess.Popen(
                [self.program, "-n", "-f", str(self.config), "-i", str(pidfile)], stdout=log, stderr=log
            )
        deadline = time.monotonic() + _LIMIT
        while not self._listens():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise AssertionError(f"rsyslogd did not start: {(self.folder / 'rsyslogd.out').read_text()}")
            time.sleep(0.01)
        return self

    def _listens(self) -> bool:
        try:
            for port in [self.tcp] + ([self.tls] if self.certs else []):
                socket.create_connection(("127.0.0.1", port), 1).close()
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as local:
                local.connect(str(self.socket))
        except OSError:
            return False
        return True

    def stop(self) -> None:
        """Stop the daemon, in order."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(_LIMIT)
            self.process = None

    def messages(self) -> list[dict[str, Any]]:
        """Return what the daemon has written so far: rsyslog's properties of each message."""
        if not self.output.exists():
            return []
        lines = self.output.read_text().split("\n")[:-1]
        return [json.loads(line) for line in lines]

    def texts(self) -> list[str]:
        """Return the messages' texts, without the blank that the old format has in front."""
        return [message["msg"].removeprefix(" ") for message in self.messages()]

    def wait_for(self, count: int) -> list[dict[str, Any]]:
        """Wait until so many messages have been written, and return them."""
        deadline = time.monotonic() + _LIMIT
        while len(found := self.messages()) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} messages: {found[-3:]}"
            time.sleep(0.01)
        return found

    def __enter__(self) -> Rsyslog:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
