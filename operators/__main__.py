"""Writes docs/operators.md below the working directory."""

from pathlib import Path

from rxalerts.operators._page import render

if __name__ == "__main__":
    Path("docs/operators.md").write_text(render(), encoding="utf-8")
