"""Brings a usage log's file to the newest schema. It only ever goes forward."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .schema import INDEXES, VERSION, Index, Relation, describe
from .views import QUERIES

if TYPE_CHECKING:
    import sqlite3

    from sqlite_utils import Database, Migrations

SET = "llmopt.usage"
"""The name of this set among those that sqlite-utils keeps in a file."""


def migrate(connection: sqlite3.Connection) -> None:
    """Create or extend what is missing, in one transaction.

    A file that a newer llmopt has written is left as it is: columns are only ever added.

    Args:
        connection: a connection in autocommit mode. The transaction begins IMMEDIATE, so that of several
            processes one migrates and the others wait.
    """
    if _version(connection) >= VERSION:  # without an import of sqlite-utils, which takes 0.1 s
        return
    from sqlite_utils import Database

    connection.execute("BEGIN IMMEDIATE")
    try:
        if _version(connection) < VERSION:
            _migrations().apply(Database(connection, execute_plugins=False))
            _create_views(connection)
            connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def _migrations() -> Migrations:
    from sqlite_utils import Migrations

    migrations = Migrations(SET)
    for version in range(1, VERSION + 1):

        def extend(db: Database, version: int = version) -> None:
            for statement in statements(version):
                db.execute(statement)

        migrations(name=f"m{version:03d}")(extend)
    return migrations


def statements(
    version: int, relations: Iterable[Relation] | None = None, indexes: Iterable[Index] = INDEXES
) -> list[str]:
    """Return the DDL that leads from the version before to `version`, views aside.

    Example:
        >>> statements(1)[-1]
        'CREATE INDEX call_fragments_digest ON call_fragments (digest)'
    """
    found: list[str] = []
    for table in describe() if relations is None else relations:
        if table.view:
            continue
        added = [f"{c.name} {c.type}" for c in table.columns if c.since == version]
        if table.since == version:
            found.append(_create(table, added))
        else:
            found += [f"ALTER TABLE {table.name} ADD COLUMN {column}" for column in added]
    for index in indexes:
        if index.since == version:
            where = f" WHERE {index.where}" if index.where else ""
            found.append(f"CREATE INDEX {index.name} ON {index.on}{where}")
    return found


def _create(table: Relation, columns: list[str]) -> str:
    """Return the statement that creates a table; one with a key of several columns needs no row id."""
    rows, options = columns, "STRICT"
    if table.key:
        rows, options = [*columns, f"PRIMARY KEY ({table.key})"], "STRICT, WITHOUT ROWID"
    return f"CREATE TABLE {table.name} ({', '.join(rows)}) {options}"


def _create_views(connection: sqlite3.Connection) -> None:
    """Make all views anew: they hold nothing, and the newest is the right one."""
    for view in describe():
        if view.view:
            columns = ", ".join(column.name for column in view.columns)
            connection.execute(f"DROP VIEW IF EXISTS {view.name}")
            connection.execute(f"CREATE VIEW {view.name} AS SELECT {columns} FROM ({QUERIES[view.name]})")  # noqa: S608
