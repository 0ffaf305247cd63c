"""Falco security alerts as ReactiveX streams: read, filter, format, deliver."""

from typing import TYPE_CHECKING

from rxalerts._version import __version__ as __version__
from rxalerts.alert import Alert as Alert
from rxalerts.errors import AlertError as AlertError
from rxalerts.errors import ConfigError as ConfigError
from rxalerts.errors import MissingPackageError as MissingPackageError
from rxalerts.errors import OptionError as OptionError
from rxalerts.errors import RxAlertsError as RxAlertsError
from rxalerts.errors import SinkError as SinkError
from rxalerts.errors import SourceError as SourceError
from rxalerts.flow.report import Report as Report
from rxalerts.format import Format as Format
from rxalerts.format import Formatted as Formatted
from rxalerts.lazy import lazily as _lazily
from rxalerts.pipeline import Pipeline as Pipeline
from rxalerts.pipeline import arun as arun
from rxalerts.pipeline import run as run
from rxalerts.priority import Priority as Priority
from rxalerts.routes import Route as Route
from rxalerts.routes import first_of as first_of
from rxalerts.routes import route as route
from rxalerts.wire import Reader as Reader
from rxalerts.wire import Rejected as Rejected
from rxalerts.wire import parse as parse
from rxalerts.wire import read as read

if TYPE_CHECKING:  # loaded when somebody asks for it, see rxalerts.lazy
    from rxalerts import operators as operators
    from rxalerts import sinks as sinks
    from rxalerts import sources as sources
    from rxalerts import testing as testing
    from rxalerts.config import load_config as load_config
    from rxalerts.flow.pulling import aiter as aiter
    from rxalerts.notebook.charts import heatmap as heatmap
    from rxalerts.notebook.charts import timeline as timeline
    from rxalerts.notebook.charts import top as top
    from rxalerts.notebook.frame import frame as frame
    from rxalerts.notebook.frame import from_frame as from_frame
    from rxalerts.notebook.live import live as live

if not TYPE_CHECKING:
    __getattr__, __dir__ = _lazily(__name__)
