"""Takes strings apart that are made of literal parts and columns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import repeat
from typing import Any, TypeAlias

from .columns import Column, Digits, Picture

__all__ = ["Changed", "match_texts"]

Parts: TypeAlias = "Sequence[str | Column]"
Known: TypeAlias = "Mapping[Column, Sequence[Any]]"


class Changed(Exception):
    """The values are not of the shape that the template was made for."""


def match_texts(parts: Parts, values: Sequence[str], known: Known) -> dict[Column, list[Any]]:
    """Return what the columns that are not known have to be for `parts` to make up `values`.

    What is known is taken off both ends; of the rest a column goes up to the next literal part.

    Args:
        parts: literal parts and columns.
        values: strings.
        known: the values of some of the columns.

    Raises:
        Changed: the parts cannot make up the strings, or only by luck could one tell how.

    Example:
        >>> app, rest = Column(Picture("##")), Column(Digits(3))
        >>> list(match_texts(["v", app, "-", rest], ["v12-7", "v13-15"], {}).values())
        [['12', '13'], [7, 15]]
    """
    new = [at for at, part in enumerate(parts) if isinstance(part, Column) and part not in known]
    if not new:
        if composed(parts, known, len(values)) != list(values):
            raise Changed
        return {}
    first, last = _unknown(parts, new, known)
    middle: Sequence[str] = values
    if first or last < len(parts):
        starts = composed(parts[:first], known, len(values))
        ends = composed(parts[last:], known, len(values))
        middle = list(map(_between, values, starts, ends))
    found = _apart(tuple(parts[first:last]), middle)
    if any(
        list(map(str, known[column])) != list(map(str, found[column])) for column in found if column in known
    ):
        raise Changed
    return {column: vector for column, vector in found.items() if column not in known}


def _unknown(parts: Parts, new: list[int], known: Known) -> tuple[int, int]:
    """Return the range of the parts without those at both ends that end in something known."""
    places = [at for at, part in enumerate(parts) if isinstance(part, Column) and part in known]
    first = max((at + 1 for at in places if at < new[0]), default=0)
    return first, min((at for at in places if at > new[-1]), default=len(parts))


def composed(parts: Parts, known: Known, size: int) -> list[str]:
    """Return the strings that the parts make up."""
    if not any(isinstance(part, Column) for part in parts):
        return ["".join(map(str, parts))] * size
    columns = [repeat(part) if isinstance(part, str) else map(str, known[part]) for part in parts]
    return list(map("".join, zip(*columns, strict=False)))


def _between(value: str, start: str, end: str) -> str:
    if type(value) is not str or len(value) < len(start) + len(end):
        raise Changed
    if not value.startswith(start) or not value.endswith(end):
        raise Changed
    return value[len(start) : len(value) - len(end)]


def _apart(parts: tuple[str | Column, ...], values: Sequence[str]) -> dict[Column, list[Any]]:
    columns = list(dict.fromkeys(part for part in parts if isinstance(part, Column)))
    try:
        matches = list(map(_pattern(parts).fullmatch, values))
    except TypeError:
        raise Changed from None
    if None in matches:
        raise Changed
    found = zip(*(one.groups() for one in matches if one), strict=True)
    return {column: _values(column, texts) for column, texts in zip(columns, found, strict=True)}


def _values(column: Column, texts: Sequence[str]) -> list[Any]:
    return list(map(int, texts)) if isinstance(column.format, Digits) else list(texts)


@lru_cache(maxsize=1024)
def _pattern(parts: tuple[str | Column, ...]) -> re.Pattern[str]:
    """Return a pattern that never looks back: words go up to the next literal part."""
    pattern = ""
    groups: dict[Column, int] = {}
    for at, part in enumerate(parts):
        if isinstance(part, str):
            pattern += re.escape(part)
        elif part in groups:
            pattern += f"(?:\\{groups[part]})"
        else:
            groups[part] = len(groups) + 1
            pattern += _digits(part) if part.format.width else _word(parts[at + 1 : at + 2])
    return re.compile(pattern, re.DOTALL)


def _word(rest: tuple[str | Column, ...]) -> str:
    if not rest:
        return "(.*)"
    if isinstance(rest[0], Column):
        raise Changed  # two words side by side
    return f"(?>(.*?)(?={re.escape(rest[0])}))"


def _digits(column: Column) -> str:
    if isinstance(column.format, Picture):
        return f"({column.format.expression})"
    return f"(0(?![0-9])|[1-9][0-9]{{0,{column.format.width - 1}}}+)"
