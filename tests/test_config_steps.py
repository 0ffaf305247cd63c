"""where, enrich, retag, redact, suppress_repeats and rate_limit as keys of channels and outputs."""

from __future__ import annotations

from pathlib import Path

import pytest
import reactivex

from rxalerts.alert import Alert
from rxalerts.config import ChannelConfig, load_config
from rxalerts.errors import ConfigError
from tests.support.operating import at, rules

pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in an empty folder, so that messages name the file only."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def channel(keys: str, under: str = "channels") -> ChannelConfig:
    """Load a stdout channel, or a further output, with these keys; there must be no warning."""
    where = f"channels: {{stdout: {{{keys}}}}}"
    if under == "outputs":
        where = f"outputs: [{{channel: stdout, name: more, {keys}}}]"
    Path("falco.yaml").write_text(f"stdout_output: {{enabled: true}}\nrxalerts: {{{where}}}\n")
    config = load_config("falco.yaml", environment={})
    assert not config.warnings
    return config.channels[-1]


def through(keys: str, *alerts: Alert, under: str = "channels") -> list[Alert]:
    """Send alerts through what the keys become."""
    got: list[Alert] = []
    reactivex.from_iterable(alerts).pipe(*channel(keys, under).operators()).subscribe(got.append)
    return got


@pytest.mark.parametrize("under", ["channels", "outputs"])
def test_every_key_becomes_an_operator(under: str) -> None:
    """All of them together, in the order priority, where, enrich, retag, redact, suppress_repeats, rate_limit."""
    keys = (
        "priority: notice, where: 'proc.name = sh', enrich: {fields: {cluster: prod}}, retag: {add: [eu]},"
        " redact: {fields: [pw]},"
        " suppress_repeats: {within: 10, key: cluster}, rate_limit: {rate: 1, burst: 1}"
    )
    shell = at(0, "shell", message="pw=hunter2 typed", **{"proc.name": "sh", "pw": "hunter2"})
    got = through(keys, at(0, "x"), shell, shell, shell.replace(time=11 * 10**9), under=under)
    assert rules(got) == ["shell", "repeats", "shell"]
    assert got[0].tags == ("eu",)
    assert got[0].output_fields == {"proc.name": "sh", "pw": "[redacted]", "cluster": "prod"}
    assert "hunter2" not in got[1].to_json() and got[1].output_fields["rxalerts.key"] == "prod"


def test_enrich_reads_its_table_when_the_file_is_loaded() -> None:
    """A table that is not there is an error of the configuration, not of the running stream."""
    Path("owners.csv").write_text("k8s.ns.name,team\nweb,blue\n")
    (got,) = through("enrich: {table: owners.csv, by: k8s.ns.name}", at(0, **{"k8s.ns.name": "web"}))
    assert got.output_fields["team"] == "blue"
    with pytest.raises(ConfigError, match=r"falco.yaml:2:\d+: error: stdout: enrich: .*missing.csv"):
        channel("enrich: {table: missing.csv, by: k8s.ns.name}")


def test_where_can_name_lists_and_macros() -> None:
    """As a map: the condition, and what it names."""
    keys = "where: {condition: 'shell', lists: {names: [sh, bash]}, macros: {shell: proc.name in (names)}}"
    assert rules(through(keys, at(0, "x"), at(1, "y", **{"proc.name": "sh"}))) == ["y"]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("where: 'priority >= eror'", "column 13"),
        ("where: {condition: shell}", "shell"),
        ("rate_limit: {burst: 3}", "rate=0.0"),
        ("rate_limit: {rate: 1, brst: 3}", "did you mean"),
        ("suppress_repeats: {within: -1}", "within"),
        ("suppress_repeats: {spare: very}", "spare"),
        ("redact: {}", "give fields, a pattern"),
        ("redact: {pattern: '('}", "redact"),
        ("enrich: {}", "nothing to add"),
    ],
)
def test_wrong_values_are_errors_with_their_place(keys: str, words: str) -> None:
    """The operator's own words, behind file, line and column of the key."""
    with pytest.raises(ConfigError, match=r"falco.yaml:2:\d+") as caught:
        channel(keys)
    assert words in str(caught.value)


def test_steps_are_shown_as_they_are_written() -> None:
    """`rxalerts check` shows what differs from the defaults."""
    shown = channel("rate_limit: {rate: 2, key: [rule, hostname], spare: critical}, suppress_repeats: {}").shown()
    assert str(shown["rate_limit"]) == "{rate: 2.0, key: [rule, hostname], spare: critical}"
    assert str(shown["suppress_repeats"]) == "{}"


def test_equal_steps_make_equal_channels() -> None:
    """A reload leaves a channel alone whose steps have not changed."""
    keys = "rate_limit: {rate: 2}, enrich: {fields: {a: 1}}"
    assert channel(keys) == channel(keys)
    assert channel(keys) != channel("rate_limit: {rate: 3}, enrich: {fields: {a: 1}}")
