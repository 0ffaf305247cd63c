"""Settings for every test: where the tree is, and no silent skips in CI."""

import os
from pathlib import Path
from typing import cast

import pytest
from hypothesis import settings

# No deadline for a single example: the machine may be busy with other things.
settings.register_profile("rxalerts", deadline=None)
settings.load_profile("rxalerts")

ROOT = Path(__file__).resolve().parent.parent

# Set by .ci/run, which installs everything that a test can ask for: a skip is a hole in the installation.
NO_SKIPS = os.environ.get("RXALERTS_NO_SKIPS") == "1"


@pytest.fixture
def root() -> Path:
    """The folder that holds pyproject.toml."""
    return ROOT


def _skips(config: pytest.Config) -> list[str]:
    """Return place and reason of each skipped test and module, once each."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    reports: list[pytest.TestReport] = reporter.stats.get("skipped", []) if reporter is not None else []
    return list(dict.fromkeys(f"{report.nodeid}: {_reason(report.longrepr)}" for report in reports))


def _reason(longrepr: object) -> str:
    """Return the words of a skip: pytest keeps them as (file, line, words) or as something printable."""
    return str(cast(tuple[object, ...], longrepr)[-1] if isinstance(longrepr, tuple) else longrepr)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail the run if anything was skipped where nothing may be."""
    if NO_SKIPS and exitstatus == pytest.ExitCode.OK and _skips(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name what was missing for each skipped test, as an error."""
    skips = _skips(config) if NO_SKIPS else []
    if skips:
        terminalreporter.section("skipped, and RXALERTS_NO_SKIPS=1 says that nothing may be", red=True)
        for line in skips:
            terminalreporter.line(f"NOT RUN {line}", red=True)
