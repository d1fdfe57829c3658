"""What JSON Schema can ask of a value beyond its type: bounds, lengths, a pattern."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from ..errors import ConfigurationError
from ._text import compact, is_list

__all__ = ["KEYWORDS", "Limits"]

Number: TypeAlias = "int | float"

KEYWORDS: Final = {
    "minimum": "minimum",
    "maximum": "maximum",
    "exclusiveMinimum": "above",
    "exclusiveMaximum": "below",
    "multipleOf": "multiple_of",
    "minLength": "min_length",
    "maxLength": "max_length",
    "minItems": "min_items",
    "maxItems": "max_items",
    "pattern": "pattern",
    "uniqueItems": "unique",
}
"""The fields of `Limits` by the keyword of JSON Schema (2020-12, "Validation", section 6) that each is."""

_SIZES: Final = ("min_length", "max_length", "min_items", "max_items")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a value; None where there is none.

    Args:
        minimum: a number may not be less.
        maximum: nor more.
        above: a number has to be more than this.
        below: and less than this.
        multiple_of: a number has to be a whole multiple of this.
        min_length: characters that a string has at least.
        max_length: and at most.
        min_items: items that an array has at least.
        max_items: and at most.
        pattern: regular expression that is to be found somewhere in a string.
        unique: whether the items of an array have to differ.

    Raises:
        ConfigurationError: a bound is no number, a size is negative, or the pattern is none of Python's `re`.

    Example:
        >>> limits = Limits(minimum=0, maximum=100)
        >>> limits.fault(50), limits.fault(101)
        ('', 'at most 100')
    """

    minimum: Number | None = None
    maximum: Number | None = None
    above: Number | None = None
    below: Number | None = None
    multiple_of: Number | None = None
    min_length: int | None = None
    max_length: int | None = None
    min_items: int | None = None
    max_items: int | None = None
    pattern: str | None = None
    unique: bool = False

    def __post_init__(self) -> None:
        for name in ("minimum", "maximum", "above", "below", "multiple_of", *_SIZES):
            _check_number(name, getattr(self, name))
        if self.multiple_of is not None and self.multiple_of <= 0:
            raise ConfigurationError(f"Limits: multiple_of={self.multiple_of!r}: it must be above 0")
        try:
            re.compile(self.pattern or "")
        except (re.error, TypeError) as error:
            raise ConfigurationError(f"Limits: pattern={self.pattern!r}: {error}") from None

    def fault(self, value: Any) -> str:
        """Return what a value that breaks a limit would have to be, or "" for one that keeps all."""
        if isinstance(value, str):
            return self._fault_of_string(value)
        if is_list(value):
            return self._fault_of_array(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return self._fault_of_number(value)
        return ""

    def _fault_of_number(self, value: Number) -> str:
        if self.minimum is not None and value < self.minimum:
            return f"at least {self.minimum}"
        if self.maximum is not None and value > self.maximum:
            return f"at most {self.maximum}"
        if self.above is not None and value <= self.above:
            return f"more than {self.above}"
        if self.below is not None and value >= self.below:
            return f"less than {self.below}"
        if self.multiple_of is not None and not _is_multiple(value, self.multiple_of):
            return f"a multiple of {self.multiple_of}"
        return ""

    def _fault_of_string(self, value: str) -> str:
        if self.min_length is not None and len(value) < self.min_length:
            return f"at least {self.min_length} characters long"
        if self.max_length is not None and len(value) > self.max_length:
            return f"at most {self.max_length} characters long"
        if self.pattern is not None and not re.search(self.pattern, value):
            return f"of the form {self.pattern}"
        return ""

    def _fault_of_array(self, value: list[Any]) -> str:
        if self.min_items is not None and len(value) < self.min_items:
            return f"a list of at least {self.min_items} items"
        if self.max_items is not None and len(value) > self.max_items:
            return f"a list of at most {self.max_items} items"
        if self.unique and len({compact(item) for item in value}) < len(value):
            return "a list without duplicates"
        return ""

    def text(self, kind: str) -> str:
        """Return `kind` with its bounds as a signature shows them; lengths and patterns are left out.

        Example:
            >>> Limits(minimum=0, maximum=9).text("int"), Limits(above=0).text("number")
            ('0..9', 'number>0')
        """
        if self.minimum is not None and self.maximum is not None:
            bounds = f"{self.minimum}..{self.maximum}"
            return bounds if kind == "int" else f"{kind} {bounds}"
        signs = ((">=", self.minimum), (">", self.above), ("<=", self.maximum), ("<", self.below))
        return kind + "".join(f"{sign}{bound}" for sign, bound in signs if bound is not None)


def _check_number(name: str, value: object) -> None:
    if value is None:
        return
    right = isinstance(value, (int, float)) and not isinstance(value, bool) and value == value  # noqa: PLR0124
    if name in _SIZES:
        right = right and isinstance(value, int) and value >= 0
    if not right:
        kind = "a whole number from 0 up" if name in _SIZES else "a number"
        raise ConfigurationError(f"Limits: {name}={value!r}: it must be {kind}")


def _is_multiple(value: Number, of: Number) -> bool:
    if isinstance(value, int) and isinstance(of, int):
        return value % of == 0
    try:
        quotient = value / of
    except OverflowError:
        return False
    # 0.3 is a multiple of 0.1 for everybody but binary fractions.
    return abs(quotient - round(quotient)) <= 1e-9 * max(1.0, abs(quotient))
