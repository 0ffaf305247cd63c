"""JSON values: encoded as Falco does (sorted keys, compact, raw UTF-8), decoded without losing any number.

msgspec does nearly all of it. What it refuses although it can stand in an alert (a lone surrogate escape, a
number beyond a double, raw control characters) goes through the slower, more patient `decode_lenient`.
"""

from __future__ import annotations

import json
import math
import re
import threading
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar, cast

import msgspec

__all__ = ["clean_text", "decode", "decode_lenient", "encode"]

T = TypeVar("T")

_encoder = msgspec.json.Encoder(order="sorted", decimal_format="number")
_decoder = msgspec.json.Decoder()
_SURROGATES = re.compile("[\ud800-\udfff]")


def encode(value: Any) -> bytes:
    """Return a value as JSON: keys sorted at every depth, no blanks, non-ASCII as it is.

    Raises:
        TypeError: it holds something that JSON has no form for.
        ValueError: it is nested too deeply (a cycle, for example).
    """
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        return _encoder.encode(_clean(value))
    except RecursionError:
        return _on_fresh_stack(lambda: _encoder.encode(value))


def decode(raw: bytes | msgspec.Raw) -> Any:
    """Return the value of a JSON text; numbers of any size stay exact.

    Raises:
        ValueError: it is no JSON, or nested too deeply.
    """
    try:
        return _decoder.decode(raw)
    except (msgspec.MsgspecError, ValueError):
        return decode_lenient(bytes(raw))
    except RecursionError:
        # The nesting was fine where the alert was read; here there is less room on the stack.
        return _on_fresh_stack(lambda: _decoder.decode(raw))


def decode_lenient(raw: bytes) -> Any:
    """Return the value of a JSON text, with U+FFFD for bytes and escapes that are no Unicode.

    Control characters inside strings are let through, and numbers beyond a double become a `Decimal`.

    Raises:
        ValueError: it is no JSON even so, or nested too deeply.
    """
    text = raw.decode("utf-8", "replace")
    try:
        value = json.loads(text, strict=False, parse_float=_float, parse_int=_int, parse_constant=_no_constant)
        return _clean(value) if "\\u" in text else value
    except RecursionError:
        raise ValueError("nested too deeply") from None


def clean_text(text: str) -> str:
    """Return the text with U+FFFD in place of lone surrogates, which no encoding has a form for."""
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)


def _clean(value: object) -> Any:
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {_clean(key): _clean(item) for key, item in items}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(item) for item in cast("list[object]", value)]
    return value


def _float(text: str) -> float | Decimal:
    number = float(text)
    if math.isinf(number):
        return _decimal(text)
    return number


def _int(text: str) -> int | Decimal:
    try:
        return int(text)
    except ValueError:  # Python refuses to convert more than 4300 digits
        return _decimal(text)


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError(f"number out of range: {text[:40]}") from None


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON value")


def _on_fresh_stack(call: Callable[[], T]) -> T:
    """Return what the call returns in a new thread, whose stack is still empty."""
    results: list[T] = []

    def run() -> None:
        try:
            results.append(call())
        except RecursionError:
            results.clear()

    thread = threading.Thread(target=run, name="rxalerts-deep-json")
    thread.start()
    thread.join()
    if not results:
        raise ValueError("nested too deeply")
    return results[0]
