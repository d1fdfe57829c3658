"""Words, quotes and numbers of the notation: the one place that the writer and the reader share."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from json.decoder import scanstring  # type: ignore[attr-defined]
from json.encoder import encode_basestring
from math import isfinite
from typing import Any, Final, NoReturn, cast

from ...errors import DecodingError

__all__ = [
    "DIGITS_PER_TOKEN",
    "Scanner",
    "Whole",
    "cell",
    "cells",
    "compact",
    "decimals",
    "is_number",
    "key_text",
    "quoted",
    "read_word",
    "scalar_text",
    "text_cell",
    "text_cells",
    "type_of",
]

DIGITS_PER_TOKEN: Final = 3
"""cl100k and o200k cut runs of digits into threes: fields of 3, 6, 9... digits need no delimiter."""

_SHORT: Final = 40  # characters of texts that are remembered
_LITERALS: Final[dict[str, Any]] = {"true": True, "false": False, "null": None}
_NUMBER: Final = r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?"
_number = re.compile(_NUMBER).fullmatch
# A bare word stands without quotes: in a template or a list, in a row, and as a key.
_bare = re.compile(r"(?!json[0-9a]*\()[^\s\x00-\x20\ud800-\udfff\"{}\[\]()|,:$#?+\-]"
                   r"[^\s\x00-\x20\ud800-\udfff\"{}\[\]()|,$#]*").fullmatch  # fmt: skip
_REST: Final = r"[^\s\x00-\x20\ud800-\udfff]*+"
_BARE_CELL: Final = r"[^\s\x00-\x20\ud800-\udfff\"{}\[\](+$\-]" + _REST
_BARE_TEXT_CELL: Final = r"[^\s\x00-\x20\ud800-\udfff\"\]$+-]" + _REST
_bare_cell = re.compile(_BARE_CELL).fullmatch
_bare_text_cell = re.compile(_BARE_TEXT_CELL).fullmatch
# Whole columns of ASCII at once, a cell a line.
_bare_cells = re.compile(
    rf"(?:(?!(?:{_NUMBER}|true|false|null)\n)[!#%-')*,./0-Z\\^-z|~][!-~]*+\n)*+", re.ASCII
).fullmatch
_bare_text_cells = re.compile(r"(?:[!#%-*,./0-\\^-~][!-~]*+\n)*+").fullmatch
_bare_key = re.compile(r"(?!each\b)[^\s\x00-\x20\ud800-\udfff\"{}\[\]()|,:$#?]+").fullmatch
type_of: Callable[[Any], type[Any]] = type
"""`type`, without the checkers' conclusions about what an object of unknown type holds."""

_surrogate = re.compile("[\ud800-\udfff]").search
_scanstring = cast("Callable[[str, int, bool], tuple[str, int]]", scanstring)
_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False, allow_nan=False)
_dump_ascii = json.JSONEncoder(separators=(",", ":"), check_circular=False, allow_nan=False).encode


def compact(value: Any) -> str:
    """Return `value` as JSON without white space; lone surrogates, which no UTF-8 has, stay escaped."""
    kind = type_of(value)
    if kind is int:
        return repr(value)
    text = encode_basestring(value) if kind is str else _encoder.encode(value)
    return text if text.isascii() or not _surrogate(text) else _dump_ascii(value)


def decimals(values: Sequence[float]) -> list[str]:
    """Return floats as JSON.

    Raises:
        ValueError: one of them is not finite.
    """
    if not all(map(isfinite, values)):
        raise ValueError("JSON knows no infinity")
    return list(map(repr, values))


def quoted(text: str, *, in_template: bool = False) -> str:
    """Return `text` as a JSON string; in a template its "$", "#" are escaped, for they mean holes there."""
    written = compact(text)
    return written.replace("$", "\\u0024").replace("#", "\\u0023") if in_template else written


def is_number(word: str) -> bool:
    """Return whether `word` is a JSON number."""
    return _number(word) is not None


