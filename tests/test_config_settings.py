"""A whole falco.yaml as typed settings: general keys, warnings, errors, and that nothing else is raised."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxalerts.config import Config, load_config, read_config
from rxalerts.errors import ConfigError
from rxalerts.format import Format
from rxalerts.priority import Priority

STDOUT = "stdout_output: {enabled: true}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in an empty folder, so that messages name the file only."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(text: str, *options: str, **environment: str) -> Config:
    """Write ``text`` to falco.yaml and load it."""
    Path("falco.yaml").write_text(text)
    return load_config("falco.yaml", options, environment=environment)


def warnings(text: str, *options: str, **environment: str) -> list[str]:
    """Load ``text`` and return its warnings."""
    return [str(problem) for problem in load(text, *options, **environment).warnings]


def errors(text: str, *options: str) -> list[str]:
    """Load what must fail and return the lines of the error."""
    with pytest.raises(ConfigError) as caught:
        load(text, *options)
    return str(caught.value).splitlines()


pytestmark = pytest.mark.usefixtures("folder")


def test_defaults_are_falcos() -> None:
    """A file that only enables stdout has Falco's defaults everywhere."""
    config = load(STDOUT)
    settings = config.settings
    assert settings.format == Format() and settings.priority is Priority.DEBUG
    assert settings.buffered_outputs is None and (settings.rate, settings.max_burst) == (0, 1000)
    assert (settings.capacity, settings.output_timeout) == (0, 2.0)
    assert (settings.source, settings.spool_dir) == ("-", None)
    assert config.files == ["falco.yaml"] and config.problems == ()


def test_general_keys_are_read() -> None:
    """Every key that concerns all outputs reaches the settings, in the units of the library."""
    text = """\
json_output: yes
json_include_output_property: No
json_include_tags_property: OFF
json_include_message_property: true
json_include_output_fields_property: n
time_format_iso_8601: "true"
priority: INFO
buffered_outputs: false
outputs: {rate: 5, max_burst: 0x10}
outputs_queue: {capacity: 100, recovery: continue}
output_timeout: 500
rxalerts: {source: "tail:/var/log/falco.json", spool_dir: /var/lib/rxalerts}
"""
    settings = load(STDOUT + text).settings
    assert settings.format == Format(
        json=True,
        include_output=False,
        include_tags=False,
        include_message=True,
        include_output_fields=False,
        iso8601=True,
    )
    assert settings.priority is Priority.INFORMATIONAL and settings.buffered_outputs is False
    assert (settings.rate, settings.max_burst, settings.capacity, settings.output_timeout) == (
        5,
        16,
        100,
        0.5,
    )
    assert settings.source == "tail:/var/log/falco.json" and settings.spool_dir == "/var/lib/rxalerts"


def test_overrides_and_variables_reach_the_settings() -> None:
    """``-o`` wins over the file, and ``${VAR}`` takes the wanted type."""
    settings = load(
        STDOUT + "json_output: ${JSON}\noutput_timeout: '${MS}'\n", "priority=error", JSON="true", MS="7"
    )
    assert settings.settings.format.json and settings.settings.output_timeout == 0.007
    assert settings.settings.priority is Priority.ERROR


