"""Columns that follow from another one, and values that come again: each is written once, in a lookup."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from .columns import ABSENT, Column, Digits, Texts, Values, Words
from .exact import exact_keys
from .fill import number
from .nodes import Data, Lookup

__all__ = ["find_lookups"]

_HEADER_TOKENS: Final = 3  # "$a>" and the empty line
_NAME_TOKENS: Final = 2  # a name in the template and in the header, for each column
_INDEX_PLACES: Final = 3
_MAX_INDEX: Final = 999
_MAX_KEYS: Final = 32  # columns of the fewest values, which are tried as what decides


def find_lookups(columns: Sequence[Column], always: Sequence[Column], data: Data) -> tuple[Lookup, ...]:
    """Return the lookups that save the most tokens.

    Args:
        columns: all columns of the table.
        always: those that every row has; one of these decides.
        data: their values; columns made for repeated values are added.
    """
    keys = {column: list(exact_keys(data[column])) for column in columns}
    costs = {column: _costs(column, data[column], keys[column]) for column in columns}
    found: list[Lookup] = []
    free = set(columns)
    few = sorted(always, key=lambda column: len(set(keys[column])))[:_MAX_KEYS]
    while True:
        best: tuple[float, Column, tuple[Column, ...]] | None = None
        for key in few:
            if key not in free:
                continue
            saving, values = _saving(key, [c for c in columns if c in free and c is not key], keys, costs)
            if saving > 0 and (best is None or saving > best[0]):
                best = saving, key, values
        if best is None:
            break
        _, key, values = best
        found.append(Lookup(key, values))
        free -= {key, *values}
    # what decides may not follow itself: then neither reader could tell it without the other
    return (*found, *_indexed(columns, free, keys, costs, data))


def _costs(column: Column, vector: Sequence[Any], keys: Sequence[Any]) -> dict[Any, float]:
    """Return about how many tokens each value of a column takes in a row."""
    if column.format.width:
        return dict.fromkeys(keys, column.format.width / 3)
    return {key: _tokens(value) for key, value in dict(zip(keys, vector, strict=True)).items()}


def _tokens(value: Any) -> float:
    if value is ABSENT:
        return 1.0
    if isinstance(value, str):
        return 1 + len(value) // 6 + sum(map(str.isdigit, value)) / 3
    return 1 + len(str(value)) / 3


def _saving(
    key: Column,
    others: Sequence[Column],
    keys: dict[Column, list[Any]],
    costs: dict[Column, dict[Any, float]],
) -> tuple[float, tuple[Column, ...]]:
    """Return what is saved if the columns that follow from `key` are looked up, and these columns."""
    distinct = set(keys[key])
    if 2 * len(distinct) > len(keys[key]):
        return 0, ()
    saving = -_HEADER_TOKENS - sum(costs[key][k] + 1 for k in distinct)
    follow: list[Column] = []
    for other in others:
        gain = _gain(keys[key], keys[other], costs[other])
        if gain > _NAME_TOKENS:
            saving += gain - _NAME_TOKENS
            follow.append(other)
    return saving, tuple(follow)


def _gain(keys: list[Any], values: list[Any], costs: dict[Any, float]) -> float:
    known: dict[Any, Any] = {}
    gain = 0.0
    for key, value in zip(keys, values, strict=True):
        if value is ABSENT:
            continue
        seen = known.setdefault(key, value)
        if seen != value:
            return 0
        gain += costs[value]
    # a cell for each key, also where it is absent
    return gain - sum(costs[value] for value in known.values()) - (len(set(keys)) - len(known))


def _indexed(
    columns: Sequence[Column],
    free: set[Column],
    keys: dict[Column, list[Any]],
    costs: dict[Column, dict[Any, float]],
    data: Data,
) -> list[Lookup]:
    """Return lookups by number for long values that come again."""
    found: list[Lookup] = []
    for column in columns:
        if column not in free or not isinstance(column.format, Texts | Values | Words):
            continue
        vector = data[column]
        values = [key for key in keys[column] if key is not ABSENT]
        distinct = set(values)
        if not 1 < len(distinct) <= _MAX_INDEX:
            continue
        total = sum(costs[column][key] for key in values)
        once = sum(costs[column][key] + 2 for key in distinct)
        if total - 2 * len(values) - once > _HEADER_TOKENS + 4 + _NAME_TOKENS:
            index = Column(Digits(_INDEX_PLACES))
            data[index] = number(vector)
            found.append(Lookup(index, (column,)))
    return found