def scalar_text(value: Any, *, in_template: bool = False) -> str:
    """Return a scalar as it stands in a template or a list."""
    if type(value) is str and len(value) <= _SHORT and not in_template:
        return _word(value)
    return _scalar_text(value, in_template=in_template)


@lru_cache(maxsize=4096)
def _word(text: str) -> str:
    return _scalar_text(text, in_template=False)


def _scalar_text(value: Any, *, in_template: bool) -> str:
    if not isinstance(value, str):
        return compact(value)
    if _bare(value) and not is_number(value) and value not in _LITERALS:
        return value
    return quoted(value, in_template=in_template)


@lru_cache(maxsize=4096)
def key_text(key: str) -> str:
    """Return a key as it stands before a colon."""
    return key if _bare_key(key) else quoted(key)


class Whole(str):
    """An object or a list, as its compact JSON."""

    __slots__ = ()


def cell(value: Any) -> str:
    """Return a scalar as it stands in a row, where a bare number is a number."""
    if not isinstance(value, str):
        return compact(value)
    if type(value) is Whole:
        return value
    if _bare_cell(value) and not is_number(value) and value not in _LITERALS:
        return value
    return compact(value)


def text_cell(text: str) -> str:
    """Return a string as it stands in a column of strings, where a bare number is a string as well."""
    return text if _bare_text_cell(text) else compact(text)


def cells(values: Sequence[str]) -> list[str]:
    """Return `cell` of each string."""
    return list(values) if _all_match(_bare_cells, values) else list(map(cell, values))


def text_cells(values: Sequence[str]) -> list[str]:
    """Return `text_cell` of each string.

    Raises:
        TypeError: one of them is no string.
    """
    return list(values) if _all_match(_bare_text_cells, values) else list(map(text_cell, values))


def _all_match(lines: Callable[[str], re.Match[str] | None], values: Sequence[str]) -> bool:
    text = "\n".join((*values, ""))
    return text.isascii() and text.count("\n") == len(values) and lines(text) is not None


def read_word(word: str) -> Any:
    """Return what a bare word means: a literal, a number, or itself."""
    if word in _LITERALS:
        return _LITERALS[word]
    match = _number(word)
    if match is None:
        return word
    return float(word) if match[1] or match[2] else int(word)


class Scanner:
    """A place in a text, and what can be read there.

    Args:
        text: the text.
    """

    __slots__ = ("at", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def fail(self, wanted: str) -> NoReturn:
        """Raise a `DecodingError` that names the line and what was expected there."""
        line = self.text.count("\n", 0, self.at) + 1
        found = self.text[self.at : self.at + 20]
        raise DecodingError(f"line {line}: expected {wanted}, found {found!r}", line=line)

    def peek(self) -> str:
        """Return the next character, or "" at the end."""
        return self.text[self.at : self.at + 1]

    def skips(self, literal: str) -> bool:
        """Step over `literal` if it is next, and return whether it was."""
        if not self.text.startswith(literal, self.at):
            return False
        self.at += len(literal)
        return True

    def expect(self, literal: str) -> None:
        """Step over `literal`."""
        if not self.skips(literal):
            self.fail(repr(literal))

    def take(self, pattern: re.Pattern[str]) -> str:
        """Step over the longest match of `pattern` and return it, "" if there is none."""
        match = pattern.match(self.text, self.at)
        if match is None:
            return ""
        self.at = match.end()
        return match[0]

    def string(self) -> str:
        """Read a JSON string, quotes included, and return what it says."""
        try:
            text, self.at = _scanstring(self.text, self.at + 1, True)
        except ValueError:
            self.fail("a JSON string")
        return text

    def raw_string(self) -> str:
        """Read a JSON string and return it as it is written, without its quotes."""
        start = self.at
        self.string()
        return self.text[start + 1 : self.at - 1]

    def word(self, word: str) -> Any:
        """Return what a bare word just read means."""
        try:
            value = read_word(word)
        except ValueError:  # Python's limit on the digits of an int
            self.fail("a shorter number")
        if isinstance(value, float) and value in (float("inf"), float("-inf")):
            self.fail("a finite number")
        return value
