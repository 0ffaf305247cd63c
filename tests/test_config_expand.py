"""``${VAR}`` in values: Falco's vectors, and the bounds."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxalerts.config.document import parse_text
from rxalerts.config.expand import MAX_LENGTH, MAX_REPLACEMENTS, ExpansionError, expand, expand_tree
from rxalerts.config.nodes import MapNode
from rxalerts.config.problems import Problems
from rxalerts.config.values import convert, read_plain

FALCO_ENV = {
    "ENV_VAR": "envVarValue",
    "ENV_VAR_EMBEDDED": "${ENV_VAR}",
    "ENV_VAR_BOOL": "true",
    "ENV_VAR_INT": "12",
    "ENV_VAR_EMPTY": "",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$ENV_VAR", "$ENV_VAR"),
        ("${ENV_VAR}", "envVarValue"),
        ("$${ENV_VAR}", "${ENV_VAR}"),
        ("$$ENV_VAR", "$$ENV_VAR"),
        ("$${ENV_VAR}$${ENV_VAR}", "${ENV_VAR}${ENV_VAR}"),
        ("$${${ENV_VAR}}", "${envVarValue}"),
        ("$${ENV_VAR}${ENV_VAR}", "${ENV_VAR}envVarValue"),
        ("${ENV_VAR}$${ENV_VAR}", "envVarValue${ENV_VAR}"),
        ("${UNSED_XX_X_X_}", ""),
        ("${ENV_VAR_EMPTY}", ""),
        (" ${ENV_VAR}", " envVarValue"),
        ("${ENV_VAR} ", "envVarValue "),
        ("/foo/${ENV_VAR}/", "/foo/envVarValue/"),
        ("/${ENV_VAR}/${ENV_VAR}${ENV_VAR}/foo", "/envVarValue/envVarValueenvVarValue/foo"),
        ("${ENV_VAR_EMBEDDED}/foo", "envVarValue/foo"),
        ("${ENV_VAR:-default}", ""),
        ("${ENV_VAR", "${ENV_VAR"),
        ("$${ENV_VAR", "$${ENV_VAR"),
        ("${ENV_VAR}/${ENV_VAR", "envVarValue/${ENV_VAR"),
        ("awk '{print $1}' ${ENV_VAR}", "awk '{print $1}' ${ENV_VAR}"),
        ("", ""),
    ],
)
def test_falcos_vectors(text: str, expected: str) -> None:
    """Every vector of Falco's test_configuration_env_vars.cpp and of its documentation holds."""
    assert expand(text, FALCO_ENV) == expected


def tree(text: str, environment: dict[str, str]) -> tuple[MapNode, list[str]]:
    """Parse and expand ``text``; return the tree and the messages."""
    problems = Problems()
    node = parse_text(text, "f", problems)
    assert isinstance(node, MapNode)
    return expand_tree(node, environment, problems), [str(problem) for problem in problems.sorted()]


def test_values_are_expanded_and_keys_are_not() -> None:
    """Values in maps and lists are replaced wherever they stand; keys stay as they are."""
    node, messages = tree("${ENV_VAR}: {x: '${ENV_VAR}'}\nlist: ['${ENV_VAR}', [\"${ENV_VAR}\"]]", FALCO_ENV)
    assert read_plain(node) == {"${ENV_VAR}": {"x": "envVarValue"}, "list": ["envVarValue", ["envVarValue"]]}
    assert not messages


def test_expanded_values_take_the_wanted_type() -> None:
    """Falco's typed vectors: a variable may hold a boolean or a number, quoted or not."""
    node, _ = tree("b: '${ENV_VAR_BOOL}'\ni: ${ENV_VAR_INT}\ne: '${ENV_VAR_EMPTY}'\nu: ${NONE}", FALCO_ENV)
    assert convert(node.entries["b"].node, bool) is True
    assert convert(node.entries["i"].node, int) == 12
    assert convert(node.entries["e"].node, str) == ""
    assert node.get("u") is None


