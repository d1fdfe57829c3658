"""`llmopt log`, `log tail`, `log query`, `log schema` and `log path`, typed as a person would."""

from __future__ import annotations

import csv
import importlib
import io
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import llmopt
from llmopt.cli import main, tables
from llmopt.cli.tables import Layout, call_cells
from llmopt.testing import Answer, ScriptedModel, VirtualClock
from llmopt.testing.usage import fill_log
from llmopt.types import Usage
from llmopt.usage.migrations import migrate
from llmopt.usage.schema import describe

SRC = Path(__file__).parents[2] / "src"
log_module = importlib.import_module("llmopt.cli.log")  # the package has the command by that name


@pytest.fixture(autouse=True)
def user_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    yield tmp_path
    llmopt.usage.flush()


def run(*arguments, exit_code=0):
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == exit_code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.stdout if exit_code == 0 else result.stderr


def insert(path, *calls):
    """Write calls that are as ordinary as can be, but for what is said of them."""
    path.parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection)
        for number, call in enumerate(calls):
            row = {
                "id": f"{time.monotonic_ns()}-{number}",
                "model_requested": "a-model",
                "stream": 0,
                "started_at": f"2025-06-21T12:00:{number:02}.000000Z",
                "duration_ms": 1.0,
                "status": "ok",
                "attempts": 1,
                "schema_version": 2,
                **call,
            }
            sql = f"INSERT INTO calls ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})"  # noqa: S608
            connection.execute(sql, list(row.values()))


@pytest.fixture
def db(tmp_path):
    return tmp_path / "llmopt" / "usage.db"


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    path = tmp_path_factory.mktemp("template") / "usage.db"
    fill_log(path, 150, days=2)
    return path


@pytest.fixture
def filled(template, db):
    db.parent.mkdir()
    return Path(shutil.copy(template, db))


@pytest.fixture
def terminal(monkeypatch):
    """Have the commands believe that they write to a terminal of so many columns."""

    def terminal(columns):
        monkeypatch.setenv("COLUMNS", str(columns))
        for module in (tables, log_module):
            monkeypatch.setattr(module, "terminal_width", lambda: columns)
        return columns

    return terminal


