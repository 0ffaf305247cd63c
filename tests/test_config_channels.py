"""Channels from falco.yaml: Falco's six, rxalerts.channels and rxalerts.outputs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxalerts import sinks
from rxalerts.config import ChannelConfig, Config, channels, load_config
from rxalerts.config.registry import options_of, sink_classes
from rxalerts.config.schema import CHANNELS
from rxalerts.config.steps import STEPS
from rxalerts.errors import ConfigError, OptionError
from rxalerts.flow.backoff import Retry
from rxalerts.flow.channel import Channel
from rxalerts.flow.options import option
from rxalerts.flow.overflow import Overflow
from rxalerts.flow.sink import ThreadSink
from rxalerts.format import Format
from rxalerts.priority import Priority
from rxalerts.sinks import FileSink, StdoutSink

FILE = "file_output: {enabled: true, filename: ./events.txt}\n"
STDOUT = "stdout_output: {enabled: true}\n"

pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in an empty folder, so that messages name the file only."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@dataclass(eq=False, repr=False)
class FakeHttp(ThreadSink[Any]):
    """Stand in for any sink that answers to http."""

    channel_name: ClassVar[str] = "http"

    url: str = option(help="where to", falco="url")
    mtls: bool = option(False, "with a client certificate", falco="mtls")
    headers: dict[str, str] = option(help="more headers", factory=dict, kw_only=True)
    token: str = option("", "a secret", secret=True, kw_only=True)
    codes: tuple[int, ...] = option((200,), "what counts as success", kw_only=True)

    def validate(self) -> None:
        """Refuse what no HTTP client understands."""
        if not self.url.startswith("http"):
            raise OptionError("url", f"must begin with http, got {self.url!r}")
        if self.token == "bad":
            raise OptionError("token", f"must not be {self.token!r}")

    def make_channel(self) -> Channel:
        """Fail: a configuration that is only checked must not open anything."""
        raise OSError("opened")


@dataclass(eq=False, repr=False)
class FakeGrpc(ThreadSink[Any]):
    """Stand in for any sink that answers to grpc."""

    channel_name: ClassVar[str] = "grpc"

    bind_address: str = option("unix:///run/x.sock", "where to listen", falco="grpc.bind_address")

    def make_channel(self) -> Channel:
        """Return a channel that takes everything."""
        return Channel()


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have http and grpc answered by the two stand-ins, as one line each in sinks/__init__.py would."""
    monkeypatch.setattr(sinks, "HttpSink", FakeHttp, raising=False)
    monkeypatch.setattr(sinks, "GrpcSink", FakeGrpc, raising=False)


def load(text: str, *options: str) -> Config:
    """Write ``text`` to falco.yaml and load it."""
    Path("falco.yaml").write_text(text)
    return load_config("falco.yaml", options, environment={})


def only(text: str, *options: str) -> ChannelConfig:
    """Load a file with one channel and no warning."""
    config = load(text, *options)
    assert not config.warnings
    (channel,) = config.channels
    return channel


def errors(text: str, *options: str) -> list[str]:
    """Load what must fail and return the lines of the error."""
    with pytest.raises(ConfigError) as caught:
        load(text, *options)
    return str(caught.value).splitlines()


def test_the_file_channel_of_the_documentation() -> None:
    """The example of the user's document gives a FileSink with its three keys."""
    channel = only("file_output:\n  enabled: true\n  keep_alive: false\n  filename: ./events.txt\n")
    assert (channel.name, channel.channel) == ("file", "file")
    sink = channel.build()
    assert isinstance(sink, FileSink)
    assert (sink.filename, sink.keep_alive, sink.format) == ("./events.txt", False, Format())


@pytest.mark.parametrize("text", ["true", "True", "yes", "on", "Y", "'true'"])
def test_keep_alive_takes_every_boolean(text: str) -> None:
    """Falco takes only the exact text ``true`` and all else as false; here every YAML boolean counts."""
    assert only(FILE.replace("}", f", keep_alive: {text}}}")).options["keep_alive"] is True
    assert "write true or false" in errors(FILE.replace("}", ", keep_alive: 1}"))[0]


