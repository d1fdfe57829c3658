"""Opens a usage log for a report, whatever version of llmopt has written it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import StoreError
from ..usage.schema import Relation, describe
from .selection import Selection

if TYPE_CHECKING:
    from sqlite_utils import Database

__all__ = ["Log", "Rows", "opened"]

Rows = list[tuple[Any, ...]]
"""Rows of a query."""


class Log:
    """A usage log that is read.

    What an older version of it lacks stands there as NULL, so that each query is written once.

    Args:
        db: the file, a database that `llmopt.usage.open` has returned, or None for `llmopt/usage.db` in
            llm's user folder. What this process has still to write to the file is written first.

    Attributes:
        path: the file.

    Raises:
        StoreError: there is no such file, or it is no usage log.
    """

    def __init__(self, db: str | os.PathLike[str] | Database | None = None) -> None:
        from ..usage import open as open_log

        path: Any = _file_of(db) if hasattr(db, "query") else db
        database = open_log(path)
        self.path = _file_of(database)
        database.close()
        self._connection = self.connect()

    def again(self) -> Log:
        """Return the same log, for another thread; it is the caller's to close."""
        other = object.__new__(Log)
        other.path = self.path
        other._connection = self.connect()
        return other

    def connect(self) -> sqlite3.Connection:
        """Return a connection of its own, for one thread at a time; it is the caller's to close."""
        connection = sqlite3.connect(
            f"{Path(self.path).as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
        )
        try:
            for relation in describe():
                if not relation.view:
                    _complete(connection, relation)
        except BaseException:
            connection.close()
            raise
        return connection

    def rows(self, sql: str, parameters: list[Any] | tuple[Any, ...] = ()) -> Rows:
        """Return the rows of a query."""
        return self._connection.execute(sql, parameters).fetchall()

    def row(self, sql: str, parameters: list[Any] | tuple[Any, ...] = ()) -> tuple[Any, ...]:
        """Return the only row of a query."""
        (row,) = self.rows(sql, parameters)
        return row

    def ends(self, selection: Selection, since: str = "", until: str = "~") -> list[str]:
        """Return when the first and the last call of a selection began; nothing where there is none.

        Args:
            selection: which calls.
            since: calls before it do not count.
            until: calls after it do not count.
        """
        where, values = selection.where()
        one = f"SELECT {{}}(started_at) FROM calls WHERE started_at BETWEEN ? AND ? AND {where}"  # noqa: S608
        found = [self.row(one.format(end), [since, until, *values])[0] for end in ("min", "max")]
        return [time for time in found if time is not None]

    @contextmanager
    def table(
        self, name: str, query: str, parameters: list[Any] | tuple[Any, ...] = ()
    ) -> Generator[None, None, None]:
        """Have the rows of a query in a temporary table, to ask for them more than once."""
        self._connection.execute(f"CREATE TEMP TABLE {name} AS {query}", parameters)
        try:
            yield
        finally:
            self._connection.execute(f"DROP TABLE {name}")

    def close(self) -> None:
        """Close it."""
        self._connection.close()


def _file_of(database: Any) -> str:
    """Return the file of a sqlite-utils database."""
    return str(next(iter(database.query("PRAGMA database_list")))["file"])


@contextmanager
def opened(db: str | os.PathLike[str] | Database | None) -> Generator[Log, None, None]:
    """Open a log and close it again; what SQLite finds wrong meanwhile is a `StoreError`."""
    with closing(Log(db)) as log:
        try:
            yield log
        except sqlite3.Error as error:
            raise StoreError(f"{log.path} cannot be read as a usage log: {error}") from error


def _complete(connection: sqlite3.Connection, table: Relation) -> None:
    """Put a view before a table of an older log that gives it the columns of a new one."""
    there = {row[1] for row in connection.execute(f"PRAGMA main.table_info({table.name})")}
    missing = [f"NULL AS {column.name}" for column in table.columns if column.name not in there]
    if there and missing:
        # A view has no row ids of its own.
        columns = [*([] if table.key else ["rowid AS rowid"]), "*", *missing]
        query = f"SELECT {', '.join(columns)} FROM main.{table.name}"  # noqa: S608 - names of our own
    elif missing:
        query = f"SELECT {', '.join(missing)} WHERE 0"
    else:
        return
    connection.execute(f"CREATE TEMP VIEW {table.name} AS {query}")
