"""Falco's condition language over alerts, compiled once to closures.

The grammar is Falco's (falcosecurity/libs 0.21, userspace/libsinsp/filter), so that what people know from
rules works on alerts too:

    priority >= warning and not (k8s.ns.name in (kube-system, monitoring) or proc.name startswith kube)

**Operators**, from the weakest: `or`, `and`, `not`, all in lower case, with parentheses.

**What is compared.** `rule`, `priority`, `source`, `hostname`, `tags`, `output`, `message`, `evt.time`,
and every output field by the very key that it has in the alert: `proc.name`, `proc.aname[2]`,
`evt.arg.flags`, `jevt.value["/a b"]`. `output_fields[KEY]` reaches a key that holds no dot
(`output_fields[n_drops] > 0`). Any other name without a dot is a macro.

**Values** are bare words or texts in single or double quotes; bare words hold no blank, quote,
parenthesis, comma or `=`. Within quotes `\\\\ \\" \\' \\/ \\b \\f \\n \\r \\t` are escapes.

| check | true when |
|---|---|
| `f = v` (or `==`), `f != v` | equal; present and not equal |
| `f < v`, `<=`, `>`, `>=` | as numbers when both are numbers (decimal or `0x`), else as texts |
| `f contains v`, `icontains`, `startswith`, `endswith` | part of the text; `icontains` in any case |
| `f glob v`, `iglob` | shell pattern over the whole text; `*` crosses `/` |
| `f regex v` | RE2 POSIX syntax over the **whole** text, as in Falco; time linear in the text |
| `f in (a, b)`, `f intersects (a, b)` | one of the values; the values may name lists |
| `f pmatch (/etc, /home/*/.ssh)` | one of the paths or below it, by components |
| `f exists` | present, not null, not an empty list |

* `priority` is ordered by severity: `>= warning` is warning and everything more severe. A number is just
  the syslog name of a level: `>= 4` is the same.
* `evt.time` is the time of the alert in nanoseconds; RFC 3339 times and dates (UTC) are accepted as values.
* A number in an alert equals the same number in a condition, quoted or not; `true` and 1 are the same.
  A text field equals a number by its text, and is ordered by number when it reads as one.
* A missing or null field makes every check false, `!=` too, as in Falco; then `not f = v` is true.
* A list (`tags`, and fields with several values): `in` when all of them are given ones, `!=` when none is
  the given one, every other check when any of them fits. An empty list counts as missing. Objects
  answer to `exists` only.
* `tolower(f)`, `toupper(f)`, `basename(f)`, `b64(f)` (decodes Base64) and `len(f)` (bytes of a text, items of a list)
  change a field before it is compared, and may stand in each other. Another field, `val(f)`, is no value to
  compare with here.
* `bcontains` and `bstartswith` are refused: alerts carry no raw bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from rxalerts.alert import Alert
from rxalerts.operators._condition_lexer import ConditionError

if TYPE_CHECKING:
    from rxalerts.operators._condition_parser import Macros
    from rxalerts.operators._condition_tree import Item, Lists

__all__ = ["Condition", "ConditionError", "compile_condition"]

_NO_LISTS: Final[Lists] = {}
_NO_MACROS: Final[Macros] = {}


class Condition:
    """A compiled condition: call it with an alert to hear whether it matches.

    `text` is the condition as it was written, `test` the bare closure (a call of it saves 0.05 µs).
    Equal texts, lists and macros make equal conditions; pickling keeps these and compiles again.
    """

    __slots__ = ("_lists", "_macros", "_tree", "test", "text")

    test: Callable[[Alert], bool]

    def __init__(self, text: str, lists: Lists, macros: Macros) -> None:
        # The language is a good part of what all imports cost: loaded when somebody has a condition.
        from rxalerts.operators._condition_junctions import compile_tree
        from rxalerts.operators._condition_parser import parse_condition

        self.text = text
        self._lists: dict[str, tuple[Item, ...]] = {name: tuple(items) for name, items in lists.items()}
        self._macros = dict(macros)
        self._tree = parse_condition(text, self._lists, self._macros)
        self.test = compile_tree(self._tree)

    def __call__(self, alert: Alert) -> bool:
        return self.test(alert)

    def explain(self) -> str:
        """Describe how the condition was read, as an indented tree in words.

        >>> print(compile_condition('priority >= error and not proc.name in (sh, bash)').explain())
        all of:
          priority is, or is more severe than, error
          not:
            output field proc.name is one of "sh", "bash"
        """
        from rxalerts.operators._condition_tree import explain_tree

        return "\n".join(explain_tree(self._tree))

    def __repr__(self) -> str:
        return f"Condition({self.text!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Condition):
            return NotImplemented
        mine, theirs = (self.text, self._lists, self._macros), (other.text, other._lists, other._macros)
        return mine == theirs

    def __hash__(self) -> int:
        return hash(self.text)

    def __reduce__(self) -> tuple[type[Condition], tuple[str, Lists, Macros]]:
        return Condition, (self.text, self._lists, self._macros)


def compile_condition(text: str, *, lists: Lists = _NO_LISTS, macros: Macros = _NO_MACROS) -> Condition:
    """Compile a condition in Falco's syntax.

    Arguments:
        text: the condition; at most 65,536 characters, 50 levels and 10,000 checks.
        lists: the named lists that `in`, `intersects` and `pmatch` may name; items may name other lists.
        macros: the conditions that bare names stand for; they may name other macros.

    Returns:
        a callable from an alert to a bool, which never raises.

    Raises:
        ConditionError: points at the wrong column and says what was expected there.

    >>> from rxalerts.alert import Alert
    >>> shell = compile_condition(
    ...     'priority >= notice and in_container and proc.name in (shells, "my shell")',
    ...     lists={"shells": ["bash", "sh"]},
    ...     macros={"in_container": "container.id exists and container.id != host"},
    ... )
    >>> shell(Alert("Terminal", "Warning", output_fields={"container.id": "3ad7", "proc.name": "sh"}))
    True
    >>> shell(Alert("Terminal", "Warning", output_fields={"proc.name": "sh"}))
    False
    """
    return Condition(text, lists, macros)
