"""Puts columns into INSERT statements that bind each value as few times as they can.

Binding is much of an insert's price: a text is copied, and locks are taken for it. Most columns of a batch
hold one value throughout, which is therefore bound once for all the rows of a statement; each of these rows
binds what is its own. An empty column is left out.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple, TypeAlias

Columns: TypeAlias = "dict[str, Sequence[Any]]"
"""Values of some rows by the name of their column; all have one length."""

ROWS = 16
"""Rows in one statement. Fewer bind more, and more of them take longer to be prepared than they save."""


_NUMBERED = not (3, 12) <= sys.version_info < (3, 12, 4)
"""Whether marks may have numbers: the first releases of Python 3.12 take them for names, and warn."""


_INSERT = "INSERT OR FAIL INTO"
"""A statement that fails leaves its first rows. To be able to take these back, SQLite would keep a copy of
each page that a statement changes, which costs as much again where these are many: with digests."""


class Insert(NamedTuple):
    """A statement and the parameters of each of its executions."""

    sql: str
    parameters: list[tuple[Any, ...]]


def insert(table: str, columns: Columns, otherwise: str = "") -> list[Insert]:
    """Return the statements that insert rows; the first column is what tells these apart.

    Args:
        table: the table.
        columns: its columns that are filled.
        otherwise: what follows the rows: ON CONFLICT ...

    Example:
        >>> (inserted,) = insert("t", {"id": [1, 2], "a": [None, None], "b": ["x", "x"], "c": [None, 3]})
        >>> inserted.sql
        'INSERT OR FAIL INTO t (b,id,c) VALUES (?1,?2,?3)'
        >>> inserted.parameters
        [('x', 1, None), ('x', 2, 3)]
    """
    if not _NUMBERED:
        filled = {name: values for name, values in columns.items() if values.count(None) < len(values)}
        sql = f"{_INSERT} {table} ({','.join(filled)}) VALUES ({','.join('?' * len(filled))}){otherwise}"
        return [Insert(sql, list(zip(*filled.values(), strict=True)))]
    shared: dict[str, Any] = {}
    places: dict[str, int] = {}
    own: list[Sequence[Any]] = []
    for name, values in columns.items():
        first = values[0]
        if own and values[-1] == first and values.count(first) == len(values):
            if first is not None:
                shared[name] = first
        elif values in own:  # as the id of a call and of its turn
            places[name] = own.index(values)
        else:
            places[name] = len(own)
            own.append(values)
    rows = list(zip(*own, strict=True))
    head = f"{_INSERT} {table} ({','.join((*shared, *places))}) VALUES "
    common = tuple(shared.values())
    whole = len(rows) - len(rows) % ROWS
    found: list[Insert] = []
    for size, part in ((ROWS, rows[:whole]), (1, rows[whole:])):
        if part:
            sql = head + _marks(len(shared), len(own), tuple(places.values()), size) + otherwise
            chunks = zip(*[iter(part)] * size, strict=True)
            found.append(Insert(sql, [(*common, *chain.from_iterable(chunk)) for chunk in chunks]))
    return found


@lru_cache(maxsize=64)
def _marks(shared: int, own: int, places: tuple[int, ...], rows: int) -> str:
    """Return the numbered marks of some rows: the shared values come first, then each row's own."""
    common = [f"?{number}" for number in range(1, shared + 1)]
    starts = range(shared + 1, shared + 1 + rows * own, own)
    return ",".join(
        f"({','.join((*common, *(f'?{start + place}' for place in places)))})" for start in starts
    )
