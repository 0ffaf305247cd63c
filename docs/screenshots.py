"""Take the pictures of README and documentation: `make screenshots`, which needs Chromium for two of them.

    python docs/screenshots.py [FOLDER]

The terminal's pictures are what the command sends to a terminal, drawn by rich as SVG. The report is opened in
Chromium, and so is a page with the cells of a notebook and the outputs that are stored in it.
"""

from __future__ import annotations

import base64
import fcntl
import html
import json
import os
import pty
import re
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer
from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
WEEK = "examples/week/*"
RXALERTS = [sys.executable, "-c", "from rxalerts.cli import main; main(prog_name='rxalerts')"]
COLUMNS, ROWS = 100, 30

# How long the live screen is watched, in seconds.
WATCHED = 12.0

# Where the cursor goes home a new frame of the live screen begins.
HOME = b"\x1b[H"

# Rich's own form loads its font from elsewhere; this one takes what is there.
SVG = """<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{font-family: "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: {char_height}px;
line-height: {line_height}px}}
{styles}
</style>
<defs>{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})">{backgrounds}<g class="{unique_id}-matrix">{matrix}</g></g>
</svg>
"""

CHANNELS = """\
json_output: true
file_output: {enabled: true, keep_alive: true, filename: ./events.jsonl}
program_output: {enabled: true, program: "cat >> pager.txt"}
http_output: {enabled: true, url: "http://127.0.0.1:9/"}
rxalerts:
  channels:
    program: {priority: error, suppress_repeats: {key: rule, within: 600}}
    http: {capacity: 500, on_full: drop_lowest}
"""

STYLE = """
body{background:#fff;color:#1b1f24;font:14px/1.45 system-ui,sans-serif;max-width:900px;margin:1.5em auto}
pre{font:12.5px/1.4 "DejaVu Sans Mono",monospace;margin:0;white-space:pre-wrap}
.code{background:#f5f6f7;border:1px solid #dfe2e5;border-radius:3px;padding:.5em .7em;margin:.7em 0 .3em}
.out{margin:.2em 0 .8em 1.2em}.out svg{max-width:100%;height:auto}
table{border-collapse:collapse;font-size:12.5px}td,th{padding:.15em .6em;text-align:right}
tr:nth-child(even){background:#f5f6f7}
"""


# -- the terminal ---------------------------------------------------------------------------------------------


def in_terminal(*arguments: str, folder: Path = ROOT, feed: str = "", seconds: float | None = None) -> bytes:
    """Return what a command sends to a terminal of its own.

    Arguments:
        arguments: what stands behind `rxalerts`.
        folder: the working folder.
        feed: a shell command whose output it reads.
        seconds: after so long it is interrupted, and what comes then left out.
    """
    screen, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    source = subprocess.Popen(
        feed or "true", shell=True, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "TZ": "UTC"}
    environment.pop("NO_COLOR", None)
    command = subprocess.Popen(
        [*RXALERTS, *arguments],
        cwd=folder,
        stdin=source.stdout if feed else terminal,
        stdout=terminal,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    os.close(terminal)
    os.set_blocking(screen, False)
    sent, began, wanted = b"", time.monotonic(), b""
    while True:
        over = command.poll() is not None
        try:
            while data := os.read(screen, 65536):
                sent += data
        except (BlockingIOError, OSError):  # nothing now; nothing any more
            pass
        if over:
            break
        if seconds is not None and not wanted and time.monotonic() - began > seconds:
            command.send_signal(signal.SIGINT)
            wanted = sent[: sent.rindex(HOME)]
        time.sleep(0.02)
    os.close(screen)
    if source.poll() is None:
        os.killpg(source.pid, signal.SIGTERM)
    source.communicate()
    return wanted or sent


def last_frame(sent: bytes) -> bytes:
    """Return the last whole screen of what a live display sent."""
    return sent.partition(b"\x1b[?1049l")[0].rsplit(HOME, 1)[-1]


def drawn(sent: bytes, prompt: str) -> str:
    """Return a terminal's contents as SVG, below the command as somebody would have typed it."""
    text = re.sub(r"\x1b\[\?[0-9]+[hl]|\x1b\[[0-9]*[A-HJK]", "", sent.decode()).replace("\r", "").rstrip()
    with open(os.devnull, "w") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True, color_system="truecolor")
        console.print(Text(f"$ {prompt}", "bold"))
        console.print(Text.from_ansi(text))
        return console.export_svg(title="", code_format=SVG, unique_id=re.sub(r"\W+", "-", prompt.split()[1]))