def test_a_variable_without_a_value_means_the_default_and_warns() -> None:
    """Falco falls back in silence; here the variable is named."""
    for value in ("${NOPE}", "'${NOPE}'"):
        config = load(STDOUT + f"output_timeout: {value}\n")
        assert config.settings.output_timeout == 2.0
        assert [str(problem) for problem in config.warnings] == [
            "falco.yaml:2:17: warning: output_timeout: the variable NOPE is not set, so the default is used"
        ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("json_output: maybe", "falco.yaml:2:14: error: json_output is 'maybe': write true or false"),
        ("json_output: 1", "falco.yaml:2:14: error: json_output is '1': write true or false"),
        ("json_output: [true]", "falco.yaml:2:14: error: json_output is a list: write true or false"),
        ("output_timeout: 2s", "falco.yaml:2:17: error: output_timeout is '2s': write a whole number"),
        (
            "output_timeout: -1",
            "falco.yaml:2:17: error: output_timeout is -1: write a number from 1 to 4294967295",
        ),
        ("outputs: [1]", "falco.yaml:2:10: error: outputs is a list: write a map, as in 'key: value'"),
        ("outputs: {rate: x}", "falco.yaml:2:17: error: outputs.rate is 'x': write a whole number"),
        ("outputs: {rate: 1, max_burst: 0}", "falco.yaml:2:31: error: outputs.max_burst is 0, which lets no"),
        ("outputs_queue: {capacity: many}", "falco.yaml:2:27: error: outputs_queue.capacity is 'many'"),
        (
            "priority: urgent",
            "falco.yaml:2:11: error: priority is 'urgent': unknown priority 'urgent': must be one of",
        ),
        ("rxalerts: yes", "falco.yaml:2:11: error: rxalerts is the value 'yes': write a map"),
        ("rxalerts: {source: [a]}", "falco.yaml:2:20: error: rxalerts.source is a list: write a text"),
        ("file_output: [a]", "falco.yaml:2:14: error: file_output is a list: write a map"),
        (
            "file_output: {enabled: 2}",
            "falco.yaml:2:24: error: file_output.enabled is '2': write true or false",
        ),
    ],
)
def test_wrong_values_are_errors_with_their_place(text: str, message: str) -> None:
    """File, line, column, the key, what stands there and what would be right."""
    found = errors(STDOUT + text + "\n")
    assert len(found) == 1 and found[0].startswith(message)


def test_all_errors_of_a_file_are_shown_at_once() -> None:
    """Errors of different keys come together, sorted by place, overrides last."""
    found = errors("priority: urgent\nfile_output:\n  enabled: true\njson_output: 7\n", "output_timeout=x")
    assert [line.partition(": error: ")[0] for line in found] == [
        "falco.yaml:1:11",
        "falco.yaml:3:3",
        "falco.yaml:4:14",
        "-o output_timeout",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "jsn_output: true",
            "falco.yaml:2:1: warning: unknown key 'jsn_output' is ignored; did you mean 'json_output'?",
        ),
        ("zzz: true", "falco.yaml:2:1: warning: unknown key 'zzz' is ignored"),
        (
            "outputs: {rates: 1}",
            "falco.yaml:2:11: warning: unknown key 'outputs.rates' is ignored; did you mean 'rate'?",
        ),
        (
            "rxalerts: {sorce: x}",
            "falco.yaml:2:12: warning: unknown key 'rxalerts.sorce' is ignored; did you mean 'source'?",
        ),
        (
            "file_output: {enabled: false, filenam: x}",
            "falco.yaml:2:31: warning: unknown key 'file_output.filenam' is ignored; "
            "did you mean 'filename'?",
        ),
    ],
)
def test_unknown_keys_warn_with_what_was_probably_meant(text: str, message: str) -> None:
    """A misspelt key does not stop anything, but is never swallowed."""
    assert warnings(STDOUT + text + "\n") == [message]


def test_keys_of_falcos_engine_are_accepted_in_silence() -> None:
    """A file with everything that concerns the engine gives no warning, whatever those keys hold."""
    text = """\
config_files: [/nonexistent/config.d]
watch_config_files: true
rules_files: [/etc/falco/falco_rules.yaml, /etc/falco/rules.d]
rules: [{disable: {rule: "*"}}]
engine: {kind: modern_ebpf, modern_ebpf: {cpus_for_each_buffer: 2}}
load_plugins: []
plugins: [{name: json, library_path: libjson.so}]
append_output: [{match: {source: syscall}, extra_output: x}, {suggested_output: true}]
static_fields: {a: b}
rule_matching: first
webserver: {enabled: true, listen_port: 8765}
log_stderr: true
log_syslog: true
log_level: info
libs_logger: {enabled: true, severity: info}
syscall_event_drops: {threshold: .1, actions: [log, alert], rate: .03333, max_burst: 1}
syscall_event_timeouts: {max_consecutives: 1000}
metrics: {enabled: false, interval: 1h}
base_syscalls: {custom_set: [], repair: false}
falco_libs: {thread_table_size: 262144}
container_engines: {docker: {enabled: true}}
buffer_format_base64: false
syslog_output: {enabled: false}
program_output: {enabled: false, keep_alive: false, program: "mail -s x"}
http_output: {enabled: false, url: "", user_agent: falcosecurity/falco, mtls: false, echo: false}
grpc: {enabled: false, bind_address: "unix:///run/falco/falco.sock", threadiness: 0}
grpc_output: {enabled: false}
"""
    assert warnings(STDOUT + text) == []


