"""`llmopt log export`, `prune`, `reprice` and `doctor`, typed as a person would."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import shutil
import sqlite3
import sys
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import llm.migrations
import pytest
import sqlite_utils
from click.testing import CliRunner

from llmopt.cli import log_export, log_tasks, main
from llmopt.testing.usage import fill_log

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def user_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    for name in list(os.environ):
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)
    return tmp_path


def run(*arguments, exit_code=0):
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == exit_code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.stdout if exit_code == 0 else result.stderr


def ask(path, query):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def change(path, *statements):
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    path = tmp_path_factory.mktemp("template") / "usage.db"
    fill_log(path, 100, days=10, with_content=True)
    return path


@pytest.fixture
def db(template, tmp_path):
    path = tmp_path / "llmopt" / "usage.db"
    path.parent.mkdir()
    return Path(shutil.copy(template, path))


class TestExport:
    def test_is_json_lines_unless_something_else_is_said(self, db):
        lines = [json.loads(line) for line in run("log", "export").splitlines()]
        assert len(lines) == 100
        assert not [each for line in lines for each in line["fragments"] if "content" in each]
        told = [json.loads(line) for line in run("log", "export", "--content").splitlines()]
        assert [each for line in told for each in line["fragments"] if each["content"]]

    def test_csv(self, db):
        assert len(list(csv.DictReader(io.StringIO(run("log", "export", "--format", "csv"))))) == 100

    def test_of_a_period(self, db):
        ((half,),) = ask(db, "SELECT started_at FROM calls ORDER BY started_at LIMIT 1 OFFSET 40")
        assert len(run("log", "export", "--since", half).splitlines()) == 60
        assert len(run("log", "export", "--until", half, "--format", "csv").splitlines()) == 41

    def test_into_a_file_that_nobody_else_can_read(self, db, tmp_path):
        out = tmp_path / "calls.jsonl"
        out.write_text("older")
        assert run("log", "export", "-o", str(out)) == ""
        assert len(out.read_text(encoding="utf-8").splitlines()) == 100
        assert out.stat().st_mode & 0o777 == 0o600
        assert {each.name for each in tmp_path.glob("calls*")} == {"calls.jsonl"}

    def test_a_dash_is_the_output(self, db, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert len(run("log", "export", "-o", "-").splitlines()) == 100
        assert not (tmp_path / "-").exists()

    @pytest.mark.skipif(os.name == "nt", reason="a named pipe is a thing of POSIX")
    def test_a_pipe_is_written_and_not_replaced(self, db, tmp_path):
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        read = []
        reader = threading.Thread(target=lambda: read.append(pipe.read_text(encoding="utf-8")))
        reader.start()
        run("log", "export", "-o", str(pipe))
        reader.join()
        assert read[0].count("\n") == 100
        assert pipe.is_fifo()
        assert "is no file" in run("log", "export", "--format", "sqlite", "-o", str(pipe), exit_code=1)

    @pytest.mark.parametrize("form", ["jsonl", "csv", "sqlite"])
    def test_the_log_itself_is_not_overwritten(self, db, form):
        assert "is the log itself" in run("log", "export", "--format", form, "-o", str(db), exit_code=1)
        assert ask(db, "SELECT count(*) FROM calls") == [(100,)]

    def test_a_copy(self, db, tmp_path):
        run("log", "export", "--format", "sqlite", "-o", str(tmp_path / "copy.db"))
        assert ask(tmp_path / "copy.db", "SELECT count(content) FROM fragments") == [(0,)]
        run("log", "export", "--format", "sqlite", "-o", str(tmp_path / "copy.db"), "--content")
        assert ask(tmp_path / "copy.db", "SELECT count(content) > 0 FROM fragments") == [(1,)]

    @pytest.mark.parametrize("form", ["jsonl", "sqlite"])
    def test_a_file_that_cannot_be_written_costs_one_line(self, db, tmp_path, form):
        (tmp_path / "file").write_text("")
        inside = str(tmp_path / "file" / "calls")
        (line,) = run("log", "export", "--format", form, "-o", inside, exit_code=1).splitlines()
        assert "written" in line

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            (["--format", "csv", "--content"], "--content does not go with --format csv"),
            (["--format", "sqlite", "--since", "1h", "-o", "x"], "--since does not go with --format sqlite"),
            (["--format", "otel", "-o", "x"], "-o does not go with --format otel"),
            (["--endpoint", "http://localhost"], "--endpoint does not go with --format jsonl"),
            (["--format", "sqlite"], "name it with -o FILE"),
            (["--format", "xml"], "'xml' is not one of"),
        ],
    )
    def test_what_does_not_go_together_is_a_usage_error(self, db, options, told):
        assert told in run("log", "export", *options, exit_code=2)

    def test_a_terminal_is_not_moved_about_in(self, db, monkeypatch):
        change(db, "UPDATE calls SET role = char(155) || '31m'")
        monkeypatch.setattr(log_export, "terminal_width", lambda: 80)
        shown = run("log", "export")
        assert len(shown.splitlines()) == 100
        assert all(character.isprintable() for character in shown.replace("\n", ""))

    def test_no_log_costs_one_line(self):
        (line,) = run("log", "export", exit_code=1).splitlines()
        assert "there is no usage log" in line


@pytest.fixture
def receiver():
    """An OTLP/HTTP receiver: paths that were asked for; `status` is what it answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            server.asked.append((self.path, self.headers.get("x-key")))
            self.send_response(server.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.status = [], 200
    server.place = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


class TestOtel:
    def test_sends_spans_and_metrics_once(self, db, receiver):
        command = ("log", "export", "--format", "otel", "--endpoint", f"http://{receiver.place}/")
        traces, metrics = f"http://{receiver.place}/v1/traces", f"http://{receiver.place}/v1/metrics"
        assert run(*command) == f"100 calls sent to {traces}\n100 calls sent to {metrics}\n"
        assert run(*command) == f"0 calls sent to {traces}\n0 calls sent to {metrics}\n"
        assert [path for path, _ in receiver.asked] == ["/v1/traces", "/v1/metrics"]

    def test_where_to_and_headers_are_read_from_the_environment(self, db, receiver, monkeypatch):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{receiver.place}/api")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=secret")
        run("log", "export", "--format", "otel")
        assert receiver.asked == [("/api/v1/traces", "secret"), ("/api/v1/metrics", "secret")]

    def test_a_password_is_not_kept(self, db, receiver):
        shown = run(
            "log", "export", "--format", "otel", "--endpoint", f"http://me:sk-secret@{receiver.place}?k=v"
        )
        assert "sk-secret" not in shown
        assert [target for (target,) in ask(db, "SELECT target FROM exports ORDER BY target")] == [
            f"http://{receiver.place}/v1/metrics",
            f"http://{receiver.place}/v1/traces",
        ]

    def test_a_receiver_that_refuses_costs_one_line(self, db, receiver):
        receiver.status = 401
        command = ("log", "export", "--format", "otel", "--endpoint", f"http://{receiver.place}")
        (line,) = run(*command, exit_code=1).splitlines()
        assert "did not take 100 calls" in line
        assert "401" in line
        receiver.status = 200
        assert run(*command).startswith("100 calls sent")

    @pytest.mark.parametrize("wrong", ["localhost", "ftp://x", "http://", "http://[x", "http://x:port"])
    def test_a_url_that_is_none_is_a_usage_error(self, db, wrong):
        assert "--endpoint is a URL" in run(
            "log", "export", "--format", "otel", "--endpoint", wrong, exit_code=2
        )

    def test_without_the_extra_it_says_what_to_install(self, db, monkeypatch):
        monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
        assert "pip install 'llmopt[otel]'" in run("log", "export", "--format", "otel", exit_code=1)


