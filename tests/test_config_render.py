"""The commented example and the reference are what the sinks' options say."""

import re
from pathlib import Path

import pytest

from rxalerts.config import load_config, render_docs, render_example
from rxalerts.config.registry import options_of, sink_classes
from rxalerts.config.steps import STEPS

AGAIN = "is not up to date: run `python -m rxalerts.config` in the project's folder"


def test_the_example_is_up_to_date(root: Path) -> None:
    """examples/falco.yaml holds every option of every sink as it is now."""
    assert (root / "examples/falco.yaml").read_text(encoding="utf-8") == render_example(), (
        f"the example {AGAIN}"
    )


def test_the_reference_is_up_to_date(root: Path) -> None:
    """docs/configuration.md holds every option of every sink as it is now."""
    assert (root / "docs/configuration.md").read_text(encoding="utf-8") == render_docs(), (
        f"the reference {AGAIN}"
    )


def test_the_example_loads_without_a_warning(root: Path) -> None:
    """Only stdout is enabled, and there is nothing to complain about."""
    config = load_config(root / "examples/falco.yaml", environment={})
    assert [channel.name for channel in config.channels] == ["stdout"]
    assert not config.warnings


def test_the_commented_defaults_of_the_example_are_right(tmp_path: Path, root: Path) -> None:
    """Every commented key can be used as it stands, in its place."""
    text = (root / "examples/falco.yaml").read_text(encoding="utf-8")
    before, own, after = text.partition("\n  channels:\n")
    used, _, _ = after.partition("\n  # Further channels")
    lines = [line for line in used.splitlines() if not re.match(r"      # where: ", line)]
    # Some helps begin with a word and a colon too.
    known = {item.name for sink in sink_classes().values() for item in options_of(sink)} | STEPS.keys()
    keys = "|".join(sorted(known))
    uncommented = [re.sub(rf"^      # ((?:{keys}): )", r"      \1", line) for line in lines]
    path = tmp_path / "falco.yaml"
    path.write_text(before.replace("enabled: false", "enabled: true") + own + "\n".join(uncommented) + "\n")
    config = load_config(path, environment={})
    assert not config.warnings
    for channel in config.channels:
        sink = sink_classes()[channel.channel]
        defaults = {
            item.name: item.default for item in options_of(sink) if not item.required and not item.falco
        }
        built = channel.build()
        assert built.capacity == defaults["capacity"] and built.retry == defaults["retry"]


def test_the_yaml_of_the_reference_loads(tmp_path: Path) -> None:
    """The snippet in the reference is a configuration that works."""
    (snippet,) = re.findall(r"```yaml\n(.*?)```", render_docs(), re.DOTALL)
    path = tmp_path / "falco.yaml"
    path.write_text("file_output: {enabled: true, filename: ./events.txt}\n" + snippet)
    config = load_config(path, environment={})
    assert [channel.name for channel in config.channels] == ["file", "urgent"] and not config.warnings


@pytest.mark.parametrize("channel", sorted(sink_classes()))
def test_every_option_is_in_the_reference(channel: str) -> None:
    """The tables name each option of each sink."""
    reference = render_docs()
    assert all(f"`{item.name}`" in reference for item in options_of(sink_classes()[channel]))
