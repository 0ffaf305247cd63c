"""SyslogSink: its messages, and its patience with daemons of every kind; stand-ins on loopback sockets."""

from __future__ import annotations

import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rxalerts.alert import Alert
from rxalerts.errors import OptionError
from rxalerts.flow.backoff import Retry
from rxalerts.format import JSON, Formatted
from rxalerts.sinks.syslog import SyslogSink
from rxalerts.testing import SinkFactory, check_sink, eventually
from tests.support.certs import Certs, make_certs

SOON = Retry(initial=0.02, maximum=0.05)
# 2026-06-07T10:20:05.408091526Z
NOON = 1_780_827_605_408_091_526
TEXT = "Sensitive file opened for reading by non-trusted program (user=root command=cat /etc/shadow file=/etc/shadow)"


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have local time be UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Certs:
    """Make one set of certificates for the tests of this module."""
    return make_certs(tmp_path_factory.mktemp("certs"))


@contextmanager
def daemon(path: Path, kind: socket.SocketKind = socket.SOCK_DGRAM) -> Generator[socket.socket, None, None]:
    """Stand in for a local daemon: bind a socket, and leave nothing behind."""
    with socket.socket(socket.AF_UNIX, kind) as sock:
        sock.bind(str(path))
        sock.settimeout(10)
        if kind == socket.SOCK_STREAM:
            sock.listen()
        yield sock
    path.unlink(missing_ok=True)


@contextmanager
def running(address: str = "", **options: Any) -> Generator[SyslogSink, None, None]:
    """Give a sink that is closed within some seconds, whatever its destination does."""
    sink = SyslogSink(address, **options)
    try:
        yield sink
    finally:
        sink.close(5)


def an_alert(message: str = TEXT, priority: str = "warning", **more: Any) -> Alert:
    """Make an alert at a fixed time."""
    return Alert("Rule", priority, message, time=NOON, hostname="ubuntu", **more)


def sent(path: Path, *alerts: Alert | Formatted, **options: Any) -> list[bytes]:
    """Return the datagrams that a local daemon gets for some alerts."""
    with daemon(path) as sock, running(path=str(path), **options) as sink:
        found: list[bytes] = []
        for alert in alerts:
            sink.on_next(alert)
            found.append(sock.recv(1 << 20))
        return found


# -- what is sent ---------------------------------------------------------------------------------------------


def test_document_syslog_line(tmp_path: Path, utc: None) -> None:
    """The document's sample: ident falco, the text without its time and priority, as glibc would send it."""
    assert sent(tmp_path / "log", an_alert()) == [f"<12>Jun  7 10:20:05 falco: {TEXT}".encode()]


@pytest.mark.parametrize("number", range(8))
def test_document_facility_and_priority(tmp_path: Path, number: int) -> None:
    """The facility is LOG_USER; the rule's priority is the message's."""
    alert = Alert("r", number, "m")
    assert sent(tmp_path / "log", alert)[0].startswith(b"<%d>" % (8 + number))


def test_prefix_keeps_falcos_own_form(tmp_path: Path, utc: None) -> None:
    """With `prefix` the text is what Falco 0.44 sends."""
    (data,) = sent(tmp_path / "log", an_alert("m"), prefix=True)
    assert data == b"<12>Jun  7 10:20:05 falco: 10:20:05.408091526: Warning m"


def test_facility_and_ident_are_settable(tmp_path: Path, utc: None) -> None:
    """Facility by name or number, ident by name."""
    (data,) = sent(tmp_path / "log", an_alert("m"), facility="local7", ident="rx-alerts")
    assert data == b"<188>Jun  7 10:20:05 rx-alerts: m"
    assert sent(tmp_path / "log", an_alert("m"), facility="LOG_AUTH")[0].startswith(b"<36>")


def test_json_body(tmp_path: Path) -> None:
    """With JSON the body is the alert's JSON; so it is for an alert that was formatted before."""
    alert = an_alert()
    one, other = sent(tmp_path / "log", alert, Formatted(alert, b'{\n"a":1}', "application/json"), format="json")
    assert one.partition(b" falco: ")[2] == JSON.render(alert)
    assert other.endswith(b' falco: { "a":1}')


