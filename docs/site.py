"""What the site has beyond the files in docs/: the reference of the Python modules, and the files that pages link to.

A hook of MkDocs, see mkdocs.yml. Links in the pages are right in the source tree; those that leave docs/ are
rewritten here to copies in the site.
"""

from __future__ import annotations

import importlib
import inspect
import os
import posixpath
import re
import textwrap
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent

# A page for each module, or for several: their public names.
PAGES = {
    "api/rxalerts.md": ("rxalerts",),
    "api/sources.md": ("rxalerts.sources",),
    "api/operators.md": ("rxalerts.operators",),
    "api/sinks.md": ("rxalerts.sinks",),
    "api/testing.md": ("rxalerts.testing",),
    "api/errors.md": ("rxalerts.errors",),
    "api/flow.md": tuple(f"rxalerts.flow.{name}" for name in ("channel", "sink", "actor", "backoff", "stats")),
}
LINK = re.compile(r"(\]\(|^\[[^\]]+\]: )([^)#:\s]+)((?:#[^)\s]*)?)", re.MULTILINE)
# Not on pages that stand in the source tree alone.
COMMENT = re.compile(r"^<!-- snippet: \w+ -->\n\n?", re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the reference, and what is linked to from outside of docs/."""
    for name, modules in PAGES.items():
        text = "\n".join(_module(importlib.import_module(each)) for each in modules)
        files.append(File.generated(config, name, content=text))
    wanted = {ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "examples/README.md"}
    for page in (ROOT / "docs").rglob("*.md"):
        wanted |= {path for path in _targets(page) if not path.is_relative_to(ROOT / "docs") and path.is_file()}
    for path in sorted(wanted - {ROOT / "README.md"}):
        files.append(File.generated(config, _in_site(path), content=path.read_bytes()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links that leave docs/ to the copies, and leave out the marks of the snippets."""
    uri = page.file.src_uri
    if uri in PAGES:
        return markdown
    origin = ROOT / "docs" / uri
    if not origin.exists():
        origin = ROOT / uri

    def moved(match: re.Match[str]) -> str:
        target = Path(os.path.normpath(origin.parent / match[2]))
        if not target.is_file():
            return match[0]
        return match[1] + posixpath.relpath(_in_site(target), posixpath.dirname(uri) or ".") + match[3]

    return COMMENT.sub("", LINK.sub(moved, markdown))


def _targets(page: Path) -> Iterator[Path]:
    for match in LINK.finditer(page.read_text()):
        yield Path(os.path.normpath(page.parent / match[2]))


def _in_site(path: Path) -> str:
    """Return where a file of the tree is in the site."""
    if path == ROOT / "README.md":
        return "index.md"
    docs = ROOT / "docs"
    return (path.relative_to(docs) if path.is_relative_to(docs) else path.relative_to(ROOT)).as_posix()


# -- the reference ------------------------------------------------------------------------------------------


def _module(module: ModuleType) -> str:
    parts = [f"# {module.__name__}\n\n{_prose(inspect.getdoc(module) or '')}\n"]
    parts += [_entry(name, value) for name, value in _public(module)]
    return "\n".join(parts)


def _public(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Yield classes and functions: what a package hands on, or what a plain module defines."""
    package = hasattr(module, "__path__")
    for name in dir(module):
        value = getattr(module, name)
        if name.startswith("_") or not (inspect.isclass(value) or inspect.isroutine(value)):
            continue
        home = value.__module__
        if home.startswith("rxalerts.") if package else home == module.__name__:
            yield name, value


def _entry(name: str, value: Any) -> str:
    if not inspect.isclass(value):
        return f"## {name}\n\n```\n{_call(name, value)}\n```\n\n{_prose(inspect.getdoc(value) or '')}\n"
    lines = [f"## {name}\n\n```\n{_call(f'class {name}', value)}\n```\n\n{_prose(inspect.getdoc(value) or '')}\n"]
    if is_dataclass(value):
        lines.append(_options(value))
    members = [(each, member) for each, member in vars(value).items() if not each.startswith("_")]
    methods = [(each, _plain(member)) for each, member in members if inspect.isroutine(_plain(member))]
    values = [(each, member) for each, member in members if isinstance(member, property)]
    if any(member.__doc__ for _, member in values):
        lines.append("| property | |\n| --- | --- |")
        lines += [f"| `{each}` | {_line(member.__doc__)} |" for each, member in values if member.__doc__]
        lines.append("")
    for each, member in methods:
        if member.__doc__:  # what only fills in a method of its base is described there
            text = _prose(inspect.cleandoc(member.__doc__))
            lines.append(f"### {name}.{each}\n\n```\n{_call(each, member)}\n```\n\n{text}\n")
    return "\n".join(lines)


def _options(value: type[Any]) -> str:
    """Return the table of a sink's own options; those of all sinks are with `Sink`."""
    own = [each for each in fields(value) if each.name in vars(value).get("__annotations__", {})]
    helps = [(each.name, each.metadata["help"]) for each in own if "help" in each.metadata]
    if not helps:
        return ""
    return "| option | |\n| --- | --- |\n" + "".join(f"| `{each}` | {_line(text)} |\n" for each, text in helps) + "\n"


def _plain(member: Any) -> Any:
    return member.__func__ if isinstance(member, classmethod | staticmethod) else member


def _line(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def _call(name: str, value: Any) -> str:
    """Return how something is called: names and defaults; the types are in the source."""
    try:
        parameters = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return name
    bare = [each.replace(annotation=inspect.Parameter.empty) for each in parameters if each.name != "self"]
    text = f"{name}{inspect.Signature(bare)}".replace("<factory>", "…")
    text = re.sub(r"<(\w+\.)?(\w+):[^>]*>|<\w+ object at \w+>", r"\2", text)
    return "\n".join(textwrap.wrap(text, 100, subsequent_indent="    ", break_long_words=False))


def _prose(text: str) -> str:
    """Turn a docstring into Markdown: drawings, tables and examples stand as they are."""
    return "\n\n".join(_block(block) for block in re.split(r"\n\n(?!    )", text.strip()) if block)


def _block(block: str) -> str:
    first = block.split("\n", 1)[0]
    if first.startswith(">>>"):
        return f"```pycon\n{block}\n```"
    if first.startswith(("    ", "====")):
        return f"```\n{textwrap.dedent(block)}\n```"
    if first in ("Arguments:", "Raises:", "Returns:") and "\n" in block:
        entries = re.split(r"\n(?=\S)", textwrap.dedent(block.split("\n", 1)[1]).strip())
        return f"**{first}**\n\n" + "\n".join(_item(entry) for entry in entries)
    return block


def _item(entry: str) -> str:
    name, colon, meaning = entry.partition(": ")
    if not colon:
        return f"- {' '.join(entry.split())}"
    names = ", ".join(f"`{each.strip()}`" for each in name.split(","))
    return f"- {names}: {' '.join(meaning.split())}"
