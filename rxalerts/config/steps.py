"""What stands between the stream and one channel: keys of a channel that become operators of its route.

Adding one means a line in `STEPS`: the key, the operator of `rxalerts.operators` that it is handed
to, the type of its value and its help.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rxalerts import operators
from rxalerts.config.step_options import Enrich, RateLimit, Redact, Retag, StepOptions, SuppressRepeats, Where
from rxalerts.errors import OptionError, RxAlertsError
from rxalerts.priority import Priority


@dataclass(frozen=True, slots=True)
class Step:
    """One key: the operator's name, the type of the value, one sentence and an example for the docs."""

    operator: str
    kind: Any
    help: str
    example: Any


STEPS: dict[str, Step] = {
    "priority": Step("at_least", Priority, "only alerts of this priority and more urgent ones", "warning"),
    "where": Step(
        "where", str | Where, "only alerts that meet this condition, in Falco's condition syntax", "proc.name = bash"
    ),
    "enrich": Step(
        "enrich",
        Enrich,
        "output fields to add: constants, or rows of a CSV or JSON table",
        {"fields": {"cluster": "prod"}},
    ),
    "retag": Step("retag", Retag, "tags to add, to remove, or to have instead", {"add": ["prod"]}),
    "redact": Step(
        "redact", Redact, "hide fields, or what matches a pattern, in the text too", {"fields": ["evt.arg.data"]}
    ),
    "suppress_repeats": Step(
        "suppress_repeats", SuppressRepeats, "the first of like alerts, then one summary", {"within": 60}
    ),
    "rate_limit": Step(
        "rate_limit", RateLimit, "at most so many alerts; tell how many were withheld", {"rate": 10, "burst": 100}
    ),
}
"""The steps in the order in which a route applies them: a summary holds no text that was to be redacted."""


def available_steps() -> dict[str, Step]:
    """Return the steps whose operators are there."""
    return {key: step for key, step in STEPS.items() if hasattr(operators, step.operator)}


def build_steps(values: Mapping[str, Any]) -> list[Callable[[Any], Any]]:
    """Return the operators for the steps of one channel, in order.

    Raises:
        OptionError: an operator refuses its value.

    >>> len(build_steps({"priority": Priority.WARNING}))
    1
    """
    return [_build(key, values[key]) for key in STEPS if key in values]


def _build(key: str, value: Any) -> Callable[[Any], Any]:
    make: Any = getattr(operators, STEPS[key].operator)
    try:
        built: Callable[[Any], Any] = value.build(make) if isinstance(value, StepOptions) else make(value)
    except (RxAlertsError, ValueError, TypeError) as error:
        raise OptionError(key, str(error)) from error
    return built