def test_nobody_forges_a_message(tmp_path: Path) -> None:
    """Control characters in an alert arrive escaped, also in one that was formatted by somebody else."""
    alert = an_alert("a\n<8>Jan  1 00:00:00 sshd: root\x00\x1b[2K\u2028")
    plain, strange = sent(tmp_path / "log", alert, Formatted(alert, b"a\nb\0", "text/plain"))
    assert plain.endswith(rb"falco: a\n<8>Jan  1 00:00:00 sshd: root\u0000\u001b[2K\u2028")
    assert strange.endswith(rb"falco: a\nb\u0000")


def test_too_long_for_a_datagram_is_cut_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """EMSGSIZE: the message ends in a mark, at a character's boundary; counted each time, logged once."""
    path = tmp_path / "log"
    with daemon(path) as sock, running(path=str(path)) as sink:
        for _ in range(2):
            sink.on_next(an_alert("ä" * 200_000))
            data = sock.recv(1 << 20).decode()
            assert data.endswith("ä…[cut]") and len(data.encode()) > 200_000
        eventually(lambda: sink.stats().delivered == 2)
        assert sink.cut == 2
    assert len([record for record in caplog.records if "too long" in record.message]) == 1


def test_max_length(tmp_path: Path) -> None:
    """`max_length` counts bytes; what fits stays whole."""
    path = tmp_path / "log"
    long, short = sent(path, an_alert("€" * 400), an_alert("€" * 100), max_length=500)
    assert 497 <= len(long) <= 500 and long.decode().endswith("€…[cut]")
    assert short.decode().endswith("€" * 100)


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"address": "http://h"}, "address"),
        ({"address": "udp://"}, "address"),
        ({"address": "tcp://h:99999"}, "address"),
        ({"address": "tcp://h/x"}, "address"),
        ({"facility": "local8"}, "facility"),
        ({"facility": "24"}, "facility"),
        ({"ident": "a b"}, "ident"),
        ({"ident": ""}, "ident"),
        ({"path": ""}, "path"),
        ({"structured_data": True}, "structured_data"),
        ({"sd_id": "falco"}, "sd_id"),
        ({"ca": "ca.pem"}, "ca"),
        ({"address": "tcp://h", "client_cert": "x"}, "client_cert"),
        ({"address": "tls://h", "client_key": "x"}, "client_key"),
        ({"address": "tls://h", "ca": "/nowhere/ca.pem"}, "ca"),
        ({"address": "tls://h", "client_cert": "/nowhere/c.pem"}, "client_cert"),
        ({"max_length": 100}, "max_length"),
        ({"timeout": 0}, "timeout"),
    ],
)
def test_wrong_options(options: dict[str, Any], key: str) -> None:
    """A wrong option is refused at once, by its name."""
    with pytest.raises(OptionError) as caught:
        SyslogSink(**options)
    assert caught.value.key == key


# -- the local daemon -----------------------------------------------------------------------------------------


def test_a_stream_socket_gets_records_with_nul(tmp_path: Path) -> None:
    """Where the daemon has a stream socket, records end in NUL, as glibc writes them."""
    path = tmp_path / "log"
    with daemon(path, socket.SOCK_STREAM) as server, running(path=str(path)) as sink:
        sink.on_next(an_alert("one"))
        peer = server.accept()[0]
        with peer:
            sink.on_next(an_alert("two"))
            data = b""
            while data.count(b"\0") < 2:
                data += peer.recv(1000)
            assert [record.rpartition(b": ")[2] for record in data.split(b"\0")] == [b"one", b"two", b""]


def test_a_daemon_that_is_not_there_yet(tmp_path: Path) -> None:
    """Alerts wait for the daemon; meanwhile the reason says what to do."""
    path = tmp_path / "log"
    with running(path=str(path), retry=SOON) as sink:
        for number in range(5):
            sink.on_next(an_alert(f"m{number}"))
        eventually(lambda: sink.stats().failures > 1)
        assert "start one, or set `path` or `address`" in (sink.stats().last_error or "")
        with daemon(path) as sock:
            assert [sock.recv(1000)[-2:] for _ in range(5)] == [b"m0", b"m1", b"m2", b"m3", b"m4"]
            eventually(lambda: sink.stats().delivered == 5)


