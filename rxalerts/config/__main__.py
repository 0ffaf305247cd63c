"""Writes examples/falco.yaml and docs/configuration.md below the working directory."""

from pathlib import Path

from rxalerts.config.render import render_docs, render_example

if __name__ == "__main__":
    Path("examples/falco.yaml").write_text(render_example(), encoding="utf-8")
    Path("docs/configuration.md").write_text(render_docs(), encoding="utf-8")
