"""What the doctor finds, and what can be mended."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmopt.errors import StoreError
from llmopt.testing.usage import fill_log
from llmopt.usage import health
from llmopt.usage import salvage as salvage_module
from llmopt.usage.database import Lease
from llmopt.usage.doctor import bytes_text, examine, has_wal_reset_bug, judge
from llmopt.usage.frames import MAGIC, pack
from llmopt.usage.health import Backlog, Drop, Facts, facts_of
from llmopt.usage.record import Record, encode
from llmopt.usage.repair import repair
from llmopt.usage.salvage import salvage
from llmopt.usage.schema import describe
from llmopt.usage.segments import Owner, spool_folder

SRC = Path(__file__).parents[2] / "src"
NOW_S = 1_795_262_400.0
WELL = Facts(
    "/logs/usage.db",
    "/logs",
    (3, 51, 3),
    exists=True,
    size_bytes=10_000,
    free_bytes=10**11,
    modes={"/logs": 0o755, "/logs/usage.db": 0o600},
    version=2,
    journal="wal",
    newest="2026-11-21T11:59:59.000000Z",
)
posix = pytest.mark.skipif(os.name == "nt", reason="permissions are a thing of POSIX")


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    path = tmp_path_factory.mktemp("template") / "usage.db"
    fill_log(path, 80, days=1)
    return path


@pytest.fixture
def path(template, tmp_path):
    return str(shutil.copy(template, tmp_path / "usage.db"))


def change(path, *statements):
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def ask(path, query):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def rows_of(path, table):
    return ask(path, f"SELECT * FROM {table}")  # noqa: S608 - our own names


def record(**values):
    known = {**dict.fromkeys(Record._fields), "id": "a", "wall_s": NOW_S}
    return encode(tuple({**known, **values}.values()))


def leave(path, *payloads):
    """Leave records in the spool, as a process does that still lives."""
    owner = Owner(spool_folder(path))
    segment = owner.new_segment("spool")
    os.write(segment.descriptor, MAGIC + b"".join(map(pack, payloads)))
    segment.close()
    return owner, segment


def found(facts, name):
    return [finding for finding in judge(facts, NOW_S) if finding.name == name]


def one(facts, name):
    (finding,) = found(facts, name)
    return finding


class TestJudge:
    def test_all_is_well(self):
        findings = judge(WELL, NOW_S)
        assert {finding.state for finding in findings} == {"ok"}
        assert [finding.remedy for finding in findings if finding.remedy] == []
        assert [finding.name for finding in findings] == [
"sqlite", "file", "integrity", "schema", "views", "journal", "permissions", "spool", "lease",
            "drops", "disk", "clock", "prices",
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("change", "name", "state", "says"),
        [
            ({"sqlite": (3, 40, 1)}, "sqlite", "warn", "3.40.1 may corrupt"),
            ({"error": "file is not a database"}, "file", "bad", "file is not a database"),
            ({"damage": ["row 3 missing from index x"]}, "integrity", "bad", "row 3 missing"),
            ({"damage": ["a", "b", "c"]}, "integrity", "bad", "a and 2 more"),
            ({"version": 1}, "schema", "warn", "version 1; version 2 comes"),
            ({"version": 99}, "schema", "warn", "by a newer llmopt"),
            ({"missing_views": ["latency", "errors"]}, "views", "bad", "latency, errors"),
            ({"journal": "delete"}, "journal", "warn", "delete in the place of WAL"),
            ({"modes": {"/logs": 0o755, "/logs/usage.db": 0o640}}, "permissions", "bad", "usage.db"),
            ({"modes": dict.fromkeys(["/a", "/b", "/c", "/d"], 0o604)}, "permissions", "bad", "a, b, c ..."),
            ({"modes": {"/logs": 0o777}}, "permissions", "bad", "anybody may put another file into /logs"),
            ({"modes": {"/logs": 0o1777}}, "permissions", "ok", "only the owner"),
            ({"backlogs": [Backlog(7, True, 0, None)]}, "spool", "ok", "nothing waits"),
            ({"backlogs": [Backlog(7, True, 1500, NOW_S - 1)]}, "spool", "ok", "1.5 kB of process 7 wait"),
            (
                {"backlogs": [Backlog(7, True, 1500, NOW_S - 61)]},
                "spool",
                "warn",
                "since 2026-11-21T11:58:59 UTC",
            ),
            ({"backlogs": [Backlog(7, False, 15, None)]}, "spool", "warn", "15 B of process 7 (gone)"),
            ({"leased": True, "lease_pid": 9}, "lease", "ok", "held by process 9"),
            ({"leased": True}, "lease", "ok", "held, which writes"),
            (
                {"drops": [Drop("quota", 5, "2026-11-20T00:00:00.0Z")]},
                "drops",
                "warn",
                "5 (quota); the last 2026-11-20",
            ),
            ({"drops": [Drop("quota", 5, "2026-11-01T00:00:00.0Z")]}, "drops", "ok", "5 (quota)"),
            ({"free_bytes": 10**8}, "disk", "bad", "100.0 MB free"),
            ({"free_bytes": 10**9}, "disk", "warn", "1.0 GB free"),
            ({"newest": "2026-11-21T12:05:00.000000Z"}, "clock", "warn", "is still to come"),
            ({"newest": "2026-11-21T12:00:30.000000Z"}, "clock", "ok", "no call began later"),
            ({"newest": None}, "clock", "ok", "no call"),
            ({"unpriced": [("m", 3)]}, "prices", "warn", "m (3)"),
            ({"unpriced": [(name, 1) for name in "abcde"]}, "prices", "warn", "and 2 more models"),
            ({"behind": [("http://x", 4)]}, "exports", "ok", "http://x has all but the last 4"),
        ],
    )
    def test_what_is_wrong_is_told(self, change, name, state, says):
        finding = one(replace(WELL, **change), name)
        assert (finding.state, says in finding.says) == (state, True), finding
        assert (finding.remedy is not None) == (state != "ok")

    def test_nothing_is_said_of_what_could_not_be_read(self):
        names = {finding.name for finding in judge(replace(WELL, error="disk I/O error"), NOW_S)}
        assert names == {"sqlite", "file", "permissions", "spool", "lease", "disk"}

    @pytest.mark.parametrize(
        ("version", "has"),
        [
            ((3, 6, 23), False), ((3, 7, 0), True), ((3, 44, 5), True), ((3, 44, 6), False),
            ((3, 45, 0), True), ((3, 50, 6), True), ((3, 50, 7), False), ((3, 51, 0), True),
            ((3, 51, 2), True), ((3, 51, 3), False), ((3, 52, 0), False),
        ],
    )  # fmt: skip
    def test_releases_with_the_wal_reset_bug(self, version, has):
        assert has_wal_reset_bug(version) is has

    @pytest.mark.parametrize(
        ("size", "text"),
        [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2 * 10**9, "2.0 GB"), (10**16, "10000.0 TB")],
    )
    def test_sizes(self, size, text):
        assert bytes_text(size) == text


class TestFacts:
    def test_of_a_log_that_is_well(self, path):
        facts = facts_of(path)
        assert facts.error is None
        assert not facts.damage
        assert not facts.missing_views
        assert (facts.journal, facts.exists, facts.leased, facts.lease_pid) == ("wal", True, False, None)
        assert facts.newest == ask(path, "SELECT max(started_at) FROM calls")[0][0]
        assert facts.free_bytes > 0
        assert facts.size_bytes == Path(path).stat().st_size

    def test_nothing_is_changed_by_looking(self, path, tmp_path):
        before = {each: each.read_bytes() for each in tmp_path.rglob("*") if each.is_file()}
        examine(path)
        assert {each: each.read_bytes() for each in before} == before
        assert {each.name for each in tmp_path.rglob("*")} - {each.name for each in before} <= {
            "usage.db-wal",
            "usage.db-shm",
        }

    def test_no_log_is_no_fault(self, tmp_path):
        facts = facts_of(str(tmp_path / "no" / "such" / "usage.db"))
        assert not facts.exists
        assert {finding.state for finding in judge(replace(facts, sqlite=(3, 51, 3)), NOW_S)} <= {"ok"}
        assert list(tmp_path.iterdir()) == []

    def test_a_file_that_is_no_database(self, tmp_path):
        (tmp_path / "notes.txt").write_text("This is no database, and long enough to be one. " * 50)
        facts = facts_of(str(tmp_path / "notes.txt"))
        assert facts.error == facts.damage[0] == "file is not a database"

    def test_another_database_is_not_damaged(self, tmp_path):
        path = str(tmp_path / "other.db")
        change(path, "CREATE TABLE things (id)")
        facts = facts_of(path)
        assert facts.error == "it is a database, but has no table 'calls'"
        assert not facts.damage

    def test_a_log_of_the_first_version(self, path):
        change(path, "DROP TABLE spools", "DROP TABLE exports", "PRAGMA user_version = 1")
        facts = facts_of(path)
        assert (facts.error, facts.version, facts.behind) == (None, 1, [])

    def test_views_that_are_missing_or_broken(self, path):
        change(path, "DROP VIEW latency", "DROP VIEW errors", "CREATE VIEW errors AS SELECT * FROM nowhere")
        assert facts_of(path).missing_views == ["latency", "errors"]

    def test_losses_prices_and_exports(self, path):
        change(
            path,
            "DELETE FROM drops",
            "INSERT INTO drops (at, pid, reason, records) VALUES ('2026-11-21', 1, 'quota', 2)",
            "INSERT INTO drops (at, pid, reason, records) VALUES ('2026-11-20', 1, 'quota', 3)",
            "INSERT INTO drops (at, pid, reason, records) VALUES ('2026-11-19', 1, 'ENOSPC', 1)",
            "UPDATE attempts SET cost_usd_nano = 1",
            "UPDATE attempts SET cost_usd_nano = NULL WHERE model = 'gpt-4o'",
            "INSERT INTO exports VALUES ('http://x', 77, '2026-11-21'), ('http://y', 80, '2026-11-21')",
        )
        facts = facts_of(path)
        assert facts.drops == [Drop("quota", 5, "2026-11-21"), Drop("ENOSPC", 1, "2026-11-19")]
        assert [model for model, _ in facts.unpriced] == ["gpt-4o"]
        assert facts.behind == [("http://x", 3)]

    @posix
    def test_permissions_of_all_files(self, path, tmp_path):
        owner, segment = leave(path, record())
        Path(segment.path).chmod(0o644)
        facts = facts_of(path)
        assert facts.modes[segment.path] == 0o644
        assert facts.modes[spool_folder(path)] == 0o700
        assert facts.modes[path] == 0o600
        assert str(tmp_path) in facts.modes
        owner.remove()

    def test_what_waits_by_process(self, path):
        owner, segment = leave(path, encode((1, 2), "hello"), record(wall_s=NOW_S - 9), record())
        (backlog,) = facts_of(path).backlogs
        size = Path(segment.path).stat().st_size
        assert backlog == Backlog(os.getpid(), True, size - len(MAGIC), NOW_S - 9)
        owner.close()
        first = len(MAGIC) + len(pack(encode((1, 2), "hello"))) + len(pack(record(wall_s=NOW_S - 9)))
        change(path, f"INSERT INTO spools VALUES ('{segment.name}', {first})")  # noqa: S608
        assert facts_of(path).backlogs == [Backlog(os.getpid(), False, size - first, NOW_S)]
        change(path, f"UPDATE spools SET position = {size}")  # noqa: S608
        assert facts_of(path).backlogs == [Backlog(os.getpid(), False, 0, None)]

    @pytest.mark.parametrize(
        "payload", [b"nonsense", b"[]", b"7", b'["call"]', b'["drop",1.5,2,"x",3]', record(wall_s=None)]
    )
    def test_what_waits_may_be_anything(self, path, payload):
        owner, _ = leave(path, payload)
        assert facts_of(path).backlogs[0].oldest_s is None
        owner.remove()

    def test_a_file_that_was_drained_just_now(self, path, monkeypatch):
        monkeypatch.setattr(health, "survey", lambda _folder: {"0-12-0": ["0-12-0.000001.spool"]})
        assert facts_of(path).backlogs == [Backlog(12, False, 0, None)]

    def test_who_holds_the_lease(self, path):
        lease = Lease(path)
        with lease.held():
            facts = facts_of(path)
        lease.close()
        assert facts.leased
        if sys.platform == "linux":
            assert facts.lease_pid == os.getpid()

    def test_a_system_that_does_not_tell_who_holds_a_lock(self, path, monkeypatch):
        Path(path + "-lease").touch()
        monkeypatch.setattr(
            Path, "read_text", lambda self, **_: "1: POSIX ADVISORY\n2: FLOCK ADVISORY WRITE 5 00:1:99 0 EOF"
        )
        assert health._holder(path + "-lease") is None
        monkeypatch.setattr(Path, "read_text", lambda self, **_: (_ for _ in ()).throw(FileNotFoundError()))
        assert health._holder(path + "-lease") is None


def damage(path, *pages, page_bytes=8192):
    """Overwrite pages with noise."""
    change(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    with Path(path).open("r+b") as file:
        for page in pages:
            file.seek(page * page_bytes)
            file.write(os.urandom(page_bytes))


class TestSalvage:
    def test_of_a_log_that_is_well_saves_every_row(self, path):
        tables = [table.name for table in describe() if not table.view]
        before = {name: rows_of(path, name) for name in tables}
        saved = salvage(path)
        assert {name: rows_of(path, name) for name in tables} == before
        assert saved.rows == {name: len(rows) for name, rows in before.items()}
        assert ask(saved.aside, "SELECT count(*) FROM calls") == [(80,)]
        assert ask(path, "SELECT count(*) FROM usage_daily") != [(0,)]

    def test_what_is_still_in_the_wal_is_saved(self, path):
        with closing(sqlite3.connect(path, isolation_level=None)) as writer:
            writer.execute("UPDATE calls SET role = 'in the WAL'")
            assert Path(path + "-wal").stat().st_size > 0
            salvage(path)
        assert ask(path, "SELECT DISTINCT role FROM calls") == [("in the WAL",)]

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(st.floats(0, 0.999), min_size=1, max_size=3))
    def test_whatever_is_damaged_something_new_is_there_and_nothing_is_gone(self, path, places):
        change(path, "PRAGMA wal_checkpoint(TRUNCATE)")
        ids = set(ask(path, "SELECT id, status FROM calls"))
        path = str(shutil.copy(path, path + "-copy"))
        pages = Path(path).stat().st_size // 8192
        damage(path, *(int(place * pages) for place in places))
        held = Path(path).read_bytes()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(salvage_module, "TRIES", 300)
            saved = salvage(path)
        assert Path(saved.aside).read_bytes() == held
        assert set(ask(path, "SELECT id, status FROM calls")) <= ids
        assert ask(path, "PRAGMA integrity_check") == [("ok",)]
        assert facts_of(path).missing_views == []

    def test_calls_on_both_sides_of_damaged_pages_are_saved(self, tmp_path):
        path = str(tmp_path / "usage.db")
        fill_log(path, 2000, days=1)
        pages = (
            [
                page
                for (page,) in ask(
                    path, "SELECT pageno FROM dbstat WHERE name = 'calls' AND pagetype = 'leaf'"
                )
            ]
            if has_dbstat()
            else []
        )
        if not pages:
            pytest.skip("this SQLite does not tell which page is whose")
        hurt = [pages[len(pages) // 3], pages[len(pages) // 2]]
        damage(path, *(page - 1 for page in hurt))
        saved = salvage(path)
        per_page = 2000 / len(pages)
        assert 2000 - 3 * per_page <= saved.rows["calls"] < 2000
        assert saved.rows["attempts"] > 1900

    def test_attempts_of_calls_that_were_saved_are_saved(self, tmp_path):
        path = str(tmp_path / "usage.db")
        fill_log(path, 2000, days=1)
        if not has_dbstat():
            pytest.skip("this SQLite does not tell which page is whose")
        query = "SELECT pageno FROM dbstat WHERE name = 'attempts' AND pagetype = 'leaf' ORDER BY path"
        pages = [page for (page,) in ask(path, query)]
        (all_of_them,) = ask(path, "SELECT count(*) FROM attempts")[0]
        damage(path, pages[2] - 1, pages[-3] - 1)
        saved = salvage(path)
        assert all_of_them - 3 * all_of_them / len(pages) <= saved.rows["attempts"] < all_of_them

    def test_a_file_that_is_nothing_any_more_makes_way_for_a_new_log(self, tmp_path):
        path = tmp_path / "usage.db"
        path.write_bytes(b"nothing " * 1000)
        saved = salvage(str(path))
        assert set(saved.rows.values()) == {0}
        assert Path(saved.aside).read_bytes() == b"nothing " * 1000
        assert ask(path, "SELECT count(*) FROM calls") == [(0,)]

    def test_an_older_log_becomes_a_new_one(self, path):
        older = ("DROP VIEW batch_stats", "ALTER TABLE batches DROP COLUMN strategy", "DROP TABLE spools")
        change(path, *older, "PRAGMA user_version = 1")
        salvage(path)
        assert ask(path, "SELECT count(*) FROM calls") == [(80,)]
        assert ask(path, "SELECT count(strategy) FROM batches") == [(0,)]

    def test_reading_ends_at_last(self, path, monkeypatch):
        """A table whose every page is damaged is given up."""

        class Broken:
            asked = 0

            def execute(self, _query, _values=()):
                self.asked += 1
                raise sqlite3.DatabaseError("malformed")

        broken = Broken()
        assert list(salvage_module._by_rowid(broken, "calls", "id")) == []
        assert 100 < broken.asked <= 2 * salvage_module.TRIES

    def test_what_somebody_else_holds_is_left_alone(self, path, monkeypatch):
        from llmopt.usage import upkeep

        monkeypatch.setattr(upkeep, "PATIENCE_S", 0.01)
        lease = Lease(path)
        with lease.held(), pytest.raises(StoreError, match="held by others"):
            salvage(path)
        lease.close()
        assert facts_of(path).error is None


def has_dbstat():
    with closing(sqlite3.connect(":memory:")) as connection:
        return bool(
            connection.execute(
                "SELECT 1 FROM pragma_compile_options WHERE compile_options LIKE '%DBSTAT%'"
            ).fetchall()
        )


class TestRepair:
    def test_of_a_log_that_is_well_does_nothing(self, path):
        assert repair(path) == []

    def test_puts_views_and_permissions_in_order(self, path):
        change(path, "DROP VIEW latency")
        Path(path).chmod(0o644)
        done = repair(path)
        assert "Made anew: latency." in done
        assert [finding.state for finding in examine(path) if finding.name in ("views", "permissions")] == [
            "ok",
            "ok",
        ]
        assert ask(path, "SELECT count(*) FROM latency") != [(0,)]

    def test_writes_what_a_dead_process_has_left(self, path):
        code = """
