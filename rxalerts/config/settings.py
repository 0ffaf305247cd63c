"""Reads a whole falco.yaml into typed settings: `load_config` and what it returns."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rxalerts.config import schema
from rxalerts.config.channel import ChannelConfig
from rxalerts.config.channels import ChannelReader
from rxalerts.config.merge import load_tree
from rxalerts.config.nodes import MapNode, ScalarNode, kind_of
from rxalerts.config.problems import Place, Problem, Problems
from rxalerts.config.section import Section
from rxalerts.format import Format
from rxalerts.priority import Priority

_UINT32 = 2**32 - 1
_INT64 = 2**63 - 1

LOG_LEVELS = frozenset(
    {"emergency", "alert", "critical", "error", "warning", "notice", "info", "informational", "debug"}
)
"""What Falco's ``log_level`` can be."""
_TRUE = frozenset({"true", "yes", "on", "y", "True", "Yes", "On", "TRUE", "YES", "ON", "Y"})
_BOOLEANS = _TRUE | {"false", "no", "off", "n", "False", "No", "Off", "FALSE", "NO", "OFF", "N"}


@dataclass(frozen=True, slots=True)
class Settings:
    """The keys that concern all outputs.

    ``buffered_outputs`` is None when the file does not say: each channel then does as Falco's documentation
    says. ``rate`` 0 means no limit, ``capacity`` 0 the sinks' default; ``output_timeout`` is in seconds. The keys
    of the log are taken where they make sense, and otherwise passed over: they are meant for Falco's own.
    """

    format: Format = field(default_factory=Format)
    priority: Priority = Priority.DEBUG
    buffered_outputs: bool | None = None
    rate: int = 0
    max_burst: int = 1000
    capacity: int = 0
    output_timeout: float = 2.0
    source: str = "-"
    spool_dir: str | None = None
    log_level: str = "info"
    log_stderr: bool = True
    log_syslog: bool = True

    def sink_defaults(self) -> dict[str, Any]:
        """Return what every sink gets for an option of that name, unless its section says otherwise."""
        defaults: dict[str, Any] = {"format": self.format, "output_timeout": self.output_timeout}
        if self.capacity:
            defaults["capacity"] = self.capacity
        if self.buffered_outputs is not None:
            defaults |= {"buffered": self.buffered_outputs, "unbuffered": not self.buffered_outputs}
        if self.spool_dir is not None:
            # Whoever names a folder for what must survive wants the dead letters there too.
            defaults |= {"spool_dir": self.spool_dir, "dead_store": True}
        return defaults


@dataclass(slots=True)
class Config:
    """A configuration that was read.

    ``channels`` holds the enabled ones: file, stdout, syslog, program, http, grpc, then the further outputs.
    ``files`` are the files that it was made of, ``missing`` the listed ones that were not there;
    ``left_to_falco`` are the keys in them that only its engine acts on. ``source_place`` is where the source stands,
    ``variables`` are the environment's that it was made with.
    """

    path: str
    settings: Settings
    channels: list[ChannelConfig]
    files: list[str] = field(default_factory=list[str])
    missing: list[str] = field(default_factory=list[str])
    problems: tuple[Problem, ...] = ()
    left_to_falco: list[str] = field(default_factory=list[str])
    source_place: Place | None = None
    variables: dict[str, str] = field(default_factory=dict[str, str], repr=False)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The problems that do not forbid to use it, sorted by place."""
        return tuple(problem for problem in self.problems if problem.level == "warning")

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that forbid to use it; always empty in what `load_config` returns."""
        return tuple(problem for problem in self.problems if problem.level == "error")


def load_config(
    path: str | os.PathLike[str],
    overrides: Sequence[str] = (),
    *,
    environment: Mapping[str, str] | None = None,
) -> Config:
    """Read a falco.yaml of any Falco version from 0.2 to 0.44, with its included files.

    Arguments:
        path: the file.
        overrides: what ``-o`` says, e.g. ``["json_output=true", "http_output.url=http://localhost"]``.
        environment: the variables for ``${VAR}``; the process's own by default.

    Raises:
        ConfigError: the file cannot be used; the message has one line for each error, with file, line, column
            and what would be right.

    >>> import tempfile
    >>> from pathlib import Path
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name, "falco.yaml")
    >>> _ = path.write_text("stdout_output: {enabled: true}")
    >>> config = load_config(path, ["file_output={enabled: true, filename: ./events.txt}"])
    >>> [channel.name for channel in config.channels]
    ['file', 'stdout']
    >>> folder.cleanup()
    """
    config = read_config(path, overrides, environment=environment)
    Problems(list(config.problems), [problem.place.file for problem in config.problems]).raise_errors()
    return config


