"""The pictures of README and documentation, and the script that takes them."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from docs import screenshots

NAMED = re.compile(r"!\[[^]]*\]\(([^)]+)\)")


def test_each_picture_is_there_and_each_is_shown(root: Path) -> None:
    """What a page names exists; what the script takes is shown somewhere; all together are small."""
    pages = [root / "README.md", *(root / "docs").rglob("*.md")]
    named = {(page.parent / name).resolve() for page in pages for name in NAMED.findall(page.read_text())}
    assert named == {root / "docs/images" / name for name in screenshots.PICTURES}
    assert sum(picture.stat().st_size for picture in named) < 1_500_000


def test_a_picture_of_a_command(tmp_path: Path) -> None:
    """It shows what the command sends to a terminal, in colours, as SVG that loads nothing."""
    screenshots.stats(tmp_path / "stats.svg")
    text = (tmp_path / "stats.svg").read_text()
    words = " ".join("".join(ElementTree.fromstring(text).itertext()).split())
    assert "$ rxalerts stats -n 5 --field k8s.ns.name examples/week/*" in words
    assert "19,453 alerts" in words and "Critical" in words
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")


def test_a_picture_of_a_live_screen() -> None:
    """It shows the last frame, as it was before the screen was given back."""
    sent = screenshots.in_terminal("top", "--from", "examples/alerts.jsonl")
    picture = screenshots.drawn(screenshots.last_frame(sent), "rxalerts top")
    words = "".join(ElementTree.fromstring(picture).itertext())
    assert words.count("priority") == 1 and "421" in words


def test_a_page_of_a_notebook(root: Path) -> None:
    """It has text, code and the stored outputs, tables and charts."""
    page = screenshots.notebook_page(root / "notebooks/02-explore-a-recorded-log.ipynb", slice(2, 13))
    for part in ("<h2>A table</h2>", 'class="code"', "<table", "data:image/svg+xml"):
        assert part in page


@pytest.mark.real
def test_a_photograph(tmp_path: Path) -> None:
    """Chromium stores what a page shows as PNG."""
    if not screenshots.browser():
        pytest.skip("needs Chromium: apt-get install chromium")
    (tmp_path / "page.html").write_text("<h1>Hello</h1>")
    screenshots.photograph(tmp_path / "page.html", tmp_path / "page.png", 300, 200)
    assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")
