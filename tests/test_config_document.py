"""Reading YAML: positions, duplicates, bounds and the errors for what is no falco.yaml."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxalerts.config.document import MAX_BYTES, MAX_DEPTH, MAX_VALUES, load_document, parse_text
from rxalerts.config.nodes import ListNode, MapNode, Node, ScalarNode
from rxalerts.config.problems import Place, Problems
from rxalerts.config.values import read_plain


def load(path: Path, text: str | bytes) -> tuple[MapNode | None, list[str]]:
    """Write ``text`` to ``path`` and load it; messages come without the folder."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    problems = Problems()
    node = load_document(str(path), problems)
    return node, [str(problem).replace(str(path.parent) + "/", "") for problem in problems.sorted()]


def only_error(path: Path, text: str | bytes) -> str:
    """Load what cannot be used and return the one message."""
    node, messages = load(path, text)
    assert node is None and len(messages) == 1, messages
    return messages[0]


def test_every_value_knows_its_place(tmp_path: Path) -> None:
    """Maps, lists and scalars carry file, line and column, from 1."""
    node, messages = load(
        tmp_path / "f.yaml", "a: 1\nfile_output:\n  filename: './x'\nlist:\n  - one\n  - [é, two]\n"
    )
    assert node is not None and not messages
    path = str(tmp_path / "f.yaml")
    output = node.get("file_output")
    assert isinstance(output, MapNode) and output.place == Place(path, 3, 3)
    assert output.place_of("filename") == Place(path, 3, 3)
    filename = output.get("filename")
    assert isinstance(filename, ScalarNode) and filename.place == Place(path, 3, 13) and not filename.plain
    items = node.get("list")
    assert isinstance(items, ListNode) and items.items[0].place == Place(path, 5, 5)
    inner = items.items[1]
    assert isinstance(inner, ListNode) and inner.items[1].place == Place(path, 6, 9)


def test_a_duplicate_key_is_an_error_that_names_both_lines(tmp_path: Path) -> None:
    """The second key's place and the first one's line are in the message, and reading goes on."""
    node, messages = load(tmp_path / "f.yaml", "a: 1\nb:\n  x: 1\n  x: 2\na: 2\n")
    assert node is not None
    assert messages == [
        "f.yaml:4:3: error: the key 'x' stands twice in this map, first in line 3: remove one",
        "f.yaml:5:1: error: the key 'a' stands twice in this map, first in line 1: remove one",
    ]


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a: 'x", "f.yaml:1:6", "unexpected end of stream"),
        ("a: b: c", "f.yaml:1:5", "put a value that contains ': ' in quotes"),
        ("a:\n\t- b", "f.yaml:2:1", "YAML indents with spaces only"),
        ("a: @x", "f.yaml:1:4", "put the value in quotes"),
        (
            "a: {b: 1",
            "f.yaml:2:1",
            "(while parsing a flow mapping from line 1): check quotes, brackets and indentation",
        ),
        ("é: \x01", "f.yaml:1:4", "a control character"),
        (b"a: 1\nb: \xff\n", "f.yaml:2:4", "byte 0xff, which is not UTF-8: save the file as UTF-8"),
        (b"\x7fELF\x02\x01\x01\x00\x00", "f.yaml:1:1", "control character"),
        ("- a\n- b\n", "f.yaml:1:1", "holds a list: write a map of keys"),
        ("just words", "f.yaml:1:1", "holds the value 'just words'"),
        ("a: *b", "f.yaml:1:4", "the alias *b has no anchor"),
        ("a: &a [*a]", "f.yaml:1:8", "inside its own anchor"),
        ("? [a]\n: b", "f.yaml:1:3", "a key cannot be a list"),
    ],
)
def test_what_is_no_falco_yaml_is_refused_with_its_place(
    tmp_path: Path, text: str | bytes, place: str, words: str
) -> None:
    """Each broken input gives one error with file, line, column and the remedy."""
    message = only_error(tmp_path / "f.yaml", text)
    assert message.startswith(place + ":") and words in message


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    """A missing file, a folder and a file without permission each say what to do."""
    assert_unreadable(tmp_path / "none.yaml", "No such file or directory; check the path")
    assert_unreadable(tmp_path, "is a directory: name the falco.yaml in it")
    locked = tmp_path / "locked.yaml"
    locked.write_text("a: 1")
    locked.chmod(0)
    if os.geteuid() != 0:
        assert_unreadable(locked, "Permission denied; check the path and its permissions")


