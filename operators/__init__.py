"""Operators over streams of alerts, one file per family."""
