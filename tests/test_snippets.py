"""The code blocks of README and docs run, as they stand; those in YAML are read as a falco.yaml.

A block runs in a folder of its own that holds a copy of examples/. A comment before the block changes that:

    <!-- snippet: continue -->        runs after the block before it, in the same process
    <!-- snippet: illustration -->    is not run: only its syntax is checked (it needs what a test has not,
                                      such as a cluster); `make X` in it must be a target of the Makefile
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rxalerts.config import read_config

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(
    r"^(?:<!-- snippet: (?P<mark>\w+) -->\n\n?)?^```(?P<language>python|sh|yaml)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Snippet:
    """One code block, with the blocks that it continues."""

    place: str
    language: str
    code: str
    run: bool


def pages() -> list[Path]:
    """Return README and CONTRIBUTING and all pages of docs/."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def snippets() -> Iterator[Snippet]:
    """Yield the blocks of all pages, in order."""
    for page in pages():
        text = page.read_text()
        before = ""
        for block in BLOCK.finditer(text):
            mark, language, code = block["mark"], block["language"], block["code"]
            if mark not in (None, "continue", "illustration"):
                raise ValueError(f"{page}: unknown mark {mark!r} before a code block")
            place = f"{page.relative_to(ROOT)}:{text.count(chr(10), 0, block.start('code')) + 1}"
            whole = before + code if mark == "continue" else code
            if mark != "illustration":
                before = whole
            yield Snippet(place, language, whole, run=mark != "illustration" and "make " not in code)


def commands(code: str) -> list[str]:
    """Return the targets of the `make` commands in a shell block."""
    return re.findall(r"^make (\w+)", code, re.MULTILINE)


def check_syntax(snippet: Snippet) -> None:
    """Fail if the block could not even be read by its language."""
    if snippet.language == "python":
        compile(snippet.code, snippet.place, "exec")
    elif snippet.language == "sh":
        subprocess.run(["bash", "-n", "-c", snippet.code], check=True, timeout=10)
        targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        assert [name for name in commands(snippet.code) if name not in targets] == []


def run(snippet: Snippet, folder: Path) -> None:
    """Run the block in `folder`; what it prints is shown when it fails."""
    shutil.copytree(ROOT / "examples", folder / "examples")
    scripts = str(Path(sys.executable).parent)
    environment = dict(os.environ, PATH=f"{scripts}{os.pathsep}{os.environ['PATH']}")
    command = [sys.executable, "-W", "error", "-c"] if snippet.language == "python" else ["bash", "-euc"]
    done = subprocess.run(
        [*command, snippet.code], cwd=folder, env=environment, capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 0, f"{snippet.place} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"


def read(snippet: Snippet, path: Path) -> None:
    """Read the block as a falco.yaml: no key is unknown, no value wrong; it may be a part, and name others' files."""
    path.write_text(snippet.code)
    problems = [str(problem) for problem in read_config(path).problems]
    assert [each for each in problems if "No such file" not in each and "has no effect" not in each] == []


@pytest.mark.parametrize("snippet", list(snippets()), ids=lambda snippet: snippet.place)
def test_snippet_runs(snippet: Snippet, tmp_path: Path) -> None:
    """Each block is valid, and runs to its end unless it is marked as an illustration."""
    check_syntax(snippet)
    if snippet.language == "yaml":
        read(snippet, tmp_path / "falco.yaml")
    elif snippet.run:
        if "rxa.frame(" in snippet.code:
            pytest.importorskip("polars", reason="needs polars: pip install 'rxalerts[notebook]'")
        run(snippet, tmp_path)


def test_readme_begins_with_the_two_commands() -> None:
    """A newcomer sees `make demo` and `make test` first, then code."""
    first, second = list(snippets())[:2]
    assert commands(first.code) == ["demo", "test"]
    assert second.place.startswith("README.md") and second.language == "python"


def test_links_between_pages_lead_somewhere() -> None:
    """A relative link in a page names a file that exists."""
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages()
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert broken == []
