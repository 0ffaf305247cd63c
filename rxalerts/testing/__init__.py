"""Tools for testing operators, sinks and sources: clock, marbles, conformance checks."""

from rxalerts.testing._clock import VirtualClock as VirtualClock
from rxalerts.testing._clock import VirtualDriver as VirtualDriver
from rxalerts.testing._marbles import COMPLETED as COMPLETED
from rxalerts.testing._marbles import play as play
from rxalerts.testing._operator_rules import check_operator as check_operator
from rxalerts.testing._recording import RecordingSink as RecordingSink
from rxalerts.testing._sink_rules import SinkFactory as SinkFactory
from rxalerts.testing._sink_rules import check_sink as check_sink
from rxalerts.testing._source_rules import check_source as check_source
from rxalerts.testing._waiting import eventually as eventually
