"""Payloads become rows: whatever they hold, each once, and none at the expense of another."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from functools import cache

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmopt.usage.ingest import write
from llmopt.usage.migrations import migrate
from llmopt.usage.prices import Pricing
from llmopt.usage.record import encode

NOON_S = 1_795_262_400.0
NOON = "2026-11-21T12:00:00.000000Z"
FAILED = ("error", "x.Error", "server", 500, None)
PRICING = Pricing({"m-1": (1, 10, 0.1)}, use_genai=False)
HELLO = encode((41, "host", NOON_S, "0.1", "0.36", "3.11", "3.40"), "hello")
SLOTS = [[0, "A1", "call-1", 1, 12.5, None], [1, "A2", None, 0, None, "missing"]]
BATCH = encode(("b-1", NOON_S, 90.5, 2, "full", 700, "tactical", "one_call", SLOTS), "batch")
DROP = encode((NOON_S, 41, "quota", 3), "drop")
TABLES = (
    "calls",
    "attempts",
    "fragments",
    "call_fragments",
    "batches",
    "batch_slots",
    "drops",
    "processes",
    "prices",
)


@cache
def empty():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    return connection


def opened():
    """A copy of an empty log: it is made a hundred times faster."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    empty().backup(connection)
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


@pytest.fixture
def connection():
    with closing(opened()) as connection:
        yield connection


def put(connection, *payloads, pricing=PRICING):
    connection.execute("BEGIN IMMEDIATE")
    write(connection, payloads, pricing)
    connection.execute("COMMIT")


def all_of(connection, table, columns="*"):
    return sorted(connection.execute(f"SELECT {columns} FROM {table}").fetchall(), key=repr)  # noqa: S608


def contents_of(connection):
    return {table: all_of(connection, table) for table in TABLES}


def losses(connection):
    return dict(connection.execute("SELECT reason, sum(records) FROM drops GROUP BY reason"))


def text(kind="prompt", position=0, digest="d", *, tokens=None, content=None, redacted=0):
    return (kind, position, digest, 1, tokens, tokens and "tokenizer", content, redacted)


def run(model_id="m-1", usage=(10, 5, None)):
    return (model_id, 50.0, 0.0, 50.04, 50.1, usage)


# Kinds


def test_a_call_with_all_that_belongs_to_it(connection, record):
    call = record(texts=[text("system", 0, "a"), text()], attempts=[run(), run()], faults=[FAILED, None])
    put(connection, encode(call))
    assert all_of(connection, "calls", "id, attempts, status") == [(call.id, 2, "ok")]
    assert all_of(connection, "attempts", "call_id, n, status") == [(call.id, 1, "error"), (call.id, 2, "ok")]
    assert all_of(connection, "fragments", "digest, first_seen, redacted") == [("a", NOON, 0), ("d", NOON, 0)]
    assert all_of(connection, "call_fragments", "digest, kind, position") == [
        ("a", "system", 0),
        ("d", "prompt", 0),
    ]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_who_writes_is_written_once(connection):
    later = encode((41, "host", NOON_S + 1, "0.1", "0.36", "3.11", "3.40"), "hello")
    put(connection, HELLO, HELLO)
    put(connection, later, HELLO)
    names = "pid, host, started_at, llmopt, llm, python, sqlite"
    first, second = all_of(connection, "processes", names)
    assert first == (41, "host", NOON, "0.1", "0.36", "3.11", "3.40")
    assert second[2] == "2026-11-21T12:00:01.000000Z"


def test_a_batch_of_agents(connection, record):
    put(connection, encode(record(id="call-1")), BATCH)
    put(connection, BATCH)
    names = "id, n, flushed_by, prompt_tokens, started_at, duration_ms, role, strategy"
    assert all_of(connection, "batches", names) == [
        ("b-1", 2, "full", 700, NOON, 90.5, "tactical", "one_call")
    ]
    names = "batch_id, slot, agent_id, call_id, plan_ok, first_plan_ms, error"
    assert all_of(connection, "batch_slots", names) == [
        ("b-1", 0, "A1", "call-1", 1, 12.5, None),
        ("b-1", 1, "A2", None, 0, None, "missing"),
    ]


def test_a_loss(connection):
    put(connection, DROP, DROP)
    put(connection, DROP)
    assert all_of(connection, "drops", "at, pid, reason, records") == [(NOON, 41, "quota", 3)]


