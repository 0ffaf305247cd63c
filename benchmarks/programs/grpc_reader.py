"""A subscriber of the gRPC service as a client of Falco is written: grpcio and generated messages.

Usage: ADDRESS COUNT. Prints {"per_second": …} over COUNT alerts.
"""

import json
import sys
import time
from typing import Any

import grpc

from rxalerts.wire.proto.outputs_pb2 import response


def main(address: str, count: int) -> None:
    """Read `count` alerts."""
    with grpc.insecure_channel(address) as channel:
        anything: Any = channel  # grpcio is typed for generated stubs only
        subscribe = anything.stream_stream("/falco.outputs.service/sub", response_deserializer=response.FromString)
        call = subscribe(iter([b""]))
        began = 0.0
        for number, message in enumerate(call, 1):
            began = began or time.perf_counter()
            assert message.rule and message.output_fields
            if number == count:
                break
        print(json.dumps({"per_second": count / (time.perf_counter() - began)}), flush=True)
        call.cancel()


main(sys.argv[1], int(sys.argv[2]))
