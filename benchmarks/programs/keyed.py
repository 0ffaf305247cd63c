"""What an operator costs per alert, with a condition of four terms and with 20,000 keys.

Prints {"condition": …, "rate_limit": …, …} in microseconds of processor time; the alerts are made beforehand.
"""

import json
import random
import time
from collections.abc import Callable, Sequence

from reactivex import Observable

from rxalerts import Alert
from rxalerts import operators as ops
from rxalerts.sources import from_iterable

KEYS = 20_000
ALERTS = 200_000
FOUR_TERMS = 'priority >= notice and evt.type = execve and proc.name in (sh, bash) and not user.name startswith "svc"'

Operator = Callable[[Observable[Alert]], Observable[Alert]]


def bare() -> Operator:
    """Return an operator that does nothing."""
    return lambda source: source


OPERATORS: dict[str, Callable[[], Operator]] = {
    "bare": bare,
    "rate_limit": lambda: ops.rate_limit(1000, 1, "pod"),
    "suppress_repeats": lambda: ops.suppress_repeats("pod", within=60),
    "tally": lambda: ops.tally(60, "pod"),
    "correlate": lambda: ops.correlate("priority = notice", "priority = warning", by="pod", within=5),
    "absence": lambda: ops.absence("priority = notice", 60, by="pod"),
}


def alerts() -> list[Alert]:
    """Return alerts of 20,000 pods, 2,000 a second, in random order; what a sink reads of them is read."""
    chance = random.Random(7)
    made: list[Alert] = []
    for number in range(ALERTS):
        fields = {"pod": f"pod-{chance.randrange(KEYS)}", "proc.name": "bash", "evt.type": "execve", "user.name": "u"}
        level = "notice" if number % 2 else "warning"
        made.append(Alert("Shell", level, "A shell", fields, time=number * 500_000, hostname="node"))
    return made


def per_alert(items: Sequence[Alert], operator: Operator) -> float:
    """Return the microseconds that an operator takes for each alert, its emissions included."""
    started = time.process_time()
    operator(from_iterable(items)).subscribe(lambda _: None)
    return (time.process_time() - started) / len(items) * 1e6


def condition(items: Sequence[Alert]) -> float:
    """Return the microseconds of one call of a compiled condition."""
    test = ops.compile_condition(FOUR_TERMS).test
    started = time.process_time()
    for item in items:
        test(item)
    return (time.process_time() - started) / len(items) * 1e6


def main() -> None:
    """Measure all of them, each three times: the fastest is the least disturbed by others on the machine."""
    items = alerts()
    figures = {"condition": min(condition(items) for _ in range(3))}
    for name, make in OPERATORS.items():
        figures[name] = min(per_alert(items, make()) for _ in range(3))
    print(json.dumps(figures))


main()
