"""Falco security alerts as ReactiveX streams: read, filter, format, deliver."""