def test_nothing(connection):
    put(connection)
    assert not any(contents_of(connection).values())


# Again


def test_the_same_call_again_is_not_written_again(connection, record):
    call = record(texts=[text()])
    put(connection, encode(call), encode(call))
    put(connection, encode(record()), encode(call))
    assert len(all_of(connection, "calls")) == 2
    assert len(all_of(connection, "call_fragments")) == 1
    assert losses(connection) == {}


@pytest.mark.parametrize("together", [True, False])
def test_a_response_that_ran_again_gets_an_id_of_its_own(connection, record, together):
    call = record(texts=[text()])
    again = call._replace(wall_s=call.wall_s + 60)
    if together:
        put(connection, encode(call), encode(again))
    else:
        put(connection, encode(call))
        put(connection, encode(again))
    put(connection, encode(again), encode(call))
    first, second = connection.execute("SELECT id, llm_turn_id FROM calls ORDER BY started_at").fetchall()
    assert first == (call.id, call.id)
    assert second[1] == call.id
    assert second[0] != call.id
    assert second[0][:10] == call.id[:10]
    assert len(second[0]) == 26
    assert set(second[0]) <= set("0123456789abcdefghjkmnpqrstvwxyz")
    assert {row[0] for row in all_of(connection, "attempts", "call_id")} == {call.id, second[0]}
    assert {row[0] for row in all_of(connection, "call_fragments", "call_id")} == {call.id, second[0]}
    assert losses(connection) == {}


PARTS = st.lists(st.lists(st.integers(0, 5), max_size=6), max_size=4)


