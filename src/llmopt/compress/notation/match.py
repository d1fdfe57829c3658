"""Takes strings apart that are made of literal parts and columns."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Mapping, Sequence
from functools import lru_cache
from itertools import repeat
from typing import Any, Final, TypeAlias

from .columns import Column, Digits, Picture
from .lexical import quoted

__all__ = ["Changed", "NotRegularError", "json_expression", "match_texts"]

Parts: TypeAlias = "Sequence[str | Column]"
Known: TypeAlias = "Mapping[Column, Sequence[Any]]"
_FindAll: TypeAlias = "Callable[[str], list[Any]]"
_Match: TypeAlias = "Callable[[str], re.Match[str] | None]"


class NotRegularError(Exception):
    """No regular expression can tell."""


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
    if set(map(type, values)) != {str}:
        raise Changed
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
        middle = _between(values, starts, ends)
    found = _apart(tuple(parts[first:last]), middle)
    if any(
        list(map(str, known[column])) != list(map(str, found[column])) for column in found if column in known
    ):
        raise Changed
    return {column: vector for column, vector in found.items() if column not in known}


def _unknown(parts: Parts, new: list[int], known: Container[Column]) -> tuple[int, int]:
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


def _between(values: Sequence[str], starts: Sequence[str], ends: Sequence[str]) -> list[str]:
    if not all(map(str.startswith, values, starts)):
        raise Changed
    rest = list(map(str.removeprefix, values, starts))
    if not all(map(str.endswith, rest, ends)):
        raise Changed
    return list(map(str.removesuffix, rest, ends))


def _apart(parts: tuple[str | Column, ...], values: Sequence[str]) -> dict[Column, list[Any]]:
    columns = list(dict.fromkeys(part for part in parts if isinstance(part, Column)))
    text = "\n".join(values)
    if text.count("\n") == len(values) - 1:
        found = _patterns(parts)[0](text)
    else:
        matches = list(map(_patterns(parts)[1], values))
        found = (
            [one.groups() for one in matches if one]
            if len(columns) > 1
            else [one[1] for one in matches if one]
        )
    if len(found) != len(values):
        raise Changed
    vectors = zip(*found, strict=True) if len(columns) > 1 else (found,)
    return {column: _values(column, texts) for column, texts in zip(columns, vectors, strict=True)}


def _values(column: Column, texts: Sequence[str]) -> list[Any]:
    return list(map(int, texts)) if isinstance(column.format, Digits) else list(texts)


@lru_cache(maxsize=1024)
def _patterns(parts: tuple[str | Column, ...]) -> tuple[_FindAll, _Match]:
    """Return what takes strings apart, all as lines of one text, and each alone."""
    try:
        pattern, _ = _expression(parts, {}, 0, ".", re.escape)
    except NotRegularError:
        raise Changed from None
    return re.compile(f"^{pattern}$", re.MULTILINE).findall, re.compile(pattern, re.DOTALL).fullmatch


def json_expression(
    parts: Sequence[str | Column], groups: Mapping[Column, int], count: int
) -> tuple[str, list[Column]]:
    """Return an expression for the JSON of such strings, without quotes, and the columns that it captures.

    It does what `match_texts` does, but only a word at the end may hold what is escaped in JSON.

    Args:
        parts: literal parts and columns.
        groups: the columns that are captured before it, and the groups that do.
        count: how many groups there are before it.

    Raises:
        NotRegularError: it takes more than a regular expression.
    """
    if any(isinstance(part, Column) and _needs_escapes(part) for part in parts):
        raise NotRegularError
    new = [at for at, part in enumerate(parts) if isinstance(part, Column) and part not in groups]
    first, last = _unknown(parts, new, groups) if new else (len(parts), len(parts))
    before, _ = _expression(parts[:first], groups, count, _PLAIN, _escaped)
    middle, found = _expression(parts[first:last], groups, count, _PLAIN, _escaped)
    after, _ = _expression(parts[last:], groups, count, _PLAIN, _escaped)
    if not after and middle.endswith(_LAST_WORD):
        middle = middle.removesuffix(_LAST_WORD) + _ANY_WORD
    return before + middle + after, found


_PLAIN: Final = r'[^"\\]'
_LAST_WORD: Final = f"({_PLAIN}*)"
_ANY_WORD: Final = rf"({_PLAIN}*+(?:\\.{_PLAIN}*+)*+)"


def _needs_escapes(column: Column) -> bool:
    picture = column.format
    return isinstance(picture, Picture) and _escaped(picture.pattern) != re.escape(picture.pattern)


def _escaped(text: str) -> str:
    return re.escape(quoted(text)[1:-1])


def _expression(
    parts: Sequence[str | Column],
    known: Mapping[Column, int],
    count: int,
    char: str,
    literal: Callable[[str], str],
) -> tuple[str, list[Column]]:
    """Return an expression whose words go up to the next literal part, and the columns that are new."""
    pattern = ""
    groups = dict(known)
    for at, part in enumerate(parts):
        if isinstance(part, str):
            pattern += literal(part)
        elif part in groups:
            pattern += f"(?:\\{groups[part]})"
        else:
            groups[part] = count = count + 1
            rest = parts[at + 1 : at + 2]
            pattern += _digits(part) if part.format.width else _word(rest, char, literal)
    return pattern, [column for column in groups if column not in known]


def _word(rest: Sequence[str | Column], char: str, literal: Callable[[str], str]) -> str:
    if not rest:
        return f"({char}*)"
    if isinstance(rest[0], Column):  # two words side by side
        raise NotRegularError
    return f"(?>({char}*?)(?={literal(rest[0])}))"


def _digits(column: Column) -> str:
    if isinstance(column.format, Picture):
        return f"({column.format.expression})"
    return f"(0(?![0-9])|[1-9][0-9]{{0,{column.format.width - 1}}}+)"