class TestTail:
    @pytest.fixture
    def logged(self):
        """A log with three calls, of which one failed and one was answered from the cache."""
        clock = VirtualClock()
        said = [
            Answer(text="yes", delay_s=0.2, chunk_delay_s=0.1, usage=Usage(1234, 56)),
            ValueError("sk-secret"),
        ]
        stack = (llmopt.UsageLog(role="tactical"), llmopt.Cache())
        model = llmopt.wrap(ScriptedModel(said, model_id="a-model", clock=clock), *stack, clock=clock)
        for prompt in ("one", "one", "two"):
            try:
                model.prompt(prompt).text()
            except ValueError:
                clock.advance(12)

    @pytest.mark.parametrize("command", [["log"], ["log", "tail"]])
    @pytest.mark.usefixtures("logged")
    def test_is_a_table_with_the_newest_call_at_the_end(self, command):
        head, *calls, _, times = run(*command).splitlines()
        assert head.split() == ["time", "model", "role", "status", "cache", "in", "out", "ttft", "total"]
        assert [call.split()[1:] for call in calls] == [
            ["a-model", "tactical", "ok", "miss", "1234", "56", "200ms", "200ms"],
            ["a-model", "tactical", "ok", "hit", "1234", "56", "0ms", "0ms"],
            ["a-model", "tactical", "error", "miss", "-", "-", "-", "0ms"],
        ]
        assert {line.find("a-model") for line in calls} == {head.find("model")}
        assert times == "Times are UTC, 2026-01-01."

    @pytest.mark.usefixtures("logged")
    def test_shows_as_many_as_are_asked_for(self):
        assert [call["status"] for call in json.loads(run("log", "-n", "2", "--json"))] == ["ok", "error"]
        assert "sk-secret" not in run("log", "--json")

    def test_json_has_the_documented_columns(self, filled):
        (calls,) = (relation for relation in describe() if relation.name == "calls")
        assert list(json.loads(run("log", "--json"))[0]) == [column.name for column in calls.columns]

    def test_shows_days_long_times_and_costs_where_there_are_any(self, db):
        insert(
            db,
            {"started_at": "2025-12-31T23:59:59.000000Z"},
            {
                "started_at": "2026-01-01T00:00:00.000000Z",
                "duration_ms": 12_345.0,
                "cost_usd_nano": 1_500_000,
            },
        )
        head, first, last, _, times = run("log").splitlines()
        assert head.split()[-1] == "usd"
        assert first.startswith("12-31 23:59:59  a-model")
        assert first.split()[-1] == "-"
        assert last.split()[-2:] == ["12.3s", "0.001500"]
        assert times == "Times are UTC, 2025-12-31 to 2026-01-01."

    @pytest.mark.parametrize(
        ("option", "shown"),
        [
            (["--role", "scout"], ["b"]),
            (["--agent", "A1"], ["a", "b"]),
            (["-m", "asked"], ["b"]),
            (["--model", "answered"], ["b"]),
            (["--status", "error"], ["c"]),
            (["--since", "2025-06-21T12:00:01"], ["b", "c"]),
            (["--since", "2025-06-21T13:00:02+01:00"], ["c"]),
            (["--agent", "A1", "--role", "scout"], ["b"]),
            (["--agent", "A1", "-n", "1"], ["b"]),
            (["--agent", "' OR 1 --"], []),
        ],
    )
    def test_shows_only_what_is_asked_for(self, db, option, shown):
        scout = {
            "id": "b",
            "agent": "A1",
            "role": "scout",
            "model_requested": "asked",
            "model_resolved": "answered",
        }
        insert(db, {"id": "a", "agent": "A1"}, scout, {"id": "c", "status": "error"})
        assert [call["id"] for call in json.loads(run("log", "--json", *option))] == shown
        assert [call["id"] for call in json.loads(run("log", "tail", "--json", *option))] == shown

    def test_since_a_while_ago(self, db):
        now = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())
        insert(db, {"id": "old"}, {"id": "new", "started_at": now})
        assert [call["id"] for call in json.loads(run("log", "--json", "--since", "5m"))] == ["new"]

    @pytest.mark.parametrize("wrong", ["yesterday", "5", "5y", "2026-13-01", "999999999w", ""])
    def test_a_time_that_is_none_is_a_usage_error(self, wrong):
        assert "is no time; say 1h, 7d" in run("log", "--since", wrong, exit_code=2)

    def test_an_empty_log_says_so(self, db):
        insert(db)
        assert run("log") == "No calls yet.\n"
        assert run("log", "--json") == "[]\n"
        insert(db, {})
        assert run("log", "--role", "nobody's") == "No such calls.\n"

    def test_nothing_moves_the_cursor(self, db):
        insert(db, {"role": "\x1b[2Jred\nteam", "model_requested": "m\x9b31m"})
        shown = run("log")
        assert shown.count("\n") == 4
        assert all(character.isprintable() for character in shown.replace("\n", ""))

    def test_no_log_costs_one_line(self, db):
        (line,) = run("log", exit_code=1).splitlines()
        assert line.startswith(f"Error: there is no usage log {db}")

    def test_another_file_costs_one_line(self, tmp_path):
        (tmp_path / "notes.txt").write_text("This is no database, and long enough to be one. " * 50)
        (line,) = run("log", "--db", str(tmp_path / "notes.txt"), exit_code=1).splitlines()
        assert "cannot be read as a usage log" in line

    @pytest.mark.parametrize(
        "command",
        [["tail"], ["query", "SELECT count(tags_json) FROM calls"], ["export"], ["export", "-o", "out"]],
    )
    def test_a_damaged_log_costs_one_line(self, filled, tmp_path, monkeypatch, command):
        monkeypatch.chdir(tmp_path)
        with closing(sqlite3.connect(filled)) as connection:
            (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'calls'").fetchone()
        with filled.open("r+b") as file:
            file.seek((page - 1) * 8192)
            file.write(bytes(8192))
        (line,) = run("log", *command, exit_code=1).splitlines()
        assert line.endswith("malformed; `llmopt log doctor` knows more")
        assert not list(tmp_path.glob("out*"))

    def test_an_unknown_command_is_a_usage_error(self):
        assert "No such command 'tale'" in run("log", "tale", exit_code=2)

    def test_help_lists_the_commands(self):
        shown = run("log", "--help").partition("Commands:")[2]
        assert [line.split()[0] for line in shown.splitlines()[1:]] == [
            "doctor", "export", "path", "prune", "query", "reprice", "schema", "tail",
        ]  # fmt: skip

    @pytest.mark.parametrize("columns", [60, 80, 100])
    def test_fits_the_terminal(self, filled, terminal, columns):
        terminal(columns)
        lines = run("log", "-n", "150").splitlines()
        assert max(map(len, lines)) <= max(columns, 78)
        assert columns >= 100 or re.search(r"\.\.\.  ", lines[1])


class TestFollow:
    def follow(self, monkeypatch, *steps):
        """Do something each time that it pauses, and press Ctrl-C in the end."""
        left = list(steps)

        def pause():
            if not left:
                raise KeyboardInterrupt
            left.pop(0)()

        monkeypatch.setattr(log_module, "_pause", pause)

    def test_shows_new_calls_under_the_same_head(self, db, monkeypatch):
        insert(db, {"id": "a", "role": "first"})
        self.follow(
            monkeypatch,
            lambda: insert(db, {"id": "b", "role": "second"}),
            lambda: None,
            lambda: insert(db, {"role": "third"}, {"role": "a-role-that-is-longer-than-any"}),
        )
        result = CliRunner().invoke(main, ["log", "-f"])
        assert result.exit_code == 130
        head, *calls = result.stdout.splitlines()
        assert head.startswith("time, UTC  model")
        assert [call.split()[2] for call in calls] == [
            "first",
            "second",
            "third",
            "a-role-that-is-longer-than-any",
        ]
        assert {call.find("a-model") for call in calls} == {head.find("model")}
        assert result.stderr == ""

    def test_shows_only_what_is_asked_for(self, db, monkeypatch):
        insert(db, {"role": "a"}, {"role": "b"})
        self.follow(monkeypatch, lambda: insert(db, {"role": "a"}, {"role": "b"}, {"role": "a"}))
        result = CliRunner().invoke(main, ["log", "-f", "--json", "--role", "a"])
        assert [json.loads(line)["role"] for line in result.stdout.splitlines()] == ["a", "a", "a"]

    def test_begins_with_nothing(self, db, monkeypatch):
        insert(db)
        self.follow(monkeypatch, lambda: insert(db, {"role": "first"}))
        lines = CliRunner().invoke(main, ["log", "tail", "--follow"]).stdout.splitlines()
        assert len(lines) == 2

    @pytest.mark.skipif(sys.platform == "win32", reason="signals are a thing of POSIX")
    def test_sees_calls_of_other_processes_and_ends_without_a_traceback(self, db):
        insert(db, {"role": "earlier"})
        command = [sys.executable, "-B", "-u", "-m", "llmopt", "log", "-f", "--db", str(db)]
        env = {k: v for k, v in os.environ.items() if not k.startswith(("COV_", "COVERAGE_"))}
        pipe = subprocess.PIPE
        with subprocess.Popen(
            command, env={**env, "PYTHONPATH": str(SRC)}, stdout=pipe, stderr=pipe, text=True
        ) as process:
            try:
                assert "UTC" in process.stdout.readline()
                assert "earlier" in process.stdout.readline()
                model = llmopt.wrap(ScriptedModel(["HOLD"]), llmopt.UsageLog(db, role="later"))
                model.prompt("What now?").text()
                assert "later" in process.stdout.readline()
                process.send_signal(signal.SIGINT)
                assert process.stderr.read() == ""
            finally:
                process.kill()
        assert process.returncode == 130


class TestQuery:
    def test_is_a_table(self, filled):
        shown = run(
            "log", "query", "SELECT 'a' AS name, 1 AS n UNION ALL SELECT 'long', 1234.5678 ORDER BY 2"
        )
        assert shown == "name        n\na           1\nlong  1234.57\n"

    @pytest.mark.parametrize("name", ["latency", "usage_daily", "processes"])
    def test_shows_a_view_or_a_table_by_its_name(self, filled, name):
        rows = json.loads(run("log", "query", name, "--json"))
        (relation,) = (relation for relation in describe() if relation.name == name)
        assert list(rows[0]) == [column.name for column in relation.columns]

    def test_every_form_has_the_same_rows(self, filled):
        asked = ("log", "query", "SELECT id, role, cost_usd_nano, ttft_ms FROM calls ORDER BY id")
        rows = json.loads(run(*asked, "--json"))
        assert len(rows) == 150
        assert [json.loads(line) for line in run(*asked, "--nl").splitlines()] == rows
        told = list(csv.DictReader(io.StringIO(run(*asked, "--csv"))))
        assert told == [
            {name: "" if value is None else str(value) for name, value in row.items()} for row in rows
        ]
        assert [line.split()[0] for line in run(*asked, "--table").splitlines()[1:]] == [
            row["id"] for row in rows
        ]

    def test_no_rows(self, filled):
        none = ("log", "query", "SELECT id FROM calls WHERE 0")
        assert [run(*none, form) for form in ("--json", "--nl", "--csv", "--table")] == [
            "[]\n",
            "",
            "id\n",
            "id\n",
        ]

    def test_parameters(self, filled):
        query = (
            "SELECT :text AS text, typeof(:n) AS n, typeof(:x) AS x, typeof(:zip) AS zip, typeof(:nan) AS nan"
        )
        given = {"text": "it's", "n": "42", "x": "1.5", "zip": "007", "nan": "nan"}
        asked = [word for name, value in given.items() for word in ("-p", name, value)]
        assert json.loads(run("log", "query", query, "--json", *asked)) == [
            {"text": "it's", "n": "integer", "x": "real", "zip": "text", "nan": "text"}
        ]

    @pytest.mark.parametrize(
        "sql",
        [
            "DELETE FROM calls",
            "UPDATE calls SET role = 'x'",
            "INSERT INTO drops (at, pid, reason, records) VALUES ('', 1, '', 1)",
            "DROP VIEW latency",
            "CREATE TABLE t (x)",
            "PRAGMA user_version = 7",
            "VACUUM",
            "VACUUM INTO 'copy.db'",
            "ATTACH 'other.db' AS other",
            "WITH gone AS (SELECT 1) DELETE FROM calls",
        ],
    )
    def test_nothing_can_be_written(self, filled, tmp_path, monkeypatch, sql):
        monkeypatch.chdir(tmp_path)
        with closing(sqlite3.connect(filled)) as connection:
            before = "\n".join(connection.iterdump())
            (line,) = run("log", "query", sql, exit_code=1).splitlines()
            assert line.startswith("Error: SQLite says: ")
            assert "\n".join(connection.iterdump()) == before
        assert not list(tmp_path.glob("*.db"))

    @pytest.mark.parametrize(
        ("sql", "told"),
        [
            ("SELECT nope FROM calls", "no such column: nope"),
            ("SELEC", "syntax error"),
            ("SELECT 1; SELECT 2", "one statement"),
            ("SELECT :missing", "binding"),
            ("nope", "syntax error"),
        ],
    )
    def test_what_sqlite_does_not_understand_costs_one_line(self, filled, sql, told):
        (line,) = run("log", "query", sql, exit_code=1).splitlines()
        assert told in line

    def test_a_statement_without_rows(self, filled):
        assert run("log", "query", "PRAGMA query_only = OFF") == ""

    def test_another_database_is_there_for_reading(self, filled, tmp_path):
        other = tmp_path / "logs.db"
        with closing(sqlite3.connect(other)) as connection, connection:
            connection.execute("CREATE TABLE turns (id)")
            connection.execute("INSERT INTO turns VALUES ('t-1')")
        attach = ("--attach", "llm", str(other))
        assert run("log", "query", "SELECT id FROM llm.turns", *attach, "--csv") == "id\nt-1\n"
        assert "readonly" in run("log", "query", "DELETE FROM llm.turns", *attach, exit_code=1)
        missing = ("--attach", 'a "b" c', str(tmp_path / "missing.db"))
        assert "unable to open" in run("log", "query", "SELECT 1", *missing, exit_code=1)

    def test_values_do_nothing_to_a_terminal(self, db):
        insert(db, {"role": "\x1b[2J\x9b\nx"})
        for form in ("--table", "--json", "--nl"):
            shown = run("log", "query", "SELECT role, x'1bff' AS blob, NULL AS none FROM calls", form)
            assert all(character.isprintable() for character in shown.replace("\n", ""))
            assert "1bff" in shown

    def test_csv_has_every_character_in_a_pipe_and_none_that_does_harm_in_a_terminal(self, db, monkeypatch):
        insert(db, {"role": "\x1b[2J"})
        asked = ("log", "query", "SELECT role, 0.1 + 0.2 AS x, x'00' AS blob FROM calls", "--csv")
        assert run(*asked) == "role,x,blob\n\x1b[2J,0.30000000000000004,00\n"
        monkeypatch.setattr(tables, "terminal_width", lambda: 80)
        assert run(*asked) == "role,x,blob\n [2J,0.3,00\n"

    def test_long_cells_are_cut_in_a_terminal(self, db, terminal):
        insert(db, {"role": "r" * 200})
        assert run("log", "query", "SELECT role, 1 AS n FROM calls").splitlines()[1] == "r" * 200 + "  1"
        terminal(40)
        assert run("log", "query", "SELECT role, 1 AS n FROM calls").splitlines()[1] == "r" * 34 + "...  1"

    def test_a_row_that_is_too_wide_for_a_terminal_is_shown_column_by_column(self, filled, terminal):
        terminal(80)
        lines = run("log", "query", "SELECT * FROM calls LIMIT 2").splitlines()
        assert max(map(len, lines)) <= 80
        assert lines.count("") == 1
        assert lines[0].split()[0] == "id"
        assert re.fullmatch(
            r"started_at +\S+Z", next(line for line in lines if line.startswith("started_at"))
        )

    def test_rows_are_not_waited_for(self, filled):
        many = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 2000) SELECT i FROM n"
        lines = run("log", "query", many).splitlines()
        assert [line.strip() for line in lines] == ["i", *map(str, range(1, 2001))]


