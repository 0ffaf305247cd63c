"""Post alerts to an HTTP source in a process of its own, over keep-alive connections.

Usage: LOG OUT REQUESTS PER_REQUEST CONNECTIONS [durable]. Prints {"requests_per_s": …, "alerts_per_s": …}:
until the last answer, all of them 200.
"""

import asyncio
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit


class Client(asyncio.Protocol):
    """One connection that sends the next request when the answer to the one before is there."""

    def __init__(self, requests: Iterator[bytes], done: asyncio.Future[None]) -> None:
        self.requests = requests
        self.done = done
        self.buffer = b""
        self.answers = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.next()

    def next(self) -> None:
        """Send a request, or say that there is none left."""
        request = next(self.requests, None)
        if request is not None:
            self.transport.write(request)
        elif not self.done.done():
            self.done.set_result(None)
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Look at the answer: its head and its short body come together or in pieces."""
        self.buffer += data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        if not head.startswith(b"HTTP/1.1 200"):
            self.done.set_exception(RuntimeError(self.buffer.decode()))
            return
        self.buffer = body[length:]
        self.answers += 1
        self.next()


def _same(client: Client) -> Client:
    return client


async def load(url: str, bodies: list[bytes], connections: int) -> float:
    """Send all bodies and return the seconds."""
    parts = urlsplit(url)
    head = f"POST / HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    requests = iter([head.encode() % len(body) + body for body in bodies])
    loop = asyncio.get_running_loop()
    clients = [Client(requests, loop.create_future()) for _ in range(connections)]
    started = time.perf_counter()
    for client in clients:
        await loop.create_connection(partial(_same, client), str(parts.hostname), parts.port or 80)
    await asyncio.gather(*(client.done for client in clients))
    seconds = time.perf_counter() - started
    assert sum(client.answers for client in clients) == len(bodies)
    return seconds


def main(log: str, out: str, requests: int, per_request: int, connections: int, how: str) -> None:
    """Measure, then see that every alert has arrived in the file."""
    Path(out).unlink(missing_ok=True)
    with open(log, "rb") as file:
        lines = itertools.cycle(file.readlines())
    bodies = [b"".join(itertools.islice(lines, per_request)) for _ in range(requests)]
    program = str(Path(__file__).parent / "http_source.py")
    command = [sys.executable, program, out, how]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        asyncio.run(load(url, bodies[:200], connections))
        seconds = asyncio.run(load(url, bodies, connections))
        said, _ = server.communicate()
    report = json.loads(said)
    sent = (len(bodies) + len(bodies[:200])) * per_request
    assert report == {"read": sent, "lost": 0, "delivered": sent}, (report, sent)
    with open(out, "rb") as file:
        assert sum(1 for _ in file) == sent
    print(json.dumps({"requests_per_s": requests / seconds, "alerts_per_s": requests * per_request / seconds}))


_, _log, _out, _requests, _per_request, _connections, *_how = sys.argv
main(_log, _out, int(_requests), int(_per_request), int(_connections), _how[0] if _how else "plain")
