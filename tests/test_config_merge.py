"""config_files: the three strategies, folders, order, and the errors."""

import os
from pathlib import Path

import pytest

from rxalerts.config.merge import load_tree
from rxalerts.config.problems import Problems
from rxalerts.config.values import read_map
from rxalerts.errors import ConfigError

MAIN = (
    "config_files:\n  - conf_2.yaml\n  - conf_3.yaml\nfoo: [ bar ]\nbase_value:\n    id: 1\n    name: foo\n"
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in an empty folder: relative paths are relative to the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(main: str, *options: str, **files: str) -> dict[str, object]:
    """Write ``main`` and the other files (``conf_2`` → conf_2.yaml) and load them into plain data."""
    for name, text in {"main": main, **files}.items():
        Path(f"{name}.yaml").write_text(text)
    data = read_map(load_tree("main.yaml", options, environment={"V": "value"}).root)
    data.pop("config_files", None)
    return data


def messages(main: str, *options: str, **files: str) -> list[str]:
    """Write the files, load them and return all messages."""
    for name, text in {"main": main, **files}.items():
        Path(f"{name}.yaml").write_text(text)
    problems = Problems()
    load_tree("main.yaml", options, problems)
    return [str(problem) for problem in problems.sorted()]


@pytest.mark.usefixtures("folder")
def test_included_files_add_keys_and_missing_ones_are_skipped() -> None:
    """Every listed file is merged in order; one that does not exist is skipped and in ``missing``."""
    assert load(MAIN, conf_3="foo3: bar3\n") == {
        "foo": ["bar"],
        "base_value": {"id": 1, "name": "foo"},
        "foo3": "bar3",
    }
    loaded = load_tree("main.yaml")
    assert loaded.files == ["main.yaml", "conf_3.yaml"] and loaded.missing == ["conf_2.yaml"]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("entry", "foo", "scalar", "base"),
    [
        ("conf_2.yaml", ["bar", "bar2"], "new", {"id": 3}),
        ("{path: conf_2.yaml}", ["bar", "bar2"], "new", {"id": 3}),
        ("{path: conf_2.yaml, strategy: append}", ["bar", "bar2"], "new", {"id": 3}),
        ("{path: conf_2.yaml, strategy: override}", ["bar2"], "new", {"id": 3}),
        ("{path: conf_2.yaml, strategy: add-only}", ["bar"], "old", {"id": 1, "name": "foo"}),
    ],
)
def test_merge_strategies(entry: str, foo: list[str], scalar: str, base: dict[str, object]) -> None:
    """append joins lists and replaces the rest whole, override replaces, add-only adds; all add new keys."""
    main = f"config_files: [{entry}]\nfoo: [bar]\nscalar: old\nbase_value: {{id: 1, name: foo}}\n"
    data = load(main, conf_2="foo: [bar2]\nscalar: new\nbase_value: {id: 3}\nadded: 1\n")
    assert data == {"foo": foo, "scalar": scalar, "base_value": base, "added": 1}


@pytest.mark.usefixtures("folder")
def test_an_unknown_strategy_means_append_and_warns() -> None:
    """Falco takes any other text as append; here that is said."""
    main = "config_files: [{path: conf_2.yaml, strategy: overide}]\nfoo: [bar]\n"
    assert load(main, conf_2="foo: [bar2]") == {"foo": ["bar", "bar2"]}
    assert (
        "main.yaml:1:36: warning: config_files: unknown strategy 'overide' means append" in messages(main)[0]
    )


def test_a_folder_gives_its_files_in_lexicographic_order(folder: Path) -> None:
    """Regular files of any extension are read in the order of their paths; subfolders are not entered."""
    (folder / "d" / "sub").mkdir(parents=True)
    for name, text in {"20.yaml": "foo: [b]", "100": "foo: [a]", "sub/x.yaml": "foo: [no]"}.items():
        (folder / "d" / name).write_text(text)
    assert load("config_files: d\nfoo: [m]\n") == {"foo": ["m", "a", "b"]}


def test_paths_are_relative_to_the_working_directory(folder: Path) -> None:
    """A relative entry is looked up where the process runs, not beside the main file; absolute ones work."""
    other = folder / "etc"
    other.mkdir()
    (other / "conf_2.yaml").write_text("wrong: 1")
    (folder / "conf_2.yaml").write_text("foo2: here")
    (folder / "conf_3.yaml").write_text("foo3: absolute")
    (other / "main.yaml").write_text(f"config_files: [conf_2.yaml, {folder}/conf_3.yaml]\n")
    root = load_tree(other / "main.yaml").root
    assert "wrong" not in root.entries and {"foo2", "foo3"} <= root.entries.keys()


