"""Writes the rows of tables and of lookups."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from itertools import accumulate
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
    if not where.more:
        return runs if where.packed else list(map(" ".join, zip(*columns, strict=True)))
    tail = _Tail.of(table, where, data)
    return [tail.row(at, [cells[at] for cells in columns]) for at in range(tail.size)]


@dataclass(slots=True)
class _Tail:
    """What comes after the words of a row: what not all rows have, and lists."""

    parts: tuple[Field | Each | Choice, ...]
    data: Data
    size: int
    known: frozenset[Column]
    keys: dict[Column, Column]
    cells: dict[Column, list[str]] = field(default_factory=dict[Column, "list[str]"])
    inner: dict[Each, list[str]] = field(default_factory=dict[Each, "list[str]"])
    starts: dict[Each, list[int]] = field(default_factory=dict[Each, "list[int]"])

    @classmethod
    def of(cls, table: Table, where: Layout, data: Data) -> _Tail:
        """Return the tail for a table."""
        keys = {column: lookup.key for lookup in table.lookups for column in lookup.values}
        size = len(next((data[column] for column in where.uses), ()))
        if not where.uses:
            size = len(data[where.lists[0]])
        return cls(where.tail, data, size, frozenset((*where.digits, *where.words)), keys)

    def row(self, at: int, cells: list[str]) -> str:
        """Return the text of one row that begins with `cells`."""
        below: list[str] = []
        seen: set[Column] = set()
        for part in self.parts:
            if isinstance(part, Field):
                self._field(part, at, seen, cells, below)
            else:
                self._node(part, at, seen, cells, below)
        return "\n".join((" ".join(cells), *below))

    def _pull(self, column: Column, at: int, seen: set[Column], cells: list[str]) -> None:
        """Add a column's cell, unless it stands in the row already or follows from what does."""
        column = self.keys.get(column, column)
        if column in self.known or column in seen:
            return
        seen.add(column)
        written = self.cells.get(column)
        if written is None:
            values = self.data[column]
            rest = iter(column.format.write(present(values)))
            written = self.cells[column] = ["" if value is ABSENT else next(rest) for value in values]
        cells.append(written[at])

    def _node(  # noqa: C901
        self, node: Node, at: int, seen: set[Column], cells: list[str], below: list[str]
    ) -> None:
        match node:
            case Hole(column):
                self._pull(column, at, seen, cells)
            case Text(parts):
                for part in parts:
                    if isinstance(part, Column):
                        self._pull(part, at, seen, cells)
            case Object(fields):
                for each in fields:
                    self._field(each, at, seen, cells, below)
            case Array(items):
                for item in items:
                    self._node(item, at, seen, cells, below)
            case Each():
                self._each(node, at, seen, cells, below)
            case Choice(tag, options):
                self._pull(tag, at, seen, cells)
                option: int = self.data[tag][at]
                self._node(options[option], at, seen, cells, below)
            case Json():
                self._node(node.node, at, seen, cells, below)
            case Constant():
                pass

    def _field(self, each: Field, at: int, seen: set[Column], cells: list[str], below: list[str]) -> None:
        if each.flag is not None:
            self._pull(each.flag, at, seen, cells)
            if not self.data[each.flag][at]:
                return
        self._node(each.node, at, seen, cells, below)

    def _each(self, node: Each, at: int, seen: set[Column], cells: list[str], below: list[str]) -> None:
        if isinstance(node.count, Column):
            self._pull(node.count, at, seen, cells)
        rows = self.inner.get(node)
        if rows is None:
            rows = self.inner[node] = row_texts(node.table, self.data)
            counts = [0 if number is ABSENT else number for number in self.data[node]]
            self.starts[node] = list(accumulate(counts, initial=0))
        start, end = self.starts[node][at : at + 2]
        if is_nested(node):
            below += rows[start:end]
        elif layout(node.table).packed:
            cells.append("".join(rows[start:end]) or "[]")
        else:
            cells += rows[start:end]


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
    found = {name: value for name, value in zip(keys, vector, strict=True) if value is not ABSENT}
    if len(found) == len(names):
        return column.format.write([found[name] for name in names])
    rest = iter(column.format.write([found[name] for name in names if name in found]))
    return [next(rest) if name in found else "-" * (column.format.width or 1) for name in names]
