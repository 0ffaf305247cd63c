"""The gRPC service against clients in processes of their own, made from the field numbers."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rxalerts import Alert
from rxalerts.errors import OptionError
from rxalerts.flow.backoff import Retry
from rxalerts.flow.stats import DeadLetter, State
from rxalerts.format import JSON
from rxalerts.sinks import GrpcSink
from rxalerts.testing import SinkFactory, check_sink, eventually
from tests.support.falco_client import Client

# Reading a client's last bytes is the kernel's work: a moment is enough.
QUICK = Retry(initial=0.01, maximum=0.05)


@pytest.fixture
def address(tmp_path: Path) -> str:
    """A socket in a folder that is not there yet."""
    return f"unix://{tmp_path}/run/falco.sock"


def serving(address: str, **options: Any) -> GrpcSink:
    """Return a sink that listens."""
    options.setdefault("retry", QUICK)
    sink = GrpcSink(address, **options)
    sink.start()
    eventually(lambda: sink.address, "the service to listen")
    return sink


def alerts(count: int, start: int = 0, **values: Any) -> list[Alert]:
    """Return numbered alerts."""
    return [Alert(f"rule {n}", "warning", f"alert {n}", {"n": n}, **values) for n in range(start, start + count)]


def send(sink: GrpcSink, items: list[Alert]) -> None:
    """Send alerts and wait until the service has taken them over."""
    feed(sink, items)
    assert sink.flush(30)


def feed(sink: GrpcSink, items: list[Alert]) -> None:
    """Send alerts."""
    for item in items:
        sink.on_next(item)


def arrived(count: int, *clients: Client) -> None:
    """Wait until the clients together have so many alerts."""
    eventually(lambda: sum(len(client.lines) for client in clients) == count, f"{count} alerts at the clients")


def lost(sink: GrpcSink) -> None:
    """Wait until losses are counted."""
    eventually(lambda: sink.stats().lost, "the losses to be counted")


def subscribed(sink: GrpcSink, count: int) -> None:
    """Wait until so many clients have subscribed."""
    eventually(lambda: len(sink.subscribers) == count, f"{count} subscribers", timeout=30)


def rules(found: list[dict[str, Any]]) -> list[str]:
    """Return the rules of alerts, in order."""
    return [alert["rule"] for alert in found]


def test_it_keeps_the_rules(address: str) -> None:
    """check_sink: with nobody connected what is sent waits, and is counted at the end."""
    check_sink(partial(GrpcSink, address, linger=0.05), delivers=False)


@pytest.mark.parametrize(
    "options",
    [(), ("--poll", 0.1), ("--half-close",)],
    ids=["asks for nothing", "polls with empty requests", "half-closes"],
)
def test_a_subscriber_gets_every_alert_at_once(address: str, options: tuple[object, ...]) -> None:
    """`sub` pushes whether the client polls, keeps silent or has said that it says no more."""
    with serving(address) as sink, Client(address, "sub", *options) as client:
        subscribed(sink, 1)
        for n in range(3):
            send(sink, alerts(1, n))
            client.reach(n + 1)
        assert rules(client.alerts) == ["rule 0", "rule 1", "rule 2"]
        assert client.alerts[0]["output_fields"] == {"n": "0"}
        sink.close(5)
        client.wait()
        assert client.end == "OK"
    assert sink.stats().delivered == 3 and sink.stats().lost == 0


def test_what_came_before_waits_for_the_first_client(address: str) -> None:
    """Without a client the latest `capacity` alerts wait; the older ones are dropped, counted and dead letters."""
    letters: list[DeadLetter] = []
    with serving(address, capacity=10) as sink:
        sink.dead_letters.subscribe(letters.append)
        for alert in alerts(25):
            send(sink, [alert])
        assert sink.stats().depth == 10 and sink.stats().dropped == {"overflow": 15}
        assert [letter.item.rule for letter in letters] == [f"rule {n}" for n in range(15)]
        with Client(address, "sub") as client, Client(address, "sub", "--poll", 0.1) as other:
            subscribed(sink, 2)
            eventually(lambda: len(client.alerts) + len(other.alerts) == 10, "the alerts that waited")
            first = client if client.alerts else other
            assert rules(first.alerts) == [f"rule {n}" for n in range(15, 25)]
            send(sink, alerts(1, 100))
            first.reach(11)
            (client if first is other else other).reach(1)
            assert client.alerts[-1]["rule"] == other.alerts[-1]["rule"] == "rule 100"
    stats = sink.stats()
    assert (stats.received, stats.delivered, stats.depth) == (26, 11, 0)


@pytest.mark.parametrize("method", ["sub", "get"])
def test_durable_alerts_wait_on_disk_for_a_client(address: str, tmp_path: Path, method: str) -> None:
    """What nobody was there for survives a restart, and goes to the first client, each alert once."""
    spool = tmp_path / "spool"
    with serving(address, durable=spool) as sink:
        feed(sink, alerts(20))
        eventually(lambda: sink.stats().spooled == 20, "everything to be on disk")
        sink.close(0.2)
    with serving(address, durable=spool) as sink, Client(address, method) as client:
        found = client.expect(20)
        assert rules(found) == [f"rule {n}" for n in range(20)]
        eventually(lambda: not sink.stats().spooled, "the spool to be empty")
        sink.close(5)
    assert sink.stats().lost == 0


def test_get_drains_and_ends_with_ok(address: str) -> None:
    """`get` gives what waits, in order, and ends; the next one gets what came since."""
    with serving(address) as sink:
        for batch in (alerts(300), [], alerts(2, 300)):
            send(sink, batch)
            with Client(address, "get") as client:
                client.wait()
                assert rules(client.alerts) == [alert.rule for alert in batch]
                assert client.end == "OK"
    assert sink.stats().lost == 0


def test_two_of_different_speed(address: str) -> None:
    """A client that reads slowly loses what its own queue cannot hold; the quick one has everything."""
    with serving(address, capacity=50, linger=0.2) as sink:
        quick, slow = Client(address, "sub"), Client(address, "sub", "--pause", 0.05)
        with quick, slow:
            subscribed(sink, 2)
            for n in range(0, 5000, 25):
                send(sink, alerts(25, n, source="x" * 500))
                quick.reach(n + 25)
            assert rules(quick.alerts) == [f"rule {n}" for n in range(5000)]
            dropped = {one.peer: one.dropped for one in sink.subscribers}
            assert dropped.pop(f"process {quick.process.pid} (uid {os.getuid()})") == 0
            assert all(dropped.values())


def test_a_frozen_subscriber_disturbs_nobody(address: str) -> None:
    """With one client stopped the other gets all; the frozen one's losses are counted and dead letters."""
    letters: list[DeadLetter] = []
    with serving(address, capacity=100, linger=0.1) as sink:
        sink.dead_letters.subscribe(letters.append)
        with Client(address, "sub") as good, Client(address, "sub") as frozen:
            subscribed(sink, 2)
            frozen.freeze()
            for n in range(0, 4000, 50):
                send(sink, alerts(50, n, source="x" * 500))
                good.reach(n + 50)
            assert rules(good.alerts) == [f"rule {n}" for n in range(4000)]
            count = sink.stats().dropped["overflow"]
            assert count and count == len(letters) == max(one.dropped for one in sink.subscribers)
            assert f"process {frozen.process.pid}" in letters[0].detail
            frozen.thaw()
            eventually(lambda: rules(frozen.alerts)[-1:] == ["rule 3999"], "the thawed client to catch up")
    stats = sink.stats()
    assert stats.received == 4000 == stats.delivered + stats.dropped["overflow"]


