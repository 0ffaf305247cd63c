"""``-o key=value``: the forms of every Falco version, and their errors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxalerts.config.document import parse_text
from rxalerts.config.nodes import MapNode
from rxalerts.config.override import OverrideError, apply_overrides, parse_key, parse_override
from rxalerts.config.problems import Problems
from rxalerts.config.values import read_map

SAMPLE = """\
base_value:
    id: 1
    name: 'sample_name'
    subvalue:
      subvalue2:
        boolean: true
base_value_2:
  sample_list:
    - elem1
    - elem2
    - elem3
matrix: [[1, 2], [3, 4]]
annotations:
  kubernetes.io/role: master
  example[0]: val
back\\slash: x
empty:
"""


def run(*options: str, text: str = SAMPLE) -> tuple[dict[str, object], list[str]]:
    """Apply options to ``text``; return the plain data and the messages."""
    problems = Problems()
    root = parse_text(text, "f", problems)
    assert isinstance(root, MapNode)
    parsed = [item for option in options if (item := parse_override(option, problems)) is not None]
    return read_map(apply_overrides(root, parsed, problems)), [
        problem.message for problem in problems.sorted()
    ]


def changed(*options: str) -> dict[str, object]:
    """Apply options that are right and return the data."""
    data, messages = run(*options)
    assert not messages
    return data


def test_nested_keys_are_set() -> None:
    """``key=val``, ``key.subkey=val`` and deeper set a value; what was beside it stays."""
    data = changed(
        "base_value.subvalue.subvalue2.boolean=false", "json_output=true", "base_value.id=7", "empty.x.y=1"
    )
    base = {"id": "7", "name": "sample_name", "subvalue": {"subvalue2": {"boolean": "false"}}}
    assert data["base_value"] == base
    assert data["json_output"] == "true" and data["empty"] == {"x": {"y": "1"}}


def test_list_items_are_set_and_appended() -> None:
    """``a[1]=v`` replaces an item, ``a[]=v`` and the next index append one, in nested lists too."""
    data = changed("base_value_2.sample_list[1]=new", "base_value_2.sample_list[]=end", "matrix[1][2]=5")
    assert data["base_value_2"] == {"sample_list": ["elem1", "new", "elem3", "end"]}
    assert data["matrix"] == [[1, 2], [3, 4, "5"]]
    assert changed("fresh[].a=1", "fresh[]=2", "fresh[0].b=3")["fresh"] == [{"a": "1", "b": "3"}, "2"]


def test_objects_in_braces_are_read_as_yaml() -> None:
    """``{…}`` is a map, as in ``-o 'append_output[]={"extra_output": "x"}'``; ``[a,b]`` is text."""
    data = changed('append_output[]={"match": {"source": "syscall"}, extra_output: x}', "a=[a,b]", "b={x")
    assert data["append_output"] == [{"match": {"source": "syscall"}, "extra_output": "x"}]
    assert data["a"] == "[a,b]" and data["b"] == "{x"


def test_the_split_is_at_the_first_equals_sign() -> None:
    """Later ``=`` and commas belong to the value."""
    assert changed("http_output.url=http://h/?a=b,c=d")["http_output"] == {"url": "http://h/?a=b,c=d"}
    assert changed("base_value=")["base_value"] is None


def test_escapes_in_keys() -> None:
    """Falco 0.44's escapes name keys that hold dots, brackets and backslashes."""
    data = changed(r"annotations.kubernetes\.io/role=worker", r"annotations.example\[0]=v", r"back\\slash=y")
    assert data["annotations"] == {"kubernetes.io/role": "worker", "example[0]": "v"}
    assert data["back\\slash"] == "y"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            "json_output",
            'Error parsing config option "json_output". Must be of the form key=val or key.subkey=val',
        ),
        ("=x", 'Error parsing config option "=x". Must be of the form key=val or key.subkey=val'),
        ("a[x]=1", "Config error at key \"a[x]\": Parsing error: expected a numeric index, found 'x'"),
        ("a[-1]=1", "Config error at key \"a[-1]\": Parsing error: expected a numeric index, found '-1'"),
        ("a[0]b=1", "Config error at key \"a[0]b\": Parsing error: expected '.' character at pos 4"),
        (".a=1", 'Config error at key ".a": Parsing error: unexpected character at pos 0'),
        ("a..b=1", 'Config error at key "a..b": Parsing error: unexpected character at pos 2'),
        ("[0]=1", 'Config error at key "[0]": Parsing error: unexpected character at pos 0'),
        ("a.=1", 'Config error at key "a.": Parsing error: unexpected end'),
        ("a[0=1", "Config error at key \"a[0\": Parsing error: expected ']' after pos 1"),
        ("a\\=1", r'Config error at key "a\": Parsing error: invalid escape at pos 1; known are \. \[ \] \\'),
        (
            r"a\x=1",
            r'Config error at key "a\x": Parsing error: invalid escape at pos 1; known are \. \[ \] \\',
        ),
        ("matrix.x=1", "Config error at key \"matrix.x\": a list has no key 'x', only a map has keys"),
        (
            "base_value.id.x=1",
            "Config error at key \"base_value.id.x\": the value '1' has no key 'x', only a map has keys",
        ),
        ("base_value[0]=1", 'Config error at key "base_value[0]": a map has no items, only a list has items'),
        (
            "matrix[9]=1",
            'Config error at key "matrix[9]": the list has 2 items, so [9] cannot be set; use [] to append',
        ),
    ],
)
def test_errors_in_falcos_words(option: str, message: str) -> None:
    """A bad option is refused as Falco words it, and names the place in the key."""
    data, messages = run(option)
    assert messages == [message]
    assert data == run()[0]


def test_a_bad_object_and_a_deep_key_are_refused() -> None:
    """Broken YAML in braces and thousands of steps are errors of that option."""
    assert run("a={b: [}")[1][0].startswith("not YAML: ")
    assert "nested deeper than" in run("a" + ".a" * 5000 + "=1")[1][0]


def test_the_place_is_the_option_itself() -> None:
    """Messages about an overridden value lead to the option, and do not show its value."""
    problems = Problems()
    override = parse_override("json_output=maybe", problems)
    assert override is not None and str(override.value.place) == "-o json_output"


@given(st.text(alphabet="ab.[]\\=01{}:, \ud800é", max_size=30))
def test_no_option_makes_it_raise(option: str) -> None:
    """Whatever the option, it is applied or a problem is noted."""
    before = run()[0]
    data, messages = run(option)
    assert messages or data != before or "=" in option


@given(st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=6))
def test_escaped_keys_come_back(names: list[str]) -> None:
    """Any names, escaped and joined by dots, are read back as they were."""
    escaped = ["".join("\\" + char if char in ".[]\\" else char for char in name) for name in names]
    assert parse_key(".".join(escaped)) == tuple(names)


def test_parse_key_raises_override_error() -> None:
    """The key parser alone raises OverrideError, a ValueError."""
    with pytest.raises(OverrideError):
        parse_key("a..b")
