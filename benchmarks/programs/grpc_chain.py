"""The gRPC source, fed by a gRPC sink in another process. Usage: LOG COUNT.

Prints {"per_second": …}: alerts from the socket into a sink that counts.
"""

import itertools
import json
import subprocess
import sys
import tempfile
import threading
import time

from null_sink import CountingSink

import rxalerts as rxa
from rxalerts import sinks, sources


def send(log: str, count: int, address: str) -> None:
    """Serve the first `count` alerts of `log` to one subscriber."""
    alerts = list(itertools.islice(rxa.read(log), count))
    sink = sinks.GrpcSink(address, on_full="block")
    sink.start()
    while not sink.subscribers:
        time.sleep(0.001)
    rxa.run(sources.from_iterable(alerts), rxa.route(to=sink))


def receive(log: str, count: int) -> None:
    """Count what arrives."""
    with tempfile.TemporaryDirectory() as folder:
        address = f"unix://{folder}/falco.sock"
        sender = subprocess.Popen([sys.executable, __file__, log, str(count), address])
        sink = CountingSink()
        source = sources.grpc(address)
        emitter = source.emitter(sink)
        thread = threading.Thread(target=source.feed, args=(sink, emitter), daemon=True)
        thread.start()
        while not sink.count:
            time.sleep(0.0001)
        began, first = time.perf_counter(), sink.count
        while sink.count < count:
            time.sleep(0.001)
        seconds = time.perf_counter() - began
        emitter.stop()
        sender.wait(30)
    print(json.dumps({"per_second": (count - first) / seconds}))


if len(sys.argv) > 3:
    send(sys.argv[1], int(sys.argv[2]), sys.argv[3])
else:
    receive(sys.argv[1], int(sys.argv[2]))
