"""JSON records that collectors make of log lines, with the line or the alert inside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, cast

from rxalerts.timestamps import check_ns, parse_rfc3339
from rxalerts.wire.prefixes import unix_ns

__all__ = ["Content", "contents", "name_of"]

# The key that the content stands behind -> whose record it is. The first one that is there counts. A string is a
# line of a log, an object an alert or again a record, a list several of them.
_KEYS = {
    "log": "a record of Docker, Fluent Bit or Fluentd",
    "MESSAGE": "a record of journald",
    "_source": "a document of Elasticsearch or OpenSearch",
    "hits": "a search result of Elasticsearch or OpenSearch",
    "streams": "a push to Loki",
    "values": "a stream of Loki",
    "line": "a line of Loki",
    "logEvents": "a batch of CloudWatch",
    "events": "an export of events",
    "_raw": "an export of Splunk",
    "jsonPayload": "an entry of Google Cloud Logging",
    "textPayload": "an entry of Google Cloud Logging",
    "full_message": "a message of GELF",
    "short_message": "a message of GELF",
    "message": "a record of Fluentd, Logstash, Filebeat, Vector or CloudWatch",
    "event": "an event of Splunk or of Falcosidekick's UI",
    "Message": "a notification of SNS",
    "body": "a record of OpenTelemetry",
    "resourceLogs": "an export of OpenTelemetry",
    "scopeLogs": "an export of OpenTelemetry",
    "logRecords": "an export of OpenTelemetry",
    "stringValue": "a value of OpenTelemetry",
    "result": "a search result of Splunk or Loki",
    "records": "a batch of records",
    "data": "a CloudEvent or a result of Loki",
}
_TIMES = ("time", "@timestamp", "timestamp", "date", "__REALTIME_TIMESTAMP", "_time", "timeUnixNano", "Timestamp")
_ALERT = ("rule", "output", "priority")
_MAX_DEPTH = 8
# Docker's own records; collectors that cut off the newline add keys of theirs.
_DOCKER = {"log", "stream", "time", "attrs"}


class Content(NamedTuple):
    """Holds what stands inside of a record.

    Arguments:
        body: a line of a log, or an alert's object.
        near: nanoseconds of the record's own time, if it has one.
        stream: what the parts of a split line have in common.
        more: the line goes on in the next record of its stream.
        sure: the record says so; else it is concluded from a missing newline.
    """

    body: bytes | dict[str, Any]
    near: int | None = None
    stream: str = ""
    more: bool = False
    sure: bool = False


def name_of(record: dict[str, Any]) -> str:
    """Return what a record seems to be; empty if it is none that is known."""
    return next((name for key, name in _KEYS.items() if key in record), "")


def contents(record: dict[str, Any], near: int | None = None, depth: int = 0) -> Iterator[Content]:
    """Yield what stands inside of a record; nothing if it is none that is known."""
    key = next((key for key in _KEYS if key in record), None)
    if key is None or depth > _MAX_DEPTH:
        return
    near = _time_of(record) or near
    inner = record[key]
    if isinstance(inner, str) or (key == "MESSAGE" and _is_bytes(inner)):
        body = inner.encode("utf-8", "replace") if isinstance(inner, str) else bytes(inner)
        yield _part(record, body, near)
    else:
        yield from _each(inner, near, depth)


def _each(value: Any, near: int | None, depth: int) -> Iterator[Content]:
    if isinstance(value, dict):
        inner = cast("dict[str, Any]", value)
        if not any(key in inner for key in _ALERT) and name_of(inner):
            yield from contents(inner, near, depth + 1)
        else:
            yield Content(inner, near)
    elif isinstance(value, list):
        items = cast("list[object]", value)
        match items:
            case [str(ns), str(line), *_]:  # Loki's
                yield Content(line.encode("utf-8", "replace"), unix_ns(ns) or near)
                return
            case _:
                pass
        for item in items:
            yield from _each(item, near, depth)
    elif isinstance(value, str):
        yield Content(value.encode("utf-8", "replace"), near)


def _part(record: dict[str, Any], body: bytes, near: int | None) -> Content:
    """Return a record's line, with what is known of its being a part of a longer one."""
    stream = "/".join(
        str(record[key])
        for key in ("stream", "source", "container_id", "CONTAINER_ID", "partial_id")
        if isinstance(record.get(key), str)
    )
    partial = record.get("partial_message", record.get("CONTAINER_PARTIAL_MESSAGE"))
    last = record.get("partial_last", record.get("CONTAINER_PARTIAL_LAST"))
    if partial is not None:
        return Content(body, near, stream, str(partial) == "true" and str(last) != "true", sure=True)
    if "logtag" in record:
        return Content(body, near, stream, record["logtag"] == "P", sure=True)
    return Content(body, near, stream, record.keys() <= _DOCKER and "stream" in record and not body.endswith(b"\n"))


def _is_bytes(value: Any) -> bool:
    return isinstance(value, list) and all(
        type(item) is int and 0 <= item < 256 for item in cast("list[object]", value)
    )


def _time_of(record: dict[str, Any]) -> int | None:
    for key in _TIMES:
        value = record.get(key)
        try:
            if isinstance(value, str):
                return check_ns(ns) if (ns := unix_ns(value)) is not None else parse_rfc3339(value)
            if isinstance(value, int | float) and not isinstance(value, bool):
                # Fluent Bit's and Splunk's seconds have a fraction; a double's digits suffice for the day.
                ns = unix_ns(str(value) if isinstance(value, int) else f"{value:.6f}")
                return None if ns is None else check_ns(ns)
        except (ValueError, OverflowError):
            continue
    return None