def test_what_falco_would_act_on_and_we_do_not_is_told() -> None:
    """Wrong values for the log, which stop Falco, and the recovery of Falco 0.36.0: warnings with the remedy."""
    assert warnings(STDOUT + "log_level: INFO\noutputs_queue: {recovery: empty}\nlog_stderr: [x]\n") == [
        "falco.yaml:2:12: warning: log_level is the value 'INFO', so info is used: write 'info'",
        "falco.yaml:3:27: warning: outputs_queue.recovery (Falco 0.36.0) is ignored: each channel's on_full says "
        "what a full mailbox does",
        "falco.yaml:4:13: warning: log_stderr is a list, so true is used: write 'true'",
    ]
    assert load(STDOUT + "metrics: {enabled: true}\nappend_output: []\nlog_level: info\n").left_to_falco == [
        "append_output",
        "metrics",
    ]


def test_no_channel_enabled_is_an_error_in_falcos_words() -> None:
    """The message is Falco's, with what to set."""
    assert errors("stdout_output: {enabled: false}\n") == [
        "falco.yaml:1:1: error: No output configured, please make sure at least one output is configured and "
        "enabled: set e.g. stdout_output.enabled to true"
    ]
    assert len(errors("# empty\n")) == 1


def test_files_that_cannot_be_used_are_config_errors() -> None:
    """A missing file, a folder and broken YAML raise ConfigError with the path and nothing else."""
    for path, words in (("none.yaml", "cannot be read"), (".", "is a directory")):
        with pytest.raises(ConfigError, match=words) as caught:
            load_config(path)
        assert len(str(caught.value).splitlines()) == 1
    assert len(errors("a: 'x")) == 1


def test_included_files_and_missing_ones_are_listed() -> None:
    """The files that made the configuration are known, for those who watch them."""
    Path("more.yaml").write_text("json_output: true\n")
    config = load(STDOUT + "config_files: [more.yaml, none.yaml]\n")
    assert config.files == ["falco.yaml", "more.yaml"] and config.missing == ["none.yaml"]
    assert config.settings.format.json


def test_read_config_returns_what_could_be_read_with_its_errors() -> None:
    """For tools that show everything: the errors are in the result, and the good channels too."""
    Path("falco.yaml").write_text(STDOUT + "json_output: maybe\n")
    config = read_config("falco.yaml")
    assert [channel.name for channel in config.channels] == ["stdout"]
    assert len(config.errors) == 1 and config.warnings == ()


_KEYS = st.sampled_from(
    "json_output priority outputs rate file_output stdout_output grpc grpc_output enabled filename "
    "keep_alive rxalerts channels channel name file stdout format retry initial attempts on_full capacity "
    "where config_files path strategy source rotate_bytes".split()
)
_VALUES = st.sampled_from(
    "true yes json error 0 -1 7 1e3 block '${A}' ${A} ~ file x '' none.yaml unix:///x".split()
)


def _flow(children: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    maps = st.dictionaries(_KEYS, children, max_size=4).map(
        lambda entries: "{" + ", ".join(f"{key}: {value}" for key, value in entries.items()) + "}"
    )
    return maps | st.lists(children, max_size=3).map(lambda items: "[" + ", ".join(items) + "]")


_FILES = st.dictionaries(_KEYS, st.recursive(_VALUES, _flow, max_leaves=12), max_size=6).map(
    lambda entries: "".join(f"{key}: {value}\n" for key, value in entries.items())
)


@given(_FILES | st.text(max_size=60), st.lists(st.text(max_size=20) | _FILES, max_size=2))
def test_nothing_but_config_error_is_raised(text: str, options: list[str]) -> None:
    """Whatever the file and the overrides: a configuration with a channel, or ConfigError."""
    Path("falco.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        config = load_config("falco.yaml", options, environment={"A": "${B}"})
    except ConfigError as error:
        assert str(error)
    else:
        assert config.channels and not config.errors
