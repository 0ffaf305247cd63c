"""The network channels on the command line: falco.yaml, --from, send-test, signals and new certificates."""

import shutil
import signal
import socket
import ssl
from http.client import HTTPSConnection
from pathlib import Path

from rxalerts import sinks, sources
from rxalerts.alert import Alert
from rxalerts.flow import tls
from rxalerts.flow.backoff import Retry
from rxalerts.pipeline import Pipeline
from tests.support.certs import Certs, make_certs
from tests.support.falco_client import Client
from tests.support.http_servers import Endpoint
from tests.support.run import Run, alerts, config, numbers, rxalerts, until

QUICK = Retry(initial=0.01, maximum=0.1)


def put(certs: Certs, folder: Path) -> None:
    """Put a server's files where the configuration has them, in place of what was there."""
    for source, name in ((certs.server.cert, "tls.crt"), (certs.server.key, "tls.key"), (certs.ca, "ca.crt")):
        shutil.copy(source, folder / name)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def accepts(port: int, certs: Certs, *, client: bool) -> bool:
    """Tell whether a server there shows a certificate of this authority, and takes our client's."""
    context = tls.ClientTls(ca_cert=certs.ca).context()
    if client:
        context.load_cert_chain(certs.client.cert, certs.client.key)
        context.set_alpn_protocols(["h2"])
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
            with context.wrap_socket(plain, server_hostname="localhost"):
                return True
    except (ssl.SSLError, ConnectionError):
        return False


def test_run_from_https_into_both_channels_and_new_certificates(tmp_path: Path) -> None:
    """An alert comes in over HTTPS, leaves over HTTPS and gRPC; signals change what is shown, and drop nobody."""
    old, new = make_certs(tmp_path / "old"), make_certs(tmp_path / "new")
    put(old, tmp_path)
    port = free_port()
    with Endpoint(context=tls.server_context(old.server.cert, old.server.key)) as endpoint:
        config(
            tmp_path,
            f"json_output: true\nhttp_output: {{enabled: true, url: {endpoint.url}, ca_cert: {old.ca}}}\n"
            f"grpc: {{enabled: true, bind_address: '127.0.0.1:{port}', private_key: {tmp_path}/tls.key, "
            f"cert_chain: {tmp_path}/tls.crt, root_certs: {tmp_path}/ca.crt}}\ngrpc_output: {{enabled: true}}\n",
        )
        origin = f"https://127.0.0.1:0/?tls_cert={tmp_path}/tls.crt&tls_key={tmp_path}/tls.key"
        files = ("--ca", old.ca, "--cert", old.client.cert, "--key", old.client.key)
        with Run("run", "-c", "falco.yaml", "--from", origin, folder=tmp_path) as run:
            run.ready()
            with Client(f"localhost:{port}", "sub", *files) as grpc_client:
                renew(run, new, old, port, grpc_client, tmp_path)
                grpc_client.wait()
                assert len(grpc_client.alerts) == 2 and grpc_client.end == "OK"
        assert numbers("\n".join(endpoint.bodies)) == [0, 1] and endpoint.connections == 1


def renew(run: Run, new: Certs, old: Certs, port: int, grpc_client: Client, folder: Path) -> None:
    """Post before and after the certificates change, over one connection, and end the command."""
    listening = int(run.err.split("listening on https://127.0.0.1:")[1].split("/")[0])
    poster = HTTPSConnection("localhost", listening, context=tls.ClientTls(ca_cert=old.ca).context())

    def post(number: int) -> None:
        poster.request("POST", "/", "".join(alerts(1, number)))
        assert poster.getresponse().read() == b'{"accepted":1}'

    post(0)
    connection = poster.sock
    grpc_client.reach(1)
    put(new, folder)
    run.signal(signal.SIGHUP)
    until(lambda: accepts(listening, new, client=False), "the source to show its new certificate")
    until(lambda: accepts(port, new, client=True), "the gRPC service to show its new certificate")
    assert not accepts(listening, old, client=False) and not accepts(port, old, client=True)
    post(1)
    assert poster.sock is connection, "the connection was dropped"
    grpc_client.reach(2)
    poster.close()
    run.signal(signal.SIGTERM)
    assert run.process.wait(30) == 0


def test_send_test_covers_the_network_channels(tmp_path: Path) -> None:
    """The endpoint gets the test alert, and so does a gRPC client that has been waiting for the service."""
    got: sinks.CollectSink[Alert] = sinks.CollectSink()
    socket_path = f"unix://{tmp_path}/falco.sock"
    with Endpoint() as endpoint:
        config(
            tmp_path,
            f"http_output: {{enabled: true, url: {endpoint.url}}}\ngrpc: {{enabled: true, bind_address: "
            f"'{socket_path}'}}\ngrpc_output: {{enabled: true}}\n",
        )
        client = Pipeline(sources.grpc(socket_path, retry=QUICK), got).start()
        done = rxalerts("send-test", "-c", "falco.yaml", folder=tmp_path)
        assert done.returncode == 0, done.stderr
        until(lambda: got.items, "the alert at the gRPC client")
        client.stop()
        client.wait()
    said = [line.split()[:2] for line in done.stderr.decode().splitlines() if " delivered in " in line]
    assert said == [["http", "delivered"], ["grpc", "delivered"]]
    assert "This is a test" in endpoint.bodies[0] and got.items[0].rule == "rxalerts test alert"
