"""The alert: the value that every stream carries.

Its ``output_fields`` stay raw bytes until somebody asks for them or for JSON: many alerts are filtered out
before.
"""

# An alert lends its slots to other alerts and to its module's functions:
# pyright: reportPrivateUsage=false

from __future__ import annotations

import re
import time as clock
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from typing import Any, Literal, cast

import msgspec
from msgspec import UNSET

from rxalerts import arguments, format, jsonvalues
from rxalerts.display import html_of
from rxalerts.format import JSON, cached_format
from rxalerts.priority import LABELS, Priority
from rxalerts.record import DEMAND, Record, decode_record, edit_output, make_output, strip_prefix
from rxalerts.timestamps import format_rfc3339, parse_rfc3339

__all__ = ["Alert"]

# What `Alert.id` looks like.
_ID = re.compile("[0-9a-f]{24}")


class Alert:
    """Holds one Falco alert; immutable.

    Arguments:
        rule: name of the rule that raised it.
        priority: a name in any case, a number (0 is the most urgent) or a `Priority`.
        message: the rule's output, without time and priority (default: the rule's name).
        output_fields: values of the fields in the output, by name; JSON types, copied.
        output: the whole text line (default: ``<local time>: <Priority> <message>``; of an alert whose source
            is ``internal`` the message alone, as in Falco).
        time: nanoseconds since the epoch or RFC 3339 text (default: now).
        source: where the event came from.
        tags: the rule's tags.
        hostname: the machine that raised it (default: the environment's ``FALCO_HOSTNAME``, else this
            machine's).
        extra: further top-level JSON keys.

    Raises:
        AlertError: a value is wrong; it names the key.

    An alert that was read has ``""`` where ``rule``, ``source`` or ``hostname`` were missing, and writes no
    such key.

    >>> alert = Alert("Write below etc", "error", "File opened (user=root)", {"user.name": "root"})
    >>> alert.priority, alert.output_fields["user.name"]
    (<Priority.ERROR: 3>, 'root')
    >>> alert.priority <= Priority.WARNING
    True
    """

    __slots__ = ("_extra", "_fields", "_kept", "_line", "_memo", "_ns", "_priority", "_shape")

    _kept: Record | None  # None: it is what the line says
    _priority: Priority
    _ns: int | None  # the time, as soon as somebody has asked for it
    _fields: bytes | msgspec.Raw | None  # the output_fields as they were read
    _line: bytes | None  # the JSON line that was read, if the record says the same
    _shape: Callable[[bytes], object] | None  # matches the rule's lines in Falco's form, if it was known by then
    _extra: dict[str, Any] | None
    _memo: tuple[int, bytes | None] | None  # the last rendering, behind the key of its format; None: the line

    _repr_html_ = html_of

    def __init__(
        self,
        rule: str,
        priority: str | int | Priority = Priority.NOTICE,
        message: str = "",
        output_fields: Mapping[str, Any] | None = None,
        *,
        output: str | None = None,
        time: int | str | None = None,
        source: str = "syscall",
        tags: Iterable[str] = (),
        hostname: str | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        self._priority = arguments.priority(priority)
        self._ns = arguments.time_ns(clock.time_ns() if time is None else time)
        record = self._kept = Record(
            hostname=arguments.string("hostname", arguments.default_hostname() if hostname is None else hostname),
            output_fields=cast("msgspec.Raw", arguments.mapping("output_fields", output_fields)),
            priority=LABELS[self._priority],
            rule=arguments.string("rule", rule),
            source=arguments.string("source", source),
            tags=arguments.tags(tags),
            time=format_rfc3339(self.time_ns),
        )
        self._fields = self._line = self._memo = self._shape = None
        self._extra = arguments.extra_keys(extra)
        message = arguments.string("message", message) or rule
        if output is None:
            record.output = make_output(source, self.time_ns, record.priority, message)
        else:
            record.output = arguments.string("output", output)
        self._keep_message(message)

    @classmethod
    def _make(
        cls,
        record: Record,
        priority: Priority,
        time_ns: int,
        fields: bytes | None,
        extra: dict[str, Any] | None,
    ) -> Alert:
        """Return an alert around a record whose values are known to be right."""
        alert = cls.__new__(cls)
        alert._kept = record
        alert._priority = priority
        alert._ns = time_ns
        alert._fields = fields
        alert._extra = extra
        alert._line = alert._memo = alert._shape = None
        return alert

    @property
    def _record(self) -> Record:
        """Return what the alert is made of; of one that was read as a line it may have to be made first."""
        record = self._kept
        if record is None:
            DEMAND.asked += 1
            record = decode_record(cast("bytes", self._line))
            if record.output_fields is not UNSET:
                self._fields = record.output_fields
                record.output_fields = UNSET
            self._kept = record
        return record

    @property
    def rule(self) -> str:
        """Return the name of the rule; ``""`` when it is not known, as in most text alerts."""
        return _or_empty(self._record.rule)

    @property
    def priority(self) -> Priority:
        """Return the rule's priority."""
        return self._priority

    @property
    def time_ns(self) -> int:
        """Return the time of the event in nanoseconds since the epoch."""
        ns = self._ns
        if ns is None:
            ns = self._ns = parse_rfc3339(self._record.time)
        return ns

    @property
    def time(self) -> str:
        """Return the time of the event as RFC 3339: UTC, 9 digits, ``Z``."""
        return self._record.time

    @property
    def source(self) -> str:
        """Return where the event came from, such as ``syscall``; ``""`` when it is not known."""
        return _or_empty(self._record.source)

    @property
    def hostname(self) -> str:
        """Return the machine's name; ``""`` when it is not known."""
        return _or_empty(self._record.hostname)

    @property
    def tags(self) -> tuple[str, ...]:
        """Return the rule's tags."""
        tags = self._record.tags
        return tags if isinstance(tags, tuple) else ()

    @property
    def output(self) -> str:
        """Return the whole line of text; put together from the other values if it was not read."""
        record = self._record
        if isinstance(record.output, str):
            return record.output
        body = _or_empty(record.message) or self.rule
        return make_output(record.source, self.time_ns, LABELS[self._priority], body)

    @property
    def message(self) -> str:
        """Return the text without the time and the priority in front."""
        message = self._record.message
        return message if isinstance(message, str) else strip_prefix(self.output)

    @property
    def output_fields(self) -> dict[str, Any]:
        """Return the values of the fields in the output by name: the alert's own dict, not to be changed."""
        fields = cast("object", self._loaded().output_fields)
        return cast("dict[str, Any]", fields) if isinstance(fields, dict) else {}

    @property
    def extra(self) -> dict[str, Any]:
        """Return the top-level JSON keys that no other property stands for. Not to be changed."""
        extra = self._extra or {}
        return extra if self._record.uuid is UNSET else {**extra, "uuid": self._record.uuid}

    @property
    def id(self) -> str:
        """Return 24 hexadecimal digits that stand for the alert's content, the same in every process.

        An alert that was read with such an ``id``, as `Format` writes it with `include_id`, keeps it.
        """
        carried = self._extra.get("id") if self._extra else None
        if isinstance(carried, str) and _ID.fullmatch(carried):
            return carried
        return blake2b(JSON.render(self), digest_size=12).hexdigest()

    def to_json(
        self,
        *,
        style: Literal["falco", "classic"] = "falco",
        include_output: bool = True,
        include_tags: bool = True,
        include_message: bool = False,
        include_output_fields: bool = True,
        iso8601: bool = False,
    ) -> str:
        """Return the alert as Falco's one-line JSON; `rxalerts.format.Format` explains the switches.

        >>> Alert("r", "error", "m", output="m", time=0, hostname="h").to_json(style="classic")[-53:]
        '1970-01-01T00:00:00.000000000Z", "output_fields": {}}'
        """
        form = cached_format(True, style, include_output, include_tags, include_message, include_output_fields, iso8601)
        return form.render(self).decode()

    def to_text(self, *, iso8601: bool = False) -> str:
        """Return the alert as Falco's line of text; `rxalerts.format.escape` says what is escaped, and why.

        >>> Alert("r", "error", "m", time=0).to_text(iso8601=True)
        '1970-01-01T00:00:00.000000000+0000: Error m'
        """
        return cached_format(False, iso8601=iso8601).render(self).decode()

    def replace(self, **changes: Any) -> Alert:
        """Return a new alert with some values changed.

        Arguments:
            changes: values by the names that the constructor has. The output follows a new message, priority
                or time, unless a new output is given too; and the message follows a new output.

        Raises:
            AlertError: a value is wrong.
            TypeError: an alert has no such value.

        >>> Alert("r", "error", "m", time=0, output="m").replace(priority="debug", message="n").output
        'n'
        """
        unknown = changes.keys() - arguments.NAMES
        if unknown:
            names = ", ".join(sorted(arguments.NAMES))
            raise TypeError(f"an alert has no {', '.join(sorted(unknown))}; it has {names}")
        record = msgspec.structs.replace(self._record)
        alert = Alert._make(record, self._priority, self.time_ns, self._fields, self._extra)
        for key in ("rule", "source", "hostname"):
            if key in changes:
                setattr(record, key, arguments.string(key, changes[key]))
        if "tags" in changes:
            record.tags = arguments.tags(changes["tags"])
        if "output_fields" in changes:
            record.output_fields = cast("msgspec.Raw", arguments.mapping("output_fields", changes["output_fields"]))
            alert._fields = None
        if "extra" in changes:
            record.uuid = UNSET
            alert._extra = arguments.extra_keys(changes["extra"])
        if "priority" in changes:
            alert._priority = arguments.priority(changes["priority"])
            record.priority = LABELS[alert._priority]
        if "time" in changes:
            alert._ns = arguments.time_ns(changes["time"])
            record.time = format_rfc3339(alert.time_ns)
        alert._set_texts(self, changes)
        return alert

    def _set_texts(self, old: Alert, changes: Mapping[str, Any]) -> None:
        record = self._record
        message = arguments.string("message", changes["message"]) if "message" in changes else None
        if "output" in changes:
            record.output = arguments.string("output", changes["output"])
            record.message = UNSET
        elif message is not None or (isinstance(record.output, str) and changes.keys() & {"priority", "time"}):
            moment = self.time_ns if "time" in changes else None
            record.output = edit_output(old.output, moment, LABELS[self._priority], message)
        if message is not None:
            had_message = isinstance(record.message, str)
            record.message = UNSET
            self._keep_message(message, always=had_message)

    def _keep_message(self, message: str, always: bool = False) -> None:
        """Keep the message as a value of its own if it cannot be told from the output."""
        if always or message != self.message:
            self._record.message = message

    def _loaded(self) -> Record:
        """Return the record with its output_fields decoded."""
        record = self._record
        if record.output_fields is UNSET and self._fields is not None:
            record.output_fields = jsonvalues.decode(self._fields)
        return record

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Alert):
            return NotImplemented
        return self is other or (
            self.time_ns == other.time_ns
            and self._priority == other._priority
            and self.rule == other.rule
            and self.output == other.output
            and self.message == other.message
            and self.source == other.source
            and self.hostname == other.hostname
            and self.tags == other.tags
            # As JSON: 1 is not True there, and the deepest nesting cannot overflow the stack.
            and jsonvalues.encode(self.output_fields) == jsonvalues.encode(other.output_fields)
            and jsonvalues.encode(self.extra) == jsonvalues.encode(other.extra)
        )

    def __hash__(self) -> int:
        return hash((self.time_ns, self._priority, self.rule, self.output))

    def __repr__(self) -> str:
        message = self.message
        shown = message if len(message) <= 60 else message[:59] + "…"
        return f"Alert({self.rule!r}, {LABELS[self._priority]!r}, {shown!r}, time={self.time!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        record = self._record
        fields = None if self._fields is None else bytes(self._fields)
        return (Alert._make, (record, self._priority, self.time_ns, fields, self._extra))


def _or_empty(value: object) -> str:
    return value if isinstance(value, str) else ""


# `Formatted` has an alert, and an alert is rendered by what makes a `Formatted`: only here both are known to those who
# look at annotations at run time, as documentation and editors do.
setattr(format, "Alert", Alert)  # noqa: B010 - type checkers know it