def test_a_dead_connection_is_noticed(address: str) -> None:
    """A client that answers no ping is let go after twice `keepalive`."""
    with serving(address, keepalive=0.1) as sink, Client(address, "sub") as client:
        subscribed(sink, 1)
        client.freeze()
        subscribed(sink, 0)


def test_block_waits_for_the_slowest(address: str) -> None:
    """With `block` nothing is lost to a client that is frozen for a while: the stream waits."""
    count = 3000
    with serving(address, capacity=20, on_full="block") as sink, Client(address, "sub") as client:
        subscribed(sink, 1)
        client.freeze()
        feeder = threading.Thread(target=feed, args=(sink, alerts(count, source="x" * 500)))
        feeder.start()
        eventually(lambda: sink.mailbox.depth >= 20, "the mailbox to be full")
        assert feeder.is_alive()
        client.thaw()
        feeder.join(30)
        assert rules(client.expect(count)) == [f"rule {n}" for n in range(count)]
    assert sink.stats().delivered == count


def test_closing_waits_for_those_who_read_and_no_longer_than_it_may(address: str) -> None:
    """close() lets a slow client finish; one that takes nothing is given up, as is everyone when time is over."""
    with serving(address, linger=10) as sink, Client(address, "sub", "--pause", 0.002) as client:
        subscribed(sink, 1)
        send(sink, alerts(1500, source="x" * 500))
        assert sink.close()
        client.reach(1500)
    assert sink.stats().lost == 0
    for linger, timeout in ((0.1, None), (60.0, 0.1)):
        letters: list[DeadLetter] = []
        with serving(address, linger=linger) as sink, Client(address, "sub") as client:
            sink.dead_letters.subscribe(letters.append)
            subscribed(sink, 1)
            client.freeze()
            send(sink, alerts(1500, source="x" * 500))
            sink.close(timeout)
            lost(sink)
        stats = sink.stats()
        assert stats.dropped["shutdown"] == len(letters) and stats.received == stats.delivered + stats.lost


