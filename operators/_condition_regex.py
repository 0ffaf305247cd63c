"""Match regular expressions and globs in a time that grows only linearly with the text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

from rxalerts.operators._condition_pattern import (
    Chars,
    Choice,
    Edge,
    Part,
    PatternError,
    Ranges,
    Repeat,
    Series,
    read_pattern,
)

MAX_STEPS: Final = 10_000  # parts of a pattern once its counted repeats are written out
MAX_CACHED: Final = 20_000  # transitions kept before starting afresh


class _Program:
    """A nondeterministic automaton: lists of what each step accepts and where it leads."""

    def __init__(self, part: Part) -> None:
        self.accepts: list[Ranges | Edge | None] = []  # None: leads on without a character
        self.targets: list[list[int]] = []
        self.work = 0
        self.final = self.step(None)
        self.start = self.build(part, self.final)

    def step(self, accepts: Ranges | Edge | None, *targets: int) -> int:
        self.accepts.append(accepts)
        self.targets.append(list(targets))
        return len(self.accepts) - 1

    def build(self, part: Part, then: int) -> int:
        """Append the steps of a part that leads to `then`, and give its first step."""
        self.work += 1
        if self.work > MAX_STEPS:
            raise PatternError(f"too large: its counted repeats make more than {MAX_STEPS} parts", 0)
        if isinstance(part, Chars):
            return self.step(part.ranges, then)
        if isinstance(part, Edge):
            return self.step(part, then)
        if isinstance(part, Choice):
            return self.step(None, *[self.build(choice, then) for choice in part.parts])
        if isinstance(part, Series):
            for piece in reversed(part.parts):
                then = self.build(piece, then)
            return then
        return self.repeat(part, then)

    def repeat(self, part: Repeat, then: int) -> int:
        if part.high is None:
            loop = self.step(None, then)
            self.targets[loop].append(self.build(part.part, loop))
            then = loop
        else:
            for _ in range(part.high - part.low):
                then = self.step(None, then, self.build(part.part, then))
        for _ in range(part.low):
            then = self.build(part.part, then)
        return then

    def reach(self, steps: Iterable[int], at_start: bool, at_end: bool) -> frozenset[int]:
        """Give all steps that can be reached without a character."""
        seen, waiting = set[int](), list(steps)
        while waiting:
            step = waiting.pop()
            if step in seen:
                continue
            seen.add(step)
            accepts = self.accepts[step]
            if accepts is None or (isinstance(accepts, Edge) and (at_end if accepts.end else at_start)):
                waiting.extend(self.targets[step])
        return frozenset(seen)


class _State:
    """A state of the deterministic automaton: where each character seen so far leads."""

    __slots__ = ("after", "matches", "steps", "stops")

    def __init__(self, steps: frozenset[int], matches: bool, stops: bool) -> None:
        self.steps = steps
        self.matches = matches  # if the text ends here
        self.stops = stops  # if the match ends here, and more text follows
        self.after: dict[str, _State] = {}


class Regex:
    """A regular expression that must match a whole text, as `regex` in Falco.

    >>> Regex("(ba|z)sh").matches("bash"), Regex("sh").matches("bash")
    (True, False)
    """

    def __init__(self, pattern: str) -> None:
        self._program = _Program(read_pattern(pattern))
        self._begin()

    def _begin(self) -> None:
        """Forget all states but the first."""
        self._states: dict[frozenset[int], _State] = {}
        self._cached = 0
        self._first = self._state([self._program.start], at_start=True)
        self._inner = self._state([self._program.start])  # where a match begins behind the first character

    def _state(self, steps: Iterable[int], at_start: bool = False) -> _State:
        program = self._program
        reached = program.reach(steps, at_start, at_end=False)
        state = None if at_start else self._states.get(reached)
        if state is None:
            at_end = program.reach(reached, at_start, at_end=True)
            state = _State(reached, program.final in at_end, program.final in reached)
            if not at_start:
                self._states[reached] = state
        return state

    def matches(self, text: str) -> bool:
        """Tell whether the whole text matches."""
        state = self._first
        for char in text:
            after = state.after.get(char)
            if after is None:
                after = self._advance(state, char)
            state = after
            if not state.steps:
                return False
        return state.matches

    def replace(self, text: str, replacement: Callable[[str], str]) -> str:
        """Replace the leftmost longest matches within a text; empty matches do not count.

        >>> Regex("token=[^ ]+").replace("curl token=abc x", lambda found: "***")
        'curl *** x'
        """
        parts, begin, kept = list[str](), 0, 0
        while begin < len(text):
            end = self._match_end(text, begin)
            if end > begin:
                parts += text[kept:begin], replacement(text[begin:end])
                begin = kept = end
            else:
                begin += 1
        return "".join([*parts, text[kept:]]) if parts else text

    def _match_end(self, text: str, begin: int) -> int:
        """Give the end of the longest match that begins at a place (the place itself if there is none)."""
        state, end = self._first if begin == 0 else self._inner, begin
        for i in range(begin, len(text)):
            state = state.after.get(text[i]) or self._advance(state, text[i])
            if state.stops:
                end = i + 1
            elif not state.steps:
                return end
        return len(text) if state.matches else end

    def _advance(self, state: _State, char: str) -> _State:
        program, found, code = self._program, set[int](), ord(char)
        for step in state.steps:
            accepts = program.accepts[step]
            if isinstance(accepts, tuple) and any(a <= code <= b for a, b in accepts):
                found.update(program.targets[step])
        if self._cached >= MAX_CACHED:
            self._begin()
        self._cached += 1
        state.after[char] = after = self._state(found)
        return after


def glob_matcher(pattern: str, ignore_case: bool = False) -> Callable[[str], bool]:
    """Compile a glob as fnmatch(3) without flags reads it: `*` and `?` match `/` and a leading dot too.

    >>> glob_matcher("/etc/*.conf")("/etc/ssh/sshd.conf"), glob_matcher("[!a]*")("abc")
    (True, False)
    """
    pieces, literal = list[str](), ""
    i, starred = 0, False
    while i < len(pattern):
        char = pattern[i]
        i += 1
        if char == "*":
            # An atomic group never gives back what it took: the first place that fits is as good as any.
            pieces.append(f"(?>.*?{literal})" if starred else literal)
            literal, starred = "", True
        elif char == "?":
            literal += "."
        elif char == "[":
            found, i = _glob_class(pattern, i)
            literal += found
        else:
            if char == "\\":
                char, i = pattern[i : i + 1], i + 1
            literal += re.escape(char) or "(?!)"  # a backslash at the end matches nothing
    pieces.append(f".*{literal}" if starred else literal)
    flags = re.DOTALL | (re.IGNORECASE if ignore_case else re.NOFLAG)
    compiled = re.compile("".join(pieces), flags)
    return lambda text: compiled.fullmatch(text) is not None


def _glob_class(pattern: str, at: int) -> tuple[str, int]:
    """Translate a bracket of a glob; one that is never closed stands for itself."""
    start = at
    negated = pattern[at : at + 1] in ("!", "^")
    at += negated
    items = ""
    while at < len(pattern) and (pattern[at] != "]" or not items):
        if pattern.startswith("[:", at) and ":]" in pattern[at:]:
            end = pattern.index(":]", at) + 2
            items, at = items + pattern[at:end], end
            continue
        if pattern[at] == "\\" and at + 1 < len(pattern):
            items, at = items + _plain(pattern[at + 1]), at + 2
            continue
        items, at = items + (r"\^" if pattern[at] == "^" else pattern[at]), at + 1
    if at >= len(pattern):
        return re.escape("["), start
    return _class_source(items, negated), at + 1


def _plain(char: str) -> str:
    """Write a character so that it stands for itself within a bracket of a regular expression."""
    return char if char.isalnum() or not char.isascii() else "\\" + char


def _class_source(items: str, negated: bool) -> str:
    """Write the members of a glob's bracket as a class of Python's re."""
    ranges = _glob_ranges(items)
    if not ranges:
        return "." if negated else r"(?!)"
    body = "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in ranges)
    return f"[{'^' if negated else ''}{body}]"


def _glob_ranges(items: str) -> Ranges:
    try:
        part = read_pattern(f"[{items}]")
    except PatternError:
        # fnmatch(3) lets a bracket with a falling range or an unknown class match nothing.
        return ()
    return part.parts[0].ranges if isinstance(part, Series) and isinstance(part.parts[0], Chars) else ()
