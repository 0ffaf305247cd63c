"""Packages that import what they hand out when somebody asks for it."""

import subprocess
import sys

import pytest

from rxalerts import lazy, sinks


def fresh(code: str) -> str:
    """Return what a new interpreter prints for `code`."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30).stdout


def test_a_name_is_imported_when_it_is_asked_for() -> None:
    """Asking for one sink loads its module and no other one's."""
    asked = "from rxalerts import sinks; sinks.FileSink; import sys"
    assert fresh(f"{asked}; print('rxalerts.sinks.file' in sys.modules, 'rxalerts.sinks.http' in sys.modules)") == (
        "True False\n"
    )


def test_filtering_by_priority_loads_no_conditions() -> None:
    """The language of conditions is loaded by whoever has one."""
    asked = "from rxalerts import operators; operators.at_least('warning'); import sys"
    assert fresh(f"{asked}; print('rxalerts.operators._condition_parser' in sys.modules)") == "False\n"


def test_a_star_import_has_every_name() -> None:
    """`from … import *` gives what the index lists, and no helper."""
    code = "from rxalerts.sinks import *; print(FileSink.channel_name, GrpcSink.channel_name, 'TYPE_CHECKING' in dir())"
    assert fresh(code) == "file grpc False\n"
    assert "dead_letters" in fresh("from rxalerts.operators import *; print(dir())")


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As in any module, and it names the package."""
    with pytest.raises(AttributeError, match=r"'rxalerts\.sinks' has no attribute 'Nothing'"):
        _ = getattr(sinks, "Nothing")  # noqa: B009 - type checkers know that it is not there
    assert not hasattr(sinks, "_private")


def test_names_are_listed_before_they_are_loaded() -> None:
    """dir() is for people and for completion."""
    find, names = lazy.lazily("rxalerts.sinks")
    assert {"FileSink", "HttpSink", "CollectSink"} <= set(names())
    assert find("FileSink") is sinks.FileSink


def test_a_package_without_its_source_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled files alone are not enough, and the error names the remedy."""

    def nothing(*_: object) -> None:
        return None

    monkeypatch.setattr("importlib.machinery.SourceFileLoader.get_source", nothing)
    with pytest.raises(ImportError, match=r"rxalerts\.sinks: .*install the \.py files"):
        lazy.lazily("rxalerts.sinks")
