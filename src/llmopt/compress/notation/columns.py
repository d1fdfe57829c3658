"""Columns of a table and the ways in which their values are written in rows: one class for each way."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from typing import Any, Final, Protocol

from .lexical import DIGITS_PER_TOKEN, Whole, cell, cells, compact, decimals, read_word, text_cells

__all__ = [
    "ABSENT",
    "Absent",
    "Column",
    "Digits",
    "Flag",
    "Format",
    "Picture",
    "Texts",
    "Words",
    "digits_for",
]


class Absent(Enum):
    """The type of `ABSENT`."""

    ABSENT = "absent"

    __hash__ = object.__hash__  # that of `Enum` is not in C

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent.ABSENT
"""Stands in a vector where a row has no such value."""

_hashes = re.compile(r"#+|[^#]+").findall
_MAX_DIGITS: Final = 15  # floats of 15 digits and integers of that size survive the way there and back


class Format(Protocol):
    """How the values of one column are written in rows."""

    @property
    def width(self) -> int:
        """Characters of each field, or 0 for words between blanks."""
        ...

    def write(self, values: Sequence[Any]) -> list[str]:
        """Return the cells of `values`, none of them `ABSENT`.

        Raises:
            ValueError: one of them is no value of this format, or does not fit.
            TypeError: likewise.
            KeyError: likewise.
        """
        ...

    def read(self, text: str) -> Any:
        """Return the value of a field of `width` characters, or of a bare word.

        Raises:
            ValueError: it is none.
        """
        ...


_CELLS: Final[dict[type, Callable[[Any], str]]] = {
    str: cell,
    int: compact,
    float: compact,
    bool: {True: "true", False: "false"}.__getitem__,
    type(None): lambda _: "null",
}
_COLUMNS: Final[dict[type, Callable[[Sequence[Any]], list[str]]]] = {
    str: cells,
    int: lambda values: list(map(repr, values)),
    float: decimals,
    bool: lambda values: ["true" if value else "false" for value in values],
    type(None): lambda values: ["null"] * len(values),
}


@dataclass(frozen=True, slots=True)
class Words:
    """Scalars of any type; what looks like a number or a literal is one."""

    width: int = field(default=0, init=False)

    def write(self, values: Sequence[Any]) -> list[str]:
        """Return the cells of `values`."""
        kinds = set(map(type, values))
        if len(kinds) == 1:
            return _COLUMNS[kinds.pop()](values)
        return [_CELLS[type(value)](value) for value in values]

    def read(self, text: str) -> Any:
        """Return what a bare word means."""
        return read_word(text)


@dataclass(frozen=True, slots=True)
class Values:
    """Whole JSON values, objects and lists among them, each as JSON without white space."""

    width: int = field(default=0, init=False)

    def write(self, values: Sequence[Any]) -> list[str]:
        """Return the cells of `values`."""
        return list(values) if set(map(type, values)) == {Whole} else list(map(cell, values))

    def read(self, text: str) -> Any:
        """Return what a bare word means."""
        return read_word(text)


@dataclass(frozen=True, slots=True)
class Texts:
    """Strings; the template says so by its quotes, so that bare digits are a string, too."""

    width: int = field(default=0, init=False)

    def write(self, values: Sequence[Any]) -> list[str]:
        """Return the cells of `values`."""
        return text_cells(values)

    def read(self, text: str) -> str:
        """Return the word."""
        return text


@dataclass(frozen=True, slots=True)
class Flag:
    """Whether something optional is there: `+` or `-`."""

    width: int = field(default=0, init=False)

    def write(self, values: Sequence[Any]) -> list[str]:
        """Return the cells of `values`."""
        return ["+" if value else "-" for value in values]

    def read(self, text: str) -> bool:
        """Return whether it is there."""
        if text not in {"+", "-"}:
            raise ValueError(text)
        return text == "+"


@dataclass(frozen=True, slots=True)
class Digits:
    """Numbers in fields of fixed width without delimiters; the decimal point stands in the template.

    Attributes:
        places: digits of the field, a multiple of three.
        decimals: how many of them follow the point; 0 for integers.

    Example:
        >>> Digits(3, 1).write([6.2, -0.5])
        ['062', '-05']
        >>> Digits(3, 1).notation
        '##.#'
    """

    places: int
    decimals: int = 0

    @property
    def width(self) -> int:
        """Characters of a field."""
        return self.places

    @property
    def notation(self) -> str:
        """What stands for it in a template."""
        point = "." if self.decimals else ""
        return "#" * (self.places - self.decimals) + point + "#" * self.decimals

    def write(self, values: Sequence[Any]) -> list[str]:
        """Return the fields of `values`."""
        numbers = self._scaled(values) if self.decimals else values
        if not numbers:
            return []
        if set(map(type, numbers)) != {int}:
            raise TypeError("not all of them are integers")
        least, most = min(numbers), max(numbers)
        if most >= 10**self.places or least <= -(10 ** (self.places - 1)):
            raise ValueError("too large for its field")
        if least >= 0 and self.places == DIGITS_PER_TOKEN:
            return list(map(_fields_of_three().__getitem__, numbers))
        return list(map(f"%0{self.places}d".__mod__, numbers))

    def _scaled(self, values: Sequence[Any]) -> list[int]:
        if set(map(type, values)) - {float}:
            raise TypeError("not all of them are decimals")
        scale = 10**self.decimals
        try:
            numbers = [round(value * scale) for value in values]
        except OverflowError:
            raise ValueError("not all of them are finite") from None
        if [number / scale for number in numbers] != list(values) or (
            0 in numbers and "-0.0" in map(repr, values)
        ):
            raise ValueError("more decimals than its field")
        return numbers

    def read(self, text: str) -> Any:
        """Return the number of a field."""
        if not text.removeprefix("-").isascii() or not text.removeprefix("-").isdigit():
            raise ValueError(text)
        return int(text) / 10**self.decimals if self.decimals else int(text)


@cache
def _fields_of_three() -> tuple[str, ...]:
    return tuple(f"{number:03d}" for number in range(1000))


def digits_for(values: Sequence[Any]) -> Digits | None:
    """Return the narrowest `Digits` for `values`, all integers or all decimals, if there is one.

    Example:
        >>> digits_for([6.25, 11.5]), digits_for([7, 120]), digits_for([1, "x"])
        (Digits(places=6, decimals=2), Digits(places=3, decimals=0), None)
    """
    kinds = set(map(type, values))
    if kinds == {int}:
        places = max(map(len, map(str, (max(values), min(values)))))
        decimals = 0
    elif kinds == {float}:
        written = list(map(repr, values))
        if any("e" in text or "n" in text for text in written):
            return None
        whole, parts = zip(*(text.split(".") for text in written), strict=True)
        decimals = max(map(len, parts))
        places = max(len(text) if text.lstrip("-0") else text.count("-") for text in whole) + decimals
    else:
        return None
    if places > _MAX_DIGITS:
        return None
    found = Digits(-(-places // DIGITS_PER_TOKEN) * DIGITS_PER_TOKEN, decimals)
    try:
        found.write(values)
    except (ValueError, TypeError, OverflowError):  # minus zero
        return None
    return found


@dataclass(frozen=True, slots=True)
class Picture:
    """Strings that differ in their digits alone: the template shows them with "#" for each digit.

    Attributes:
        pattern: the string with "#" for a digit.
        width: characters of a field: one for each "#", with zeros before them up to a multiple of three.
        expression: a regular expression for such strings.

    Example:
        >>> Picture("T##:##Z").write(["T10:39Z"]), Picture("T##:##Z").read("001039")
        (['001039'], 'T10:39Z')
    """

    pattern: str

    width: int = field(init=False)
    expression: str = field(init=False, repr=False, compare=False)
    _all: Callable[[str], list[Any]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        plain = "".join(f"[0-9]{{{len(p)}}}" if p[0] == "#" else re.escape(p) for p in _hashes(self.pattern))
        groups = "".join(
            f"([0-9]{{{len(p)}}})" if p[0] == "#" else re.escape(p) for p in _hashes(self.pattern)
        )
        object.__setattr__(self, "expression", plain)
        object.__setattr__(self, "_all", re.compile(groups).findall)
        places = self.pattern.count("#")
        object.__setattr__(self, "width", -(-places // DIGITS_PER_TOKEN) * DIGITS_PER_TOKEN)

    def write(self, values: Sequence[Any]) -> list[str]:
        """Return the fields of `values`."""
        found = self._all("".join(values))  # strings of this length, found as often as there are any
        if len(found) != len(values) or not set(map(len, values)) <= {len(self.pattern)}:
            raise ValueError("not of this picture")
        fields = list(map("".join, found))
        return (
            fields if self.width == self.pattern.count("#") else [field.zfill(self.width) for field in fields]
        )

    def read(self, text: str) -> str:
        """Return the string of a field."""
        if len(text) != self.width or not text.isascii() or not text.isdigit():
            raise ValueError(text)
        digits = iter(text[len(text) - self.pattern.count("#") :])
        return "".join(next(digits) if char == "#" else char for char in self.pattern)


@dataclass(eq=False, slots=True)
class Column:
    """One value for each row of a table; compared by identity.

    Attributes:
        format: how its values are written.
        name: its name in the template where it is used twice or looked up, else "".
    """

    format: Format
    name: str = ""