class TestPrune:
    def test_removes_what_is_older_and_keeps_the_sums(self, db):
        ((before,),) = ask(db, "SELECT sum(calls) FROM usage_daily")
        old = "SELECT count(*) FROM calls WHERE started_at < strftime('%Y-%m-%dT%H:%M:%f', 'now', '-4 days')"
        ((removed,),) = ask(db, old)
        assert 0 < removed < 100
        assert run("log", "prune", "--keep-days", "4").startswith(f"Removed {removed} calls, and 0 texts")
        assert ask(db, "SELECT count(*) FROM calls") == [(100 - removed,)]
        assert ask(db, "SELECT sum(calls) FROM usage_daily") == [(before,)]

    def test_removes_texts(self, db):
        shown = run("log", "prune", "--keep-content-days", "0.0001")
        assert shown.startswith("Removed 0 calls, and ")
        assert ask(db, "SELECT count(content) FROM fragments") == [(0,)]

    def test_makes_the_file_smaller(self, db):
        change(db, "PRAGMA journal_mode = DELETE")
        assert run("log", "prune", "--max-bytes", "200kB").startswith("Removed ")
        assert ask(db, "SELECT count(*) < 100 FROM calls") == [(1,)]

    def test_says_what_it_would_remove_and_removes_nothing(self, db, tmp_path):
        with closing(sqlite3.connect(db)) as connection:
            before = "\n".join(connection.iterdump())
            would = run("log", "prune", "--keep-days", "4", "--keep-content-days", "1", "--dry-run")
            assert "\n".join(connection.iterdump()) == before
        assert {each.name for each in db.parent.iterdir()} <= {
            "usage.db", "usage.db-wal", "usage.db-shm", "usage.db-lease", "usage.db-spool"
        }  # fmt: skip
        done = run("log", "prune", "--keep-days", "4", "--keep-content-days", "1")
        assert would.split(";")[0] == done.split(";")[0].replace("Removed", "Would remove")

    def test_json_is_all_that_it_prints(self, db):
        told = json.loads(run("log", "prune", "--keep-days", "0.0001", "--json", "--dry-run"))
        assert {**told, "bytes_freed": 0} == {"calls": 100, "contents": 0, "bytes_freed": 0, "dry_run": True}

    def test_goes_on_until_all_is_removed(self, db, monkeypatch):
        monkeypatch.setattr(log_tasks, "TURN_S", 0.0)
        assert run("log", "prune", "--keep-days", "0.0001").startswith("Removed 100 calls")

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            ([], "say what to keep"),
            (["--dry-run"], "say what to keep"),
            (["--keep-days", "0"], "0.0 is not in the range"),
            (["--keep-days", "-1"], "is not in the range"),
            (["--max-bytes", "lots"], "is no size; say 500MB"),
            (["--max-bytes", "5iB"], "is no size; say 500MB"),
        ],
    )
    def test_what_says_nothing_is_a_usage_error(self, db, options, told):
        assert told in run("log", "prune", *options, exit_code=2)

    def test_no_log_costs_one_line_and_makes_none(self, tmp_path):
        assert "there is no usage log" in run("log", "prune", "--keep-days", "1", exit_code=1)
        assert not (tmp_path / "llmopt" / "usage.db").exists()


