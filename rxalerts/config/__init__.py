"""falco.yaml as typed settings: any file that Falco accepts, plus one top-level key ``rxalerts:``.

`load_config` reads a file into a `Config`; `read_config` does so without raising, for tools that show
everything that is wrong; `render_example` and `render_docs` make the commented example and the reference from
the sinks' own options.
"""

from rxalerts.config.channel import ChannelConfig
from rxalerts.config.problems import Place, Problem
from rxalerts.config.render import render_docs, render_example
from rxalerts.config.settings import Config, Settings, load_config, read_config

__all__ = [
    "ChannelConfig",
    "Config",
    "Place",
    "Problem",
    "Settings",
    "load_config",
    "read_config",
    "render_docs",
    "render_example",
]
