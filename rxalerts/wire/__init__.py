"""Bytes to alerts and back: JSON of every Falco era, text lines, the tolerant reader."""