class TestReprice:
    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("prices.json", '{"qwen3-32b": [1.0, 2.0]}'),
            ("prices.toml", "qwen3-32b = { input = 1.0, output = 2 }"),
        ],
    )
    def test_own_prices_are_read_from_a_file(self, db, tmp_path, name, text):
        (tmp_path / name).write_text(text, encoding="utf-8")
        asked = (
            "SELECT count(*), count(cost_usd_nano) FROM attempts WHERE model = 'qwen3-32b' AND input_tokens"
        )
        ((attempts, priced),) = ask(db, asked)
        assert (attempts > 0, priced) == (True, 0)
        told = run("log", "reprice", "-m", "qwen3-32b", "--prices", str(tmp_path / name))
        assert re.fullmatch(r"\d+ calls and attempts have another cost or price now\.\n", told)
        again = run("log", "reprice", "-m", "qwen3-32b", "--prices", str(tmp_path / name), "--json")
        assert json.loads(again) == {"changed": 0}
        assert ask(db, asked) == [(attempts, attempts)]
        cost = "SELECT DISTINCT cost_usd_nano - 1000 * input_tokens - 2000 * output_tokens FROM attempts"
        assert ask(db, f"{cost} WHERE model = 'qwen3-32b' AND input_tokens") == [(0,)]

    def test_only_those_that_are_asked_for(self, db, tmp_path):
        (tmp_path / "prices.json").write_text('{"gpt-4o*": [1000000.0, 1000000.0]}')
        ((half,),) = ask(db, "SELECT started_at FROM calls ORDER BY started_at LIMIT 1 OFFSET 50")
        run("log", "reprice", "--since", half, "--prices", str(tmp_path / "prices.json"))
        dear = "SELECT count(*) FROM calls WHERE cost_usd_nano > 1000000000 AND started_at"
        assert ask(db, f"{dear} < '{half}'") == [(0,)]
        assert ask(db, f"{dear} >= '{half}'")[0][0] > 0

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            (None, "cannot be read: No such file"),
            ("[1, 2", "is neither JSON nor, as FILE.toml, TOML"),
            ('{"m": "cheap"}', "prices['m']='cheap' is wrong"),
            ("[]", "must be prices by model id"),
        ],
    )
    def test_prices_that_are_none_cost_one_line(self, db, tmp_path, text, told):
        if text is not None:
            (tmp_path / "prices.json").write_text(text)
        (line,) = run("log", "reprice", "--prices", str(tmp_path / "prices.json"), exit_code=1).splitlines()
        assert told in line


