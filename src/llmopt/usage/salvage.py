"""Saves what can still be read of a damaged usage log. Nothing is deleted: the file is put aside."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from .database import connect
from .schema import Relation, describe
from .upkeep import leased

__all__ = ["Salvaged", "salvage"]

TRIES = 10_000
"""Places of one table at which reading is tried anew before the rest of it is given up."""

_FIRST, _LAST = -(2**63), 2**63 - 1  # SQLite's own bounds of a rowid
_PARENTS = {"call_id": "calls", "batch_id": "batches"}


class Salvaged(NamedTuple):
    """What became of a damaged log.

    Attributes:
        aside: where the damaged file is now.
        rows: how many rows of each table could be read.
    """

    aside: str
    rows: Mapping[str, int]


def salvage(path: str) -> Salvaged:
    """Put a log aside under another name, and make a new one of what can be read of it.

    Args:
        path: the file, absolute.

    Raises:
        StoreError: it cannot be renamed, or the new one not be written.
    """
    with leased(path):
        aside = f"{path}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S%f}Z"
        for suffix in ("-wal", "-shm", ""):  # a WAL must never lie beside another database
            with suppress(FileNotFoundError):
                Path(path + suffix).rename(aside + suffix)
        with closing(connect(path)) as made:
            made.execute("BEGIN IMMEDIATE")
            rows = _copy_all(aside, made)
            made.execute("COMMIT")
    return Salvaged(aside, rows)


def _copy_all(aside: str, made: sqlite3.Connection) -> dict[str, int]:
    rows: dict[str, int] = {}
    with closing(sqlite3.connect(f"{Path(aside).as_uri()}?mode=ro", uri=True)) as old:
        for table in describe():
            if not table.view:
                rows[table.name] = _copy(old, made, table)
    return rows


def _copy(old: sqlite3.Connection, made: sqlite3.Connection, table: Relation) -> int:
    """Copy what can be read of a table; a row that is no longer what it has to be is left out."""
    try:
        there = {name for _, name, *_ in old.execute(f"PRAGMA table_info({table.name})")}
    except sqlite3.DatabaseError:
        return 0
    names = [column.name for column in table.columns if column.name in there]
    if not names:  # the table is younger than the file, or its definition is lost
        return 0
    columns = ", ".join(names)
    insert = f"INSERT OR IGNORE INTO {table.name} ({columns}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608
    count = 0
    for row in _by_key(old, made, table, columns) if table.key else _by_rowid(old, table.name, columns):
        with suppress(sqlite3.IntegrityError):
            count += made.execute(insert, row).rowcount
    return count


def _by_rowid(old: sqlite3.Connection, table: str, columns: str) -> Iterator[tuple[Any, ...]]:
    """Yield the rows that can be read: from both ends, and then from the middle of what is left between."""
    query = f"SELECT {columns}, rowid FROM {table} WHERE rowid > ? AND rowid < ? ORDER BY rowid"  # noqa: S608
    gaps = [(_FIRST, _LAST)]
    for _ in range(TRIES):
        if not gaps:
            return
        low, high = gaps.pop()
        for direction in ("", " DESC"):
            try:
                for *row, rowid in old.execute(query + direction, (low, high)):
                    low, high = (low, rowid) if direction else (rowid, high)
                    yield tuple(row)
                break
            except sqlite3.DatabaseError:
                pass
        else:
            middle = (low + high) // 2
            halves = ((middle - 1, high), (low, middle))
            gaps += [gap for gap in halves if gap[1] - gap[0] > 1 and gap != (low, high)]


def _by_key(
    old: sqlite3.Connection, made: sqlite3.Connection, table: Relation, columns: str
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows that can be read: from both ends, then those of each call or batch that was saved."""
    query = f"SELECT {columns} FROM {table.name}"  # noqa: S608 - our own names
    descending = ", ".join(f"{name} DESC" for name in table.key.split(", "))
    for order in (table.key, descending):
        with suppress(sqlite3.DatabaseError):
            yield from old.execute(f"{query} ORDER BY {order}")
            return
    parent = table.key.split(", ")[0]
    if parent in _PARENTS:
        for key in made.execute(f"SELECT id FROM {_PARENTS[parent]}").fetchall():  # noqa: S608
            with suppress(sqlite3.DatabaseError):
                yield from old.execute(f"{query} WHERE {parent} = ?", key)
