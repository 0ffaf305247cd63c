"""The sinks, one line each: a class that is imported here answers to its `channel_name` in falco.yaml."""

from typing import TYPE_CHECKING

from rxalerts.lazy import lazily as _lazily

if TYPE_CHECKING:  # the index, see rxalerts.lazy
    from rxalerts.sinks.collect import CollectSink as CollectSink
    from rxalerts.sinks.file import FileSink as FileSink
    from rxalerts.sinks.grpc import GrpcSink as GrpcSink
    from rxalerts.sinks.http import HttpSink as HttpSink
    from rxalerts.sinks.program import ProgramSink as ProgramSink
    from rxalerts.sinks.stdout import StdoutSink as StdoutSink
    from rxalerts.sinks.syslog import SyslogSink as SyslogSink

if not TYPE_CHECKING:
    __getattr__, __dir__ = _lazily(__name__)
