r"""The escapes of text alerts: Falco after 0.44 writes a line as the inside of a JSON string."""

from __future__ import annotations

import json
import re

__all__ = ["escape_one", "is_escaped", "unescape"]

_SHORT = {"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}
# Falco's escapes, and the further ones of `rxalerts.format.escape`.
_CODES = r"u(?:00[01][0-9a-f]|007f|00[89][0-9a-f]|202[89]|003a)"
_ESCAPED = re.compile(rf'(?:[^"\\\x00-\x1f]|\\(?:["\\bfnrt]|{_CODES}))*')
_SURE = re.compile(rf'\\(?:["\\]|{_CODES})')


def is_escaped(line: str) -> bool:
    r"""Tell whether a line of text was surely escaped.

    It was if it has an escape that hardly anybody types (``\"``, ``\\`` or ``\u001b``), and neither a quote nor a
    backslash that an escaped line cannot have. A line with ``\n`` alone stays as it is: it is as good as any
    other ``printf a\n`` that Falco 0.44 and before have written.

    >>> is_escaped(r'echo \"a\"'), is_escaped(r'echo "a\\"'), is_escaped(r"grep \bx"), is_escaped(r"C:\\temp\x")
    (True, False, False, False)
    """
    return "\\" in line and _SURE.search(line) is not None and _ESCAPED.fullmatch(line) is not None


def unescape(line: str) -> str:
    r"""Return what an escaped line stands for.

    >>> unescape(r'echo \"a\"')
    'echo "a"'
    """
    return str(json.loads(f'"{line}"'))


def escape_one(match: re.Match[str]) -> str:
    """Return a character as it is escaped."""
    char = match.group()
    return _SHORT.get(char) or f"\\u{ord(char):04x}"
