"""Makes questions with exact answers from JSON data. No encoder has a part in it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from random import Random
from typing import Any, Final, TypeAlias, cast

from ..errors import ConfigurationError
from .tables import Cell, Table, tables

__all__ = ["KINDS", "Question", "questions"]

_MOST_FOUND: Final = 8
_TRIES: Final = 20
_FAILED: Final = 0.25
_CLEARLY: Final = 2  # how many times as far, squared and so in area, the runner-up has to be
_FEW: Final = 2


@dataclass(frozen=True, slots=True)
class Question:
    """A question about one of some values.

    Attributes:
        document: which value it is about, counted from 0.
        kind: one of `KINDS`.
        text: how it is asked.
        answer: the right answer: a text, a number, a truth value, or a list of these.
        options: what somebody who has not read the data would choose from.
    """

    document: int
    kind: str
    text: str
    answer: Any
    options: tuple[Any, ...]

    @property
    def chance(self) -> float:
        """The probability that a guess is right: one of the options, or, for a list, any set of them."""
        return 2.0 ** -len(self.options) if isinstance(self.answer, list) else 1 / len(self.options)


def questions(values: Sequence[Any], count: int = 100, seed: int = 7) -> tuple[Question, ...]:
    """Return questions about some values, the kinds in turn, those about one value beside each other.

    Args:
        values: JSON as Python has it.
        count: how many; fewer are returned where the values do not give as many different ones.
        seed: the same seed, values and count give the same questions.

    Raises:
        ConfigurationError: `count` is no whole number from 1 up, or there is nothing to ask about.

    Example:
        >>> for question in questions([[{"id": n, "hp": n * n} for n in range(5, 9)]], 3):
        ...     print(question.text, question.answer)
        What is `hp` of the element with `id` 5 in the outer list? Answer with the value alone. 25
        Which elements in the outer list have `hp` above 25? ... [6, 7, 8]
        How many elements in the outer list have `hp` above 64? Answer with the number alone. 0
    """
    if type(count) is not int or count < 1:
        raise ConfigurationError(f"questions={count!r}: give a whole number from 1 up")
    found = {number: levels for number, value in enumerate(values) if (levels := _by_level(value))}
    random = Random(seed)  # noqa: S311 - no secrets here
    turns = _Turns(tuple(found))
    asked: dict[tuple[int, str], Question] = {}
    for _ in range(count * _TRIES if found else 0):
        document, kind = turns.next()
        question = _question(found[document], document, kind, random)
        is_new = question is not None and (document, question.text) not in asked
        turns.took(document, kind, 1 if is_new else _FAILED)
        if question is not None and is_new:
            asked[document, question.text] = question
        if len(asked) == count:
            break
    if not asked:
        raise ConfigurationError(_NOTHING)
    return tuple(sorted(asked.values(), key=lambda question: question.document))


class _Turns:
    """Whose turn it is: the kind with the fewest questions, and the value with the fewest of it."""

    def __init__(self, documents: tuple[int, ...]) -> None:
        self._documents = documents
        self._taken: defaultdict[Any, float] = defaultdict(float)

    def next(self) -> tuple[int, str]:
        """Return a value and a kind."""
        taken = self._taken
        kind = min(KINDS, key=lambda kind: taken[kind])
        return min(self._documents, key=lambda document: (taken[document, kind], taken[document])), kind

    def took(self, document: int, kind: str, turn: float) -> None:
        """Note that they had a turn, or some of one: what fails again and again gives way to others."""
        for name in (document, kind, (document, kind)):
            self._taken[name] += turn


_NOTHING: Final = "there is nothing to ask about: no list of two or more objects that have fields in common"


def _by_level(value: Any) -> list[list[Table]]:
    """Return the tables by how deep they lie: there are many deep ones, and they are small."""
    levels: dict[int, list[Table]] = {}
    for table in tables(value):
        levels.setdefault(table.level, []).append(table)
    return list(levels.values())


def _question(levels: list[list[Table]], document: int, kind: str, random: Random) -> Question | None:
    if not levels:
        return None
    made = _MAKERS[kind](random.choice(random.choice(levels)), random)
    return None if made is None else Question(document, kind, *made)


_Made: TypeAlias = "tuple[str, Any, tuple[Any, ...]] | None"
"""The text, the answer, and the options."""


def _look_up(table: Table, random: Random) -> _Made:
    field = _field(table, random, str, float, bool)
    if field is None or table.key is None:
        return None
    row = random.choice(table.rows)
    alike = [name for name, kind in table.kinds.items() if kind is table.kinds[field]]
    options = dict.fromkeys(cell for name in alike for cell in table.column(name))
    text = f"What is `{field}` of {table.row_name(row)}? Answer with the value alone."
    return text, row[field], tuple(options)


def _filter(table: Table, random: Random) -> _Made:
    condition = _condition(table, random)
    if condition is None or table.key is None:
        return None
    said, matches = condition
    answer = [row[table.key] for row in table.rows if matches(row)]
    if not 1 <= len(answer) <= min(_MOST_FOUND, len(table.rows) - 1):
        return None
    text = (
        f"Which elements in {table.name} have {said}? "
        f"Answer with a JSON list of their `{table.key}` alone, in any order."
    )
    return text, answer, tuple(table.column(table.key))


def _count(table: Table, random: Random) -> _Made:
    condition = _condition(table, random)
    if condition is None:
        return None
    said, matches = condition
    text = f"How many elements in {table.name} have {said}? Answer with the number alone."
    return text, sum(map(matches, table.rows)), tuple(range(len(table.rows) + 1))


def _nearest(table: Table, random: Random) -> _Made:
    place = _place(table, random)
    if place is None or table.key is None:
        return None
    target = tuple(random.randint(*_bounds(table.column(field))) for field in place)
    distances = sorted(
        (sum((Fraction(row[f]) - t) ** 2 for f, t in zip(place, target, strict=True)), number)
        for number, row in enumerate(table.rows)
    )
    (first, number), (second, _) = distances[:_FEW]
    if second <= _CLEARLY * first:
        return None
    point, goal = ", ".join(f"`{field}`" for field in place), ", ".join(map(str, target))
    if len(place) > 1:
        point, goal = f"the point ({point})", f"({goal})"
    text = (
        f"Which element in {table.name} has {point} nearest to {goal}? Answer with its `{table.key}` alone."
    )
    return text, table.rows[number][table.key], tuple(table.column(table.key))


def _compare(table: Table, random: Random) -> _Made:
    field = _field(table, random, float)
    if field is None or table.key is None:
        return None
    first, second = random.sample(table.rows, _FEW)
    if first[field] == second[field]:
        return None
    larger = max(first, second, key=lambda row: row[field])
    other = json.dumps(second[table.key], ensure_ascii=False)
    names = f"{table.row_name(first)}, or the one with `{table.key}` {other}"
    text = f"Which has the larger `{field}`: {names}? Answer with its `{table.key}` alone."
    return text, larger[table.key], (first[table.key], second[table.key])


_MAKERS: Final[dict[str, Callable[[Table, Random], _Made]]] = {
    "look up": _look_up,
    "filter": _filter,
    "count": _count,
    "nearest": _nearest,
    "compare": _compare,
}
KINDS: Final = tuple(_MAKERS)
"""What questions there are."""


def _field(table: Table, random: Random, *kinds: type) -> str | None:
    fields = [field for field, kind in table.kinds.items() if kind in kinds and field != table.key]
    return random.choice(fields) if fields else None


def _condition(table: Table, random: Random) -> tuple[str, Callable[[Any], bool]] | None:
    """Return a condition on a field, in words and as a function of a row."""
    field = _field(table, random, str, float, bool)
    if field is None:
        return None
    value: Any = random.choice(table.rows)[field]
    said = json.dumps(value, ensure_ascii=False)
    how = random.choice(("above", "below")) if table.kinds[field] is float else "equal to"
    matches: dict[str, Callable[[Any], bool]] = {
        "above": lambda row: row[field] > value,
        "below": lambda row: row[field] < value,
        "equal to": lambda row: row[field] == value,
    }
    return f"`{field}` {how} {said}", matches[how]


def _place(table: Table, random: Random) -> tuple[str, ...] | None:
    """Return the fields of a position, or of a number where rows have no position."""
    numbers = [field for field, kind in table.kinds.items() if kind is float]
    points = [(field, field[:-1] + "y") for field in numbers if field == "x" or field.endswith(".x")]
    points = [point for point in points if point[1] in numbers]
    if points:
        return random.choice(points)
    field = _field(table, random, float)
    return None if field is None else (field,)


def _bounds(column: list[Cell]) -> tuple[int, int]:
    numbers = cast("list[float]", column)
    return int(min(numbers)), int(max(numbers))