class TestLayout:
    @given(
        st.lists(st.tuples(st.text("ab", max_size=30), st.text("12", max_size=12)), min_size=1, max_size=5),
        st.one_of(st.none(), st.integers(0, 60)),
    )
    def test_lines_are_as_wide_as_they_may_be_or_it_says_that_they_are_not(self, rows, width):
        layout = Layout(rows, {0}, width)
        lines = list(layout.lines(rows))
        assert len(lines) == len(rows)
        if width is None:
            assert layout.fits
            assert all(cell in line for line, row in zip(lines, rows, strict=True) for cell in row)
        elif layout.fits:
            assert all(len(line) <= width for line in lines)

    def test_numbers_are_never_cut(self):
        layout = Layout([["x" * 20, "1" * 20]], {0}, 10)
        assert not layout.fits
        assert list(layout.lines([["x" * 20, "1" * 20]])) == ["xxx...  " + "1" * 20]

    def test_a_call_without_anything_is_dashes(self):
        call = {"started_at": "2025-06-21T12:00:00.000000Z", "duration_ms": 9999.4, "status": "ok"}
        names = (
            "model_resolved",
            "role",
            "cache_outcome",
            "input_tokens",
            "output_tokens",
            "ttft_ms",
            "cost_usd_nano",
        )
        cells = call_cells({**dict.fromkeys(names), "model_requested": "m", **call})
        assert cells == ["2025-06-21 12:00:00", "m", "-", "ok", "-", "-", "-", "-", "9999ms", "-"]

    def test_a_terminal_is_one_that_says_so(self, monkeypatch):
        assert tables.terminal_width() is None
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
        monkeypatch.setenv("COLUMNS", "77")
        assert tables.terminal_width() == 77


class TestPlaces:
    def test_the_schema_is_listed_without_a_log(self):
        shown = run("log", "schema")
        assert "calls (table): One logical call" in shown
        assert "\n  ttft_ms" in shown
        assert "usage_daily (view)" in shown
        names = [relation["name"] for relation in json.loads(run("log", "schema", "--json"))]
        assert names == [relation.name for relation in describe()]

    def test_the_path_is_that_of_llms_folder_or_another(self, db, tmp_path):
        assert run("log", "path") == f"{db}\n"
        assert run("log", "path", "--db", str(tmp_path / "x.db")) == f"{tmp_path / 'x.db'}\n"

    def test_a_person_is_told_if_it_is_not_there_yet(self, db, terminal):
        terminal(80)
        assert CliRunner().invoke(main, ["log", "path"]).stderr == "It is not there yet.\n"
        insert(db)
        assert CliRunner().invoke(main, ["log", "path"]).stderr == ""
