"""The characters and patterns of JSON, once for str and once for bytes, from the same source.

A stream is str or bytes throughout. What reads it is written once and takes its constants from here.
All patterns are possessive: they never go back, so each takes time linear in what it passes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, TypeAlias

from .shapes import shape_of_bytes, shape_of_str

__all__ = ["CURVED_CLOSE", "CURVED_OPEN", "Alphabet", "Brackets", "Matcher", "Text", "alphabet_of"]

Text: TypeAlias = Any
"""A piece of the reply: str or bytes, the same throughout one stream."""

Matcher: TypeAlias = Callable[[Text, int], "re.Match[Any] | None"]
"""Matches or searches a text from a place on."""

CURVED_OPEN = "\u201c\u2018"
CURVED_CLOSE = "\u201d\u2019"
"""Quotes as word processors set them."""

_WS = r"[ \t\r\n]*+"
# A string without an escape, which is most of them, is done at its second quote.
_STRING = r'"[^"\\]*+(?:"|(?:\\.[^"\\]*+)++")'
_TAIL = r'[^"\\]*+(?:\\.[^"\\]*+)*+'  # the rest of a string, without its second quote
# How many levels one call of the balanced pattern passes by itself. More make it larger, not faster.
_LEVELS = 2


@dataclass(frozen=True, slots=True, eq=False)
class Brackets:
    """One kind of brackets, and how to find the end of what they enclose.

    Only brackets of its own kind are counted. Whether those of the other kind match is proved by decoding
    the element, which has to be done anyway.

    Attributes:
        opener: as indexing a text gives it: a character, or its number in bytes. That is also what `in` and
            `count` find fastest.
        other_closer: the closing bracket of the other kind.
        walk: called with a new region of the element, the place to begin at, how many brackets are open
            there and whether it is inside a string, goes on until all are closed or the region has ended.
            It returns the place reached and the new state: with depth 0 the place after the last bracket,
            or else the end, or the place of a backslash at the end, which belongs to the next region.
    """

    opener: Any
    closer: Any
    other_closer: Any
    walk: Callable[[Text, int, int, bool], tuple[int, int, bool]]


@dataclass(frozen=True, slots=True, eq=False)
class Alphabet:
    """What the scanner needs to know of str or bytes."""

    kind: type
    nothing: Any
    braces: Brackets
    squares: Brackets
    quote: Any
    comma: Any
    backslash: Any
    newline: Any
    shape: Callable[[Text], bytes]
    # One-character strings, for counting and gluing; the others above are what indexing a text gives.
    open_brace: Any
    close_brace: Any
    open_square: Any
    close_square: Any
    blank: Callable[[Text, int], Any]
    scalar: Callable[[Text, int], Any]
    tail: Callable[[Text, int], Any]
    comma_brace: Callable[[Text, int], Any]
    comma_square: Callable[[Text, int], Any]
    head_of_object: Callable[[Text, int], Any]
    head_of_array: Callable[[Text, int], Any]
    brackets: Callable[[Text], Any]

    def depth_of(self, raw: Text) -> int:
        """Return how deep the brackets of an element stand in each other, those of both kinds."""
        depth = deepest = 0
        for match in self.brackets(raw):
            token = match.group()
            if token in (self.open_brace, self.open_square):
                depth += 1
                deepest = max(deepest, depth)
            elif token in (self.close_brace, self.close_square):
                depth -= 1
        return deepest

    def of(self, source: str) -> Any:
        """Return `source` as this alphabet's kind of text."""
        return source if self.kind is str else source.encode()

    def pattern(self, source: str, flags: int = 0) -> re.Pattern[Any]:
        """Return a pattern over this kind of text."""
        return _pattern(self.kind, source, flags)


@lru_cache(maxsize=64)
def _pattern(kind: type[str | bytes], source: str, flags: int) -> re.Pattern[Any]:
    if kind is bytes:
        # A class of single bytes cannot hold these; in bytes they are left to the repair.
        source = source.translate(dict.fromkeys(map(ord, CURVED_OPEN + CURVED_CLOSE)))
        return re.compile(source.encode(), re.DOTALL | flags)
    return re.compile(source, re.DOTALL | flags)


@lru_cache(maxsize=2)
def alphabet_of(kind: type[str | bytes]) -> Alphabet:
    """Return the constants for streams of `kind`, compiled when they are first asked for."""
    text, char = partial(_text, kind), partial(_char, kind)

    def match(source: str) -> Callable[[Text, int], Any]:
        return re.compile(text(source), re.DOTALL).match

    tail = match(_TAIL)

    def brackets(pair: str, other_closer: str) -> Brackets:
        opener, closer = map(char, pair)
        skip = match(_balanced(*map(re.escape, pair)))
        return Brackets(opener, closer, char(other_closer), _walk(opener, closer, char('"'), skip, tail))

    return Alphabet(
        kind=kind,
        nothing=text(""),
        braces=brackets("{}", "]"),
        squares=brackets("[]", "}"),
        quote=char('"'),
        comma=char(","),
        backslash=char("\\"),
        newline=char("\n"),
        shape=shape_of_bytes if kind is bytes else shape_of_str,
        open_brace=text("{"),
        close_brace=text("}"),
        open_square=text("["),
        close_square=text("]"),
        blank=match(_WS),
        scalar=match(r'[^ \t\r\n,\]\[{}"]*+'),
        tail=tail,
        comma_brace=match(rf"{_WS},{_WS}(?=\{{)"),
        comma_square=match(rf"{_WS},{_WS}(?=\[)"),
        head_of_object=match(rf'\{{{_WS}"[^"\\]*+"{_WS}:'),
        head_of_array=match(rf'\[{_WS}"'),
        brackets=re.compile(text(rf"{_STRING}|[\[\]{{}}]"), re.DOTALL).finditer,
    )


def _text(kind: type[str | bytes], source: str) -> Any:
    return source.encode() if kind is bytes else source


def _char(kind: type[str | bytes], source: str) -> Any:
    """Return a character as indexing a text gives it."""
    return ord(source) if kind is bytes else source


def _balanced(opener: str, closer: str) -> str:
    """Return a pattern for text in which brackets are balanced, as far as its levels reach."""
    plain = rf'[^"{opener}{closer}]*+'
    level = rf"{plain}(?:{_STRING}{plain})*+"
    for _ in range(_LEVELS):
        level = rf"{plain}(?:{_STRING}{plain}|{opener}{level}{closer}{plain})*+"
    return level


def _walk(
    opener: Any, closer: Any, quote: Any, skip: Callable[..., Any], tail: Callable[..., Any]
) -> Callable[[Text, int, int, bool], tuple[int, int, bool]]:
    def walk(text: Text, pos: int, depth: int, inside: bool) -> tuple[int, int, bool]:  # noqa: FBT001
        end = len(text)
        while pos < end:
            if inside:
                pos = tail(text, pos).end()
                if pos == end or text[pos] != quote:
                    break
                inside = False
                pos += 1
                continue
            pos = skip(text, pos).end()
            if pos == end:
                break
            char = text[pos]
            pos += 1
            if char == closer:
                depth -= 1
                if not depth:
                    break
            elif char == opener:
                depth += 1
            else:
                inside = True
        return pos, depth, inside

    return walk