class TestDoctor:
    def test_finds_a_line_for_each_thing(self, db):
        lines = run("log", "doctor").splitlines()
        assert max(map(len, lines)) <= 80
        assert all(line[:5].strip() in ("ok", "warn", "") for line in lines)
        assert any(line.startswith("ok   integrity    SQLite finds nothing wrong") for line in lines)

    def test_something_bad_is_exit_code_1_until_it_is_mended(self, db):
        change(db, "DROP VIEW latency")
        result = CliRunner().invoke(main, ["log", "doctor"])
        assert result.exit_code == 1
        assert "bad  views        latency: not there" in result.stdout
        assert "-> llmopt log doctor --repair" in result.stdout
        assert run("log", "doctor", "--repair").startswith("Made anew: latency.\n")
        assert "ok   views" in run("log", "doctor")

    def test_json_is_all_that_it_prints(self, db):
        told = json.loads(run("log", "doctor", "--json"))
        assert told["repaired"] == []
        assert set(told["findings"][0]) == {"name", "state", "says", "remedy"}

    def test_another_file_is_bad_and_is_left_alone(self, tmp_path):
        other = tmp_path / "other.db"
        change(other, "CREATE TABLE t (x)")
        assert CliRunner().invoke(main, ["log", "doctor", "--db", str(other)]).exit_code == 1
        assert "is no usage log" in run("log", "doctor", "--repair", "--db", str(other), exit_code=1)
        assert ask(other, "SELECT name FROM sqlite_master") == [("t",)]

    def test_no_log_yet_is_no_fault(self, tmp_path):
        assert "is not there yet" in run("log", "doctor")
        assert "is not there yet" in run("log", "doctor", "--repair")
        assert not Path(tmp_path / "llmopt").exists()

    def test_a_terminal_sees_colours_and_a_pipe_none(self, db):
        assert "\x1b[" not in run("log", "doctor")
        assert "\x1b[32mok" in CliRunner().invoke(main, ["log", "doctor"], color=True).stdout


@pytest.fixture(scope="module")
def llm_logs(tmp_path_factory):
    path = tmp_path_factory.mktemp("llm") / "logs.db"
    logs = sqlite_utils.Database(path)
    llm.migrations.migrate(logs)
    logs.close()
    return path


def documented():
    """The commands that the page about them shows, but for those that never end or need a network."""
    page = (ROOT / "docs" / "log-commands.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\n    ", " ").splitlines()]
    return [line for line in lines if not re.search(r" -f | otel ", line)]


@pytest.mark.parametrize("line", documented())
def test_what_the_page_shows_can_be_typed(line, db, llm_logs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("prices.toml").write_text("my-model = [1, 2]")
    words = shlex.split(line.replace("$(llm logs path)", str(llm_logs)), comments=True)
    words = words[: words.index(">")] if ">" in words else words
    assert words[:2] == ["llmopt", "log"]
    run(*words[1:])
