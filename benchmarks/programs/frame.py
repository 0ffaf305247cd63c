"""Make a table of logs: frame.py ROWS LOG...; they are read as often as it takes for so many rows."""

import sys
from collections.abc import Iterator
from itertools import chain, islice

import rxalerts
from rxalerts import Alert


def alerts(logs: list[str]) -> Iterator[Alert]:
    """Yield the alerts of logs again and again, each at a time of its own."""
    number = 0
    while True:
        for alert in chain.from_iterable(map(rxalerts.read, logs)):
            number += 1
            yield alert.replace(time=alert.time_ns + number)


def main() -> None:
    """Make the table and look at it."""
    rows = int(sys.argv[1])
    table = rxalerts.frame(islice(alerts(sys.argv[2:]), rows))
    assert table.height == rows, table.height
    print(f'{{"mbytes": {table.estimated_size() / 1e6}, "columns": {table.width}}}')


if __name__ == "__main__":
    main()
