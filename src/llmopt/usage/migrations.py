"""Brings a usage log's file to the newest schema. It only ever goes forward."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .schema import INDEXES, REBUILDS, VERSION, Index, Relation, describe
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

    # A table that is rebuilt is gone for a moment; views of it, the user's own included, do not mind then.
    connection.execute("PRAGMA legacy_alter_table = ON")
    connection.execute("BEGIN IMMEDIATE")
    try:
        if _version(connection) < VERSION:
            _migrations().apply(Database(connection, execute_plugins=False))
            create_views(connection)
            connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise
    finally:
        connection.execute("PRAGMA legacy_alter_table = OFF")


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
    tables = [relation for relation in (relations or describe()) if not relation.view]
    found: list[str] = []
    for table in tables:
        if table.since == version:
            found.append(_create(table, table.name, version))
        else:
            added = [f"{c.name} {c.type}" for c in table.columns if c.since == version]
            found += [f"ALTER TABLE {table.name} ADD COLUMN {column}" for column in added]
    rebuilt = {rebuild.table for rebuild in REBUILDS if rebuild.since == version}
    for table in tables:
        if table.name in rebuilt:
            found += _rebuild(table, version)
    for index in indexes:
        if index.until == version:
            found.append(f"DROP INDEX IF EXISTS {index.name}")
        if index.since == version:
            where = f" WHERE {index.where}" if index.where else ""
            found.append(f"CREATE INDEX {index.name} ON {index.on}{where}")
    return found


def _create(table: Relation, name: str, version: int) -> str:
    """Return the statement that creates a table; one with a key of several columns needs no row id."""
    rows, options = [f"{c.name} {c.type}" for c in table.columns if c.since <= version], "STRICT"
    if table.key:
        rows, options = [*rows, f"PRIMARY KEY ({table.key})"], "STRICT, WITHOUT ROWID"
    return f"CREATE TABLE {name} ({', '.join(rows)}) {options}"


def _rebuild(table: Relation, version: int) -> list[str]:
    """Return what puts the columns of a table into the order in which they are described."""
    name, new = table.name, f"{table.name}_new"
    columns = ", ".join(column.name for column in table.columns if column.since <= version)
    return [
        _create(table, new, version),
        f"INSERT INTO {new} ({columns}) SELECT {columns} FROM {name}",  # noqa: S608 - our own names
        f"DROP TABLE {name}",
        f"ALTER TABLE {new} RENAME TO {name}",
    ]


def create_views(connection: sqlite3.Connection) -> None:
    """Make all views anew: they hold nothing, and the newest is the right one."""
    for view in describe():
        if view.view:
            columns = ", ".join(column.name for column in view.columns)
            connection.execute(f"DROP VIEW IF EXISTS {view.name}")
            connection.execute(f"CREATE VIEW {view.name} AS SELECT {columns} FROM ({QUERIES[view.name]})")  # noqa: S608
