"""Speed and memory against targets: `make bench`, or `python -m benchmarks`."""