def test_what_a_dead_daemon_left_unread_is_sent_again(tmp_path: Path) -> None:
    """A daemon that ends with messages in its socket takes them with it: its successor gets them too."""
    path = tmp_path / "log"
    sink = SyslogSink(path=str(path), retry=SOON)
    with daemon(path) as first:
        sink.on_next(an_alert("read"))
        assert first.recv(1000).endswith(b"read")
        eventually(lambda: sink.stats().delivered == 1)
        sink.on_next(an_alert("unread"))
        assert select.select([first], [], [], 10)[0]
    with daemon(path) as second:
        assert second.recv(1000).endswith(b": unread")
        assert sink.close(5)
    assert sink.stats().delivered == 2


def test_a_daemon_with_a_full_queue_is_waited_for(tmp_path: Path) -> None:
    """EAGAIN: what is in a stopped daemon's queue stays there, the rest waits; nothing is lost or repeated."""
    path = tmp_path / "log"
    with daemon(path) as sock, running(path=str(path), timeout=0.2, retry=SOON) as sink:
        for number in range(2000):
            sink.on_next(an_alert(f"m{number}"))
        eventually(lambda: sink.stats().failures)
        assert "takes nothing" in (sink.stats().last_error or "")
        found = [sock.recv(1000).rpartition(b": ")[2].decode() for _ in range(2000)]
        eventually(lambda: sink.stats().delivered == 2000)
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            sock.recv(1000)
    assert found == [f"m{number}" for number in range(2000)]


def test_a_slow_daemon_that_dies_later(tmp_path: Path) -> None:
    """What was left in a slow daemon's queue is remembered until the next batch, and sent again if need be."""
    path = tmp_path / "log"
    sink = SyslogSink(path=str(path), retry=SOON)
    with daemon(path):
        sink.on_next(an_alert("one"))
        eventually(lambda: sink.stats().delivered == 1)  # trusted with it after a second
    with daemon(path) as second:
        sink.on_next(an_alert("two"))
        assert [second.recv(1000)[-3:] for _ in range(2)] == [b"one", b"two"]
        assert sink.close(5)


# -- UDP ------------------------------------------------------------------------------------------------------


def test_udp_is_rfc_5424_in_one_datagram() -> None:
    """Version 1, the alert's time in microseconds, its host; nothing for process, message id and data."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)
        with running(f"udp://127.0.0.1:{server.getsockname()[1]}") as sink:
            sink.on_next(an_alert("Größe"))
            data = server.recv(1 << 16)
            assert data == "<12>1 2026-06-07T10:20:05.408091Z ubuntu falco - - - Größe".encode()
            sink.on_next(an_alert("x" * 70_000))
            data = server.recv(1 << 17)
            assert len(data) == 65507 and data.endswith("x…[cut]".encode())
            eventually(lambda: sink.cut == 1)


def test_udp_port_without_a_listener() -> None:
    """A host that says at once that nobody listens is tried again, until somebody does."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        place = server.getsockname()
    with running(f"udp://127.0.0.1:{place[1]}", retry=SOON) as sink:
        sink.on_next(an_alert("one"))
        eventually(lambda: sink.stats().failures > 1)
        assert "nobody listens there" in (sink.stats().last_error or "")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(place)
            server.settimeout(10)
            assert server.recv(1000).endswith(b" one")
            eventually(lambda: sink.stats().delivered)


@pytest.mark.parametrize("scheme", ["udp", "tcp", "tls"])
def test_an_address_that_does_not_resolve(scheme: str) -> None:
    """The message names the address and the host; the alert is tried again."""
    address = f"{scheme}://no-such-host.invalid:6514"
    sink = SyslogSink(address, retry=SOON)
    sink.on_next(an_alert())
    eventually(lambda: sink.stats().failures)
    error = sink.stats().last_error or ""
    assert error.startswith(f"{address}: the host 'no-such-host.invalid' does not resolve")
    sink.close(0)
    assert sink.stats().dropped == {"shutdown": 1}


