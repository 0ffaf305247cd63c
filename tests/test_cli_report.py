"""`rxalerts report`: a log as one page, which an alert cannot break out of; opened in a real browser."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from rxalerts import Alert
from rxalerts.cli.svg import bars, timeline
from rxalerts.cli.tallies import Spans, Tallies, most_common
from rxalerts.priority import Priority
from tests.support.run import rxalerts

SECOND = 1_000_000_000

EVIL = (
    "</script><script>document.title='hacked'</script>",
    "<img src=x onerror=\"document.title='hacked'\">",
    '"><svg onload="document.title=\'hacked\'">',
    "</title><script>document.title='hacked'</script>",
    "<!--<script>",
    "]]>{{7*7}}${7*7}\u2028\u202e\x00\x1b[31m",
    "javascript:document.title='hacked'",
)


class _Elements(HTMLParser):
    """Collects the elements of a page, with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def page_of(folder: Path, *alerts: Alert, arguments: tuple[str, ...] = ()) -> str:
    """Return the page about some alerts."""
    (folder / "log").write_text("".join(each.to_json() + "\n" for each in alerts))
    done = rxalerts("report", "log", "--to", "report.html", *arguments, folder=folder)
    assert done.returncode == 0, done.stderr
    assert f"report.html: {len(alerts):,} alerts" in done.stderr.decode()
    return (folder / "report.html").read_text()