def assert_unreadable(path: Path, words: str) -> None:
    """Check that loading ``path`` gives an error with ``words``."""
    problems = Problems()
    assert load_document(str(path), problems) is None
    assert words in str(problems.errors[0])


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "null\n"])
def test_a_file_without_values_is_an_empty_map(tmp_path: Path, text: str) -> None:
    """A file of comments has no keys and is no error by itself."""
    node, messages = load(tmp_path / "f.yaml", text)
    assert node is not None and not node.entries and not messages


def test_a_yaml_bomb_is_stopped(tmp_path: Path) -> None:
    """Aliases of aliases count in full, so that a billion laughs end at the bound."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    message = only_error(tmp_path / "f.yaml", "\n".join(lines))
    assert f"more than {MAX_VALUES} values, aliases followed" in message


@pytest.mark.parametrize("unit", ["[", "{a: ", "- ", "? "])
def test_deep_nesting_is_stopped(tmp_path: Path, unit: str) -> None:
    """A hundred thousand open brackets end at the bound, with a place, and exhaust no stack."""
    message = only_error(tmp_path / "f.yaml", unit * 100_000)
    # PyYAML 6.0.4 has a bound of its own for brackets, and meets it first when it looks ahead.
    assert f"nested deeper than {MAX_DEPTH} levels" in message or "exceeded maximum nesting depth" in message
    assert message.startswith("f.yaml:1:")


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    """More than the limit in bytes is not even parsed; an endless device ends there too."""
    assert f"is larger than {MAX_BYTES} bytes" in only_error(tmp_path / "f.yaml", "#" * (MAX_BYTES + 1))
    assert_unreadable(Path("/dev/zero"), f"is larger than {MAX_BYTES} bytes")


def test_only_the_first_document_is_read(tmp_path: Path) -> None:
    """A second document is left out, as Falco does, with a warning at its place."""
    node, messages = load(tmp_path / "f.yaml", "a: 1\n---\nb: 2\n")
    assert node is not None and list(node.entries) == ["a"]
    assert messages == [
        "f.yaml:2:1: warning: a second document: only the first is read, as in Falco; remove the '---'"
    ]


def test_anchors_and_merge_keys_share_values(tmp_path: Path) -> None:
    """An alias stands for its anchor's value, and ``<<`` takes keys that are not there."""
    text = "a: &a {x: 1, y: 2}\nb: *a\nc:\n  <<: *a\n  y: 3\n"
    node, messages = load(tmp_path / "f.yaml", text)
    assert node is not None and not messages
    assert read_plain(node) == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 2}, "c": {"y": 3, "x": 1}}


def test_tags_of_other_languages_are_refused(tmp_path: Path) -> None:
    """A tag such as !!python/object is an error and builds nothing."""
    _, messages = load(tmp_path / "f.yaml", "a: !!python/object:os.system x\nb: !!str 1\n")
    assert len(messages) == 1 and "f.yaml:1:4: error: the tag" in messages[0]


def test_a_byte_order_mark_and_utf16_are_read(tmp_path: Path) -> None:
    """Files saved by Windows editors are read as they are meant; the encodings are those that yaml-cpp knows."""
    for encoding in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"):
        node, messages = load(tmp_path / "f.yaml", "a: é".encode(encoding))
        assert node is not None and read_plain(node) == {"a": "é"} and not messages


_YAML_PIECES = st.sampled_from(
    [
        "a",
        "b",
        ": ",
        ":",
        "\n",
        "  ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "&x ",
        "*x",
        "<<: ",
        "'",
        '"',
        "|",
        ">",
        "!!str ",
        "? ",
        "---\n",
        "...\n",
        "#",
        "%YAML 1.1\n",
        "\t",
        "\x00",
        "é",
        "$",
        "~",
        "\ud800",
    ]
)


@given(st.one_of(st.text(), st.lists(_YAML_PIECES, max_size=60).map("".join)))
def test_no_text_makes_the_parser_raise(text: str) -> None:
    """Whatever the text, the answer is a tree or at least one error, never an exception."""
    problems = Problems()
    node = parse_text(text, "f", problems)
    assert node is not None or problems.errors
    assert node is None or count(node) == node.size


def count(node: Node) -> int:
    """Count the nodes and keys of a tree."""
    if isinstance(node, MapNode):
        return 1 + sum(1 + count(entry.node) for entry in node.entries.values())
    return 1 + sum(count(item) for item in node.items) if isinstance(node, ListNode) else 1


@given(st.binary(max_size=200))
def test_no_bytes_make_the_loader_raise(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Whatever the bytes, loading gives a map or at least one error."""
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(data)
    problems = Problems()
    assert load_document(str(path), problems) is not None or problems.errors