# -- TCP and TLS ----------------------------------------------------------------------------------------------


def frames(data: bytes) -> list[bytes]:
    """Take octet-counted frames apart."""
    found: list[bytes] = []
    while data:
        count, _, rest = data.partition(b" ")
        found.append(rest[: int(count)])
        data = rest[int(count) :]
    return found


def read_frames(peer: socket.socket, count: int) -> list[bytes]:
    """Read so many whole frames from a connection."""
    data = b""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        data += peer.recv(1 << 16)
        found = frames(data)
        if len(found) >= count and len(data) == sum(len(b"%d " % len(each)) + len(each) for each in found):
            return found
    raise AssertionError(f"{len(frames(data))} of {count} frames")


@contextmanager
def listener(buffer: int = 0) -> Generator[tuple[socket.socket, str], None, None]:
    """Listen on a loopback port; gives the socket and its address. `buffer` limits what waits to be read."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        if buffer:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        server.settimeout(10)
        yield server, f"tcp://127.0.0.1:{server.getsockname()[1]}"


def accept(server: socket.socket) -> socket.socket:
    """Accept one connection, with a limit on waiting."""
    peer = server.accept()[0]
    peer.settimeout(10)
    return peer


def test_tcp_octet_counting_and_structured_data() -> None:
    """Each message has its length in front; fields become parameters, escaped as RFC 5424 asks."""
    fields = {"fd.name": 'a"b]c\\d\n', "n": 1, "ok": True, "none": None, "proc.aname[2]": ["x"], "l" * 40: "y"}
    with listener() as (server, address), running(address, structured_data=True) as sink:
        sink.on_next(an_alert("ä\nb", output_fields=fields, tags=["t1", "t2"]))
        with accept(server) as peer:
            (frame,) = read_frames(peer, 1)
    head, _, rest = frame.decode().partition(" [")
    assert head == "<12>1 2026-06-07T10:20:05.408091Z ubuntu falco - -"
    data, _, text = rest.rpartition("] ")
    assert text == r"ä\nb"
    assert data == (
        'falco@32473 rule="Rule" source="syscall" tags="t1,t2" '
        + "l" * 32
        + r'="y" fd.name="a\"b\]c\\d\\u000a" n="1" ok="true" proc.aname[2_="[\"x\"\]"'
    ) or set(data.split(" ")) >= {r'fd.name="a\"b\]c\\d\\u000a"', 'n="1"', 'ok="true"', 'tags="t1,t2"'}


def test_tcp_max_length_drops_structured_data_first() -> None:
    """A message over `max_length` loses its structured data when that alone is too long, and the text's end."""
    with listener() as (server, address):
        with running(address, structured_data=True, max_length=480) as sink:
            sink.on_next(an_alert("m", output_fields={"f": "x" * 1000}))
            sink.on_next(an_alert("y" * 1000))
            with accept(server) as peer:
                one, other = read_frames(peer, 2)
    assert one.decode().endswith(" falco - - - m…[cut]") and sink.cut == 2
    assert len(other) == 480 and b'rule="Rule"' in other


def test_tcp_peer_that_left_in_order_costs_nothing() -> None:
    """A peer that has closed is noticed before the next alert is written, which goes to its successor."""
    with listener() as (server, address), running(address, retry=SOON) as sink:
        sink.on_next(an_alert("one"))
        with accept(server) as peer:
            assert read_frames(peer, 1)[0].endswith(b" one")
            eventually(lambda: sink.stats().delivered == 1)
        sink.on_next(an_alert("two"))
        with accept(server) as peer:
            assert [frame[-4:] for frame in read_frames(peer, 1)] == [b" two"]