def test_channels_come_in_falcos_order_then_the_outputs(fakes: None) -> None:
    """file, stdout, syslog, program, http, grpc, whatever the order in the file; then the further ones."""
    text = """\
rxalerts: {outputs: [{channel: stdout, name: z}, {channel: file, name: a, filename: x}]}
grpc: {enabled: true}
grpc_output: {enabled: true}
http_output: {enabled: true, url: http://h}
stdout_output: {enabled: true}
file_output: {enabled: true, filename: y}
"""
    assert [channel.name for channel in load(text).channels] == ["file", "stdout", "http", "grpc", "z", "a"]


def test_general_settings_reach_every_sink() -> None:
    """json_output, the queue's capacity, the timeout and the buffering become options of the sinks."""
    text = "json_output: true\njson_include_tags_property: false\n"
    text += "outputs_queue: {capacity: 7}\noutput_timeout: 500\n"
    first, second = load(STDOUT + FILE + text + "buffered_outputs: false\n").channels
    for channel in (first, second):
        sink = channel.build()
        assert sink.format == Format(json=True, include_tags=False)
        assert (sink.capacity, sink.output_timeout) == (7, 0.5)
    assert first.options["unbuffered"] is True and second.options["buffered"] is False
    assert "unbuffered" not in load(FILE).channels[0].options
    assert load(FILE + "buffered_outputs: true").channels[0].options["unbuffered"] is False


def test_further_keys_of_a_channel() -> None:
    """rxalerts.channels.<name> holds all options of the sink, and wins over the general ones."""
    text = """\
json_output: true
time_format_iso_8601: true
outputs_queue: {capacity: 7}
rxalerts:
  channels:
    file:
      format: text
      capacity: 99
      on_full: drop_lowest
      retry: {initial: 1, maximum: 60, attempts: 5}
      rotate_bytes: 1000000
      fsync: yes
"""
    sink = only(FILE + text).build()
    assert isinstance(sink, FileSink)
    assert sink.format == Format(json=False, iso8601=True) and sink.on_full is Overflow.DROP_LOWEST
    assert sink.retry == Retry(1, 60, 5) and (sink.capacity, sink.rotate_bytes, sink.fsync) == (
        99,
        1000000,
        True,
    )


def test_a_format_that_is_a_map_changes_single_switches() -> None:
    """The switches that are not named stay as the general keys say."""
    text = "json_output: true\njson_include_tags_property: false\n"
    own = "rxalerts: {channels: {stdout: {format: {style: classic, include_output: false}}}}\n"
    channel = only(STDOUT + text + own)
    assert channel.options["format"] == Format(
        json=True, style="classic", include_tags=False, include_output=False
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            "{format: xml}",
            "format is the value 'xml': write text, json, or a map of json, style, include_output",
        ),
        ("{format: {style: new}}", "format style is 'new': write one of falco, classic"),
        ("{format: {jsn: true}}", "format has no key 'jsn'; did you mean 'json'? known are json, style"),
        ("{capacity: 0}", "stdout: capacity: must be 1 or more, got 0"),
        ("{capacity: lots}", "rxalerts.channels.stdout.capacity is 'lots': write a whole number"),
        ("{on_full: explode}", "stdout: on_full: must be one of block, drop_newest"),
        ("{on_full: [block]}", "rxalerts.channels.stdout.on_full is a list: write one of block, drop_newest"),
        ("{retry: 5}", "rxalerts.channels.stdout.retry is the value '5': write a map of initial, maximum"),
        ("{retry: {initial: 0}}", "rxalerts.channels.stdout.retry retry needs 0 < initial <= maximum"),
        ("{retry: {first: 0}}", "rxalerts.channels.stdout.retry has no key 'first'"),
        ("{priority: hot}", "rxalerts.channels.stdout.priority is 'hot': unknown priority 'hot'"),
        ("[a]", "rxalerts.channels.stdout is a list: write a map"),
    ],
)
def test_wrong_options_are_errors_with_their_place(options: str, message: str) -> None:
    """What the types or the sink refuse is shown at the key's place, with what would be right."""
    (found,) = errors(STDOUT + f"rxalerts:\n  channels:\n    stdout: {options}\n")
    assert found.startswith("falco.yaml:4:") and message in found