import sys
from llmopt.testing import ScriptedModel
import llmopt, os
llmopt.wrap(ScriptedModel(["HOLD"]), llmopt.UsageLog(sys.argv[1], role="dead")).prompt("What now?").text()
os._exit(9)
"""
        env = {k: v for k, v in os.environ.items() if not k.startswith(("COV_", "COVERAGE_"))}
        command = [sys.executable, "-B", "-c", code, path]
        subprocess.run(command, env={**env, "PYTHONPATH": str(SRC)}, check=False)
        waits = one(replace(facts_of(path), sqlite=(3, 51, 3)), "spool")
        assert (waits.state, "(gone)" in waits.says) == ("warn", True)
        (done,) = repair(path)
        assert done.startswith("Wrote ")
        assert ask(path, "SELECT count(*) FROM calls WHERE role = 'dead'") == [(1,)]
        assert one(facts_of(path), "spool").state == "ok"

    def test_saves_what_can_be_read_of_a_damaged_log(self, path):
        Path(path).write_bytes(b"nothing " * 5000)
        Path(path + "-wal").unlink(missing_ok=True)
        done = repair(path)
        assert done[0].startswith("Saved nothing. The damaged file is ")
        assert {finding.state for finding in examine(path) if finding.name in ("file", "integrity")} == {"ok"}

    def test_another_database_is_left_alone(self, tmp_path):
        path = str(tmp_path / "other.db")
        change(path, "CREATE TABLE things (id)", "INSERT INTO things VALUES (1)")
        Path(path).chmod(0o644)
        with pytest.raises(StoreError, match="no usage log"):
            repair(path)
        assert ask(path, "SELECT name FROM sqlite_master") == [("things",)]
        assert Path(path).stat().st_mode & 0o777 == 0o644
