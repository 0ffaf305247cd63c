"""What Falco's own configuration knows, versions 0.2 to 0.44: which keys are used here and which are not.

Nothing here concerns a particular sink's options: those come from the sink's dataclass. The names
below are Falco's, in the spelling of the version that had them.
"""

from typing import Final

CHANNELS: Final = ("file", "stdout", "syslog", "program", "http", "grpc")
"""Falco's channels in its fixed order of delivery, whatever the order in the file."""

SWITCHES: Final = {
    **{channel: (f"{channel}_output.enabled",) for channel in CHANNELS},
    "grpc": ("grpc.enabled", "grpc_output.enabled"),
}
"""The keys that must all be true for a channel to be enabled."""

QUOTED: Final = frozenset({"http_output.url"})
"""Keys from whose values Falco (0.35 and later) strips quotes that are part of the value."""

UNUSED: Final[dict[str, frozenset[str]]] = {"grpc": frozenset({"threadiness"})}
"""Keys of the channels' sections that have no meaning here and are accepted in silence."""

SHIPPED: Final = {
    "file_output.filename": "./events.txt",
    "program_output.program": "jq '{text: .output}' | curl -d @- -X POST https://hooks.slack.com/services/XXX",
    "http_output.url": "http://some.url/some/path/",
}
"""Values that Falco's documentation shows for keys without a default, for the example."""

OWN: Final = "rxalerts"
"""The one top-level key for what Falco has no key for."""

GENERAL: Final = frozenset(
    {
        "json_output",
        "json_include_output_property",
        "json_include_tags_property",
        "json_include_message_property",
        "json_include_output_fields_property",
        "time_format_iso_8601",
        "priority",
        "buffered_outputs",
        "outputs",
        "outputs_queue",
        "output_timeout",
        "config_files",
    }
)
"""Keys that concern the outputs as a whole."""

ENGINE: Final = frozenset(
    {
        "append_output",
        "base_syscalls",
        "buffer_format_base64",
        "capture",
        "container_engines",
        "engine",
        "falco_libs",
        "libs_logger",
        "load_plugins",
        "log_level",
        "log_stderr",
        "log_syslog",
        "metadata_download",
        "metrics",
        "modern_bpf",
        "plugins",
        "plugins_hostinfo",
        "rule_files",
        "rule_matching",
        "rules",
        "rules_file",
        "rules_files",
        "static_fields",
        "syscall_buf_size_preset",
        "syscall_drop_failed_exit",
        "syscall_event_drops",
        "syscall_event_timeouts",
        "watch_config_files",
        "webserver",
    }
)
"""Keys that concern Falco's engine and are accepted in silence, whatever they hold."""

LOG: Final = frozenset({"log_level", "log_stderr", "log_syslog"})
"""Those of them that our own log follows."""

ENABLED: Final = "enabled"


def section_of(channel: str) -> str:
    """Return the name of a channel's section in falco.yaml.

    >>> section_of("file")
    'file_output'
    """
    return f"{channel}_output"


def sections_of(channel: str) -> tuple[str, ...]:
    """Return all sections that belong to a channel.

    >>> sections_of("grpc")
    ('grpc_output', 'grpc')
    """
    others = {switch.partition(".")[0] for switch in SWITCHES.get(channel, ())}
    own = section_of(channel)
    return (own, *sorted(others - {own}))


def known_top_level_keys() -> frozenset[str]:
    """Return every top-level key that causes no warning."""
    sections = {section for channel in CHANNELS for section in sections_of(channel)}
    return GENERAL | ENGINE | sections | {OWN}
