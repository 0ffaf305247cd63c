"""The condition language against a slow reference interpreter, Python's re and fnmatch, and random input."""

import ctypes
import fnmatch
import operator
import pickle
import re
import string
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rxalerts.alert import Alert
from rxalerts.operators._condition_pattern import PatternError
from rxalerts.operators._condition_regex import Regex, glob_matcher
from rxalerts.operators.condition import ConditionError, compile_condition
from rxalerts.priority import Priority

WORDS = [
    *("and", "or", "not", "(", ")", "=", "!=", "<", ">=", "==", ",", "[", "]", "'", '"', "\\", "\n", " "),
    *("in", "intersects", "pmatch", "exists", "contains", "glob", "regex", "startswith", "iglob"),
    *(
        "rule",
        "priority",
        "tags",
        "evt.time",
        "proc.name",
        "proc.aname[2]",
        "output_fields[x]",
        "m",
        "n",
        "l",
    ),
    *("warning", "5", "0x1f", "2026-07-01", "(a, b)", "'a(b'", "[a-", "AND", "é", "\x00", "\ud800", "a{2,}"),
]
ALERT = Alert("r", "error", "m", {"proc.name": "bash"}, time=5, hostname="h")

texts = st.one_of(st.text(), st.lists(st.sampled_from(WORDS), max_size=20).map(" ".join))


@given(texts)
@example("rule regex '[[:^alpha:]&&a||b--c~~d]{0}'")
@example("evt.time > 2026-02-30")
@example("evt.time > 99999-01-01")
@example("rule > " + "9" * 5000)
def test_any_input(text: str) -> None:
    """Whatever the text, it compiles or raises ConditionError with a column inside the text."""
    lists, macros = {"l": ["a", "n"], "n": ["l"]}, {"m": "proc.name = bash or n", "n": "tags = x"}
    try:
        condition = compile_condition(text, lists=lists, macros=macros)
    except ConditionError as error:
        lines = error.text.split("\n")
        assert 1 <= error.line <= len(lines)
        assert 1 <= error.column <= len(lines[error.line - 1]) + 1
        assert str(error) and error.reason
    else:
        assert condition(ALERT) in (True, False)
        assert condition.explain()
        assert pickle.loads(pickle.dumps(condition)) == condition


# The reference: a tree of tuples is written as text, compiled and run; and judged by plain recursion.

Tree = tuple[Any, ...]
KEYS = ["a.b", "a.c[1]", "a.d-e"]
scalars = st.sampled_from(
    ["bash", "sh", "5", "05", "true", "", 5, 5.0, -1, 0, True, False, 1.5, "Bash", "/etc/x", "a b"]
)
values = st.sampled_from(
    ["bash", "sh", "5", "5.0", "0x5", "-1", "true", "1", "", "a b", "/etc", "it's", "b\\", "*sh", "b"]
)
field_values = st.one_of(scalars, st.none(), st.lists(scalars, max_size=3), st.just({"k": 1}))
COMPARED = ["=", "==", "!=", "<", "<=", ">", ">=", "contains", "icontains", "startswith", "endswith", "glob"]

checks = st.one_of(
    st.tuples(st.just("check"), st.sampled_from(KEYS), st.sampled_from(COMPARED), values.map(lambda v: [v])),
    st.tuples(
        st.just("check"),
        st.sampled_from(KEYS),
        st.sampled_from(["in", "intersects", "pmatch"]),
        st.lists(values, max_size=3),
    ),
    st.tuples(st.just("check"), st.sampled_from(KEYS), st.just("exists"), st.just(list[str]())),
    st.tuples(st.just("tags"), st.sampled_from(["=", "!=", "in", "intersects"]), st.sampled_from("xyz")),
    st.tuples(
        st.just("priority"),
        st.sampled_from(["=", "!=", "<", "<=", ">", ">="]),
        st.sampled_from([level.name.lower() for level in Priority]),
    ),
)


