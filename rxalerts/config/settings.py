"""Reads a whole falco.yaml into typed settings: `load_config` and what it returns."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rxalerts.config import schema
from rxalerts.config.channel import ChannelConfig
from rxalerts.config.channels import ChannelReader
from rxalerts.config.merge import load_tree
from rxalerts.config.nodes import MapNode, ScalarNode
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
    ``files`` are the files that it was made of, ``missing`` the listed ones that were not there.
    """

    path: str
    settings: Settings
    channels: list[ChannelConfig]
    files: list[str] = field(default_factory=list[str])
    missing: list[str] = field(default_factory=list[str])
    problems: tuple[Problem, ...] = ()

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

    Args:
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
            Place(os.fspath(path)),
            "No output configured, please make sure at least one output is configured and enabled: "
            "set e.g. stdout_output.enabled to true",
        )
    return Config(os.fspath(path), settings, channels, loaded.files, loaded.missing, problems.sorted())


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
        log_level=_word(root, "log_level", LOG_LEVELS, "info"),
        log_stderr=_word(root, "log_stderr", _BOOLEANS, "true") in _TRUE,
        log_syslog=_word(root, "log_syslog", _BOOLEANS, "true") in _TRUE,
    )
    if settings.rate and not settings.max_burst:
        problems.error(
            outputs.place_of("max_burst"),
            "outputs.max_burst is 0, which lets no alert through: write 1 or more",
        )
    outputs.warn_unknown()
    queue.warn_unknown(["recovery"])
    return settings


def _word(root: MapNode, key: str, choices: frozenset[str], default: str) -> str:
    """Return a key of Falco's log if it is one of the choices; what else stands there is Falco's affair."""
    node = root.get(key)
    return node.text if isinstance(node, ScalarNode) and node.text in choices else default


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
