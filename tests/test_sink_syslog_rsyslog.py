"""SyslogSink against Debian's rsyslog, on its own socket, UDP, TCP and TLS port."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rxalerts.alert import Alert
from rxalerts.flow.backoff import Retry
from rxalerts.format import JSON
from rxalerts.sinks.syslog import SyslogSink
from tests.support.certs import make_certs
from tests.support.rsyslog import Rsyslog, find_rsyslogd, find_tls_driver

pytestmark = pytest.mark.real

WAYS = ("unix", "udp", "tcp", "tls")
TEXT = "Sensitive file opened for reading by non-trusted program (user=root command=cat /etc/shadow)"


@pytest.fixture
def rsyslog(tmp_path: Path) -> Iterator[Rsyslog]:
    """Run a daemon for one test."""
    find_rsyslogd()
    find_tls_driver()
    with Rsyslog(tmp_path / "rsyslog", make_certs(tmp_path / "certs")) as daemon:
        yield daemon


def options(daemon: Rsyslog, way: str) -> dict[str, Any]:
    """Return the options that lead to a daemon."""
    if way == "unix":
        return {"path": str(daemon.socket)}
    if way != "tls":
        return {"address": f"{way}://127.0.0.1:{getattr(daemon, way)}"}
    assert daemon.certs is not None
    client = daemon.certs.client
    return {
        "address": f"tls://localhost:{daemon.tls}",
        "ca": str(daemon.certs.ca),
        "client_cert": str(client.cert),
        "client_key": str(client.key),
    }


@pytest.mark.parametrize("way", WAYS)
def test_document_syslog_output(rsyslog: Rsyslog, way: str) -> None:
    """One message per alert: ident falco, facility LOG_USER (1), the rule's priority, the text alone."""
    with SyslogSink(**options(rsyslog, way)) as sink:
        for priority in range(8):
            sink.on_next(Alert("r", priority, f"{TEXT} {priority}\n", hostname="ubuntu"))
    found = rsyslog.wait_for(8)
    assert {message["programname"] for message in found} == {"falco"}
    assert {message["syslogfacility"] for message in found} == {"1"}
    assert [message["syslogseverity"] for message in found] == list("01234567")
    assert rsyslog.texts() == [f"{TEXT} {priority}\\n" for priority in range(8)]
    assert way == "unix" or {message["hostname"] for message in found} == {"ubuntu"}


@pytest.mark.parametrize("way", WAYS)
def test_json_and_structured_data(rsyslog: Rsyslog, way: str) -> None:
    """JSON arrives byte for byte; structured data is what rsyslog takes for it."""
    alert = Alert("Größe", "error", "a\nb", {"fd.name": 'x"]\\', "evt.num": 7})
    modern = way != "unix"
    with SyslogSink(**options(rsyslog, way), format="json", structured_data=modern) as sink:
        sink.on_next(alert)
    (message,) = rsyslog.wait_for(1)
    assert message["msg"].strip() == JSON.render(alert).decode()
    if modern:
        assert message["structured-data"] == (
            '[falco@32473 rule="Größe" source="syscall" evt.num="7" fd.name="x\\"\\]\\\\"]'
        )


@pytest.mark.slow
@pytest.mark.parametrize("way", ["unix", "tcp", "tls"])
def test_a_daemon_that_restarts_costs_no_alert(rsyslog: Rsyslog, way: str) -> None:
    """Under a steady stream the daemon is ended and started three times; every alert is in its file."""
    sink = SyslogSink(**options(rsyslog, way), retry=Retry(initial=0.02, maximum=0.1))
    over = threading.Event()

    def restart() -> None:
        for _ in range(3):
            before = len(rsyslog.messages())
            rsyslog.wait_for(before + 50)
            rsyslog.stop()
            rsyslog.start()
        over.set()

    restarting = threading.Thread(target=restart)
    restarting.start()
    count = 0
    while not over.wait(0.001):
        sink.on_next(Alert("r", "notice", f"number {count}"))
        count += 1
    restarting.join()
    assert sink.close(20)
    rsyslog.wait_for(count)
    rsyslog.stop()
    found = rsyslog.texts()
    assert set(found) == {f"number {number}" for number in range(count)}
    assert sink.stats().delivered == count
    if way == "unix":
        # Linux tells what the daemon had read; TCP does not, so that the last second comes twice there.
        assert len(found) <= count + 100
