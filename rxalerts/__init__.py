"""Falco security alerts as ReactiveX streams: read, filter, format, deliver."""

from typing import TYPE_CHECKING, Any

from rxalerts._version import __version__ as __version__
from rxalerts.alert import Alert as Alert
from rxalerts.errors import AlertError as AlertError
from rxalerts.errors import ConfigError as ConfigError
from rxalerts.errors import OptionError as OptionError
from rxalerts.errors import RxAlertsError as RxAlertsError
from rxalerts.format import Format as Format
from rxalerts.format import Formatted as Formatted
from rxalerts.pipeline import Pipeline as Pipeline
from rxalerts.pipeline import Report as Report
from rxalerts.pipeline import Route as Route
from rxalerts.pipeline import arun as arun
from rxalerts.pipeline import first_of as first_of
from rxalerts.pipeline import route as route
from rxalerts.pipeline import run as run
from rxalerts.priority import Priority as Priority
from rxalerts.wire import Reader as Reader
from rxalerts.wire import Rejected as Rejected
from rxalerts.wire import parse as parse
from rxalerts.wire import read as read

if TYPE_CHECKING:
    from rxalerts.config import load_config as load_config


def __getattr__(name: str) -> Any:
    """Load what has to do with falco.yaml when somebody asks for it: YAML is not wanted by everyone."""
    if name == "load_config":
        from rxalerts.config import load_config

        return load_config
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
