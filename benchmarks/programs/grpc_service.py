"""The gRPC sink with subscribers in processes of their own. Usage: LOG COUNT SUBSCRIBERS.

Prints {"per_second": …}, what the slowest subscriber got.
"""

import itertools
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import rxalerts as rxa
from rxalerts import sinks, sources

READER = Path(__file__).parent / "grpc_reader.py"


def main(log: str, count: int, subscribers: int) -> None:
    """Send the first `count` alerts of `log` to every subscriber; none may be lost."""
    alerts = list(itertools.islice(rxa.read(log), count))
    with tempfile.TemporaryDirectory() as folder:
        address = f"unix://{folder}/falco.sock"
        sink = sinks.GrpcSink(address, on_full="block")
        sink.start()
        while not sink.address:
            time.sleep(0.001)
        command = [sys.executable, str(READER), address, str(len(alerts))]
        readers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(subscribers)]
        while len(sink.subscribers) < subscribers:
            time.sleep(0.001)
        report = rxa.run(sources.from_iterable(alerts), rxa.route(to=sink))
        rates = [json.loads(reader.communicate()[0])["per_second"] for reader in readers]
        assert report.lost == 0 and not any(reader.returncode for reader in readers), report
    print(json.dumps({"per_second": min(rates)}))


main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
