"""Writes the rows of tables and of lookups."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from itertools import islice
from operator import mul, not_
from typing import Any

from .columns import ABSENT, Column
from .exact import exact_keys, present
from .nodes import (
    Array,
    Choice,
    Constant,
    Data,
    Each,
    Field,
    Hole,
    Json,
    Layout,
    Lookup,
    Node,
    Object,
    Table,
    Text,
    is_nested,
    layout,
)

__all__ = ["lookup_rows", "row_texts"]


def row_texts(table: Table, data: Data) -> list[str]:
    """Return the text of each row, with the rows that belong to it on lines of their own below."""
    where = layout(table)
    runs = list(
        map("".join, zip(*(column.format.write(data[column]) for column in where.digits), strict=True))
    )
    columns = [runs] if runs else []
    columns += [column.format.write(data[column]) for column in where.words]
    if where.packed:
        return runs
    rows = list(map(" ".join, zip(*columns, strict=True)))
    return _Tail.of(table, where, data).added_to(rows) if where.more else rows


@dataclass(slots=True)
class _Tail:
    """What comes after the words of all rows: what not all of them have, and lists.

    Attributes:
        data: the values of the columns.
        size: how many rows there are.
        keys: column that is looked up -> column that decides.
        left: column -> its cell in each row, with a blank before it, or "" where that is written already.
        parts: what each row goes on with, part by part.
        below: the lines that follow each row.
    """

    data: Data
    size: int
    keys: dict[Column, Column]
    left: dict[Column, list[str]]
    parts: list[list[str]] = field(default_factory=list[list[str]])
    below: list[list[str]] = field(default_factory=list[list[str]])

    @classmethod
    def of(cls, table: Table, where: Layout, data: Data) -> _Tail:
        """Return the tail of a table."""
        size = len(data[next(iter(where.uses), where.lists[0] if where.lists else None)])
        nothing = [""] * size
        keys = {column: lookup.key for lookup in table.lookups for column in lookup.values}
        tail = cls(data, size, keys, dict.fromkeys((*where.digits, *where.words), nothing))
        everywhere = [True] * size
        for part in where.tail:
            if isinstance(part, Field):
                tail.field(part, everywhere)
            else:
                tail.node(part, everywhere)
        return tail

    def added_to(self, rows: list[str]) -> list[str]:
        """Return the rows with this at their ends."""
        texts = list(map("".join, zip(*([rows] if rows else ()), *self.parts, *self.below, strict=True)))
        return texts if rows else [text.removeprefix(" ") for text in texts]

    def field(self, each: Field, there: list[bool]) -> None:
        """Add an object's member to the rows where the object is."""
        if each.flag is not None:
            self._column(each.flag, there)
            there = [flag is True for flag in self.data[each.flag]]
        self.node(each.node, there)

    def node(self, node: Node, there: list[bool]) -> None:  # noqa: C901, PLR0912
        """Add the cells of a part of the template to the rows where it is."""
        match node:
            case Hole(column):
                self._column(column, there)
            case Text(parts):
                for part in parts:
                    if isinstance(part, Column):
                        self._column(part, there)
            case Object(fields):
                for each in fields:
                    self.field(each, there)
            case Array(items):
                for item in items:
                    self.node(item, there)
            case Each():
                self._each(node, there)
            case Choice(tag, options):
                self._column(tag, there)
                for at, option in enumerate(options):
                    self.node(option, [number == at for number in self.data[tag]])
            case Json():
                self.node(node.node, there)
            case Constant():
                pass

    def _column(self, column: Column, there: list[bool]) -> None:
        """Add a column's cell, unless it stands in the row already or follows from what does."""
        column = self.keys.get(column, column)
        left = self.left.get(column)
        if left is None:
            left = self._cells(column)
        self.parts.append(list(map(mul, left, there)))
        self.left[column] = list(map(mul, left, map(not_, there)))

    def _cells(self, column: Column) -> list[str]:
        values = self.data[column]
        cells = map(" ".__add__, column.format.write(present(values)))
        return ["" if value is ABSENT else next(cells) for value in values]

    def _each(self, node: Each, there: list[bool]) -> None:
        if isinstance(node.count, Column):
            self._column(node.count, there)
        rows = iter(row_texts(node.table, self.data))
        counts = [0 if count is ABSENT else count for count in self.data[node]]
        groups = [list(islice(rows, count)) for count in counts]
        if is_nested(node):
            self.below.append(["".join(map("\n".__add__, group)) for group in groups])
        elif layout(node.table).packed:
            packed = [" " + ("".join(group) or "[]") for group in groups]
            self.parts.append(list(map(mul, packed, there)))
        else:
            self.parts.append(["".join(map(" ".__add__, group)) for group in groups])


def lookup_rows(lookup: Lookup, data: Data) -> list[str]:
    """Return a line for each value of the key, in the order in which they come."""
    keys = exact_keys(data[lookup.key])
    names = [name for name in dict.fromkeys(keys) if name is not ABSENT]
    columns = (lookup.key, *lookup.values)
    written = {column: _lookup_cells(column, keys, names, data[column]) for column in columns}
    runs = ["".join(cells) for cells in zip(*(written[c] for c in columns if c.format.width), strict=True)]
    cells = ([runs] if runs else []) + [written[column] for column in columns if not column.format.width]
    return list(map(" ".join, zip(*cells, strict=True)))


def _lookup_cells(
    column: Column, keys: list[Hashable], names: list[Hashable], vector: list[Any]
) -> list[str]:
    found = dict(zip(keys, vector, strict=True))
    if ABSENT in vector:
        found = {name: value for name, value in zip(keys, vector, strict=True) if value is not ABSENT}
    if len(found) == len(names):
        return column.format.write([found[name] for name in names])
    rest = iter(column.format.write([found[name] for name in names if name in found]))
    return [next(rest) if name in found else "-" * (column.format.width or 1) for name in names]