def _deeper(inner: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    several = st.lists(inner, min_size=2, max_size=6)
    return st.one_of(
        st.tuples(st.just("not"), inner),
        st.tuples(st.sampled_from(["and", "or"]), several),
    )


trees = cast("st.SearchStrategy[Tree]", st.recursive(checks, _deeper, max_leaves=12))


def quote(text: str) -> str:
    """Write a value; bare when that is possible."""
    if text and all(c in string.ascii_letters + string.digits + "/*.-" for c in text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def write(tree: Tree) -> str:
    """Write a tree as the text of a condition."""
    if tree[0] == "not":
        return f"not ({write(tree[1])})"
    if tree[0] in ("and", "or"):
        return "(" + f" {tree[0]} ".join(write(part) for part in tree[1]) + ")"
    if tree[0] in ("tags", "priority"):
        wrapped = f"({tree[2]})" if tree[1] in ("in", "intersects") else tree[2]
        return f"{tree[0]} {tree[1]} {wrapped}"
    _, key, op, given_values = tree
    if op == "exists":
        return f"{key} exists"
    if op in ("in", "intersects", "pmatch"):
        return f"{key} {op} ({', '.join(map(quote, given_values))})"
    return f"{key} {op} {quote(given_values[0])}"


def judge(tree: Tree, fields: dict[str, Any], level: int, tags: list[str]) -> bool:
    """Say what a tree means, the plain way."""
    if tree[0] == "not":
        return not judge(tree[1], fields, level, tags)
    if tree[0] in ("and", "or"):
        parts = [judge(part, fields, level, tags) for part in tree[1]]
        return all(parts) if tree[0] == "and" else any(parts)
    if tree[0] == "priority":
        severity, wanted = -level, -int(Priority.parse(tree[2]))
        return ORDER[tree[1]](severity, wanted)
    if tree[0] == "tags":
        return judge_value(tags, tree[1], [tree[2]])
    _, key, op, wanted_values = tree
    return judge_value(fields.get(key), op, wanted_values)


ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt,
    "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


def judge_value(got: Any, op: str, wanted: list[str]) -> bool:
    """Say whether the value of a field, possibly a list, passes a check."""
    op = "=" if op == "==" else op
    if got is None or got == []:
        return False
    if op == "exists":
        return True
    if isinstance(got, list):
        results = [judge_value(item, op, wanted) for item in cast("list[object]", got)]
        return all(results) if op in ("in", "!=") else any(results)
    if isinstance(got, dict):
        return False
    if op in ("=", "!=", "in", "intersects"):
        return any(same(got, text) for text in wanted) is (op != "!=")
    if op in ORDER:
        left, right = number(got), number(wanted[0])
        if left is not None and right is not None:
            return ORDER[op](left, right)
        return isinstance(got, str) and ORDER[op](got, wanted[0])
    text = ("true" if got else "false") if isinstance(got, bool) else str(got)
    if op == "pmatch":
        return any(below(text, path) for path in wanted)
    return {
        "contains": lambda: wanted[0] in text,
        "icontains": lambda: wanted[0].lower() in text.lower(),
        "startswith": lambda: text.startswith(wanted[0]),
        "endswith": lambda: text.endswith(wanted[0]),
        "glob": lambda: fnmatch.fnmatchcase(text, wanted[0].removesuffix("\\")) and not wanted[0].endswith("\\"),
    }[op]()


def number(value: Any) -> int | float | None:
    """Read a number, in a text or not."""
    if not isinstance(value, str):
        return cast("int | float", value)
    try:
        return int(value, 16) if value.startswith("0x") else float(value)
    except ValueError:
        return None


def same(got: Any, text: str) -> bool:
    """Say whether a value of an alert equals one of a condition."""
    if isinstance(got, str):
        return got == text
    truth = {"true": True, "false": False}
    return bool(got == truth.get(text, number(text)))


def below(path: str, prefix: str) -> bool:
    """Say whether a path is another one or lies below it."""
    parts = [part for part in path.split("/") if part]
    wanted = [part for part in prefix.split("/") if part]
    matching = [fnmatch.fnmatchcase(part, want) for part, want in zip(parts, wanted, strict=False)]
    return len(parts) >= len(wanted) and all(matching)


@settings(max_examples=400)
@given(
    trees,
    st.dictionaries(st.sampled_from(KEYS), field_values),
    st.sampled_from(list(Priority)),
    st.lists(st.sampled_from("xyz"), max_size=2),
)
def test_reference(tree: Tree, fields: dict[str, Any], level: Priority, tags: list[str]) -> None:
    """A compiled condition gives what a plain interpreter of its tree gives."""
    alert = Alert("r", level, output_fields=fields, tags=tags, hostname="h")
    assert compile_condition(write(tree))(alert) is judge(tree, fields, level, tags)


atoms = st.sampled_from(["a", "b", "c", ".", "[ab]", "[^a]", "[a-c]", "[[:alpha:]]", r"\d", r"\.", r"\W", "(?:)"])


def _patterns(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    repeats = st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "{0,}", "*?"])
    return st.one_of(
        st.lists(inner, min_size=2, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"({'|'.join(parts)})"),
        st.tuples(inner, repeats).map(lambda pair: f"({pair[0]}){pair[1]}"),
        inner.map(lambda part: f"(^{part})"),
        inner.map(lambda part: f"({part}$)"),
    )


@settings(max_examples=400)
@given(st.recursive(atoms, _patterns, max_leaves=6), st.text("abcAB1._\n", max_size=6))
def test_regex(pattern: str, text: str) -> None:
    """The automaton agrees with Python's re, where both know the syntax."""
    # Python's $ stands also before a closing line feed, and re has no classes such as [:alpha:].
    python = pattern.replace("$", r"\Z").replace("[[:alpha:]]", "[A-Za-z]")
    assert Regex(pattern).matches(text) is (re.fullmatch(python, text, re.ASCII) is not None)
    ignoring = re.fullmatch(python, text, re.ASCII | re.IGNORECASE) is not None
    assert Regex("(?i)" + pattern).matches(text) is ignoring


@given(st.text(alphabet="ab[]()^$-\\*+?{}|,.:!xd1é", max_size=12), st.text("ab^-[]", max_size=5))
def test_any_pattern(pattern: str, text: str) -> None:
    """Whatever the pattern, it is read or refused, with a place inside it."""
    try:
        assert Regex(pattern).matches(text) in (True, False)
    except PatternError as error:
        assert 0 <= error.at <= len(pattern) and error.reason
    assert glob_matcher(pattern)(text) in (True, False)


@given(st.text(alphabet="ab[]^-*?!.\\:d", max_size=8), st.text("ab^-[]!.\\\n:d", max_size=6))
@settings(max_examples=1000)
def test_glob(pattern: str, text: str) -> None:
    """Globs agree with the C library's fnmatch, which is what Falco calls."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        pytest.skip("the C library is not glibc: its fnmatch may differ")
    if re.search(r"\[.*[:.-]", pattern):
        return  # collating symbols, and ranges and classes that never end: read otherwise by glibc
    assert glob_matcher(pattern)(text) is (libc.fnmatch(pattern.encode(), text.encode(), 0) == 0)


@pytest.mark.parametrize(
    ("pattern", "text", "value"),
    [
        ("[^a]b", "cb", True), ("[^a]b", "ab", False), ("[!^]", "a", True), ("[!^]", "^", False),
        ("[]a]", "]", True), (r"\*", "*", True), (r"\*", "a", False), ("[a", "[a", True),
        (r"[\]]", "]", True), ("[[:digit:]]x", "5x", True), ("[z-a]", "b", False),
        ("[[:nothing:]]", "b", False), ("a\\", "a\\", False),
    ],
)  # fmt: skip
def test_glob_brackets(pattern: str, text: str, value: bool) -> None:
    """Brackets and escapes mean what fnmatch(3) says."""
    assert glob_matcher(pattern)(text) is value


def test_regex_cache_is_bounded() -> None:
    """An automaton that meets ever new characters forgets old states, and stays right."""
    regex = Regex("(a.)*b?")
    for code in range(0x10000, 0x10000 + 45_000):
        assert regex.matches(f"a{chr(code)}b")
    assert not regex.matches("ab" + "b" * 2)
