"""Strings that are made of each other: shared parts, affixes, pictures of digits."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from .columns import ABSENT, Column, Digits, Picture, Texts, digits_for
from .exact import present
from .nodes import Text

__all__ = ["Slot", "derive"]

Part: TypeAlias = "str | Column"

_MIN_BASE_CHARS: Final = 3  # shorter strings are found everywhere, by chance
_MIN_INFIX_CHARS: Final = 8
_MARKED: Final = 3  # a word, a mark, and what comes after
_MAX_DEPTH: Final = 6
_MAX_INFIX_TOKENS: Final = 60
_MAX_INFIX_ROWS: Final = 400
_MAX_PICTURE_DIGITS: Final = 15
_token = re.compile(r"[A-Za-z0-9]+|[^A-Za-z0-9]")
_digit = re.compile(r"[0-9]")
_whole = re.compile(r"0|[1-9][0-9]{0,8}").fullmatch


@dataclass(slots=True)
class Slot:
    """A string in the template, and its value in each row."""

    text: Text
    vector: list[Any]


@dataclass(frozen=True, slots=True)
class _Base:
    parts: tuple[Part, ...]
    vector: list[Any]
    mean_chars: float
    shortest: int


def derive(slots: Sequence[Slot], *, digits: bool = True) -> None:
    """Set the parts of each slot's text, from the shortest strings to the longest.

    Args:
        slots: the strings of one table that are not constant.
        digits: whether parts may be fields of digits.
    """
    solver = _Solver(digits)
    for slot in sorted(slots, key=lambda slot: _mean_chars(slot.vector)):
        slot.text.parts = _joined(solver.solve(slot.vector, 0))
        solver.add(slot.text.parts, slot.vector)


def _covers(base: _Base, vector: Sequence[Any], test: Callable[[str, str], bool]) -> bool:
    """Return whether `test` is true of each string and what is known in its row, and that is not constant."""
    seen: set[str] = set()
    for value, known in zip(vector, base.vector, strict=True):
        if value is ABSENT:
            continue
        if known is ABSENT or not test(value, known):
            return False
        seen.add(known)
    return len(seen) > 1


def _mean_chars(vector: Sequence[Any]) -> float:
    values = present(vector)
    return sum(map(len, values)) / max(1, len(values))


def _joined(parts: list[Part]) -> tuple[Part, ...]:
    """Return the parts with neighbouring literals joined and empty ones left out."""
    joined: list[Part] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        elif part != "":
            joined.append(part)
    return tuple(joined)


@dataclass(slots=True)
class _Solver:
    digits: bool
    bases: list[_Base] = field(default_factory=list[_Base])

    def add(self, parts: Sequence[Part], vector: list[Any]) -> None:
        """Remember strings, so that later ones can be made of them."""
        values = present(vector)
        if len(set(values)) > 1:
            base = _Base(tuple(parts), vector, _mean_chars(vector), min(map(len, values)))
            at = next((n for n, other in enumerate(self.bases) if other.mean_chars < base.mean_chars), None)
            self.bases.insert(len(self.bases) if at is None else at, base)

    def solve(self, vector: list[Any], depth: int) -> list[Part]:
        """Return parts that make up the strings of `vector`."""
        values = present(vector)
        if len(set(values)) <= 1:
            return [values[0]] if values else []
        return (
            self._from_base(vector, values, depth)
            or self._picture(values)
            or (depth < _MAX_DEPTH and self._split(vector, values, depth))
            or self._affixed(vector, values)
        )

    def _from_base(self, vector: list[Any], values: list[str], depth: int) -> list[Part] | None:
        """Make strings of ones that are known: of the longest that all of them are, or hold."""
        mean_chars = _mean_chars(values)
        for base in self.bases:
            if base.mean_chars > mean_chars:
                continue
            if base.vector == vector or _covers(base, vector, str.__eq__):
                return list(base.parts)
            if (
                depth <= _MAX_DEPTH
                and base.shortest >= _MIN_BASE_CHARS
                and _covers(base, vector, str.__contains__)
            ):
                return self._around(vector, base, depth)
        return None

    def _around(self, vector: list[Any], base: _Base, depth: int) -> list[Part]:
        before: list[Any] = []
        after: list[Any] = []
        for value, known in zip(vector, base.vector, strict=True):
            left, right = (ABSENT, ABSENT) if value is ABSENT else value.split(known, 1)
            before.append(left)
            after.append(right)
        return [*self.solve(before, depth + 1), *base.parts, *self.solve(after, depth + 1)]

    def _picture(self, values: list[str]) -> list[Part] | None:
        """Return a picture if the strings differ in their digits alone."""
        if not self.digits or not all(map(str.isascii, values)):
            return None
        patterns = {_digit.sub("#", value) for value in values}
        if len(patterns) > 1 or "#" in "".join(_digit.sub("", value) for value in values[:1]):
            return None
        chars = list(zip(*values, strict=True))
        shown = "".join(next(iter(set(char))) if len(set(char)) == 1 else "#" for char in chars)
        if shown.count("#") > _MAX_PICTURE_DIGITS or values[0].count("#"):
            return None
        return [Column(Picture(shown))]

    def _split(self, vector: list[Any], values: list[str], depth: int) -> list[Part] | None:
        return self._aligned(vector, values, depth) or self._infix(vector, values, depth)

    def _aligned(self, vector: list[Any], values: list[str], depth: int) -> list[Part] | None:
        """Split strings of as many words, with the same marks between them, if that makes words plainer."""
        words = [_token.findall(value) for value in values]
        size = len(words[0])
        if size == 1 or any(len(word) != size for word in words):
            return self._at_mark(vector, values, words, depth)
        positions = list(zip(*words, strict=True))
        if any(not position[0].isalnum() and len(set(position)) > 1 for position in positions):
            return None
        varying = [set(position) for position in positions if len(set(position)) > 1]
        seldom = 2 * len(set(values)) > len(values)  # else the whole string is a word that comes again
        plain = sum(
            all(map(_whole, words)) or (seldom and 2 * len(words) <= len(values)) for words in varying
        )
        if plain * 2 < len(varying) or not plain:
            return None
        parts: list[Part] = []
        for position in positions:
            parts += self._word(_spread(vector, position))
        return parts

    def _word(self, vector: list[Any]) -> list[Part]:
        """Return the parts of one word, which is not split any further."""
        values = present(vector)
        if len(set(values)) == 1:
            return [values[0]]
        return self._from_base(vector, values, _MAX_DEPTH + 1) or self._affixed(vector, values)

    def _at_mark(
        self, vector: list[Any], values: list[str], words: list[list[str]], depth: int
    ) -> list[Part] | None:
        """Split at the first mark, if what is before and after comes again in many rows."""
        if len(words[0]) < _MARKED:
            return None
        mark = words[0][1]
        if 2 * len(set(values)) <= len(values) or any(
            len(word) < _MARKED or word[1] != mark for word in words
        ):
            return None
        halves = [value.split(mark, 1) for value in values]
        if any(2 * len({half[at] for half in halves}) > len(values) for at in (0, 1)):
            return None
        before = self.solve(_spread(vector, [half[0] for half in halves]), depth + 1)
        return [*before, mark, *self.solve(_spread(vector, [half[1] for half in halves]), depth + 1)]

    def _infix(self, vector: list[Any], values: list[str], depth: int) -> list[Part] | None:
        """Split around the longest phrase that all strings share in their middle."""
        shared = _longest_shared(values)
        if shared is None:
            return None
        halves = [value.split(shared, 1) for value in values]
        sides = [_spread(vector, [half[at] for half in halves]) for at in (0, 1)]
        order = (1, 0) if self._known(sides[1]) else (0, 1)
        solved: dict[int, list[Part]] = {}
        for at in order:
            solved[at] = self.solve(sides[at], depth + 1)
        return [*solved[0], shared, *solved[1]]

    def _known(self, vector: list[Any]) -> bool:
        return any(
            base.shortest >= _MIN_BASE_CHARS and _covers(base, vector, str.__contains__)
            for base in self.bases
        )

    def _affixed(self, vector: list[Any], values: list[str]) -> list[Part]:
        """Return a column of what is left without the start and the end that all strings share."""
        before = _at_word_border(_shared_start(values), values)
        rest = [value[len(before) :] for value in values]
        after = _at_word_border(_shared_start([value[::-1] for value in rest]), [r[::-1] for r in rest])[::-1]
        core = [value[: len(value) - len(after)] for value in rest]
        column = Column(self._format(core))
        spread = _spread(vector, core)
        if not isinstance(column.format, Digits):
            self.add((column,), spread)
        return [before, column, after]

    def _format(self, values: list[str]) -> Texts | Digits:
        if self.digits and all(map(_whole, values)):
            return digits_for(list(map(int, values))) or Texts()
        return Texts()


def _spread(vector: Sequence[Any], values: Sequence[str]) -> list[Any]:
    """Return `values` in the places where `vector` has some."""
    rest = iter(values)
    return [ABSENT if value is ABSENT else next(rest) for value in vector]


def _shared_start(values: Sequence[str]) -> str:
    """Return the longest start that all strings have: that of the first and the last in order."""
    one, other = min(values), max(values)
    size = next(
        (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
    return one[:size]


def _at_word_border(prefix: str, values: Sequence[str]) -> str:
    """Shorten a shared start so that it ends between words, or between letters and digits."""
    for end in range(len(prefix), 0, -1):
        last = prefix[end - 1]
        nexts = {value[end : end + 1] for value in values}
        if (
            not last.isalnum()
            or all(not n.isalnum() for n in nexts)
            or (last.isalpha() and all(n.isdigit() for n in nexts))
        ):
            return prefix[:end]
    return ""


def _longest_shared(values: Sequence[str]) -> str | None:
    """Return the longest run of words that stands in the middle of all strings."""
    distinct = sorted(set(values), key=len)
    if len(distinct) > _MAX_INFIX_ROWS or len(distinct[0]) < _MIN_INFIX_CHARS:
        return None
    tokens = _token.findall(distinct[0])
    if len(tokens) > _MAX_INFIX_TOKENS:
        return None
    for run in _runs(tokens):
        if len(run) < _MIN_INFIX_CHARS:
            return None
        if all(run in value for value in reversed(distinct)):
            return run
    return None


def _runs(tokens: list[str]) -> Iterator[str]:
    runs = {
        "".join(tokens[start:end])
        for start in range(len(tokens))
        for end in range(start + 1, len(tokens) + 1)
    }
    return iter(sorted(runs, key=lambda run: (-len(run), run)))