def test_fail_ends_the_call_of_a_slow_client(address: str) -> None:
    """With `fail` a client whose queue overflows is told so, and the sink lives on."""
    with serving(address, capacity=20, on_full="fail", linger=0.1) as sink, Client(address, "sub") as client:
        subscribed(sink, 1)
        client.freeze()
        for n in range(0, 4000, 10):
            send(sink, alerts(10, n, source="x" * 500))
        subscribed(sink, 0)
        client.thaw()
        eventually(lambda: client.end == "RESOURCE_EXHAUSTED", "the client to be told")
        assert sink.state is State.RUNNING


def test_competing_clients_share_one_queue(address: str) -> None:
    """mode: competing is Falco's own way: each alert goes to one client."""
    with serving(address, mode="competing") as sink:
        with Client(address, "sub") as one, Client(address, "sub") as other:
            subscribed(sink, 2)
            for n in range(40):
                send(sink, alerts(5, 5 * n))
                arrived(5 * n + 5, one, other)
            together = sorted(rules(one.alerts) + rules(other.alerts))
            assert together == sorted(f"rule {n}" for n in range(200))
            assert one.alerts and other.alerts
    assert sink.stats().delivered == 200


def test_a_killed_client_loses_nothing_for_the_next(address: str) -> None:
    """What the only subscriber was not sent waits for the next one, in order."""
    with serving(address) as sink:
        with Client(address, "sub") as client:
            subscribed(sink, 1)
            client.freeze()
            send(sink, alerts(3000, source="x" * 500))
            eventually(lambda: sink.subscribers[0].sent and sink.subscribers[0].waiting, "some to be on their way")
        subscribed(sink, 0)
        assert sink.flush(10)  # what the client left has been put back before this
        waiting = sink.stats().depth
        assert 0 < waiting < 3000
        with Client(address, "get") as client:
            client.wait()
            assert rules(client.alerts) == [f"rule {n}" for n in range(3000 - waiting, 3000)]


def test_what_a_client_leaves_is_unread_if_others_got_it(address: str) -> None:
    """It is counted, is no loss, and appears in the dead letters."""
    letters: list[DeadLetter] = []
    with serving(address) as sink, Client(address, "sub") as good:
        sink.dead_letters.subscribe(letters.append)
        with Client(address, "sub") as client:
            subscribed(sink, 2)
            client.freeze()
            send(sink, alerts(3000, source="x" * 500))
            good.expect(3000)
        subscribed(sink, 1)
        send(sink, alerts(1))  # the one who left has been accounted for before this
        stats = sink.stats()
        assert stats.dropped == {"unread": len(letters)} and stats.lost == 0
        assert stats.delivered == 3001 - len(letters)


def test_json_output(address: str) -> None:
    """With format json the output holds the alert as JSON, as Falco's json_output has it for every channel."""
    (alert,) = alerts(1)
    with serving(address, format="json") as sink:
        send(sink, [alert])
        with Client(address, "get") as client:
            client.wait()
            assert json.loads(client.alerts[0]["output"]) == json.loads(JSON.render(alert))


def test_an_item_without_a_form_is_rejected(address: str) -> None:
    """What is no alert goes to the dead letters alone."""
    letters: list[DeadLetter] = []
    with serving(address, linger=0) as sink:
        sink.dead_letters.subscribe(letters.append)
        strange: Any = "no alert"
        send(sink, [*alerts(1), strange, *alerts(1, 1)])
        assert [letter.item for letter in letters] == ["no alert"]
        assert sink.stats().depth == 2 and sink.stats().rejected == 1


def test_too_many_subscribers_are_told(address: str) -> None:
    """The one beyond max_clients is refused with a status, and the others stay."""
    with serving(address, max_clients=1) as sink, Client(address, "sub") as first:
        subscribed(sink, 1)
        with Client(address, "sub") as second:
            second.wait()
            assert second.end == "RESOURCE_EXHAUSTED" and "max_clients" in second.lines[0]
        send(sink, alerts(1))
        first.expect(1)


def socket_path(address: str) -> Path:
    """Return the path of a unix address."""
    return Path(address.removeprefix("unix://"))