def test_null_in_a_variable_is_the_word() -> None:
    """A variable that holds ``null`` or ``~`` gives that text, not an absent value."""
    node, _ = tree("a: ${N}\nb: ${T}", {"N": "null", "T": "~"})
    assert read_plain(node) == {"a": "null", "b": "~"}


@pytest.mark.parametrize("value", ["${A}", "x${A}", "${A}${A}", "${B}"])
def test_a_variable_that_contains_itself_is_an_error(value: str) -> None:
    """The replacement is looked at again, so a loop would never end: it is refused by name."""
    with pytest.raises(ExpansionError, match=r"\$\{[AB]\}.*(contain itself|longer than)"):
        expand("${A}", {"A": value, "B": "${A}"})
    _, messages = tree("a: 1\nb: [x, '${A}']", {"A": value, "B": "${A}"})
    assert len(messages) == 1 and messages[0].startswith("f:2:8: error: b: ${")


def test_expansion_stays_within_its_bounds() -> None:
    """Doubling variables and a huge run of escapes end soon."""
    doubling = {f"V{n}": f"${{V{n + 1}}}${{V{n + 1}}}" for n in range(60)} | {"BIG": "x" * MAX_LENGTH}
    started = time.monotonic()
    for text in ("${V0}", "${BIG}${BIG}", "${V59}" * (MAX_REPLACEMENTS + 1)):
        with pytest.raises(ExpansionError):
            expand(text, doubling)
    assert expand("$${}" * 250_000, {}) == "${}" * 250_000
    assert time.monotonic() - started < 10


def test_placeholders_of_a_template_stay() -> None:
    """In ``template`` variables that are set are replaced, wherever they stand; what is left is an output field."""
    body = '{"a": "${k8s.ns.name}", "b": $output, "c": "${KEY}", "d": "$${KEY}", "e": "${EMPTY}"}'
    text = f"template: '{body}'"
    node, messages = tree(text, {"KEY": "k", "EMPTY": ""})
    filled = '{"a": "${k8s.ns.name}", "b": $output, "c": "k", "d": "${KEY}", "e": "${EMPTY}"}'
    assert (read_plain(node), messages) == ({"template": filled}, [])


def test_a_variable_that_leaves_a_hole_is_reported() -> None:
    """Nothing stands in its place, as in Falco; in ``program`` the remedy is that of a shell's own variables."""
    _, messages = tree("url: http://${HOST}/${HOST}\nprogram: aws --region ${region}\nempty: ${NONE}", {})
    assert messages == [
        "f:1:6: warning: url: HOST not set, so that nothing stands in its place",
        "f:2:10: warning: program: region not set, so that nothing stands in its place; "
        "$${region} leaves it to the shell",
    ]


def test_a_variable_that_stays_because_of_a_lone_dollar_is_reported() -> None:
    """Falco stops at a lone ``$``; that is said, except in ``program``, where a shell goes on."""
    _, messages = tree("url: http://h/?p=$1&t=${TOKEN}\nprogram: awk '{print $1}' ${FILE}", {"TOKEN": "t"})
    assert (
        len(messages) == 1
        and "f:1:6: warning: url: the variables in '$1&t=${TOKEN}' are not replaced" in messages[0]
    )


@given(st.lists(st.sampled_from(["$", "{", "}", "A", "B", "x", "$${", "${A}"]), max_size=30).map("".join))
def test_any_text_is_expanded_or_refused(text: str) -> None:
    """Without ``$`` nothing changes; otherwise the answer is text or an ExpansionError."""
    environment = {"A": "a$", "B": "${A}{", "AB": "}${B"}
    try:
        result = expand(text, environment)
    except ExpansionError:
        return
    assert isinstance(result, str)
    assert "$" in text or result == text


@given(st.text(alphabet="abc$", max_size=20), st.text(alphabet="xyz/ ", max_size=10))
def test_a_value_without_dollar_replaces_exactly_its_name(text: str, value: str) -> None:
    """What stands before the first ``$`` and what a variable holds come out unchanged."""
    plain = text.replace("$", "")
    assert expand(f"{plain}${{V}}{plain}", {"V": value}) == plain + value + plain
