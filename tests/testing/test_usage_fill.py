"""A made-up log: one that the schema allows, the same for the same seed, with something in each view."""

from __future__ import annotations

import sqlite3
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from llmopt.errors import ConfigurationError
from llmopt.testing.usage import MODELS, LoggedModel, fill_log
from llmopt.usage.schema import INDEXES, VERSION, describe

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
CALLS = 4_000


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("fill") / "usage.db"
    fill_log(path, CALLS, now=NOW)
    return path


@pytest.fixture
def log(path):
    log = sqlite3.connect(path)
    yield log
    log.close()


def one(log, sql):
    return log.execute(sql).fetchone()


def dump(path):
    """Every row of a file but when it was migrated."""
    log = sqlite3.connect(path)
    lines = [line for line in log.iterdump() if "_sqlite_migrations" not in line]
    log.close()
    return lines


def test_the_file_is_sound(log, path):
    assert log.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert log.execute("PRAGMA foreign_key_check").fetchall() == []
    assert one(log, "PRAGMA user_version") == (VERSION,)
    assert one(log, "PRAGMA journal_mode") == ("wal",)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_no_index_is_missing(log):
    there = {name for (name,) in log.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
    assert {index.name for index in INDEXES if index.until is None} <= there


def test_there_are_as_many_calls_as_asked_for(log):
    assert one(log, "SELECT count(*), count(DISTINCT id) FROM calls") == (CALLS, CALLS)
    assert one(log, "SELECT sum(attempts) FROM calls") == one(log, "SELECT count(*) FROM attempts")
    assert one(log, "SELECT max(schema_version) FROM calls") == (VERSION,)


def test_they_are_of_the_period(log):
    first, last = one(log, "SELECT min(started_at), max(started_at) FROM calls")
    start = (NOW - timedelta(days=14)).isoformat()
    assert start[:13] <= first < last < "2026-11-21T12:03"  # a tool loop may go on for a while


def test_costs_add_up(log):
    sums = """
        SELECT count(*) FROM calls WHERE attempts > 0 AND cost_usd_nano IS NOT (
            SELECT sum(cost_usd_nano) FROM attempts WHERE call_id = calls.id)
    """
    assert one(log, sums) == (0,)
    billed = """
        SELECT count(*), sum(cost_usd_nano IS NOT CAST(round(
            (input_tokens - cache_read_tokens - cache_write_tokens) * input_nano
            + cache_read_tokens * cache_read_nano + cache_write_tokens * cache_write_nano
            + output_tokens * output_nano) AS INTEGER))
        FROM attempts JOIN price_list ON price_list.id = attempts.price_id WHERE input_tokens IS NOT NULL
    """
    priced, wrong = one(log, billed)
    assert (priced > CALLS / 2, wrong) == (True, 0)
    assert one(log, "SELECT count(*) FROM attempts WHERE price_id IS NULL AND cost_usd_nano NOTNULL") == (0,)
    assert one(log, "SELECT DISTINCT model FROM attempts WHERE price_id IS NULL") == ("qwen3-32b",)
    served = (
        "SELECT DISTINCT cost_usd_nano, attempts, price_id IS NULL FROM calls WHERE cache_outcome = 'hit'"
    )
    assert set(log.execute(served)) == {(0, 0, 0), (0, 0, 1)}


@pytest.mark.parametrize("view", [r.name for r in describe() if r.view])
def test_each_view_has_something_to_show(log, view):
    assert one(log, f"SELECT count(*) FROM {view}")[0] >= 3  # noqa: S608


def test_everything_happens(log):
    for column, wanted in {
        "status": {"ok", "error", "cancelled", "abandoned"},
        "cache_outcome": {None, "hit", "stale", "coalesced", "miss", "bypass"},
        "tier": {None, 0, 1},
        "tokens_source": {None, "provider", "tokenizer"},
        "role": {"tactical", "stealth", "exploration", "support"},
    }.items():
        assert {value for (value,) in log.execute(f"SELECT DISTINCT {column} FROM calls")} == wanted  # noqa: S608
    classes = {kind for (kind,) in log.execute("SELECT DISTINCT error_class FROM retries")}
    assert {"too_many_requests", "server", "timeout", "bad_request"} <= classes
    assert one(log, "SELECT count(*) FROM batch_slots WHERE plan_ok = 0")[0] > 0


def test_the_second_half_is_better(log):
    halves = """
        SELECT avg(cost_usd_nano), avg(cache_outcome IN ('hit', 'stale', 'coalesced')), avg(input_tokens),
            sum(cache_read_tokens) * 1.0 / sum(input_tokens)
        FROM calls WHERE started_at {} '2026-11-14T12'
    """
    before, after = (one(log, halves.format(which)) for which in ("<", ">"))
    assert after[0] < 0.8 * before[0]
    assert (before[1], after[1] > 0.05) == (None, True)
    assert after[2] < 0.95 * before[2]
    assert after[3] > 5 * before[3]


def test_fragments_tell_a_story(log):
    shared = "SELECT tokens, share_of_calls FROM fragment_usage WHERE kind <> 'prompt' ORDER BY 2 DESC"
    rules, *others = log.execute(shared)
    assert rules[0] == 2310
    assert rules[1] > 0.5
    assert min(share for _, share in others) < 0.002
    own = """
        SELECT count(DISTINCT call_id), count(DISTINCT digest), count(DISTINCT iif(tokens, digest, NULL))
        FROM call_fragments JOIN fragments USING (digest) WHERE kind = 'prompt'
    """
    calls, texts, counted = one(log, own)
    assert calls == CALLS > texts > counted > 0, "what is asked once is not counted"
    dump = "SELECT roles, first_seen > '2026-11-17' FROM fragment_usage WHERE tokens = 5200"
    assert one(log, dump) == ("exploration", 1)


def test_a_seed_tells_the_whole_story(path, tmp_path):
    again, other = tmp_path / "again.db", tmp_path / "other.db"
    fill_log(again, CALLS, now=NOW)
    fill_log(other, CALLS, now=NOW, seed=8)
    assert dump(again) == dump(path) != dump(other)


def test_texts_are_kept_where_that_is_asked_for(tmp_path, log):
    assert one(log, "SELECT count(content) FROM fragments") == (0,)
    path = tmp_path / "texts.db"
    fill_log(path, 60, now=NOW, with_content=True)
    texts = sqlite3.connect(path)
    assert one(
        texts, "SELECT count(*) - count(content), sum(length(content) IS NOT bytes) FROM fragments"
    ) == (0, 0)
    kinds = {kind for (kind,) in texts.execute("SELECT DISTINCT kind FROM call_fragments")}
    assert {"system", "prompt", "reply"} <= kinds
    texts.close()


def test_models_of_ones_own(tmp_path):
    path = tmp_path / "own.db"
    own = LoggedModel("me", "mine", 1.0, {"input": "1", "output": "2"}, 10.0, 1.0)
    fill_log(path, 200, days=1, now=NOW, models=[own])
    log = sqlite3.connect(path)
    assert set(log.execute("SELECT provider, model_requested FROM calls")) == {("me", "mine")}
    assert log.execute("SELECT model FROM prices").fetchall() == [("mine",)]
    log.close()


@pytest.mark.parametrize("wrong", [{"calls": 0}, {"days": 0}, {"models": ()}, {"now": datetime(2026, 1, 1)}])  # noqa: DTZ001
def test_arguments_are_checked(tmp_path, wrong):
    with pytest.raises(ConfigurationError, match="fill_log"):
        fill_log(tmp_path / "usage.db", **wrong)
    assert not list(tmp_path.iterdir())


def test_a_log_with_calls_is_left_alone(tmp_path):
    path = tmp_path / "usage.db"
    fill_log(path, 1)
    before = Path(path).read_bytes()
    with pytest.raises(ConfigurationError, match="holds calls already"):
        fill_log(path, 1)
    assert Path(path).read_bytes() == before


def test_the_shares_of_the_models_make_a_whole():
    assert sum(model.share for model in MODELS) == pytest.approx(1)