def rows_of(page: str) -> list[dict[str, object]]:
    """Return the rows of a page's table."""
    found = re.search(r'<script type="application/json" id="rows">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    rows: list[dict[str, object]] = json.loads(found.group(1))
    return rows


def evil_alerts() -> list[Alert]:
    """Return alerts that try to get out of every place on the page where their text stands."""
    return [
        Alert(text, "critical", text, {"proc.name": text, text: text}, tags=(text,), hostname=text, time=at * SECOND)
        for at, text in enumerate(EVIL)
    ]


def test_the_page_has_charts_and_rows(tmp_path: Path) -> None:
    """Counts, times, a timeline, rules, the values of fields that occur, and every alert in the table."""
    alerts = [Alert(f"rule {at % 3}", "notice", "x", {"proc.name": "bash"}, time=at * SECOND) for at in range(30)]
    page = page_of(tmp_path, *alerts, Alert("Shell", "error", "root", time=60 * SECOND))
    for text in ("31 alerts, 1970-01-01T00:00:00", ">rule 0", "proc.name", ">Shell", "All alerts.", "1 Error"):
        assert text in page, text
    assert "k8s.pod.name" not in page
    assert page.count("<svg") == 3
    assert len(rows_of(page)) == 31
    assert rows_of(page)[-1]["output"] == "00:01:00.000000000: Error root"


def test_it_loads_nothing_and_lets_no_other_script_run(tmp_path: Path) -> None:
    """No address of anything is in the page, and its policy names its one script."""
    page = page_of(tmp_path, *evil_alerts())
    elements = _Elements(page).found
    names = {name for _, attrs in elements for name in attrs}
    assert not [name for name in names if name in ("src", "href", "srcset", "action") or name.startswith("on")]
    assert {tag for tag, _ in elements}.isdisjoint({"img", "link", "iframe", "object", "base", "a"})
    assert [attrs for tag, attrs in elements if tag == "script"] == [
        {"type": "application/json", "id": "rows"},
        {},
    ]
    policy = next(attrs["content"] for _, attrs in elements if attrs.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "script-src 'sha256-" in policy


def test_rows_are_bounded_and_the_most_urgent_are_kept(tmp_path: Path) -> None:
    """The page says how many there are; they are in order of time; long texts are cut."""
    alerts = [Alert("r", "debug", "x" * 5000, {"y": "y" * 9000}, time=at * SECOND) for at in range(50)]
    alerts[40] = Alert("late", "error", time=40 * SECOND)
    alerts[45] = Alert("later", "emergency", time=45 * SECOND)
    page = page_of(tmp_path, *alerts, arguments=("--rows", "4"))
    assert "The 4 most urgent of 50 alerts, in order of time." in page
    assert [row["rule"] for row in rows_of(page)] == ["r", "r", "late", "later"]
    assert len(page) < 40_000


def test_no_alerts_and_wrong_usage(tmp_path: Path) -> None:
    """An empty log gives a page that says so; a missing one gives none."""
    assert "no alerts" in page_of(tmp_path)
    done = rxalerts("report", "nothing", "--to", "other.html", folder=tmp_path)
    assert done.returncode == 2
    assert not list(tmp_path.glob("other*"))


def test_fields_of_choice(tmp_path: Path) -> None:
    """--field names what is drawn, in place of the usual ones; --title the page."""
    alert = Alert("r", "notice", "x", {"proc.name": "bash", "own": 7})
    page = page_of(tmp_path, alert, arguments=("-f", "own", "--title", "Mine & yours"))
    assert "<h2>own</h2>" in page
    assert "<h2>proc.name</h2>" not in page
    assert "<title>Mine &amp; yours</title>" in page


def test_tallies_stay_bounded() -> None:
    """However long the log is and however many rules it has, and no alert is counted twice or not at all."""
    spans = Spans()
    for at in range(0, 10_000_000, 997):
        spans.add(at * SECOND, Priority.NOTICE)
    spans.add(-5 * SECOND, Priority.ERROR)
    binned = spans.binned(100)
    assert len(binned) <= 100
    assert sum(counts.total() for _, counts in binned) == 10_031 + 1
    tallies = Tallies([], 0).add_all(Alert(f"r{number}", "notice", time=0) for number in range(10_100))
    assert len(tallies.rules) == 10_001
    assert most_common(tallies.rules, 1)[0][0] == "(others)"
    assert tallies.kept == []


def test_charts_of_nothing_and_of_far_away_times() -> None:
    """Nothing gives no chart; times at the calendar's edges are drawn all the same."""
    assert (timeline([], 1), bars([], "x")) == ("", "")
    spans = Spans()
    for moment in (-(2**62), 2**63 - 1):
        spans.add(moment, Priority.ALERT)
    assert "<svg" in timeline(spans.binned(10), spans.width)


def chromium(page: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Open a page in headless Chromium; returns its elements after its script has run, and what it complains of."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    quiet = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--enable-logging=stderr")
    profile = f"--user-data-dir={page.parent / 'profile'}"
    return subprocess.run(
        [program, *quiet, profile, *arguments], cwd=page.parent, capture_output=True, timeout=50, check=True
    )


@pytest.mark.real
@pytest.mark.slow
def test_a_browser_shows_it_and_nothing_breaks_out(tmp_path: Path) -> None:
    """In Chromium all rows are there, or those searched for, the title stays, and no script was refused."""
    page_of(tmp_path, *evil_alerts(), Alert("Plain", "notice", "harmless", time=99 * SECOND))
    page = tmp_path / "report.html"
    done = chromium(page, "--dump-dom", f"{page.as_uri()}#find=HARMLESS+plain")
    shown = done.stdout.decode()
    assert b"CONSOLE" not in done.stderr, done.stderr
    assert "<title>log</title>" in shown
    body = shown[shown.index("<tbody>") : shown.index("</tbody>")]
    assert body.count("<tr>") == 1
    assert "1 of 8 rows match." in shown
    shown = chromium(page, "--dump-dom", page.as_uri()).stdout.decode()
    body = shown[shown.index("<tbody>") : shown.index("</tbody>")]
    assert body.count("<tr>") == len(EVIL) + 1
    assert "&lt;/script&gt;&lt;script&gt;document.title" in body
    assert {tag for tag, _ in _Elements(body).found} == {
        "tbody", "tr", "td", "span", "details", "summary", "pre",
    }  # fmt: skip


@pytest.mark.real
def test_twenty_thousand_alerts_stay_usable(tmp_path: Path) -> None:
    """All of them are searched; only the first ones are drawn, which is what takes a browser long."""
    many = (Alert("Shell", "notice", f"number {number}", time=number * SECOND) for number in range(20_000))
    page_of(tmp_path, *many, arguments=("--rows", "20000"))
    page = tmp_path / "report.html"
    shown = chromium(page, "--dump-dom", page.as_uri()).stdout.decode()
    assert "20000 of 20000 rows match, the first 500 are shown." in shown
    assert shown.count("<tr>") == 501
    shown = chromium(page, "--dump-dom", f"{page.as_uri()}#find=19999").stdout.decode()
    assert "1 of 20000 rows match." in shown