@given(PARTS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_payloads_may_come_in_any_parts_any_number_of_times(record, parts):
    calls = [
        record(id=f"01{n:024d}", texts=[text(digest=str(n % 2), content="c" if n else None)])
        for n in range(3)
    ]
    payloads = [*map(encode, calls), HELLO, DROP, encode(calls[0]._replace(wall_s=NOON_S + 9))]
    needed = sorted({place for part in parts for place in part})
    with closing(opened()) as once, closing(opened()) as many:
        put(once, *(payloads[place] for place in needed))
        for part in parts:
            put(many, *(payloads[place] for place in part))
        # Which of two calls has the id that both came with depends on which came first.
        for connection in (once, many):
            assert len(all_of(connection, "calls")) == len(set(needed) - {3, 4})
        for table in ("processes", "drops", "fragments"):
            names = {"fragments": "digest, content, first_seen"}.get(table, "pid")
            assert all_of(once, table, names) == all_of(many, table, names)


# Faults of payloads


def changed(**changes):
    return lambda record: encode(record(**changes))


BAD = {
    "no JSON": (lambda record: b'["call",', "JSONDecodeError"),
    "nothing": (lambda record: b"", "JSONDecodeError"),
    "two things": (lambda record: b"[],[]", "JSONDecodeError"),
    "no array": (lambda record: b'{"call":1}', "unknown kind"),
    "an empty array": (lambda record: b"[]", "unknown kind"),
    "another kind": (lambda record: b'["span",1]', "unknown kind"),
    "no kind": (lambda record: b'[["call"],1]', "unknown kind"),
    "a short call": (lambda record: b'["call","01"]', "ValueError"),
    "an id that is no text": (changed(id=7), "ValueError"),
    "no id": (changed(id=None), "ValueError"),
    "no time": (changed(wall_s=None), "TypeError"),
    "a time that is none": (changed(wall_s=1e300), "OverflowError"),
    "no model": (changed(model_id=None), "IntegrityError"),
    "a model that is none": (changed(model_id=["m"]), "ProgrammingError"),
    "a role that is none": (changed(role={"r": 1}), "ProgrammingError"),
    "a tier that is none": (changed(notes={"tier": "second"}), "IntegrityError"),
    "a huge number": (changed(notes={"tier": 2**62, "tokens_before": 1}), None),
    "no attempts": (changed(attempts=None), "TypeError"),
    "an attempt too short": (changed(attempts=[["m-1"]]), "KeyError"),
    "a text too short": (changed(texts=[["prompt", 0, "d"]]), "KeyError"),
    "a text without its length": (
        changed(texts=[["prompt", 0, "d", None, None, None, None, 0]]),
        "IntegrityError",
    ),
    "a text twice in one place": (changed(texts=[text(), text()]), "IntegrityError"),
    "a hello too short": (lambda record: b'["hello",1]', "ValueError"),
    "a batch without an id": (
        lambda record: b'["batch",null,0,0,1,null,null,null,null,[]]',
        "IntegrityError",
    ),
    "a bad slot": (lambda record: b'["batch","b",0,0,1,null,null,null,null,[[0]]]', "ProgrammingError"),
    "a drop of nothing": (lambda record: b'["drop",0,1,null,1]', "IntegrityError"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_payload_spoils_no_other(connection, record, case):
    make, reason = BAD[case]
    good = [record(texts=[text(digest=str(n))]) for n in range(7)]
    with closing(opened()) as without:
        put(without, *map(encode, good), HELLO, BATCH.replace(b'"call-1"', b"null"), DROP)
        expected = contents_of(without)
    payloads = [
        *map(encode, good[:3]),
        make(record),
        *map(encode, good[3:]),
        HELLO,
        BATCH.replace(b'"call-1"', b"null"),
        DROP,
    ]
    put(connection, *payloads)
    if reason is not None:
        assert connection.execute(
            "SELECT pid, records FROM drops WHERE reason = ?", (reason,)
        ).fetchall() == [(os.getpid(), 1)]
        connection.execute("DELETE FROM drops WHERE reason = ?", (reason,))
        connection.execute("DELETE FROM fragments WHERE digest = 'd'")  # a text of a call that was refused
        found = contents_of(connection)
        assert found == expected
    else:
        assert len(all_of(connection, "calls")) == 8


def test_bad_ones_are_counted_together(connection, record):
    bad = encode(record(model_id=None))
    put(connection, bad, *[encode(record()) for _ in range(20)], bad, b"?", bad)
    assert losses(connection) == {"IntegrityError": 3, "JSONDecodeError": 1}
    assert len(all_of(connection, "calls")) == 20


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False)
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    [
        "id",
        "wall_s",
        "model_id",
        "usage",
        "counted",
        "attempts",
        "faults",
        "fault",
        "notes",
        "texts",
        "stream",
        "limit_s",
    ]
)


@given(
    st.lists(st.dictionaries(FIELDS, VALUES, max_size=3), min_size=1, max_size=4),
    st.lists(VALUES, max_size=2),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_a_payload_holds_it_is_a_row_or_a_loss(template, record, spoilt, others):
    payloads = [encode(record(**changes)) for changes in spoilt]
    good = record()
    template.execute("BEGIN IMMEDIATE")
    try:
        write(template, [*payloads, *map(orjson.dumps, others), encode(good)], PRICING)
        rows = template.execute("SELECT count(*) FROM calls").fetchone()[0]
        assert template.execute("SELECT count(*) FROM calls WHERE id = ?", (good.id,)).fetchone() == (1,)
        lost = sum(losses(template).values())
        ids = [change.get("id") for change in spoilt]
        same = len(ids) - len({repr(name) for name in ids if name is not None}) - ids.count(None)
        assert rows + lost >= len(payloads) + len(others) + 1 - same
        attempts = "SELECT count(*) FROM attempts WHERE call_id NOT IN (SELECT id FROM calls)"
        assert template.execute(attempts).fetchone() == (0,)
    finally:
        template.rollback()


@pytest.fixture(scope="module")
def template():
    with closing(opened()) as connection:
        yield connection


# Faults of the file


def test_a_full_disk_is_told(connection, record):
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    connection.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        write(connection, [encode(record(texts=[text(content="x" * 9999)])) for _ in range(50)], PRICING)
    connection.rollback()
    assert not any(contents_of(connection).values())


def test_a_full_disk_is_told_by_other_kinds_too(connection):
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    connection.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        write(connection, [encode((NOON_S, 1, "x" * 9999, 1), "drop")], PRICING)


@pytest.mark.parametrize("payload", ["call", "drop"])
def test_a_locked_file_is_told(tmp_path, record, payload):
    path = tmp_path / "usage.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        migrate(holder)
        holder.execute("BEGIN IMMEDIATE")
        with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as connection:
            connection.execute("BEGIN")
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                write(connection, [encode(record()) if payload == "call" else DROP], PRICING)


def test_a_closed_file_is_told(record):
    connection = opened()
    connection.close()
    for payload in (encode(record()), DROP):
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            write(connection, [payload], PRICING)


class Failing(sqlite3.Connection):
    fault = None

    def executemany(self, *given):
        if self.fault is not None:
            raise self.fault
        return super().executemany(*given)


@pytest.mark.parametrize(
    "fault", [sqlite3.DatabaseError("malformed"), OSError(5, "I/O"), MemoryError()], ids=repr
)
def test_faults_that_are_not_of_a_payload_are_told(record, fault):
    with closing(sqlite3.connect(":memory:", isolation_level=None, factory=Failing)) as connection:
        migrate(connection)
        connection.fault = fault
        connection.execute("BEGIN")
        with pytest.raises(type(fault)):
            write(connection, [encode(record()), encode(record())], PRICING)


class Ending(sqlite3.Connection):
    def execute(self, sql, *given):
        if sql.lstrip().startswith("INSERT INTO drops"):
            self.rollback()  # as SQLite does by itself after some errors
            raise sqlite3.OperationalError("disk I/O error")
        return super().execute(sql, *given)


def test_an_error_that_ends_the_transaction_is_told_as_it_is():
    with closing(sqlite3.connect(":memory:", isolation_level=None, factory=Ending)) as connection:
        migrate(connection)
        connection.execute("BEGIN")
        with pytest.raises(sqlite3.OperationalError, match="disk I/O error"):
            write(connection, [DROP], PRICING)


# Texts


def fragment(connection):
    names = "tokens, tokens_source, content, redacted, first_seen"
    return connection.execute(f"SELECT {names} FROM fragments").fetchone()  # noqa: S608


def test_what_comes_later_fills_what_is_empty(connection, record):
    early = "2026-11-21T11:59:00.000000Z"
    put(connection, encode(record(texts=[text()])))
    put(connection, encode(record(wall_s=NOON_S + 60, texts=[text(content="A", redacted=1)])))
    assert fragment(connection) == (None, None, "A", 1, NOON)
    put(connection, encode(record(wall_s=NOON_S - 60, texts=[text(tokens=3, content="B")])))
    assert fragment(connection) == (3, "tokenizer", "A", 1, early)
    put(connection, encode(record(texts=[text(tokens=4)])))
    assert fragment(connection) == (3, "tokenizer", "A", 1, early)
    assert len(all_of(connection, "call_fragments")) == 4


# Costs


CACHED = (10, 5, {"prompt_tokens_details": {"cached_tokens": 4}})
COSTS = {
    "one run": ({}, 60_000, 1),
    "cached input": ({"usage": CACHED, "attempts": [run(usage=CACHED)]}, 56_400, 1),
    "a hit": ({"attempts": [], "source": "cache"}, 0, 1),
    "a hit of another model": ({"attempts": [], "source": "cache", "model_id": "m-2"}, 0, None),
    "another model": ({"model_id": "m-2", "attempts": [run("m-2")]}, None, None),
    "no usage": ({"usage": None, "attempts": [run(usage=None)]}, None, 1),
    "our own count": (
        {"usage": None, "attempts": [run(usage=None)], "counted": (10, 5, "estimate")},
        60_000,
        1,
    ),
    "a failed run that was billed": ({"attempts": [run(), run()], "faults": [FAILED, None]}, 120_000, 1),
    "a failed run that was not": (
        {"attempts": [run(usage=None), run()], "faults": [FAILED, None]},
        60_000,
        1,
    ),
    "nothing but failures": (
        {"attempts": [run(usage=None)], "faults": [FAILED], "fault": FAILED, "usage": None},
        None,
        1,
    ),
    "a tier without a price": ({"attempts": [run(), run("m-2")], "faults": [FAILED, None]}, None, None),
    "refused before it ran": ({"attempts": [], "fault": FAILED, "usage": None}, 0, 1),
}


@pytest.mark.parametrize("case", COSTS)
def test_costs(connection, record, case):
    changes, cost, price_id = COSTS[case]
    put(connection, encode(record(**changes)))
    assert all_of(connection, "calls", "cost_usd_nano, price_id") == [(cost, price_id)]
    runs = [row[0] for row in all_of(connection, "attempts", "cost_usd_nano")]
    if cost:
        assert sum(filter(None, runs)) == cost


def test_listed_prices_without_any_of_the_users(connection, record):
    call = record(model_id="gpt-4o-mini", attempts=[run("gpt-4o-mini")])
    put(connection, encode(call), pricing=None)
    assert all_of(connection, "calls", "cost_usd_nano") == [(10 * 150 + 5 * 600,)]