@pytest.mark.usefixtures("folder")
def test_overrides_of_config_files_come_before_the_merge_and_others_after() -> None:
    """``-o config_files=…`` decides what is read; any other wins over included files, unexpanded."""
    options = ("foo=cmd", "config_files[]=conf_4.yaml", "text=${V}")
    data = load(MAIN, *options, conf_2="foo: two\ntext2: ${V}\n", conf_4="foo4: 4\n")
    assert data["foo"] == "cmd" and data["foo4"] == 4
    assert data["text"] == "${V}" and data["text2"] == "value"
    assert "foo4" in load("a: 1\n", "config_files=conf_4.yaml", conf_4="foo4: 4\n")
    assert load(MAIN, "config_files[0]=conf_4.yaml", conf_2="foo: two\n")["foo"] == ["bar"]


@pytest.mark.usefixtures("folder")
def test_a_nested_include_is_an_error() -> None:
    """An included file may not include others; its other problems are shown too."""
    found = messages(MAIN, conf_2="a: 1\nconfig_files: [x.yaml]\n", conf_3="a: 'x")
    assert found[0].startswith(
        "conf_2.yaml:2:1: error: Config error: 'config_files' directive in included config file conf_2.yaml."
    )
    assert found[1].startswith("conf_3.yaml:1:6: error: not YAML")


def test_including_the_main_file_is_an_error(folder: Path) -> None:
    """The main file in its own list, under any name or in a listed folder, is refused in Falco's words."""
    words = "'config_files' directive tried to recursively include main config file"
    (folder / "link.yaml").symlink_to("main.yaml")
    for entry in ("main.yaml", "./main.yaml", "link.yaml", "."):
        assert words in messages(f"config_files: [{entry}]\n")[0]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("{a: b}", "main.yaml:1:15: error: config_files is a map: write a list of paths"),
        ("[[a]]", "main.yaml:1:16: error: config_files holds a list: write a path, or {path, strategy}"),
        ("[{strategy: append}]", "error: config_files holds a map: write a path, or {path, strategy}"),
        ('["a\\0b"]', "error: config_files holds the value"),
        ("[{path: none, stategy: append}]", "unknown key 'stategy'; did you mean 'strategy'?"),
    ],
)
def test_a_wrong_list_is_refused_with_its_place(value: str, words: str) -> None:
    """Entries that are neither a path nor {path, strategy} say what would be right."""
    assert words in messages(f"config_files: {value}\n")[0]


@pytest.mark.usefixtures("folder")
def test_a_list_is_not_appended_to_a_scalar() -> None:
    """Falco fails there as well; the message names both places."""
    found = messages("config_files: [conf_2.yaml]\nfoo: bar\n", conf_2="foo: [x]\n")
    assert found == [
        "conf_2.yaml:1:6: error: foo: a list cannot be appended to the value 'bar' at main.yaml:2:6; "
        "use the strategy override"
    ]


@pytest.mark.usefixtures("folder")
def test_all_errors_are_raised_at_once_sorted_by_place() -> None:
    """The main file's problems come first, then the included ones', then the overrides'."""
    with pytest.raises(ConfigError) as caught:
        load("a: 1\na: 2\nconfig_files: [conf_2.yaml]\n", "nonsense", conf_2="b: 1\nb: 2\n")
    lines = str(caught.value).splitlines()
    assert [line.partition(": error")[0] for line in lines] == [
        "main.yaml:2:1",
        "conf_2.yaml:2:1",
        "-o nonsense",
    ]


@pytest.mark.usefixtures("folder")
def test_an_empty_main_file_is_an_error_unless_overrides_fill_it() -> None:
    """A file without keys says what to write; with ``-o`` it is a base to build on."""
    assert "the file is empty: write at least 'stdout_output" in messages("# nothing\n")[0]
    assert load("", "stdout_output.enabled=true") == {"stdout_output": {"enabled": "true"}}


@pytest.mark.usefixtures("folder")
def test_the_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ``environment=`` the process's variables are used."""
    monkeypatch.setitem(os.environ, "RXALERTS_TEST_V", "from the environment")
    Path("main.yaml").write_text("a: ${RXALERTS_TEST_V}\n")
    assert read_map(load_tree("main.yaml").root) == {"a": "from the environment"}
