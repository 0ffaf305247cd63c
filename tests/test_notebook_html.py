"""What values look like in a notebook: escaped, readable, in colours that anybody can tell apart."""

import itertools
import subprocess
import sys
from html.parser import HTMLParser

import pytest
import reactivex
import reactivex.operators as rx
from reactivex import Observable

import rxalerts
from rxalerts import Alert, Priority, sinks, sources
from rxalerts import operators as ops
from rxalerts.display import html_of
from rxalerts.flow.stages import operator_name, stages_of
from rxalerts.notebook.palette import COLOURS, linear, luminance, text_on
from rxalerts.testing import RecordingSink

NASTY = '<script>alert(1)</script>" onload="x\u202e\x00&amp;'

# What protanopia, deuteranopia and tritanopia leave of linear RGB: Machado, Oliveira and Fernandes 2009, severity 1.
VISION = {
    "all cones": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.3039)),
}


class Page(HTMLParser):
    """Collects tags, attributes and text, and sees that every tag is closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


def negative(number: int) -> int:
    """Return the number with the other sign."""
    return -number


def test_an_alert_is_a_card_in_its_colour() -> None:
    """Rule, priority, time, message, fields and tags are there, and the edge has the priority's colour."""
    alert = Alert("A shell", "critical", "sh ran", {"proc.name": "sh", "x": None}, time=0, tags=["t1"], hostname="n")
    html = html_of(alert)
    page = Page(html)
    for text in ("A shell", "Critical", "sh ran", "1970-01-01T00:00:00.000000000Z", "proc.name", "null", "t1"):
        assert text in page.text
    assert "2 fields" in page.text
    assert f"border-left-color:{COLOURS[Priority.CRITICAL]}" in html


def test_everything_in_an_alert_is_escaped() -> None:
    """No text of an alert becomes a tag or an attribute, and none is turned around."""
    alert = Alert(NASTY, "error", NASTY, {NASTY: NASTY, "list": [NASTY]}, tags=[NASTY], source=NASTY, hostname=NASTY)
    page = Page(html_of(alert))
    assert "script" not in page.tags and "onload" not in page.attributes
    assert NASTY[:25] in page.text and "\u202e" not in page.text and "\x00" not in page.text


def test_values_are_shown_as_json_and_short_ones_in_one_piece() -> None:
    """Lists and truth values look as in the log; names of fields, priorities and headings are not torn apart."""
    html = html_of(Alert("a", "error", output_fields={"proc.args": ["a", None, {"b": True}], "x": False}))
    page = Page(html)
    for text in ('["a",null,{"b":true}]', "false"):
        assert text in page.text
    assert '<span class="whole">proc.args</span>' in html
    assert ".rxa th,.rxa .badge,.rxa .whole{white-space:nowrap" in html


def test_a_huge_alert_makes_a_small_card() -> None:
    """A megabyte of text and thousands of fields do not choke a notebook; what is left out is told."""
    alert = Alert("r", "error", "x" * 2**20, {f"f{n}": "y" * 5000 for n in range(2000)}, tags=["t" * 10**5])
    html = html_of(alert)
    assert len(html) < 300_000 and "1,048,576 characters" in html and "1940 more" in html


def test_a_pipe_is_a_drawing_of_its_stages() -> None:
    """Steps of ours, of reactivex and of the user appear by name, in order."""
    stream = sources.replay("examples/alerts.jsonl").pipe(
        ops.at_least("error"),
        rx.map(lambda alert: alert),
        ops.tally(60),
        ops.where("proc.name = <b>"),
        ops.to_json(),
    )
    assert stages_of(stream) == ("replay", "at_least Error", "map", "tally", "where proc.name = <b>", "to_json")
    page = Page(html_of(stream))
    assert page.text == "replay→at_least Error→map→tally→where proc.name = <b>→to_json"


def test_a_pipe_that_ends_abroad_shows_itself_too() -> None:
    """When the last step is not ours, the stream has its drawing all the same, and still works."""
    stream: Observable[int] = sources.from_iterable([1, 2, 3]).pipe(rx.map(negative), rx.take(2))
    seen: list[int] = []
    stream.subscribe(seen.append)
    assert seen == [-1, -2]
    html: str = getattr(stream, "_repr_html_")()  # noqa: B009
    assert Page(html).text == "iterable→map→take"


def test_an_operator_without_a_name_is_called_something() -> None:
    """Lambdas, partials and objects have a label as well."""
    assert operator_name(ops.rate_limit(1)) == "rate_limit"
    assert operator_name(ops.buffer(2)) == "buffer"
    assert operator_name(negative) == "negative"


def test_a_route_shows_operators_and_sinks() -> None:
    """A route is a drawing that ends in its sinks."""
    to = [RecordingSink[Alert](name="one"), RecordingSink[Alert](name="<two>")]
    text = Page(html_of(rxalerts.route(ops.at_least("error"), to=to, when="rule = a"))).text
    assert text == "where rule = a→at_least Error→one <two>"
    assert "every alert" in Page(html_of(rxalerts.route(to=to[0]))).text