def read_config(
    path: str | os.PathLike[str],
    overrides: Sequence[str] = (),
    *,
    environment: Mapping[str, str] | None = None,
) -> Config:
    """Do as `load_config`, but return what could be read, with its errors in ``problems``; never raises."""
    problems = Problems()
    loaded = load_tree(path, overrides, problems, environment)
    settings = _settings(loaded.root, problems)
    own = Section.of(loaded.root, schema.OWN, problems)
    reader = ChannelReader(loaded.root, os.fspath(path), settings.sink_defaults(), problems)
    channels = reader.read(own)
    own.warn_unknown(("source", "spool_dir", "include_id", "channels", "outputs"))
    Section(loaded.root, "", problems).warn_unknown(schema.known_top_level_keys())
    if not channels and not problems.errors:
        problems.error(
            loaded.root.place,
            "No output configured, please make sure at least one output is configured and enabled: "
            "set e.g. stdout_output.enabled to true",
        )
    left = sorted(loaded.root.entries.keys() & (schema.ENGINE - schema.LOG))
    return Config(
        os.fspath(path),
        settings,
        channels,
        loaded.files,
        loaded.missing,
        problems.sorted(),
        left,
        own.place_of("source"),
        loaded.used,
    )


def _settings(root: MapNode, problems: Problems) -> Settings:
    top = Section(root, "", problems)
    outputs = Section.of(root, "outputs", problems)
    queue = Section.of(root, "outputs_queue", problems)
    own = Section.of(root, schema.OWN, problems)
    settings = Settings(
        format=_format(top, own),
        priority=top.read("priority", Priority, Priority.DEBUG),
        buffered_outputs=top.read("buffered_outputs", bool, None),
        rate=outputs.integer("rate", 0, 0, _UINT32),
        max_burst=outputs.integer("max_burst", 1000, 0, _UINT32),
        capacity=queue.integer("capacity", 0, 0, _INT64),
        output_timeout=top.integer("output_timeout", 2000, 1, _UINT32) / 1000,
        source=own.read("source", str, "-"),
        spool_dir=own.read("spool_dir", str, None),
        log_level=_word(root, "log_level", LOG_LEVELS, "info", problems),
        log_stderr=_word(root, "log_stderr", _BOOLEANS, "true", problems) in _TRUE,
        log_syslog=_word(root, "log_syslog", _BOOLEANS, "true", problems) in _TRUE,
    )
    if settings.rate and not settings.max_burst:
        problems.error(
            outputs.place_of("max_burst"),
            "outputs.max_burst is 0, which lets no alert through: write 1 or more",
        )
    outputs.warn_unknown()
    if queue.get("recovery") is not None:
        problems.warn(
            queue.place_of("recovery"),
            "outputs_queue.recovery (Falco 0.36.0) is ignored: each channel's on_full says what a full mailbox does",
        )
    queue.warn_unknown()
    return settings


def _word(root: MapNode, key: str, choices: frozenset[str], default: str, problems: Problems) -> str:
    """Return a key of Falco's log if it is one of the choices; anything else stops Falco, but not the alerts."""
    node = root.get(key)
    if node is None or (isinstance(node, ScalarNode) and node.text in choices):
        return node.text if isinstance(node, ScalarNode) else default
    near = node.text.lower() if isinstance(node, ScalarNode) and node.text.lower() in choices else default
    problems.warn(node.place, f"{key} is {kind_of(node)}, so {default} is used: write {near!r}")
    return default


def _format(top: Section, own: Section) -> Format:
    def switch(key: str, default: bool) -> bool:
        value: bool = top.read(key, bool, default)
        return value

    return replace(
        Format(),
        json=switch("json_output", False),
        include_output=switch("json_include_output_property", True),
        include_tags=switch("json_include_tags_property", True),
        include_message=switch("json_include_message_property", False),
        include_output_fields=switch("json_include_output_fields_property", True),
        iso8601=switch("time_format_iso_8601", False),
        include_id=own.read("include_id", bool, False),
    )
