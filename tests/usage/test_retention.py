"""What is removed, what is kept of it, and that nobody has to wait for that."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmopt.errors import ConfigurationError
from llmopt.usage import retention
from llmopt.usage.ingest import write
from llmopt.usage.migrations import migrate
from llmopt.usage.prices import Pricing
from llmopt.usage.record import encode
from llmopt.usage.retention import EVERY_S, Pruned, due, maintain, prune
from llmopt.usage.settings import Settings

NOON_S = 1_795_262_400.0  # 2026-11-21T12:00:00Z
DAY_S = 86_400
PRICING = Pricing({"m-1": (1, 10), "m-2": (3, 3)}, use_genai=False)
FAILED = ("error", "x.Error", "server", 500, None)
TABLES = ("calls", "attempts", "fragments", "call_fragments", "batches", "batch_slots", "processes")


@cache
def empty():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    migrate(connection)
    return connection


def opened(path=":memory:"):
    """A copy of an empty log: it is made a hundred times faster."""
    connection = sqlite3.connect(path, isolation_level=None)
    empty().backup(connection)
    connection.execute("PRAGMA journal_mode = WAL")
    return connection


@pytest.fixture
def connection():
    with closing(opened()) as connection:
        yield connection


def put(connection, *records, kind="call"):
    connection.execute("BEGIN")
    write(connection, [encode(record, kind) for record in records], PRICING)
    connection.execute("COMMIT")


def counts(connection, *tables):
    return [connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables]  # noqa: S608


def daily(connection):
    """What `usage_daily` says, but for attempts without a price, which sums do not tell apart."""
    cursor = connection.execute("SELECT * FROM usage_daily ORDER BY day, provider, model, role")
    names = [column[0] for column in cursor.description]
    rows = (dict(zip(names, row, strict=True)) for row in cursor)
    return [{name: value for name, value in row.items() if name != "unpriced_attempts"} for row in rows]


def text(digest, content=None, kind="prompt", position=0):
    return (kind, position, digest, 1, None, None, content, 0)


def run(model_id="m-1", began_s=50.0, usage=(10, 5, None)):
    return (model_id, began_s, 0.0, None, began_s + 1, usage)


def ago(days, record, **changes):
    """A call that was made some days before."""
    number = int((100 - days) * 1000)
    return record(id=f"{number:010d}{record().id[10:]}", wall_s=NOON_S - days * DAY_S, **changes)


# By days


def test_old_calls_go_with_what_belongs_to_them(connection, record):
    old = ago(8, record, texts=[text("shared"), text("own", position=1)], attempts=[run(), run()])
    kept = ago(6, record, texts=[text("shared")])
    slots = [[0, "A", old.id, 1, 1.0, None], [1, "B", None, 0, None, "missing"]]
    put(connection, old, kept)
    put(connection, ("old", NOON_S - 8 * DAY_S, 1, 2, None, None, None, None, slots), kind="batch")
    put(
        connection,
        ("kept", NOON_S - 8 * DAY_S, 1, 1, None, None, None, None, [[0, "A", kept.id, 1, 1.0, None]]),
        kind="batch",
    )
    for days in (8, 6):
        put(connection, (days, "h", NOON_S - days * DAY_S, "1", "1", "1", "1"), kind="hello")
    assert prune(connection, keep_days=7, now=NOON_S) == Pruned(1, 0, 0)
    assert counts(connection, *TABLES) == [1, 1, 1, 1, 1, 1, 1]
    assert connection.execute("SELECT id FROM batches").fetchall() == [("kept",)]
    assert connection.execute("SELECT pid FROM processes").fetchall() == [(6,)]
    assert prune(connection, keep_days=7, now=NOON_S) == Pruned(0, 0, 0)
    assert prune(connection, keep_days=5, now=NOON_S).calls == 1
    assert counts(connection, *TABLES[:-1]) == [0] * 6


def test_a_moment_is_enough(connection, record):
    put(connection, record(wall_s=NOON_S), record(wall_s=NOON_S - 0.5 * DAY_S - 1e-3))
    assert prune(connection, keep_days=0.5, now=NOON_S).calls == 1


def test_now_is_when_nothing_else_is_said(connection, record):
    put(connection, record(wall_s=0.0))
    assert prune(connection, keep_days=1).calls == 1


CALLS = st.tuples(
    st.sampled_from([0, 0.4999, 0.5, 1, 2]),
    st.sampled_from(["openai", "groq", None]),
    st.sampled_from(["m-1", "m-2", "m-3"]),
    st.sampled_from(["r", None]),
    st.sampled_from([None, "hit", "stale", "miss"]),
    st.sampled_from(
        [None, (10, 5, None), (7, None, None), (10, 5, {"prompt_tokens_details": {"cached_tokens": 4}})]
    ),
    st.lists(
        st.tuples(
            st.sampled_from(["m-1", "m-2"]),
            st.sampled_from([0.0, 0.6 * DAY_S]),  # in the day after that of the call
            st.sampled_from([None, (10, 5, None), (None, 1, None)]),
            st.sampled_from([None, FAILED]),
        ),
        max_size=3,
    ),
    st.sampled_from([None, FAILED]),
)


@given(
    st.lists(CALLS, max_size=12), st.lists(st.sampled_from([0.1, 0.45, 0.7, 1.5]), max_size=3), st.booleans()
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_sums_of_days_stay_as_they_were(record, calls, keeps, whole):
    with closing(opened()) as connection, pytest.MonkeyPatch.context() as patch:
        patch.setattr(retention, "ROWS", 3)
        put(
            connection,
            *(
                ago(
                    days,
                    record,
                    provider=provider,
                    model_id=model_id,
                    role=role,
                    notes=outcome and {"cache": outcome},
                    usage=usage,
                    attempts=[run(name, 50.0 + later_s, used) for name, later_s, used, _ in runs],
                    faults=[fault for *_, fault in runs],
                    fault=fault,
                )
                for days, provider, model_id, role, outcome, usage, runs, fault in calls
            ),
        )
        before = daily(connection)
        assert sum(day["calls"] for day in before) == len(calls)
        for keep_days in keeps:
            prune(connection, keep_days=keep_days, now=NOON_S)
            assert daily(connection) == before
        if whole:
            prune(connection, keep_days=1e-9, now=NOON_S + DAY_S)
            assert counts(connection, "calls", "attempts") == [0, 0]
            assert daily(connection) == before


# Texts


def test_texts_go_when_they_were_used_last_long_ago(connection, record):
    put(
        connection,
        ago(9, record, texts=[text("old", "A"), text("shared", "B", "system")]),
        ago(8, record, texts=[text("old", position=1)]),
        ago(1, record, texts=[text("shared", kind="context"), text("new", "C")]),
    )
    connection.execute(
        "INSERT INTO fragments (digest, bytes, first_seen, content) VALUES ('none', 1, '2026', 'D')"
    )
    assert prune(connection, keep_content_days=7, now=NOON_S) == Pruned(0, 2, 0)
    contents = dict(connection.execute("SELECT digest, content FROM fragments"))
    assert contents == {"old": None, "shared": "B", "new": "C", "none": None}
    assert counts(connection, "calls") == [3]
    assert prune(connection, keep_content_days=7, now=NOON_S) == Pruned(0, 0, 0)


def test_texts_of_many_calls_go_part_by_part(connection, record, monkeypatch):
    monkeypatch.setattr(retention, "ROWS", 2)
    put(
        connection,
        *[ago(9, record, texts=[text(str(n), "A")]) for n in range(5)],
        ago(1, record, texts=[text("3")]),
    )
    assert prune(connection, keep_content_days=7, now=NOON_S).contents == 4
    assert prune(connection, keep_content_days=7, now=NOON_S).contents == 0


def test_nothing_of_a_text_is_left_in_the_file(tmp_path, record):
    path = tmp_path / "usage.db"
    secrets = [f"what-nobody-must-know-{n}-" * 200 for n in range(9)]
    with closing(opened(path)) as connection:
        put(connection, *[ago(9, record, texts=[text(str(n), secret)]) for n, secret in enumerate(secrets)])
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert b"what-nobody" in path.read_bytes()
        prune(connection, keep_content_days=7, now=NOON_S)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert b"what-nobody" not in path.read_bytes()
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


# By bytes


def fill(connection, record, days, calls=60):
    for day in days:
        put(connection, *[ago(day, record, texts=[text(f"{day}-{n}", "x" * 2000)]) for n in range(calls)])


def used_bytes(connection):
    names = ("page_count", "freelist_count", "page_size")
    pages, free, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names)
    return (pages - free) * size


def test_the_oldest_days_go_until_the_file_fits(tmp_path, record):
    path = tmp_path / "usage.db"
    with closing(opened(path)) as connection:
        empty = used_bytes(connection)
        fill(connection, record, days=[4, 3, 2, 1])
        before, size = daily(connection), used_bytes(connection)
        bound = empty + (size - empty) * 5 // 8
        pruned = prune(connection, max_bytes=bound)
        assert pruned.calls == 120
        assert used_bytes(connection) <= bound
        assert counts(connection, "calls", "fragments") == [120, 120]
        days = connection.execute(
            "SELECT DISTINCT substr(started_at, 1, 10) FROM calls ORDER BY 1"
        ).fetchall()
        assert days == [("2026-11-19",), ("2026-11-20",)]
        assert daily(connection) == before
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert path.stat().st_size == size - pruned.bytes_freed == used_bytes(connection)
        assert prune(connection, max_bytes=bound) == Pruned()


def test_of_the_last_day_the_oldest_calls_go(connection, record, monkeypatch):
    monkeypatch.setattr(retention, "ROWS", 5)
    empty = used_bytes(connection)
    fill(connection, record, days=[0])
    bound = empty + (used_bytes(connection) - empty) // 2
    pruned = prune(connection, max_bytes=bound)
    assert 20 <= pruned.calls <= 40
    assert used_bytes(connection) <= bound
    left = connection.execute("SELECT count(*) FROM calls").fetchone()[0]
    assert left == 60 - pruned.calls


def test_a_file_without_calls_can_get_no_smaller(connection, record):
    fill(connection, record, days=[1, 0], calls=3)
    assert prune(connection, max_bytes=1).calls == 6
    assert prune(connection, max_bytes=1) == Pruned()


def test_a_file_that_cannot_shrink_uses_its_pages_again(record):
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection)
        fill(connection, record, days=[2])
        assert prune(connection, keep_days=1, now=NOON_S) == Pruned(60, 0, 0)
        assert connection.execute("PRAGMA freelist_count").fetchone()[0] > 0


# In small parts


def test_it_stops_when_time_is_up_and_goes_on_later(connection, record, monkeypatch):
    monkeypatch.setattr(retention, "ROWS", 2)
    put(connection, *[ago(9, record) for _ in range(5)])
    told = []
    while not told or not told[-1].finished:
        told.append(prune(connection, keep_days=7, now=NOON_S, limit_s=0))
    assert [step.calls for step in told] == [2, 2, 1, 0][: len(told)]
    assert counts(connection, "calls") == [0]


def test_others_write_between_two_parts(tmp_path, record, monkeypatch):
    monkeypatch.setattr(retention, "ROWS", 2)
    path = tmp_path / "usage.db"
    with (
        closing(opened(path)) as connection,
        closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as other,
    ):
        put(connection, *[ago(9, record) for _ in range(5)])
        steps = retention._steps(connection, 7, None, None, NOON_S)
        for number, _ in enumerate(steps):
            put(other, record(wall_s=NOON_S + number))
        assert counts(connection, "calls") == [number + 1]


def test_what_fails_in_the_middle_is_not_half_done(connection, record):
    put(connection, ago(9, record))
    connection.execute("CREATE TRIGGER no BEFORE DELETE ON calls BEGIN SELECT raise(ABORT, 'no'); END")
    before = connection.execute("PRAGMA secure_delete").fetchone()
    with pytest.raises(sqlite3.IntegrityError):
        prune(connection, keep_days=7, now=NOON_S)
    assert counts(connection, "calls", "attempts", "usage_rollup") == [1, 1, 0]
    assert not connection.in_transaction
    assert connection.execute("PRAGMA secure_delete").fetchone() == before


def test_numbers_of_rows_that_come_again_are_not_taken_for_sent(connection, record):
    put(connection, ago(9, record), ago(9, record), ago(8, record))
    connection.execute("INSERT INTO exports VALUES ('all', 3, 'then'), ('some', 1, 'then')")
    prune(connection, keep_days=8.5, now=NOON_S)
    assert dict(connection.execute("SELECT target, position FROM exports")) == {"all": 3, "some": 1}
    prune(connection, keep_days=7, now=NOON_S)
    assert dict(connection.execute("SELECT target, position FROM exports")) == {"all": 0, "some": 0}


# When, and how much


@pytest.mark.parametrize(
    ("kept", "last_s", "now_s", "expected"),
    [
        ({}, None, 0.0, False),
        ({"keep_days": 1}, None, 0.0, True),
        ({"keep_content_days": 1}, 10.0, 20.0, False),
        ({"max_bytes": 2**20}, 10.0, 10.0 + EVERY_S, True),
        ({"max_bytes": 2**20}, 10.0, 9.0, True),
    ],
)
def test_when_it_is_due(kept, last_s, now_s, expected):
    assert due(Settings(**kept), last_s, now_s) is expected


def test_a_log_is_looked_after(connection, record):
    put(connection, ago(9, record), ago(6, record, texts=[text("a", "A")]))
    kept = Settings(keep_days=7, keep_content_days=3, max_bytes=2**30)
    assert maintain(connection, kept, NOON_S) == Pruned(1, 1, 0)
    assert maintain(connection, Settings(), NOON_S) == Pruned()


@pytest.mark.parametrize("bound", [0, -1, float("nan"), float("inf"), True])
@pytest.mark.parametrize("name", ["keep_days", "keep_content_days", "max_bytes"])
def test_bounds_that_cannot_be_meant(connection, name, bound):
    with pytest.raises(ConfigurationError, match=f"^prune: {name}="):
        prune(connection, **{name: bound})