def test_tcp_peer_that_dies_with_unread_data() -> None:
    """A peer that closes without having read everything resets the connection: that is sent again."""
    with listener() as (server, address), running(address, retry=SOON) as sink:
        sink.on_next(an_alert("one"))
        with accept(server) as peer:
            eventually(lambda: sink.stats().delivered == 1)
            assert select.select([peer], [], [], 10)[0]
        sink.on_next(an_alert("two"))
        with accept(server) as peer:
            assert [frame[-4:] for frame in read_frames(peer, 2)] == [b" one", b" two"]


def test_tcp_peer_that_dies_before_the_sink_closes() -> None:
    """The last alerts are sent again too, when the sink finds out only as it closes."""
    with listener() as (server, address):
        sink = SyslogSink(address, retry=SOON)
        sink.on_next(an_alert("last"))
        with accept(server) as peer:
            eventually(lambda: sink.stats().delivered == 1)
            assert select.select([peer], [], [], 10)[0]
        closing = threading.Thread(target=sink.close)
        closing.start()
        with accept(server) as peer:
            assert read_frames(peer, 1)[0].endswith(b" last")
        closing.join(10)
        assert not closing.is_alive()


def test_tcp_peer_that_takes_nothing() -> None:
    """A peer that does not read is waited for; `reopen` tries another connection, and costs no alert."""
    with listener(buffer=4096) as (server, address), running(address, output_timeout=0.2) as sink:
        for number in range(300):
            sink.on_next(an_alert(f"{number} {'x' * 20_000}"))
        eventually(lambda: sink.stats().blocked)
        sink.reopen()
        # Whatever had gone into the first connection: all of them together hold everything.
        assert read_all_peers(server, 300) == {b"%d" % number for number in range(300)}


def read_all_peers(server: socket.socket, count: int) -> set[bytes]:
    """Read all connections to `server` until they hold so many different messages; returns the first words."""
    peers: dict[socket.socket, bytes] = {}
    found: set[bytes] = set()
    deadline = time.monotonic() + 20
    try:
        while len(found) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} messages"
            for ready in select.select([server, *peers], [], [], 1)[0]:
                if ready is server:
                    peers[accept(server)] = b""
                elif data := ready.recv(1 << 20):
                    found |= {frame.partition(b" - - - ")[2].split()[0] for frame in take(peers, ready, data)}
                else:
                    ready.close()
                    del peers[ready]
    finally:
        for peer in peers:
            peer.close()
    return found


def take(peers: dict[socket.socket, bytes], peer: socket.socket, data: bytes) -> list[bytes]:
    """Return the frames that have become whole, and keep the rest."""
    found: list[bytes] = []
    data = peers[peer] + data
    while True:
        length, blank, rest = data.partition(b" ")
        if not blank or len(rest) < int(length):
            peers[peer] = data
            return found
        found.append(rest[: int(length)])
        data = rest[int(length) :]


def test_tcp_peer_that_takes_nothing_when_the_sink_stops() -> None:
    """What it has not taken when time is up is counted as lost."""
    with listener(buffer=4096) as (_, address):
        sink = SyslogSink(address, output_timeout=0.2)
        for number in range(300):
            sink.on_next(an_alert(f"{number} {'x' * 20_000}"))
        eventually(lambda: sink.stats().blocked)
        assert sink.close(1)
        stats = sink.stats()
        assert stats.dropped["shutdown"] > 0 and stats.delivered + stats.dropped["shutdown"] == 300


def test_reopen_connects_anew() -> None:
    """SIGUSR1 gives a new connection."""
    with listener() as (server, address), running(address) as sink:
        sink.on_next(an_alert("one"))
        with accept(server) as first:
            read_frames(first, 1)
            waiting = threading.Thread(target=sink.reopen, args=(None,))
            waiting.start()
            assert first.recv(1) == b""
        waiting.join(10)
        sink.on_next(an_alert("two"))
        with accept(server) as second:
            assert read_frames(second, 1)[0].endswith(b" two")


