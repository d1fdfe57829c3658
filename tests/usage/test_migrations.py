"""A file only ever goes forward: nothing is lost on the way, and no way leads back."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from llmopt.usage import migrations
from llmopt.usage.migrations import migrate, statements
from llmopt.usage.schema import INDEXES, VERSION, Column, Index, Relation, describe
from llmopt.usage.views import QUERIES

HERE = Path(__file__).parent
SRC = HERE.parents[1] / "src"
EARLIER = range(1, VERSION)
TABLES = [relation for relation in describe() if not relation.view]
CALL = (
    "INSERT INTO calls (id, model_requested, stream, started_at, duration_ms, status, attempts,"
    " schema_version) VALUES (?, 'm', 1, '2026-11-21T12:00:00.000000Z', 1.0, 'ok', 0, 2)"
)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "usage.db")


@pytest.fixture
def connection(path):
    connection = sqlite3.connect(path, isolation_level=None)
    yield connection
    connection.close()


def load(connection, version):
    """Make the file that the llmopt of an earlier version has left."""
    connection.executescript((HERE / "fixtures" / f"v{version}.sql").read_text(encoding="utf-8"))


def rows(connection, table, columns):
    """The rows of a table in an order that does not depend on that of the columns."""
    names = ", ".join(sorted(columns))
    return sorted(connection.execute(f"SELECT {names} FROM {table}"), key=repr)  # noqa: S608


def columns_of(connection, table):
    return [name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))]


def schema_of(connection):
    """What a file consists of, however it came to be so."""
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master") if name[0] != "_"]
    tables = {
        name: connection.execute(
            "SELECT name, type, [notnull], pk FROM pragma_table_info(?)", (name,)
        ).fetchall()
        for name in names
    }
    indexes = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index'").fetchall()
    views = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'view'").fetchall()
    return tables, sorted(indexes), sorted(views)


def version_of(connection):
    return connection.execute("PRAGMA user_version").fetchone()[0]


def assert_sound(connection):
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


@pytest.mark.parametrize("version", EARLIER)
def test_nothing_is_lost_on_the_way(connection, version):
    load(connection, version)
    tables = [table.name for table in TABLES if columns_of(connection, table.name)]
    assert len(tables) > 5
    before = {
        table: (columns_of(connection, table), rows(connection, table, columns_of(connection, table)))
        for table in tables
    }
    assert all(found for table, (_, found) in before.items()), "the fixture has rows in every table"
    migrate(connection)
    assert version_of(connection) == VERSION
    for table, (columns, found) in before.items():
        assert rows(connection, table, columns) == found
    assert_sound(connection)


@pytest.mark.parametrize("version", EARLIER)
def test_an_old_file_becomes_what_a_new_one_is(connection, version):
    load(connection, version)
    migrate(connection)
    new = sqlite3.connect(":memory:", isolation_level=None)
    migrate(new)
    assert schema_of(connection) == schema_of(new)
    new.close()


@pytest.mark.parametrize("version", EARLIER)
def test_views_of_an_old_file_are_right(connection, version):
    load(connection, version)
    migrate(connection)
    connection.row_factory = sqlite3.Row
    for view in QUERIES:
        connection.execute(f"SELECT * FROM {view}").fetchall()  # noqa: S608
    (daily,) = connection.execute("SELECT * FROM usage_daily WHERE role = 'tactical'")
    assert (daily["calls"], daily["not_ok"], daily["attempts"]) == (3, 0, 3)
    assert (daily["billed_input_tokens"], daily["served_input_tokens"]) == (13, 9)
    uses = connection.execute("SELECT kind, calls, bytes, roles FROM fragment_usage ORDER BY calls, kind")
    assert list(map(tuple, uses)) == [
        ("prompt", 2, 8, "tactical"),
        ("system", 2, 14, "tactical"),
        ("prompt", 3, 10, "tactical"),
    ]
    (retried,) = connection.execute("SELECT * FROM retries WHERE retried")
    assert (retried["error_class"], retried["recovered"]) == ("connection", 1)


@pytest.mark.parametrize("version", EARLIER)
def test_a_view_of_the_users_own_stays(connection, version):
    load(connection, version)
    connection.execute("CREATE VIEW mine AS SELECT digest, count(*) AS n FROM call_fragments GROUP BY digest")
    before = connection.execute("SELECT * FROM mine ORDER BY 1").fetchall()
    migrate(connection)
    assert connection.execute("SELECT * FROM mine ORDER BY 1").fetchall() == before != []
    assert connection.execute("PRAGMA legacy_alter_table").fetchone() == (0,)


@pytest.mark.parametrize("version", [0, *EARLIER])
def test_processes_that_come_at_once_make_one_file(path, connection, version):
    if version:
        load(connection, version)
    connection.close()
    code = (
        "import sqlite3, sys; from llmopt.usage.migrations import migrate;"
        f"c = sqlite3.connect({path!r}, isolation_level=None, timeout=30); migrate(c);"
        f"c.execute({CALL!r}, (sys.argv[1],)); c.close()"
    )
    command, env = [sys.executable, "-W", "error", "-c", code], {"PYTHONPATH": str(SRC)}
    processes = [subprocess.Popen([*command, f"c{n}"], env=env, stderr=subprocess.PIPE) for n in range(3)]
    assert [(p.communicate()[1], p.returncode) for p in processes] == [(b"", 0)] * 3
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM calls WHERE id LIKE 'c_'").fetchone() == (3,)
    applied = connection.execute("SELECT migration_set, name FROM _sqlite_migrations").fetchall()
    assert applied == [("llmopt.usage", f"m{number:03d}") for number in range(1, VERSION + 1)]
    assert_sound(connection)
    connection.close()


def test_migrating_again_changes_nothing(connection):
    migrate(connection)
    before = connection.execute("SELECT * FROM sqlite_master").fetchall()
    migrate(connection)
    assert connection.execute("SELECT * FROM sqlite_master").fetchall() == before


def test_a_number_that_was_lost_is_found_again(connection):
    """The number of the version is a shortcut: sqlite-utils knows itself what has been done."""
    migrate(connection)
    before = schema_of(connection)
    connection.execute(CALL, ("c",))
    connection.execute("PRAGMA user_version = 0")
    migrate(connection)
    assert (version_of(connection), schema_of(connection)) == (VERSION, before)
    assert connection.execute("SELECT count(*) FROM calls").fetchone() == (1,)


@pytest.mark.parametrize("version", [0, *EARLIER])
def test_a_failed_migration_leaves_nothing_behind(connection, monkeypatch, version):
    if version:
        load(connection, version)
    before = connection.execute("SELECT * FROM sqlite_master").fetchall()
    monkeypatch.setitem(QUERIES, "errors", "SELECT FROM calls")
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection)
    assert (version_of(connection), connection.in_transaction) == (version, False)
    assert connection.execute("SELECT * FROM sqlite_master").fetchall() == before
    monkeypatch.undo()
    migrate(connection)
    assert_sound(connection)


def test_another_process_has_migrated_meanwhile(connection, monkeypatch):
    migrate(connection)
    versions = iter([0, VERSION])
    monkeypatch.setattr(migrations, "_version", lambda connection: next(versions))
    migrate(connection)
    assert not connection.in_transaction


# the future


@pytest.fixture
def newer(monkeypatch):
    """The schema of the next version: a column, a table, an index and a view more."""
    since = VERSION + 1
    region = Column("region", "TEXT", "region of the provider", since)
    regions = Relation("regions", "One region", (Column("name", "TEXT", "its name", since),), since=since)
    view = Relation(
        "by_region", "Calls by region", (Column("calls", "INTEGER", "how many"),), view=True, since=since
    )
    relations = [
        Relation(r.name, r.description, (*r.columns, region), r.key) if r.name == "calls" else r
        for r in describe()
    ]
    monkeypatch.setattr(migrations, "describe", lambda: (*relations, regions, view))
    monkeypatch.setattr(
        migrations, "INDEXES", (*INDEXES, Index("calls_region", "calls (region)", since=since))
    )
    monkeypatch.setattr(migrations, "VERSION", since)
    monkeypatch.setitem(QUERIES, "by_region", "SELECT count(region) AS calls FROM calls")
    return since


def test_the_next_version_adds_columns_tables_indexes_and_views(connection, newer):
    assert statements(newer, migrations.describe(), migrations.INDEXES) == [
        "ALTER TABLE calls ADD COLUMN region TEXT",
        "CREATE TABLE regions (name TEXT) STRICT",
        "CREATE INDEX calls_region ON calls (region)",
    ]
    load(connection, 1)
    migrate(connection)
    assert version_of(connection) == newer
    assert connection.execute("SELECT calls FROM by_region").fetchone() == (0,)
    assert_sound(connection)


def test_a_newer_file_is_read_and_written_and_never_taken_back(connection, newer, monkeypatch):
    migrate(connection)
    connection.execute(CALL, ("theirs",))
    connection.execute("UPDATE calls SET region = 'eu'")
    before = connection.execute("SELECT * FROM sqlite_master").fetchall()
    monkeypatch.undo()  # here comes an older llmopt
    migrate(connection)
    connection.execute(CALL, ("ours",))
    assert version_of(connection) == newer > VERSION
    assert connection.execute("SELECT * FROM sqlite_master").fetchall() == before
    assert connection.execute("SELECT id, region FROM calls").fetchall() == [("theirs", "eu"), ("ours", None)]
    assert connection.execute("SELECT sum(calls) FROM usage_daily").fetchone() == (2,)
    assert connection.execute("SELECT calls FROM by_region").fetchone() == (1,)
    assert_sound(connection)