def test_all_errors_of_a_channel_are_shown_at_once() -> None:
    """What the types refuse, what the sink refuses and what the operators refuse, each once and at its place."""
    text = "rxalerts:\n  outputs:\n    - channel: syslog\n      name: s\n"
    for line in ("facility: nope", "address: tpc://x", "format: xml", "where: 'rule ='", "rate_limit: {rate: -1}"):
        text += f"      {line}\n"
    found = errors(STDOUT + text)
    lines = [each.split(":")[1] for each in found if each.startswith("falco.yaml:")]
    assert lines == ["6", "7", "8", "9", "10"]


def test_a_missing_filename_is_refused_in_falcos_words() -> None:
    """Both a missing and an empty key, with the key to set; and further errors beside it."""
    for text in ("{enabled: true}", "{enabled: true, filename: }", "{enabled: true, filename: ''}"):
        (found,) = errors(f"file_output: {text}\n")
        assert found.startswith(
            "falco.yaml:1:14: error: Error reading config file (falco.yaml): file output enabled but no "
            "filename in configuration block; set file_output.filename"
        )
    assert len(errors("file_output: {enabled: true, keep_alive: 3}\njson_output: 3\n")) == 3


def test_an_option_given_twice_must_be_the_same() -> None:
    """A sink's key may stand in either section; two different values contradict each other."""
    own = "rxalerts: {channels: {file: {filename: %s}}}\n"
    assert only("file_output: {enabled: true}\n" + own % "a").options["filename"] == "a"
    assert only(FILE + own % "./events.txt").options["filename"] == "./events.txt"
    assert errors(FILE + own % "other") == [
        "falco.yaml:2:40: error: rxalerts.channels.file.filename contradicts file_output.filename at "
        "falco.yaml:1:40: write it once"
    ]


def test_keys_in_the_wrong_section_are_named() -> None:
    """A sink's further key in Falco's section is not used, and the warning says where it belongs."""
    config = load(
        FILE.replace("}", ", rotate_bytes: 5}") + "rxalerts: {channels: {stdout: {buffered: true}}}\n"
    )
    assert [problem.message for problem in config.warnings] == [
        "file_output.rotate_bytes is no key of Falco's and is ignored: move it to rxalerts.channels.file",
        "rxalerts.channels.stdout has no effect: stdout_output.enabled is not true",
    ]
    assert "rotate_bytes" not in config.channels[0].options
    unknown = load(FILE + "rxalerts: {channels: {file: {rotate_byte: 5}}}\n").warnings
    assert [problem.message for problem in unknown] == [
        "unknown key 'rxalerts.channels.file.rotate_byte' is ignored; did you mean 'rotate_bytes'?"
    ]


def test_channels_that_do_not_exist_are_errors() -> None:
    """A misspelt channel, or one that Falco has not, says where it belongs."""
    own = STDOUT + "rxalerts: {channels: {%s: {capacity: 5}}}\n"
    assert (
        "rxalerts.channels.sdtout is none of Falco's channels; did you mean 'stdout'?"
        in errors(own % "sdtout")[0]
    )
    assert (
        "is none of Falco's channels; a further channel goes into rxalerts.outputs"
        in errors(own % "collect")[0]
    )


