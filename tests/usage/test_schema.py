"""The file is what `schema` says: no more and no less, and the page about it says the same."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from llmopt.usage.migrations import migrate
from llmopt.usage.schema import INDEXES, VERSION, describe, markdown
from llmopt.usage.views import QUERIES

PAGE = Path(__file__).parents[2] / "docs" / "usage-schema.md"
ANEW = "docs/usage-schema.md must hold what llmopt.usage.schema.markdown() returns: write it there anew"


@pytest.fixture
def connection():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    yield connection
    connection.close()


def of(connection, kind):
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = ?", (kind,))
    return {name for (name,) in names if not name.startswith(("sqlite_", "_sqlite_", "idx__sqlite_"))}


def test_the_file_holds_what_is_described_and_nothing_else(connection):
    views = {relation.name for relation in describe() if relation.view}
    assert of(connection, "table") == {relation.name for relation in describe() if not relation.view}
    assert of(connection, "view") == views == set(QUERIES)
    assert of(connection, "index") == {index.name for index in INDEXES if index.until is None}


@pytest.mark.parametrize("relation", describe(), ids=lambda relation: relation.name)
def test_columns_stand_in_the_order_in_which_they_are_described(connection, relation):
    columns = connection.execute("SELECT name FROM pragma_table_info(?)", (relation.name,)).fetchall()
    assert [name for (name,) in columns] == [column.name for column in relation.columns]


@pytest.mark.parametrize("relation", describe(), ids=lambda relation: relation.name)
def test_each_is_described_in_one_line(relation):
    assert relation.description
    assert 1 <= relation.since <= VERSION
    names = [column.name for column in relation.columns]
    assert len(set(names)) == len(names) > 0
    for column in relation.columns:
        assert column.description
        assert not {"\n", "|"} & set(column.description)
        assert column.type.split()[0] in {"TEXT", "INTEGER", "REAL"}
        assert relation.since <= column.since <= VERSION


def test_a_view_gives_the_types_that_are_described(connection):
    """A view has no types of its own: what it says is asked of rows that fill every column."""
    fill(connection)
    for relation in (relation for relation in describe() if relation.view):
        row = connection.execute(f"SELECT * FROM {relation.name} LIMIT 1").fetchone()  # noqa: S608
        assert row is not None, relation.name
        for column, value in zip(relation.columns, row, strict=True):
            wanted = {"TEXT": str, "INTEGER": int, "REAL": float}[column.type]
            assert value is None or type(value) is wanted, (relation.name, column.name, value)


def fill(connection):
    from llmopt.testing.traffic import COLUMNS, MODELS, Traffic

    for rows in Traffic(400, 1, 2.0, 1.8e9, MODELS, with_content=False).rows():
        for table, columns in COLUMNS.items():
            marks = ",".join("?" * len(columns))
            sql = f"INSERT INTO {table} ({','.join(columns)}) VALUES ({marks})"  # noqa: S608
            connection.executemany(sql, rows[table])


def test_tables_are_strict(connection):
    strict = dict(connection.execute("SELECT name, strict FROM pragma_table_list WHERE type = 'table'"))
    assert [r.name for r in describe() if not r.view and not strict[r.name]] == []


def test_a_primary_key_of_several_columns_comes_first():
    """SQLite 3.40.0 to 3.41.0 calls a sound file corrupt otherwise."""
    for relation in describe():
        key = relation.key.split(", ") if relation.key else []
        assert [column.name for column in relation.columns][: len(key)] == key


def test_names_tell_units():
    for relation in describe():
        for column in relation.columns:
            if column.type.startswith("REAL"):
                assert column.name.endswith(("_ms", "_usd", "_nano", "_rate", "_per_batch", "_of_calls"))


def test_the_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == markdown(), ANEW


def test_the_page_tells_of_everything():
    page = markdown()
    for relation in describe():
        section = page.split(f"\n### {relation.name}\n")[1].split("\n#")[0]
        assert [f"| `{c.name}` |" in section for c in relation.columns] == [True] * len(relation.columns)
        assert ("Since version" in section) is (relation.since > 1)
    assert "(since version 2)" in page.split("### calls")[1].split("###")[0]
    assert "call_fragments_digest" not in page, "an index that is no more"
