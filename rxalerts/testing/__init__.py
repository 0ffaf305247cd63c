"""Tools for testing operators, sinks and sources: clock, marbles, conformance checks."""