def test_further_outputs() -> None:
    """Each entry of rxalerts.outputs is a channel of its own, with every option by the sink's name for it."""
    text = """\
json_output: true
rxalerts:
  outputs:
    - channel: file
      name: urgent
      filename: ./urgent.jsonl
      keep_alive: true
      capacity: 5
    - {channel: file, name: all, filename: ./all.txt, format: text}
    - {channel: stdout, name: off, enabled: false}
"""
    config = load(text)
    assert not config.warnings
    urgent, everything = (channel.build() for channel in config.channels)
    assert isinstance(urgent, FileSink) and isinstance(everything, FileSink)
    assert (urgent.name, urgent.filename, urgent.keep_alive, urgent.capacity) == (
        "urgent",
        "./urgent.jsonl",
        True,
        5,
    )
    assert urgent.format == Format(json=True) and everything.format == Format()


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ("{channel: file}", "rxalerts.outputs is a map: write a list of maps with channel and name"),
        ("[file]", "rxalerts.outputs[0] is the value 'file': write a map with channel and name"),
        ("[{name: a}]", "rxalerts.outputs[0].channel is missing: write one of"),
        (
            "[{channel: fil, name: a}]",
            "rxalerts.outputs[0].channel is 'fil'; did you mean 'file'?: write one of",
        ),
        ("[{channel: stdout}]", "rxalerts.outputs[0].name is missing: reports need it"),
        ("[{channel: file, name: a}]", "rxalerts.outputs[0].filename is missing: the file to append to"),
        (
            "[{channel: stdout, name: stdout}]",
            "the name 'stdout' is taken by the stdout channel at falco.yaml:1:16",
        ),
        ("[{channel: stdout, name: a, stream: x, capacity: x}]", "rxalerts.outputs[0].capacity is 'x'"),
    ],
)
def test_wrong_outputs_are_errors(outputs: str, message: str) -> None:
    """What is missing or wrong in an entry is shown with its number and place."""
    (found,) = errors(STDOUT + f"rxalerts: {{outputs: {outputs}}}\n")
    assert message in found and found.startswith("falco.yaml:2:")


def test_overrides_reach_channels() -> None:
    """``-o`` adds channels and further outputs, and names itself as the place of an error."""
    config = load(
        STDOUT,
        "file_output={enabled: true, filename: a}",
        "file_output.keep_alive=true",
        "rxalerts.outputs[]={channel: file, name: more, filename: b}",
        "rxalerts.outputs[0].capacity=9",
    )
    assert [channel.name for channel in config.channels] == ["file", "stdout", "more"]
    assert config.channels[0].options["keep_alive"] is True and config.channels[2].options["capacity"] == 9
    assert errors(STDOUT, "rxalerts.channels.stdout.capacity=0") == [
        "-o rxalerts.channels.stdout.capacity: error: stdout: capacity: must be 1 or more, got 0"
    ]


def test_equal_configurations_have_equal_channels() -> None:
    """A reload sees which channels changed: places do not count, options and general settings do."""
    before = load(STDOUT + FILE).channels
    assert load("# moved\n" + FILE + STDOUT).channels == before
    assert load(STDOUT + FILE, "json_output=true").channels != before
    after = load(STDOUT + FILE, "file_output.keep_alive=true").channels
    assert [old == new for old, new in zip(before, after, strict=True)] == [False, True]


def test_each_build_gives_a_new_sink() -> None:
    """Building twice gives two sinks that share nothing that can change."""
    channel = only(STDOUT)
    one, other = channel.build(), channel.build()
    assert isinstance(one, StdoutSink) and one is not other