def test_a_stale_socket_is_replaced(address: str) -> None:
    """One that a crashed process left is no obstacle; ours is removed at the end."""
    path = socket_path(address)
    path.parent.mkdir()
    code = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=30)
    assert path.exists()
    with serving(address, socket_mode="0620"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o620
    assert not path.exists()


def test_a_live_socket_is_refused(address: str) -> None:
    """It says who is in the way, tries again, and serves as soon as the other one has gone."""
    first = serving(address)
    second = GrpcSink(address, retry=QUICK)
    second.start()
    eventually(lambda: second.stats().last_error, "the second one to be refused")
    assert "another process serves there" in str(second.stats().last_error)
    first.close(5)
    eventually(lambda: second.address, "the second one to serve")
    assert second.close(5)


def test_a_file_is_not_replaced(address: str) -> None:
    """What is no socket is left alone."""
    path = socket_path(address)
    path.parent.mkdir()
    path.write_text("precious")
    with GrpcSink(address, retry=QUICK) as sink:
        sink.start()
        eventually(lambda: sink.stats().last_error, "an error")
        assert "is no socket" in str(sink.stats().last_error)
    assert path.read_text() == "precious"


def test_reopen_listens_again_when_the_socket_was_removed(address: str) -> None:
    """SIGHUP after somebody cleaned /run: the file is back, and whoever is connected stays."""
    with serving(address) as sink, Client(address, "sub") as client:
        subscribed(sink, 1)
        socket_path(address).unlink()
        assert sink.reopen(10)
        with Client(address, "sub") as other:
            subscribed(sink, 2)
            send(sink, alerts(1))
            assert rules(client.expect(1)) == rules(other.expect(1)) == ["rule 0"]


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"bind_address": "unix://"}, "bind_address"),
        ({"bind_address": "somewhere"}, "bind_address"),
        ({"bind_address": "h:70000"}, "bind_address"),
        ({"bind_address": "unix:///" + "x" * 120}, "bind_address"),
        ({"socket_mode": "rw"}, "socket_mode"),
        ({"mode": "each"}, "mode"),
        ({"max_clients": 0}, "max_clients"),
        ({"keepalive": 0}, "keepalive"),
        ({"linger": -1}, "linger"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], key: str) -> None:
    """A wrong option is an OptionError that names it, before anything is opened."""
    with pytest.raises(OptionError) as caught:
        GrpcSink(**options)
    assert caught.value.key == key


def raw_http2(path: Path, data: bytes) -> bytes:
    """Send bytes and return what comes until the service hangs up or has nothing more to say."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(path))
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65536), b""))


@pytest.fixture
def busy(address: str) -> Iterator[GrpcSink]:
    """A service with one client; whatever the test does, the client is still served."""
    with serving(address) as sink, Client(address, "sub") as client:
        subscribed(sink, 1)
        yield sink
        send(sink, alerts(1))
        client.expect(1)


@pytest.mark.parametrize(
    "data",
    [b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", b"\x00" * 100, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 50, b""],
    ids=["http/1.1", "zeros", "bad frames", "nothing"],
)
def test_other_protocols_are_hung_up_on(busy: GrpcSink, address: str, data: bytes) -> None:
    """Whoever does not speak HTTP/2 loses the connection, and nobody else notices."""
    raw_http2(socket_path(address), data)
    assert busy.state is State.RUNNING


def test_clients_that_come_and_go_leave_nothing(address: str) -> None:
    """Hundreds of connections and calls later there are as many threads and descriptors."""
    import grpc as grpc_client

    def come_and_go() -> None:
        with grpc_client.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            # Bytes in, bytes out.
            anything: Any = channel
            call = anything.stream_stream("/falco.outputs.service/sub")(iter([b""]))
            next(call)
            call.cancel()

    with serving(address, linger=0) as sink:

        def held() -> tuple[int, int]:
            return len(os.listdir("/proc/self/fd")), threading.active_count()

        def round_of(count: int) -> None:
            for n in range(count):
                # Else the one that is just leaving may be sent the alert.
                subscribed(sink, 0)
                sink.on_next(alerts(1, n)[0])
                come_and_go()
            subscribed(sink, 0)

        round_of(20)
        assert sink.flush(10)
        fds, threads = held()
        round_of(300)
        # The client's own threads end a moment later.
        eventually(lambda: held()[0] <= fds + 4 and held()[1] <= threads + 2, "nothing to be left")
    assert sink.stats().received == 320


# Without a client that is connected everything waits.
DELIVERS = False


@contextmanager
def surroundings(folder: Path) -> Generator[SinkFactory]:
    """A socket that nobody connects to, for tests/test_sink_contract.py."""
    yield partial(GrpcSink, f"unix://{folder}/falco.sock", linger=0.05)
