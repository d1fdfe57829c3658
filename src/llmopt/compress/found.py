"""Finds JSON in a text: the objects and lists that stand in it whole, and what they say.

Brackets are matched first, strings skipped, then what lies between is parsed. What is cut off, malformed or
looks like code is passed over as a whole, so that no character is looked at more than a few times, whatever
the text is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson

from .notation.lexical import compact

__all__ = ["Found", "Place", "find", "json_in", "may_hold_json", "places"]

MAX_LEVELS: Final = 64
"""Levels of objects and lists that found JSON may have; what is nested deeper is left alone."""

_CLOSING: Final = {"{": "}", "[": "]"}
# What JSON may have between two brackets: numbers, marks, blanks, strings, words.
_PLAIN: Final = r"[ \t\r\n,:0-9eE+.\-]*+"
_STRING: Final = r'"[^"\\\x00-\x1f]*+(?:\\.[^"\\\x00-\x1f]*+)*+"'
_between = re.compile(rf"{_PLAIN}(?:(?:{_STRING}|true|false|null){_PLAIN})*+").match
# An index, a call, a quoted literal or inline code are no data: `rows[1]`, `'{"a": 1}'`, `[1, 2].map(`.
_opens = re.compile(
    r"[\[{](?<![\w$\\'\"`)\]{}][\[{])(?:(?<=\{)(?=[ \t\r\n]*\")|(?<=\[)(?=[ \t\r\n]*[\[{\"\-0-9tfn]))"
).match
_goes_on = re.compile(r"[\w\[({'\"`\\]|\.\w").match

_ticks = re.compile(r"[`~](?:(?<=`)``+|(?<=~)~~+)").finditer
_INDENT: Final = 32  # characters that may stand before a fence: blanks, and the marks of quotes
_indent = re.compile(r"[ \t>]*+").match
_info = re.compile(r"[ \t]*+([^\s`]*+)([^\n]*+)").match
_JSON_NAMES: Final = frozenset(("json", "jsonl", "ndjson", "jsonc", "json5", "geojson"))

_LIBRARIES: Final[tuple[tuple[Callable[[str], Any], Callable[[Any], str]], ...]] = (
    (orjson.loads, lambda value: orjson.dumps(value).decode()),
    (json.loads, compact),
)
_strings = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL).sub


@dataclass(frozen=True, slots=True)
class Place:
    """Where JSON may stand in a text: brackets that match. A line of its own may be a name for it.

    Attributes:
        start: where it begins.
        end: where the text goes on.
        label: start and end of the word that says "json", where it stands in a fenced block.
    """

    start: int
    end: int
    label: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """JSON in a text, and what it says.

    Attributes:
        place: where it stands.
        value: what it says.
    """

    place: Place
    value: Any


def find(text: str, *, min_chars: int = 2) -> list[Found]:
    """Return the JSON objects and lists that stand in a text, in their order.

    Found is what stands in prose, pretty-printed or not, in fenced blocks that say "json", and what is all of
    a fenced block that does not say what it is. Passed over are blocks of other languages, what is part of an
    expression, and JSON that could not be written again with the same keys and numbers: one with a key twice,
    or with numbers such as `1.50`.

    Args:
        text: any text; takes time in proportion to its length.
        min_chars: shorter ones are passed over.

    Example:
        >>> found = find('We know of {"id": 7, "hp": [90]}, not of [this], and nothing of {"id":')
        >>> [each.value for each in found]
        [{'id': 7, 'hp': [90]}]
    """
    found: list[Found] = []
    for place in places(text, min_chars=min_chars):
        try:
            found.append(Found(place, json_in(text[place.start : place.end])))
        except ValueError:
            continue
    return found


def places(text: str, *, min_chars: int = 2) -> Iterator[Place]:
    """Yield the places where JSON may stand; whether it does is for `json_in` to say.

    Args:
        text: any text.
        min_chars: shorter ones are passed over.
    """
    if len(text) < min_chars or not may_hold_json(text):
        return
    for start, end, label, whole in _segments(text):
        for place in _in_segment(text, start, end, label):
            size = place.end - place.start
            if size >= min_chars and (not whole or size == end - start):
                yield place


def may_hold_json(text: str) -> bool:
    """Tell, at next to no cost, whether JSON may stand in a text."""
    return _Openings(text, len(text)).after(0) < len(text)


def json_in(text: str) -> Any:
    """Return what a JSON text says.

    Raises:
        ValueError: it is no JSON, or could not be written again with the same keys and numbers.
    """
    seen = _skeleton(text)
    for load, dump in _LIBRARIES:
        try:
            value = load(text)
            if _skeleton(dump(value)) == seen:
                return value
        except (ValueError, TypeError, RecursionError):  # one of them may know what the other does not
            continue
    raise ValueError("this is no JSON, or has a key twice, or numbers that would be written in another way")


def _skeleton(text: str) -> str:
    """Return JSON without white space and without what is in its strings: brackets, marks and numbers."""
    return "".join(_strings('"', text).split())


def _in_segment(text: str, at: int, end: int, label: tuple[int, int] | None) -> Iterator[Place]:
    """Yield the places in a part of the text."""
    openings = _Openings(text, end)
    start = openings.after(at)
    while start < end:
        at, whole = _matched(text, start, end)
        if whole and not _goes_on(text, at, end):
            yield Place(start, at, label)
        start = openings.after(max(at, start + 1))


class _Openings:
    """Where JSON may begin. Most texts have few brackets, and a regex takes ten times as long to find one."""

    __slots__ = ("_brace", "_bracket", "_end", "_text")

    def __init__(self, text: str, end: int) -> None:
        self._text, self._end = text, end
        self._brace = self._bracket = -1

    def after(self, at: int) -> int:
        """Return the first one from `at` on, the end if there is none; `at` never decreases."""
        while True:
            if self._brace < at:
                self._brace = self._find("{", at)
            if self._bracket < at:
                self._bracket = self._find("[", at)
            first = min(self._brace, self._bracket)
            if first >= self._end or _opens(self._text, first, self._end):
                return first
            at = first + 1

    def _find(self, mark: str, at: int) -> int:
        found = self._text.find(mark, at, self._end)
        return self._end if found < 0 else found


def _matched(text: str, start: int, end: int) -> tuple[int, bool]:
    """Return where the bracket at `start` is closed, or where that turns out to be impossible.

    Nothing before that place can be JSON that stands for itself: what is open there is broken by the same
    character, and the rest is part of something broken.
    """
    closing: list[str] = []
    at, levels = start, 0
    while at < end:
        mark = text[at]
        if mark in _CLOSING:
            closing.append(_CLOSING[mark])
            levels = max(levels, len(closing))
        elif mark == closing[-1]:
            closing.pop()
        else:
            break
        if not closing:
            return at + 1, levels <= MAX_LEVELS
        between = _between(text, at + 1, end)
        at = between.end() if between else at + 1
    return at, False


def _segments(text: str) -> Iterator[tuple[int, int, tuple[int, int] | None, bool]]:
    """Yield the parts of a text where JSON may stand: start, end, label, whether all of it must be JSON."""
    at = 0
    fences = _fences(text) if "```" in text or "~~~" in text else iter(())
    for fence in fences:
        info = _info(text, fence.end())
        if info is None or fence.start() < at or (fence[0][0] == "`" and "`" in info[2]):
            continue
        yield at, fence.start(), None, False
        end = len(text)
        for other in fences:
            rest = _info(text, other.end())
            if other[0].startswith(fence[0]) and rest is not None and not (rest[1] + rest[2]).strip():
                end = other.start()
                at = other.end()
                break
        else:
            at = end
        name = info[1].lower()
        if name in _JSON_NAMES:
            yield info.end(), end, info.span(1), False
        elif not name:
            begin = _blanks(text, info.end(), end)
            yield begin, begin + len(text[begin:end].rstrip()), None, True
    yield at, len(text), None, False


def _blanks(text: str, at: int, end: int) -> int:
    """Return where something else than white space begins."""
    return end - len(text[at:end].lstrip())


def _fences(text: str) -> Iterator[re.Match[str]]:
    """Yield the rows of backticks or tildes that begin a line."""
    for ticks in _ticks(text):
        at = ticks.start()
        line = text.rfind("\n", max(0, at - _INDENT - 1), at) + 1
        indent = _indent(text, line, at)
        if (line > 0 or at <= _INDENT) and indent is not None and indent.end() == at:
            yield ticks
