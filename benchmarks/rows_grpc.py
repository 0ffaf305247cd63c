"""The gRPC service to one and to five subscribers, and the gRPC source."""

import statistics

from benchmarks.measure import run
from benchmarks.registry import Bench, row
from benchmarks.rows_road import the_log


def rate(bench: Bench, program: str, *arguments: object) -> float:
    """Return the median of several runs, in alerts per second."""
    command = bench.program(program, the_log(bench), *arguments)
    return statistics.median(run(command).json()["per_second"] for _ in range(bench.repetitions))


@row("gRPC sink → one subscriber in another process (grpcio)", "alerts/s", at_least=10_000)
def one_subscriber(bench: Bench) -> float:
    """The subscriber is Python, and what it can take is what is measured."""
    return rate(bench, "grpc_service", bench.count // 4, 1)


@row("the same to five subscribers in five processes, each", "alerts/s", at_least=5_000)
def five_subscribers(bench: Bench) -> float:
    """The slowest of them."""
    return rate(bench, "grpc_service", bench.count // 8, 5)


@row("gRPC sink → gRPC source in another process", "alerts/s", at_least=5_000)
def source(bench: Bench) -> float:
    """Decoded to alerts, into a sink that renders and counts them."""
    return rate(bench, "grpc_chain", bench.count // 4)
