"""The file is what `schema` says: no more, no less, and it only ever goes forward."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from llmopt import usage
from llmopt.usage import migrations, rows, schema
from llmopt.usage.database import connect
from llmopt.usage.schema import INDEXES, VERSION, Column, Index, Relation, describe
from llmopt.usage.sink import Sink
from llmopt.usage.views import QUERIES

SRC = Path(__file__).parents[2] / "src"


@pytest.fixture
def connection(path):
    connection = connect(path)
    yield connection
    connection.close()


def of(connection, kind):
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = ?", (kind,))
    return {name for (name,) in names if not name.startswith(("sqlite_", "_sqlite_", "idx__sqlite_"))}


def test_the_file_holds_what_is_described_and_nothing_else(connection):
    assert of(connection, "table") == {relation.name for relation in describe() if not relation.view}
    assert (
        of(connection, "view") == {relation.name for relation in describe() if relation.view} == set(QUERIES)
    )
    assert of(connection, "index") == {index.name for index in INDEXES}
    for relation in describe():
        columns = connection.execute("SELECT name FROM pragma_table_info(?)", (relation.name,)).fetchall()
        assert [name for (name,) in columns] == [column.name for column in relation.columns]


def test_every_column_is_described_in_one_line():
    for relation in describe():
        assert relation.description
        assert relation.columns
        for column in relation.columns:
            assert column.description
            assert "\n" not in column.description
            assert column.type.split()[0] in {"TEXT", "INTEGER", "REAL"}


def test_tables_are_strict(connection):
    strict = dict(
        connection.execute("SELECT name, strict FROM pragma_table_list WHERE type = 'table'").fetchall()
    )
    assert [r.name for r in describe() if not r.view and not strict[r.name]] == []


def test_what_is_written_is_described(record):
    described = {r.name: {column.name for column in r.columns} for r in describe()}
    for statement in rows.inserts([record(fragments=(("prompt", ("a",)),), notes={"cache": "hit"})]):
        table, columns = (
            statement.sql.removeprefix("INSERT INTO ").removeprefix("INSERT OR IGNORE INTO ").split(" (", 1)
        )
        assert set(columns.split(")")[0].replace(" ", "").split(",")) <= described[table]


def test_the_file_is_made_for_many_writers(connection):
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (1,)
    assert connection.execute("PRAGMA busy_timeout").fetchone() == (30_000,)


def test_migrating_again_changes_nothing(connection):
    before = connection.execute("SELECT * FROM sqlite_master").fetchall()
    migrations.migrate(connection)
    connection.execute("PRAGMA user_version = 0")
    migrations.migrate(connection)
    assert sorted(connection.execute("SELECT * FROM sqlite_master").fetchall()) != []
    assert {row[1] for row in connection.execute("SELECT * FROM sqlite_master")} == {row[1] for row in before}
    applied = connection.execute("SELECT migration_set, name FROM _sqlite_migrations").fetchall()
    assert applied == [("llmopt.usage", f"m{version:03d}") for version in range(1, VERSION + 1)]


def test_a_failed_migration_leaves_nothing_behind(path, monkeypatch):
    monkeypatch.setitem(QUERIES, "errors", "SELECT FROM calls")
    with pytest.raises(sqlite3.OperationalError):
        connect(path)
    monkeypatch.undo()
    connection = connect(path)
    assert of(connection, "view") == set(QUERIES)
    connection.close()


def test_another_process_has_migrated_meanwhile(connection, monkeypatch):
    versions = iter([0, VERSION])
    monkeypatch.setattr(migrations, "_version", lambda connection: next(versions))
    migrations.migrate(connection)
    assert not connection.in_transaction


def test_the_next_version_adds_columns_tables_and_indexes(path, monkeypatch, record):
    connection = connect(path)
    connection.close()
    Sink(path).write([record()])
    region = Column("region", "TEXT", "region of the provider", 2)
    regions = Relation("regions", "One region", (Column("name", "TEXT", "its name", 2),), since=2)
    newer = [
        Relation(r.name, r.description, (*r.columns, region), r.key) if r.name == "calls" else r
        for r in describe()
    ]
    monkeypatch.setattr(migrations, "describe", lambda: (*newer, regions))
    monkeypatch.setattr(migrations, "INDEXES", (*INDEXES, Index("calls_region", "calls (region)", since=2)))
    monkeypatch.setattr(migrations, "VERSION", 2)
    assert migrations.statements(2, (*newer, regions), migrations.INDEXES) == [
        "ALTER TABLE calls ADD COLUMN region TEXT",
        "CREATE TABLE regions (name TEXT) STRICT",
        "CREATE INDEX calls_region ON calls (region)",
    ]
    connection = connect(path)
    assert connection.execute("SELECT count(*), max(region) FROM calls").fetchone() == (1, None)
    connection.close()
    monkeypatch.undo()
    sink = Sink(path)
    assert sink.write([record()]) == 1, "an older llmopt goes on writing to a newer file"
    sink.close()
    assert usage.open(path)["calls"].count == 2


def test_processes_that_come_at_once_make_one_file(path):
    code = f"from llmopt.usage.sink import Sink; sink = Sink({path!r}); sink.write([]); sink.close()"
    env = {"PYTHONPATH": str(SRC)}
    processes = [
        subprocess.Popen([sys.executable, "-c", code], env=env, stderr=subprocess.PIPE) for _ in range(3)
    ]
    assert [(p.communicate()[1], p.returncode) for p in processes] == [(b"", 0)] * 3
    assert usage.open(path)["processes"].count == 3


def test_views_come_from_the_named_columns():
    assert schema.describe() is not schema.describe()
    assert [r.name for r in describe() if r.view] == list(QUERIES)