def test_a_sink_shows_state_depth_counts_and_error() -> None:
    """What a sink's stats say can be read, its last error escaped."""
    sink = RecordingSink[Alert](name="audit", capacity=7)
    assert "created" in Page(html_of(sink)).text
    sink.fail(OSError("<no route>"), times=1)
    sink.on_next(Alert("a"))
    assert sink.close(10)
    text = Page(html_of(sink)).text
    for part in ("closed", "audit", "0 of 7", "received1", "delivered1", "retried1", "<no route>"):
        assert part in text


def test_a_report_is_a_table() -> None:
    """Sources, sinks, losses, faults and errors are all in it."""

    def fail(_: Alert) -> bool:
        raise ValueError("boom")

    refused = RecordingSink[Alert](name="refused")
    refused.refuse(lambda alert: alert.rule == "b")
    stream = [Alert("a"), Alert("b")]
    report = rxalerts.run(stream, rxalerts.route(to=refused), rxalerts.route(ops.where(fail), to=sinks.CollectSink()))
    text = Page(html_of(report)).text
    for part in ("iterable", "refused", "rejected 1", "3 lost", "where: its function failed for 2 alerts"):
        assert part in text
    assert "nothing lost" in Page(html_of(rxalerts.run(stream, sinks.CollectSink()))).text


def test_a_pipeline_shows_its_report_so_far() -> None:
    """A pipeline that has not been started shows zeros."""
    pipeline = rxalerts.Pipeline([Alert("a")], RecordingSink[Alert](name="there"))
    assert "there" not in Page(html_of(pipeline)).text and "nothing lost" in Page(html_of(pipeline)).text


def test_what_is_not_ours_has_no_picture() -> None:
    """Asked to draw something else, it says so."""
    with pytest.raises(TypeError, match="int has no picture"):
        html_of(1)


def test_the_theme_is_the_notebook_s() -> None:
    """Neither a background nor a colour of text is fixed, except for text on the colour of a priority."""
    html = html_of(rxalerts.route(ops.at_least("error"), to=RecordingSink[Alert]()))
    style = html.partition("</style>")[0]
    assert "background:transparent" in style and "inherit" in style and "#" not in style


def test_the_colours_of_priorities_differ_for_everybody() -> None:
    """Any two are at least 15 apart in CIELAB, with any kind of cones missing; without, much more."""
    for vision, matrix in VISION.items():
        labs = {priority: lab(simulated(colour, matrix)) for priority, colour in COLOURS.items()}
        for (one, a), (other, b) in itertools.combinations(labs.items(), 2):
            distance = sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) ** 0.5
            assert distance >= 15, f"{vision}: {one} and {other} are only {distance:.0f} apart"


def test_text_on_a_colour_can_be_read() -> None:
    """The contrast is at least 4.5, as WCAG 2 AA asks for."""
    for priority, colour in COLOURS.items():
        text = 0.0 if text_on(priority) == "#000" else 1.0
        light, dark = sorted((luminance(colour), text), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, priority


def test_pictures_are_loaded_when_asked_for() -> None:
    """Importing the library loads no code of the notebooks; showing an alert needs neither polars nor altair."""
    code = (
        "import sys, rxalerts\n"
        "assert not [name for name in sys.modules if name.startswith('rxalerts.notebook')]\n"
        "assert 'card' in rxalerts.Alert('a')._repr_html_()\n"
        "assert not {'polars', 'altair'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr


def test_a_shared_stream_keeps_its_own_stages() -> None:
    """Two pipes of one source have each their own drawing."""
    source = sources.from_iterable([1])
    one, other = source.pipe(rx.map(lambda n: n)), source.pipe(rx.take(1))
    assert (stages_of(one), stages_of(other)) == (("iterable", "map"), ("iterable", "take"))
    assert stages_of(reactivex.of(1)) == ("Observable",)


def simulated(colour: str, matrix: tuple[tuple[float, ...], ...]) -> list[float]:
    """Return a colour as linear RGB, as seen with the cones of a matrix."""
    rgb = linear(colour)
    return [min(1.0, max(0.0, sum(a * b for a, b in zip(row, rgb, strict=True)))) for row in matrix]


def lab(rgb: list[float]) -> tuple[float, float, float]:
    """Return linear RGB as CIELAB (D65)."""
    red, green, blue = rgb
    x = (0.4124564 * red + 0.3575761 * green + 0.1804375 * blue) / 0.95047
    y = 0.2126729 * red + 0.7151522 * green + 0.0721750 * blue
    z = (0.0193339 * red + 0.1191920 * green + 0.9503041 * blue) / 1.08883
    fx, fy, fz = (bent(part) for part in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


def bent(part: float) -> float:
    """Return CIELAB's cube root."""
    root: float = part ** (1 / 3)
    return root if part > 216 / 24389 else (24389 / 27 * part + 16) / 116
