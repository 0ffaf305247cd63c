"""Say what was meant, for the mistakes that people make in conditions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from rxalerts.operators._condition_functions import FUNCTIONS
from rxalerts.operators._condition_lexer import ConditionError, Scanner, did_you_mean
from rxalerts.operators._condition_tree import BUILTINS, KEYWORDS, OPERATORS

CHECK: Final = "a field, a macro, not or ("
_JOIN: Final = "and, or, ) or the end"
_RAW: Final = ("bcontains", "bstartswith")
# What people call the built-ins elsewhere.
_ALIASES: Final = {
    "prio": "priority", "severity": "priority", "level": "priority", "time": "evt.time",
    "host": "hostname", "tag": "tags", "msg": "message", "rule_name": "rule", "rulename": "rule",
}  # fmt: skip


def trailing(scan: Scanner) -> ConditionError:
    """Explain what stands where only and, or, ) or the end may stand."""
    if scan.text[scan.pos] == ")":
        return scan.fail("this ) closes no (", "and, or or the end")
    word = scan.peek_word()
    if word.lower() in ("and", "or"):
        return scan.fail(f"{word} must be in lower case", word.lower())
    if word.lower() == "not":
        return scan.fail("not follows a complete check", _JOIN)
    if not word:
        return scan.fail("a value with such characters needs quotes", _JOIN)
    return scan.fail("a second value; one with blanks needs quotes", _JOIN)


def no_check(scan: Scanner, word: str) -> ConditionError:
    """Explain what stands where a check should begin."""
    if scan.at_end:
        return scan.fail("the condition ends too early", CHECK)
    if word:
        return scan.fail(f"nothing stands before {word}", CHECK)
    if scan.text[scan.pos] == ")":
        return scan.fail("nothing stands before this )", CHECK)
    return scan.fail("no name can begin like this", CHECK)


def no_operator(scan: Scanner, word: str, field: str, at: int | None = None) -> ConditionError:
    """Explain what follows a field instead of an operator."""
    wanted = f"an operator: {' '.join(OPERATORS)}"
    if not word or word in KEYWORDS:
        return scan.fail(f"no operator follows {field}", wanted, at)
    if word.lower() in OPERATORS:
        return scan.fail(f"{word} must be in lower case", word.lower(), at)
    if word in _RAW:
        return scan.fail(f"{word} compares raw bytes, which an alert does not carry", word[1:], at)
    hint = "; did you mean regex?" if word == "=~" else did_you_mean(word, OPERATORS)
    return scan.fail(f"unknown operator {word}{hint}", wanted, at)


def no_list(scan: Scanner, name: str, operator: str, lists: Iterable[str]) -> ConditionError:
    """Explain what follows `in`, `intersects` or `pmatch` instead of a list."""
    if not name or name in KEYWORDS:
        return scan.fail(f"no list follows {operator}", "a list (a, b) or the name of one")
    given = ", ".join(lists) or "none was given"
    wanted = f"a list like (a, b) or a named list ({given})"
    return scan.fail(f"unknown list {name}{did_you_mean(name, lists)}", wanted)


def unknown_name(scan: Scanner, name: str, start: int, macros: Iterable[str]) -> ConditionError:
    """Explain a name without a dot that is neither a built-in nor a macro; it has just been read."""
    if name.lower() in KEYWORDS:
        return scan.fail(f"{name} must be in lower case", name.lower(), at=start)
    if scan.take("("):
        known = f"{CHECK}, or one of {', '.join(FUNCTIONS)}"
        return scan.fail(f"there is no function {name}(…) here{did_you_mean(name, FUNCTIONS)}", known, at=start)
    alias = _ALIASES.get(name.lower())
    hint = f"; did you mean {alias}?" if alias else did_you_mean(name, [*BUILTINS, *macros])
    scan.skip_blank()
    if scan.symbol() is None and scan.peek_word() not in OPERATORS:
        wanted = f"a macro ({', '.join(macros) or 'none was given'}) or a field with an operator"
        return scan.fail(f"unknown macro {name}{hint}", wanted, at=start)
    wanted = f"one of {', '.join(BUILTINS)}, a field with a dot, or output_fields[{name}]"
    return scan.fail(f"unknown name {name}{hint}", wanted, at=start)
