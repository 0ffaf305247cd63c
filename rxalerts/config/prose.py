"""The words of the reference and the example that no sink's options can give."""

from typing import Any

GENERAL_HELP: tuple[tuple[str, str, Any, str], ...] = (
    (
        "json_output",
        "true or false",
        False,
        "write alerts as one line of JSON instead of text, on every channel",
    ),
    ("json_include_output_property", "true or false", True, "in JSON: the key output"),
    ("json_include_tags_property", "true or false", True, "in JSON: the key tags"),
    (
        "json_include_message_property",
        "true or false",
        False,
        "in JSON: the key message, output without its prefix",
    ),
    ("json_include_output_fields_property", "true or false", True, "in JSON: the key output_fields"),
    (
        "time_format_iso_8601",
        "true or false",
        False,
        "in text: date and time in UTC instead of the local time",
    ),
    (
        "priority",
        "priority",
        "debug",
        "only alerts of this priority and more urgent ones; Falco's internal ones always pass, as in Falco",
    ),
    (
        "buffered_outputs",
        "true or false",
        None,
        "hold output back in buffers; if not set, files and programs kept open do so, stdout does not",
    ),
    ("outputs.rate", "whole number", 0, "at most so many alerts a second on average; 0: no limit"),
    ("outputs.max_burst", "whole number", 1000, "how many alerts may come at once before the rate applies"),
    (
        "outputs_queue.capacity",
        "whole number",
        0,
        "how many alerts each channel's mailbox holds; 0: its default",
    ),
    ("output_timeout", "milliseconds", 2000, "after so long, one write is reported as blocked"),
    ("config_files", "list", (), "files and folders to merge into this one: a path, or {path, strategy}"),
)
"""Key, type, default and meaning of what concerns all outputs."""

OWN_HELP: tuple[tuple[str, str, Any, str], ...] = (
    ("source", "text", "-", "where alerts come from: - (standard input), a file, tail:FILE, or an address"),
    (
        "spool_dir",
        "text",
        None,
        "folder for what must survive a restart: backlogs of durable channels, dead letters of all",
    ),
    ("include_id", "true or false", False, "in JSON: the key id, which is the same each time an alert is sent"),
)
"""Key, type, default and meaning of the single keys under ``rxalerts:``."""

INTRODUCTION = """\
# falco.yaml

<!-- Written by `python -m rxalerts.config` from the sinks' own options: change them, not this file. -->

`rxalerts` reads any `falco.yaml` from Falco 0.2 to 0.44. The keys of the outputs mean what they mean in
Falco; the keys of its engine (rules, plugins, drivers, metrics, the web server) are left to it, and
`rxalerts check` lists those that it found. What Falco has no key for stands under one top-level key,
`rxalerts:`, of which Falco only warns. A commented file with every key is in
[examples/falco.yaml](../examples/falco.yaml).

Every error of a configuration is shown at once, with file, line, column and what would be right. Unknown keys
are warnings. It is stricter than Falco where Falco guesses: a value that does not fit its key is an error and
not silently the default, and so is a key that stands twice. And it is more lenient once: `keep_alive` takes
every boolean of YAML (`true`, `yes`, `on` …), where Falco takes only `true`. Of a file with several YAML
documents the first is read, as in Falco, with a warning.

**Where a key means something else.** `http_output.keep_alive` keeps the connection; Falco (0.37 and later) keeps
it always, and the key is about TCP's probes: leave out the `false` that its file comes with. `compress_uploads`
really compresses. `grpc_output.enabled` and `grpc.bind_address` are `false` and a socket when they are not given,
in Falco's code `true` and `0.0.0.0:5060`.

**Variables.** `${VAR}` in a value is replaced by the environment variable, as in Falco 0.37 and later: one
that is not set leaves nothing, which is a warning, the replacement is looked at again, `$${VAR}` stands for a
literal `${VAR}` (a shell in `program` then reads it), and a `$` that starts neither form ends the search, so
that `$1` and what follows stay for the shell. In an HTTP `template`, where `${k8s.ns.name}` is an output field,
only variables that are set are replaced. Keys are not replaced, nor are values given with `-o`.

**Overrides.** `-o key=value`, any number of times: `-o json_output=true`,
`-o http_output.url=http://localhost:2801`, `-o 'config_files[]=/etc/falco/more.yaml'`,
`-o 'rxalerts.outputs[0].priority=critical'`, `-o 'file_output={enabled: true, filename: ./events.txt}'`. In
keys, `\\.` `\\[` `\\]` and `\\\\` are literal.
"""

MERGING = """
`config_files` lists files, and folders whose files are read in lexicographic order; paths are relative to
the working directory, and what does not exist is skipped. Only the main file may have it. Top-level keys are
merged, whole, by the entry's `strategy`:

- `append`: lists are joined, everything else is replaced (the default)
- `override`: everything is replaced
- `add-only`: only keys that are not there yet are added

`-o config_files…` is applied before the merge, every other `-o` after it.
"""

FURTHER = """
`rxalerts.channels.<name>` holds further keys of Falco's six channels, and `rxalerts.outputs` is a list of
further channels of any kind. Each entry has `channel` and `name`, the keys of that channel below, and
optionally `enabled`:

```yaml
rxalerts:
  channels:
    file:
      priority: warning
      on_full: drop_lowest
  outputs:
    - channel: file
      name: urgent
      filename: ./urgent.jsonl
      format: json
      priority: critical
```

A `format` that is a map changes single switches: `format: {json: true, include_tags: false}`.
"""
