"""Finds the tables in JSON data: lists of objects that questions can be asked about."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

from .judge import normal

__all__ = ["Cell", "Table", "tables"]

Cell: TypeAlias = "str | int | float | bool"
"""What a question can be about: a short text, a number, or a truth value."""

_MIN_ROWS: Final = 2
_MAX_CHARS: Final = 60
_MAX_NUMBER: Final = 10**12
_MAX_LEVELS: Final = 8
_plain = re.compile(r"[^\W\d][\w-]*").fullmatch
_named = re.compile(r"(?:.*[._])?(?:id|name)|.*I[dD]").fullmatch


@dataclass(frozen=True, slots=True)
class Table:
    """A list of objects that have fields in common.

    Attributes:
        name: how a question calls it.
        rows: the cells of each object by field; what lies deeper is named with dots, `pos.x`.
        kinds: the type of each field that all rows have: str, float (of all numbers) or bool.
        key: the field that tells rows apart, or None.
        level: how many lists it lies in.
    """

    name: str
    rows: tuple[Mapping[str, Cell], ...]
    kinds: Mapping[str, type]
    key: str | None
    level: int = 0

    def column(self, field: str) -> list[Cell]:
        """Return the cells of a field, row by row."""
        return [row[field] for row in self.rows]

    def row_name(self, row: Mapping[str, Cell]) -> str:
        """Return how a question calls a row."""
        key = self.key or ""
        return f"the element with `{key}` {json.dumps(row[key], ensure_ascii=False)} in {self.name}"


def tables(value: Any) -> tuple[Table, ...]:
    """Return the tables in `value`, at any depth.

    A list of two objects or more is one, by the fields that all of them have. Fields whose names are no
    plain words, long texts, huge numbers and nulls are passed by: a question about them could be misread.

    Args:
        value: JSON as Python has it.

    Example:
        >>> (table,) = tables({"pods": [{"name": "a", "at": {"cpu": 2}}, {"name": "b", "at": {"cpu": 3}}]})
        >>> table.name, table.key, table.column("at.cpu")
        ('the list `pods`', 'name', [2, 3])
    """
    return tuple(_tables(value, "", 0))


def _tables(value: Any, of: str, level: int) -> Iterator[Table]:
    """Yield the tables in a value; `of` says in which element it stands."""
    for path, found in _lists(value):
        table = _table(found, f"the list `{path}`{of}" if path else "the outer list", level)
        if table is not None:
            yield table
            yield from _inside(table, found)


def _inside(table: Table, found: Sequence[Any]) -> Iterator[Table]:
    if table.key is None or table.level == _MAX_LEVELS:
        return
    for row, element in zip(table.rows, found, strict=True):
        yield from _tables(element, f" of {table.row_name(row)}", table.level + 1)


def _lists(value: Any, path: str = "") -> Iterator[tuple[str, list[Any]]]:
    """Yield the lists that can be reached through objects alone, with their paths."""
    if isinstance(value, (list, tuple)):
        yield path, list(cast("Sequence[Any]", value))
    elif isinstance(value, dict):
        for key, inner in _members(cast("dict[str, Any]", value)):
            yield from _lists(inner, f"{path}.{key}" if path else key)


def _members(value: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((key, inner) for key, inner in value.items() if _plain(key))


def _table(found: list[Any], name: str, level: int) -> Table | None:
    if len(found) < _MIN_ROWS or not all(isinstance(element, dict) for element in found):
        return None
    rows = tuple(dict(_cells(element)) for element in found)
    kinds = {field: kind for field in rows[0] if (kind := _kind([row.get(field) for row in rows]))}
    if not kinds:
        return None
    return Table(name, rows, kinds, _key(rows, kinds), level)


def _cells(element: dict[str, Any], path: str = "") -> Iterator[tuple[str, Cell]]:
    for key, value in _members(element):
        if isinstance(value, dict):
            yield from _cells(cast("dict[str, Any]", value), f"{path}{key}.")
        elif _is_cell(value):
            yield path + key, value


def _is_cell(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= _MAX_CHARS and value.isprintable() and normal(value) != ""
    if isinstance(value, (int, float)):
        return math.isfinite(value) and abs(value) < _MAX_NUMBER
    return False


def _kind(column: list[Cell | None]) -> type | None:
    """Return the type that all cells have, if they have one and can be told apart in an answer."""
    types = {_type(cell) for cell in column}
    if len(types) > 1 or type(None) in types:
        return None
    differ = str not in types or len(set(column)) == len(set(map(normal, cast("list[str]", column))))
    return types.pop() if differ else None


def _type(cell: Cell | None) -> type:
    return float if type(cell) is int else type(cell)


def _key(rows: Sequence[Mapping[str, Cell]], kinds: Mapping[str, type]) -> str | None:
    """Return the field that tells rows apart: one that is named so, or else the first."""
    fields = [field for field in kinds if _tells_apart([row[field] for row in rows])]
    named = [field for field in fields if _named(field)]
    return next(iter((*named, *(field for field in fields if kinds[field] is str or "." not in field))), None)


def _tells_apart(column: list[Cell]) -> bool:
    return all(type(cell) in {str, int} for cell in column) and len(set(map(normal, column))) == len(column)
