"""The sinks, one line each: a class that is imported here answers to its `channel_name` in falco.yaml."""

from rxalerts.sinks.collect import CollectSink as CollectSink
from rxalerts.sinks.file import FileSink as FileSink
from rxalerts.sinks.grpc import GrpcSink as GrpcSink
from rxalerts.sinks.http import HttpSink as HttpSink
from rxalerts.sinks.program import ProgramSink as ProgramSink
from rxalerts.sinks.stdout import StdoutSink as StdoutSink
from rxalerts.sinks.syslog import SyslogSink as SyslogSink