def tls_error(certs: Certs, cert: Any, **options: Any) -> str:
    """Return what a sink says about a TLS server with such a certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert.cert, cert.key)
    if options.pop("asks", False):
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certs.ca)
    with listener() as (server, address):
        port = address.rpartition(":")[2]
        done = threading.Event()
        thread = threading.Thread(target=_serve_tls, args=(server, context, done))
        thread.start()
        sink = SyslogSink(f"tls://localhost:{port}", retry=SOON, **options)
        try:
            sink.on_next(an_alert())
            eventually(lambda: sink.stats().failures or sink.stats().delivered)
            return sink.stats().last_error or "delivered"
        finally:
            sink.close(0.5)
            done.set()
            thread.join(10)


def _serve_tls(server: socket.socket, context: ssl.SSLContext, done: threading.Event) -> None:
    server.settimeout(0.05)
    while not done.is_set():
        try:
            peer = server.accept()[0]
        except TimeoutError:
            continue
        peer.settimeout(1)
        try:
            with context.wrap_socket(peer, server_side=True) as secured:
                while secured.recv(1000):
                    continue
        except OSError:
            peer.close()


def test_tls_good_certificate(certs: Certs) -> None:
    """A certificate of a known authority, for that host, is accepted; so is a self-signed one that is `ca`."""
    assert tls_error(certs, certs.server, ca=str(certs.ca)) == "delivered"
    assert tls_error(certs, certs.self_signed, ca=str(certs.self_signed.cert)) == "delivered"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("self_signed", "not trusted (self-signed certificate): set `ca` to a PEM file"),
        ("unknown_ca", "not trusted"),
        ("wrong_host", "is for another host: put the name that it is for in place of 'localhost'"),
        ("expired", "out of date (certificate has expired): renew it"),
        ("not_yet", "out of date"),
    ],
)
def test_tls_bad_certificates(certs: Certs, kind: str, words: str) -> None:
    """Each bad certificate is refused with what is wrong and what to do."""
    assert words in tls_error(certs, getattr(certs, kind), ca=str(certs.ca))


def test_tls_client_certificate(certs: Certs) -> None:
    """A server that asks for a certificate of ours gets it; without one the message names the option."""
    own = {"client_cert": str(certs.client.cert), "client_key": str(certs.client.key)}
    assert tls_error(certs, certs.server, ca=str(certs.ca), asks=True, **own) == "delivered"
    assert "`client_cert`" in tls_error(certs, certs.server, ca=str(certs.ca), asks=True)
    both = {"client_cert": str(certs.client.both)}
    assert tls_error(certs, certs.server, ca=str(certs.ca), asks=True, **both) == "delivered"


def _delivered(sink: SyslogSink, count: int) -> bool:
    return sink.stats().delivered == count


def test_no_descriptor_is_left_behind(tmp_path: Path) -> None:
    """Connecting again and again leaves no descriptor open."""
    path = tmp_path / "log"
    with running(path=str(path), retry=SOON) as sink:
        sink.start()
        before = len(os.listdir("/proc/self/fd"))
        for number in range(5):
            with daemon(path) as sock:
                sink.on_next(an_alert(f"m{number}"))
                assert sock.recv(1000).endswith(b"m%d" % number)
                eventually(partial(_delivered, sink, number + 1))
        assert len(os.listdir("/proc/self/fd")) <= before + 1


@contextmanager
def surroundings(folder: Path) -> Generator[SinkFactory]:
    """A port that takes every datagram, for tests/test_sink_contract.py."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield partial(SyslogSink, f"udp://127.0.0.1:{sock.getsockname()[1]}")


def test_the_local_socket_keeps_the_rules(tmp_path: Path) -> None:
    """The rules of Reactive Streams hold for the local daemon too (test_sink_contract.py has UDP)."""
    path = tmp_path / "log"
    with daemon(path) as sock:
        reader = threading.Thread(target=_read_all, args=(sock,))
        reader.start()
        try:
            check_sink(partial(SyslogSink, path=str(path)))
        finally:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
                last.sendto(b"end", str(path))
            reader.join()


def _read_all(sock: socket.socket) -> None:
    sock.settimeout(None)
    while sock.recv(1 << 20) != b"end":
        continue
