"""Alerts that the program raises about itself, in the form of Falco's internal ones."""

from __future__ import annotations

from typing import Any

from rxalerts.alert import Alert
from rxalerts.jsonvalues import encode
from rxalerts.wire import parse

RESTART_FAILED = "Falco internal: hot restart failure"


def internal(rule: str, priority: str, message: str, fields: dict[str, Any] | None = None) -> Alert:
    """Return an internal alert: source `internal`, no tags, the message alone as its output (Falco 0.35).

    >>> internal("Falco internal: x", "critical", "Falco internal: x: y").to_text()[20:]
    'Critical Falco internal: x: y ()'
    """
    made = Alert(rule, priority, message, fields or {}, source="internal")
    body = {
        "hostname": made.hostname,
        "output": message,
        "output_fields": fields or {},
        "priority": str(made.priority),
        "rule": rule,
        "source": "internal",
        "time": made.time,
    }
    # Read back from JSON, so that it has no tags, rather than none of them.
    return parse(encode(body))


def restart_failed(reason: str) -> Alert:
    """Return the alert that a reload has failed and the old configuration goes on."""
    return internal(RESTART_FAILED, "critical", f"{RESTART_FAILED}: {reason}")