def stats(target: Path) -> None:
    """Draw what `rxalerts stats` prints."""
    arguments = ("stats", "-n", "5", "--field", "k8s.ns.name")
    sent = in_terminal(*arguments, WEEK)
    target.write_text(drawn(sent, f"rxalerts {shlex.join(arguments)} {WEEK}"))


def top(target: Path, seconds: float = WATCHED) -> None:
    """Draw `rxalerts top` while a week goes by, with a channel whose endpoint is not there."""
    replay = shlex.join([*RXALERTS, "replay", "--speed", "5000x", "--rebase", "--json"])
    with tempfile.TemporaryDirectory() as name:
        Path(name, "falco.yaml").write_text(CHANNELS)
        sent = in_terminal("top", "-c", "falco.yaml", folder=Path(name), feed=f"{replay} {WEEK}", seconds=seconds)
    target.write_text(drawn(last_frame(sent), "rxalerts top -c falco.yaml"))


# -- the browser ----------------------------------------------------------------------------------------------


def browser() -> str | None:
    """Return the path of Chromium, if there is one."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def photograph(page: Path, target: Path, width: int, height: int, find: str = "") -> None:
    """Have Chromium open a page and store what it shows as PNG."""
    program = browser()
    if program is None:
        sys.exit(f"{target.name} needs Chromium: apt-get install chromium")
    quiet = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars")
    subprocess.run(
        [
            program,
            *quiet,
            f"--user-data-dir={page.parent / 'profile'}",
            f"--window-size={width},{height}",
            f"--screenshot={target.resolve()}",
            page.as_uri() + find,
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )


def report(target: Path) -> None:
    """Photograph the page of `rxalerts report`, with a search for the intruder's tool."""
    with tempfile.TemporaryDirectory() as name:
        page = Path(name, "report.html")
        arguments = ["report", "--field", "k8s.ns.name", "--title", "A week of three nodes", "--to", str(page), WEEK]
        subprocess.run([*RXALERTS, *arguments], cwd=ROOT, check=True, capture_output=True)
        photograph(page, target, 1000, 1480, "#find=/tmp/.x")


def notebook_page(path: Path, cells: slice) -> str:
    """Return some cells of a notebook as a page, with the outputs that are stored in it."""
    parts = [_cell(cell) for cell in json.loads(path.read_text())["cells"][cells]]
    colours: Any = HtmlFormatter()
    style = STYLE + str(colours.get_style_defs(".code"))
    return f'<!DOCTYPE html><meta charset="utf-8"><style>{style}</style>{"".join(parts)}'


def _cell(cell: dict[str, Any]) -> str:
    text = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        return str(MarkdownIt().enable("table").render(text))
    code = highlight(text, PythonLexer(), HtmlFormatter(nowrap=True))
    return f'<div class="code"><pre>{code}</pre></div>' + "".join(map(_output, cell["outputs"]))


def _output(output: dict[str, Any]) -> str:
    data = {"text/plain": output.get("text", ""), **output.get("data", {})}
    shown = {kind: "".join(text) for kind, text in data.items() if isinstance(text, str | list)}
    if "image/png" in shown:
        return f'<div class="out"><img src="data:image/png;base64,{shown["image/png"]}"></div>'
    if "image/svg+xml" in shown:  # as a picture, so that what is named inside of one is not seen by the next one
        picture = base64.b64encode(shown["image/svg+xml"].encode()).decode()
        return f'<div class="out"><img src="data:image/svg+xml;base64,{picture}"></div>'
    text = shown.get("text/html") or f"<pre>{html.escape(shown['text/plain'])}</pre>"
    return f'<div class="out">{text}</div>'


def notebook(target: Path) -> None:
    """Photograph the second notebook where it finds the noisy rule."""
    with tempfile.TemporaryDirectory() as name:
        page = Path(name, "notebook.html")
        page.write_text(notebook_page(ROOT / "notebooks/02-explore-a-recorded-log.ipynb", slice(2, 13)))
        photograph(page, target, 1000, 1500)


PICTURES: dict[str, Callable[[Path], None]] = {
    "stats.svg": stats,
    "top.svg": top,
    "report.png": report,
    "notebook.png": notebook,
}


def main(arguments: list[str]) -> None:
    """Take all pictures into a folder, docs/images by default."""
    folder = Path(*arguments) if arguments else ROOT / "docs/images"
    folder.mkdir(parents=True, exist_ok=True)
    for name, take in PICTURES.items():
        take(folder / name)
        print(f"{folder / name}: {(folder / name).stat().st_size:,} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
