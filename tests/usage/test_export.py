"""What leaves a log: every call, once, and no text that was not asked for."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import tracemalloc
from contextlib import closing

import pytest

from llmopt.errors import StoreError
from llmopt.testing.usage import fill_log
from llmopt.usage.export import calls, copy, to_csv, to_jsonl
from llmopt.usage.reading import read_only
from llmopt.usage.schema import describe


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "usage.db"
    fill_log(path, 60, days=2, with_content=True)
    return path


@pytest.fixture
def connection(path):
    database = read_only(str(path))
    yield database.conn
    database.close()


def written(write, *arguments, **options):
    out = io.StringIO()
    count = write(*arguments, out, **options)
    return count, out.getvalue()


def ask(path, query):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def contents(path):
    return [text for (text,) in ask(path, "SELECT DISTINCT content FROM fragments WHERE content IS NOT NULL")]


class TestCalls:
    def test_come_in_the_order_in_which_they_began(self, connection, path):
        assert [call["id"] for call in calls(connection)] == [
            row[0] for row in ask(path, "SELECT id FROM calls ORDER BY started_at, rowid")
        ]

    def test_of_a_period_begin_in_it(self, connection):
        began = [call["started_at"] for call in calls(connection)]
        since, until = began[10], began[20]
        assert [call["started_at"] for call in calls(connection, since=since, until=until)] == began[10:20]
        assert len(list(calls(connection, since=since))) == 50
        assert len(list(calls(connection, until=until))) == 20


class TestJsonl:
    def test_every_line_is_a_call_with_its_attempts_and_texts(self, connection, path):
        count, text = written(to_jsonl, connection)
        lines = [json.loads(line) for line in text.splitlines()]
        assert count == len(lines) == 60
        (table,) = (relation for relation in describe() if relation.name == "calls")
        assert list(lines[0]) == [*(column.name for column in table.columns), "runs", "fragments"]
        assert all(len(line["runs"]) == line["attempts"] for line in lines)
        assert (
            sum(len(line["fragments"]) for line in lines)
            == ask(path, "SELECT count(*) FROM call_fragments")[0][0]
        )
        assert all(
            [run["n"] for run in line["runs"]] == list(range(1, line["attempts"] + 1)) for line in lines
        )

    def test_texts_are_in_it_only_if_they_are_asked_for(self, connection, path):
        texts = contents(path)
        assert texts
        _, without = written(to_jsonl, connection)
        _, with_them = written(to_jsonl, connection, content=True)
        assert "content" not in json.loads(without.splitlines()[0])["fragments"][0]
        told = {each["content"] for line in with_them.splitlines() for each in json.loads(line)["fragments"]}
        assert told == set(texts)
        assert not [text for text in texts if json.dumps(text)[1:-1] in without]

    def test_of_a_period(self, connection):
        began = [call["started_at"] for call in calls(connection)]
        assert written(to_jsonl, connection, since=began[5], until=began[9])[0] == 4

    def test_is_of_one_moment(self, connection, path):
        class Growing(io.StringIO):
            def write(self, text):
                if not self.tell():
                    with closing(sqlite3.connect(path)) as other, other:
                        other.execute("UPDATE calls SET role = 'changed'")
                return super().write(text)

        out = Growing()
        to_jsonl(connection, out)
        assert "changed" not in out.getvalue()
        assert "changed" in written(to_jsonl, connection)[1]

    def test_memory_does_not_grow_with_the_log(self, tmp_path):
        class Nowhere:
            def write(self, text):
                pass

        def peak(count):
            path = tmp_path / f"{count}.db"
            fill_log(path, count, days=1)
            with closing(read_only(str(path)).conn) as connection:
                to_jsonl(connection, Nowhere(), until="2000-01-01")  # whatever is made once
                tracemalloc.start()
                try:
                    to_jsonl(connection, Nowhere())
                    return tracemalloc.get_traced_memory()[1]
                finally:
                    tracemalloc.stop()

        assert peak(1500) < 1.5 * peak(150)


class TestCsv:
    def test_has_a_head_and_the_columns_of_calls(self, connection):
        count, text = written(to_csv, connection)
        rows = list(csv.DictReader(io.StringIO(text)))
        assert count == len(rows) == 60
        assert [row["id"] for row in rows] == [call["id"] for call in calls(connection)]

    def test_of_an_empty_period_is_a_head(self, connection):
        count, text = written(to_csv, connection, until="2000-01-01")
        assert count == 0
        assert text.startswith("id,trace_id,")
        assert text.count("\n") == 1


class TestCopy:
    def test_has_every_row_and_view_in_one_file(self, connection, path, tmp_path):
        target = tmp_path / "copy.db"
        copy(connection, target, content=True)
        for relation in describe():
            count = f"SELECT count(*) FROM {relation.name}"  # noqa: S608 - our own names
            assert ask(target, count) == ask(path, count)
        assert contents(target) == contents(path)
        assert ask(target, "PRAGMA journal_mode") == [("delete",)]
        assert {each.name for each in tmp_path.glob("copy.db*")} == {"copy.db"}

    def test_nobody_else_can_read_it(self, connection, tmp_path):
        copy(connection, tmp_path / "copy.db")
        assert (tmp_path / "copy.db").stat().st_mode & 0o777 == 0o600

    def test_no_text_is_in_any_byte_of_it_unless_that_is_asked_for(self, connection, path, tmp_path):
        copy(connection, tmp_path / "copy.db")
        assert contents(tmp_path / "copy.db") == []
        held = (tmp_path / "copy.db").read_bytes()
        assert not [text for text in contents(path) if text.encode()[:100] in held]

    def test_a_text_that_was_removed_from_the_log_is_in_no_copy(self, path, tmp_path):
        texts = contents(path)
        with closing(sqlite3.connect(path)) as other, other:
            other.execute("PRAGMA secure_delete = OFF")
            other.execute("UPDATE fragments SET content = NULL")
        with closing(read_only(str(path)).conn) as connection:
            copy(connection, tmp_path / "copy.db", content=True)
        held = (tmp_path / "copy.db").read_bytes()
        assert not [text for text in texts if text.encode()[:100] in held]

    def test_the_log_itself_is_not_overwritten(self, connection, path):
        with pytest.raises(StoreError, match="is the log itself"):
            copy(connection, path)

    def test_what_cannot_be_written_leaves_nothing_behind(self, connection, tmp_path):
        (tmp_path / "folder").mkdir()
        with pytest.raises(StoreError, match="could not be written"):
            copy(connection, tmp_path / "folder")
        assert list(tmp_path.glob("folder*")) == [tmp_path / "folder"]

    def test_what_an_earlier_one_has_left_behind_is_replaced(self, connection, tmp_path):
        (tmp_path / "copy.db.part").write_text("half of a copy")
        (tmp_path / "copy.db").write_text("an older copy")
        copy(connection, tmp_path / "copy.db")
        assert ask(tmp_path / "copy.db", "SELECT count(*) FROM calls") == [(60,)]
