"""Turn the text of a condition into a tree: Falco's grammar, with errors that help.

`or` binds weakest, then `and`, then `not`. A name with a dot is an output field, a name without one a
built-in or a macro.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from rxalerts.operators._condition_checks import ValueProblem, build_check
from rxalerts.operators._condition_functions import FUNCTIONS
from rxalerts.operators._condition_lexer import ConditionError, Scanner
from rxalerts.operators._condition_mistakes import (
    CHECK,
    no_check,
    no_list,
    no_operator,
    trailing,
    unknown_name,
)
from rxalerts.operators._condition_tree import (
    BUILTINS,
    KEYWORDS,
    LIST_OPERATORS,
    OPERATORS,
    ORDERINGS,
    Check,
    Field,
    Junction,
    Lists,
    Macro,
    Node,
    Not,
    Value,
    expand_list,
)

Macros = Mapping[str, str]

MAX_TEXT: Final = 65_536  # characters of a condition or macro
MAX_DEPTH: Final = 50  # nested parentheses and macros
MAX_CHECKS: Final = 10_000  # checks after macros were put in
MAX_HEIGHT: Final = 4 * MAX_DEPTH  # levels of the tree: each depth has at most or, and, not, macro


def parse_condition(text: str, lists: Lists, macros: Macros) -> Node:
    """Read a condition. Raises ConditionError."""
    for name in macros:
        if name in BUILTINS or name in KEYWORDS:
            raise ConditionError(macros[name], 0, f"{name} is a word of the language", "another name", name)
    return _Parser(text, lists, macros, _Context()).parse()


class _Context:
    """What the parsers of a condition and of its macros share."""

    def __init__(self) -> None:
        self.open_macros: list[str] = []
        self.known: dict[str, Node] = {}
        self.depth = 0


class _Parser:
    def __init__(self, text: str, lists: Lists, macros: Macros, context: _Context, macro: str | None = None):
        self.scan = Scanner(text, macro)
        self.lists = lists
        self.macros = macros
        self.context = context

    def parse(self) -> Node:
        scan = self.scan
        if len(scan.text) > MAX_TEXT:
            raise scan.fail(f"longer than {MAX_TEXT} characters; put values into a named list", at=MAX_TEXT)
        scan.skip_blank()
        if scan.at_end:
            raise scan.fail("there is nothing here", CHECK)
        node = self._disjunction()
        if not scan.at_end:
            raise trailing(scan)
        return node

    def _disjunction(self) -> Node:
        return self._joined("or", self._conjunction)

    def _conjunction(self) -> Node:
        return self._joined("and", self._negation)

    def _joined(self, word: str, operand: Callable[[], Node]) -> Node:
        parts = [operand()]
        self.scan.skip_blank()
        while self.scan.peek_word() == word:
            self.scan.pos += len(word)
            parts.append(operand())
            self.scan.skip_blank()
        if len(parts) == 1:
            return parts[0]
        size, height = sum(part.size for part in parts), 1 + max(part.height for part in parts)
        return self._limited(Junction(word, tuple(parts), size, height))

    def _limited(self, node: Node) -> Node:
        """Refuse what is too large: macros can double the size, or add a level, with each line."""
        if node.size > MAX_CHECKS:
            raise self.scan.fail(f"more than {MAX_CHECKS} checks; put values into a list with in (…)")
        if node.height > MAX_HEIGHT:
            raise self.scan.fail(f"nested more than {MAX_DEPTH} deep", "fewer parentheses or macros")
        return node

    def _negation(self) -> Node:
        scan, negated = self.scan, False
        scan.skip_blank()
        while scan.peek_word() == "not":
            scan.pos += 3
            scan.skip_blank()
            negated = not negated
        node = self._primary()
        return self._limited(Not(node, node.size, node.height + 1)) if negated else node

    def _primary(self) -> Node:
        scan, start = self.scan, self.scan.pos
        if scan.take("("):
            depth = self._deeper(start)
            scan.skip_blank()
            node = self._disjunction()
            if not scan.take(")"):
                if scan.at_end:
                    raise scan.fail("this ( is never closed", ")", at=start)
                raise trailing(scan)
            self.context.depth = depth - 1
            return node
        name = scan.peek_name()
        if not name or name in KEYWORDS:
            raise no_check(scan, name)
        scan.pos += len(name)
        return self._named(name, start)

    def _deeper(self, at: int) -> int:
        self.context.depth += 1
        if self.context.depth > MAX_DEPTH:
            raise self.scan.fail(f"nested more than {MAX_DEPTH} deep", "fewer parentheses or macros", at=at)
        return self.context.depth

    def _named(self, name: str, start: int) -> Node:
        """Read on after a name: a check, or a macro when no operator follows."""
        scan = self.scan
        if name in FUNCTIONS and scan.text.startswith("(", scan.pos):
            return self._check(self._changed(name, start))
        if scan.text.startswith("[", scan.pos) or "." in name or name in BUILTINS:
            field = self._field(name, start)
            return self._check(field)
        if name in self.macros:
            return self._macro(name, start)
        raise unknown_name(scan, name, start, self.macros)

    def _changed(self, function: str, start: int) -> Field:
        """Read the rest of a function of a field, or of another function; its name has just been read."""
        scan = self.scan
        depth = self._deeper(start)
        scan.take("(")
        scan.skip_blank()
        begin, name = scan.pos, scan.peek_name()
        if not name:
            raise scan.fail(f"{function}(…) takes a field", "the name of a field")
        scan.pos += len(name)
        if name in FUNCTIONS and scan.text.startswith("(", scan.pos):
            field = self._changed(name, begin)
        elif scan.text.startswith("[", scan.pos) or "." in name or name in BUILTINS:
            field = self._field(name, begin)
        else:
            raise unknown_name(scan, name, begin, ())
        if field.name in ("priority", "evt.time") and field.key is None:
            raise scan.fail(f"{field.name} is no text", "a field that is one", at=begin)
        scan.skip_blank()
        if not scan.take(")"):
            raise scan.fail(f"{function}(…) takes one field", ")")
        self.context.depth = depth - 1
        return replace(field, functions=(function, *field.functions))

    def _macro(self, name: str, start: int) -> Node:
        context = self.context
        if name in context.open_macros:
            path = " -> ".join([*context.open_macros[context.open_macros.index(name) :], name])
            raise self.scan.fail(f"macro {name} contains itself ({path})", at=start)
        node = context.known.get(name)
        if node is None:
            depth = self._deeper(start)
            context.open_macros.append(name)
            node = _Parser(self.macros[name], self.lists, self.macros, context, name).parse()
            context.open_macros.pop()
            context.depth = depth - 1
            context.known[name] = node
        return self._limited(Macro(name, node, node.size, node.height + 1))

    def _field(self, name: str, start: int) -> Field:
        scan = self.scan
        if not scan.take("["):
            return Field(name, None if name in BUILTINS else name)
        argument = scan.argument()
        if argument is None:
            raise scan.fail("the brackets hold no argument", "a bare or quoted argument")
        if not scan.take("]"):
            raise scan.fail("the [ of this field is never closed", "]")
        if name == "output_fields":
            return Field(f"output_fields[{argument}]", argument)
        if name in BUILTINS:
            raise scan.fail(f"{name} takes no argument", at=start)
        return Field(f"{name}[{argument}]", f"{name}[{argument}]")

    def _check(self, field: Field) -> Check:
        scan = self.scan
        scan.skip_blank()
        start = scan.pos
        operator = scan.symbol()
        if operator is None:
            operator = scan.peek_word()
            if operator not in OPERATORS:
                raise no_operator(scan, operator, field.name)
            scan.pos += len(operator)
        else:
            self._whole_symbol(operator, start)
            operator = "=" if operator == "==" else operator
        self._fits(field, operator, start)
        if operator == "exists":
            return self._finish(field, operator, [], [])
        if operator in LIST_OPERATORS:
            return self._list_check(field, operator)
        return self._finish(field, operator, [self._value()], [])

    def _finish(self, field: Field, operator: str, values: list[Value], lists: list[str]) -> Check:
        """Compile a check whose parts have all been read."""
        try:
            compiled = build_check(field, operator, values)
        except ValueProblem as problem:
            value = problem.value
            quoted = self.scan.text[value.offset : value.offset + 1] in ("'", '"')
            at = value.offset + (problem.inside + quoted if problem.inside else 0)
            raise self.scan.fail(problem.reason, problem.expected, at=at) from None
        return Check(field, operator, tuple(values), tuple(lists), compiled)

    def _whole_symbol(self, operator: str, start: int) -> None:
        """Refuse `>>`, `=~` and the like, whose second character would be read as a value."""
        rest = self.scan.text[self.scan.pos : self.scan.pos + 2]
        follows = rest[:1] in ("<", ">") if operator in ORDERINGS else rest in ("~ ", "> ", "< ", "! ")
        if follows:
            raise no_operator(self.scan, operator + rest[0], "", at=start)

    def _fits(self, field: Field, operator: str, at: int) -> None:
        """Refuse a text operator on a severity or a time."""
        if field.name in ("priority", "evt.time") and field.key is None:
            wanted = ("=", "!=", "<", "<=", ">", ">=", "in", "intersects", "exists")
            if operator not in wanted:
                raise self.scan.fail(f"{field.name} is no text", f"one of {' '.join(wanted)}", at=at)

    def _value(self, in_list: bool = False) -> Value:
        scan = self.scan
        scan.skip_blank()
        start = scan.pos
        text = scan.quoted()
        if text is not None:
            return Value(text, start)
        text = scan.bare()
        if text is None:
            raise scan.fail("a value is missing", "a value")
        if scan.text.startswith("(", scan.pos) and text in (*FUNCTIONS, "val"):
            raise scan.fail(f"{text}(…) of another field cannot be compared with", "a value", at=start)
        if text in KEYWORDS and not in_list:
            wanted = f'a value (the word itself is written "{text}")'
            raise scan.fail(f"a value is missing before {text}", wanted, at=start)
        return Value(text, start)

    def _list_check(self, field: Field, operator: str) -> Check:
        scan = self.scan
        scan.skip_blank()
        start, values, used = scan.pos, list[Value](), list[str]()
        if not scan.take("("):
            name = scan.peek_name()
            if name not in self.lists:
                raise no_list(scan, name, operator, self.lists)
            scan.pos += len(name)
            return self._finish(field, operator, expand_list(self.lists, name, start), [name])
        scan.skip_blank()
        while not scan.take(")"):
            self._item(values, used)
            scan.skip_blank()
            if scan.at_end:
                raise scan.fail("this ( is never closed", ")", at=start)
            if scan.take(","):
                scan.skip_blank()
                if scan.text.startswith(")", scan.pos):
                    raise scan.fail("a value is missing after the comma", "a value")
            elif not scan.text.startswith(")", scan.pos):
                raise scan.fail("values of a list are parted by commas", ", or )")
        return self._finish(field, operator, values, used)

    def _item(self, values: list[Value], used: list[str]) -> None:
        quoted = self.scan.text[self.scan.pos : self.scan.pos + 1] in ("'", '"')
        value = self._value(in_list=True)
        if not quoted and value.text in self.lists:
            values.extend(expand_list(self.lists, value.text, value.offset))
            used.append(value.text)
        else:
            values.append(value)