@pytest.mark.parametrize("channel", [name for name in CHANNELS if name not in ("file", "stdout")])
def test_a_channel_without_a_sink_is_an_error(channel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no sink answers to a channel's name, enabling it says so, and disabled it is left alone."""
    others = {name: sink for name, sink in sink_classes().items() if name != channel}
    monkeypatch.setattr(channels, "sink_classes", lambda: others)
    switches = {"grpc": "grpc: {enabled: true}\ngrpc_output: {enabled: true}\n"}
    text = switches.get(channel, f"{channel}_output: {{enabled: true, any: thing}}\n")
    (found,) = errors(text)
    assert f"there is no {channel} channel in this version of rxalerts: set {channel}" in found
    assert not load(STDOUT + text.replace("true", "false")).warnings


def test_a_sink_that_is_exported_just_works(fakes: None) -> None:
    """Falco's keys, further options and their types come from the dataclass; nothing is opened."""
    text = """\
http_output: {enabled: true, url: http://h/, mtls: true}
rxalerts: {channels: {http: {headers: {X-A: b}, codes: [200, 204], token: hush}}}
"""
    channel = only(text)
    assert channel.options["url"] == "http://h/" and channel.options["mtls"] is True
    assert channel.options["headers"] == {"X-A": "b"} and channel.options["codes"] == (200, 204)
    assert channel.shown()["token"] == "***"
    assert "http: url: must begin with http, got 'ftp'" in errors(text.replace("http://h/", "ftp"))[0]
    assert only("http_output: {enabled: true, url: \"'http://q/'\"}\n").options["url"] == "http://q/"
    assert (
        "http output enabled but no url in configuration block" in errors("http_output: {enabled: true}\n")[0]
    )


def test_secrets_are_in_no_message(fakes: None) -> None:
    """A wrong secret is reported by its key only, from the file and from ``-o``."""
    text = "http_output: {enabled: true, url: http://h}\n"
    own = "rxalerts: {channels: {http: {token: %s}}}\n"
    for found in (
        errors(text + own % "bad"),
        errors(text + own % "[hush]"),
        errors(text, "rxalerts.channels.http.token=bad"),
    ):
        assert len(found) == 1 and "which is not shown here" in found[0]
        assert "hush" not in found[0] and "'bad'" not in found[0] and "=bad" not in found[0]


def test_grpc_needs_both_switches(fakes: None) -> None:
    """As the user's document says: one switch alone does nothing, and that is said."""
    for text, missing in (
        ("grpc: {enabled: true}\n", "grpc.enabled has no effect without grpc_output.enabled"),
        ("grpc_output: {enabled: true}\n", "grpc_output.enabled has no effect without grpc.enabled"),
    ):
        config = load(STDOUT + text)
        assert [channel.name for channel in config.channels] == ["stdout"]
        assert missing in config.warnings[0].message
    both = "grpc: {enabled: true, bind_address: 'unix:///x', threadiness: 8}\ngrpc_output: {enabled: true}\n"
    assert only(both).options["bind_address"] == "unix:///x"


def test_steps_become_operators(monkeypatch: pytest.MonkeyPatch) -> None:
    """``priority`` of a channel is handed to ``at_least``; every key of a step has its operator."""
    from rxalerts import operators

    got: list[Any] = []
    monkeypatch.setattr(operators, "at_least", got.append, raising=False)
    channel = only(STDOUT + "rxalerts: {channels: {stdout: {priority: warning}}}\n")
    assert channel.steps == {"priority": Priority.WARNING} and len(channel.operators()) == 1
    assert got[-1] is Priority.WARNING
    assert [step.operator for step in STEPS.values() if not hasattr(operators, step.operator)] == []


def test_every_exported_sink_documents_its_options() -> None:
    """Each option that a file can hold has a help text, because docs and example are made of them."""
    for sink in sink_classes().values():
        assert all(item.help for item in options_of(sink)), sink


_OPTIONS = st.sampled_from(
    sorted({item.name for sink in sink_classes().values() for item in options_of(sink)})
)
_SCALARS = st.sampled_from("true 0 -1 5 1e400 text json block error '' ~ .5 {initial: 1} [a] x".split())


@given(
    st.dictionaries(_OPTIONS | st.just("where"), _SCALARS, max_size=5),
    st.sampled_from(sorted(sink_classes())),
)
def test_no_options_make_loading_raise(options: dict[str, str], channel: str) -> None:
    """Whatever the options of whatever sink: a configuration, or ConfigError that names the place."""
    text = "".join(f"      {key}: {value}\n" for key, value in options.items() if key != "name")
    entry = f"    - channel: {channel}\n      name: further\n{text}"
    try:
        config = load(STDOUT + f"rxalerts:\n  outputs:\n{entry}")
    except ConfigError as error:
        assert "falco.yaml:" in str(error)
    else:
        assert [item.name for item in config.channels] == ["stdout", "further"]
