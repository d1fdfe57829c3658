"""Names for the columns that stand in more than one place of a template."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from string import ascii_lowercase

from .columns import Column, Picture
from .nodes import Array, Choice, Json, Node, Object, Table, Text, layout

__all__ = ["name_columns"]


def name_columns(table: Table) -> None:
    """Name the columns of a table and of the tables in its template; no name is given twice."""
    _name(table, _names())


def _name(table: Table, names: Iterator[str]) -> None:
    shared = {column for lookup in table.lookups for column in (lookup.key, *lookup.values)}
    shared |= _ambiguous(table.template)
    for column, uses in layout(table).uses.items():
        column.name = next(names) if uses > 1 or column in shared else ""
    for each in layout(table).lists:
        _name(each.table, names)


def _ambiguous(node: Node) -> set[Column]:
    """Return pictures that would look like one, because nothing but literal text is between them."""
    found: set[Column] = set()
    match node:
        case Text(parts):
            last: Column | None = None
            for part in parts:
                if isinstance(part, Column):
                    if last is not None and isinstance(part.format, Picture):
                        found |= {last, part}
                    last = part if isinstance(part.format, Picture) else None
        case Object(fields):
            for each in fields:
                found |= _ambiguous(each.node)
        case Array(items) | Choice(_, items):
            for item in items:
                found |= _ambiguous(item)
        case Json():
            found = _ambiguous(node.node)
        case _:
            pass
    return found


def _names() -> Iterator[str]:
    letters = ascii_lowercase
    for number in count():
        yield (
            letters[number]
            if number < len(letters)
            else letters[number // len(letters) - 1] + letters[number % len(letters)]
        )
