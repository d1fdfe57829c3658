"""What the views say about rows that are known."""

from __future__ import annotations

import sqlite3
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmopt.usage.migrations import migrate
from llmopt.usage.schema import describe

DAY = "2026-11-21"
NOON = f"{DAY}T12:00:00.000000Z"
BUSY = {
    "status": "error",
    "error_class": "too_many_requests",
    "error_type": "x.RateLimitError",
    "http_status": 429,
}
HIT = {"cache_outcome": "hit", "attempts": 0, "cost_usd_nano": 0}
NUMBERS = count(1)


class Log:
    """A log in memory: adds rows, and asks views."""

    def __init__(self):
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.connection.row_factory = sqlite3.Row
        migrate(self.connection)

    def add(self, table, **values):
        marks = ",".join("?" * len(values))
        sql = f"INSERT INTO {table} ({','.join(values)}) VALUES ({marks})"  # noqa: S608
        self.connection.execute(sql, tuple(values.values()))

    def call(self, *attempts, **values):
        """A call that went well, and its attempts."""
        call = {
            "id": f"c{next(NUMBERS):06}",
            "provider": "openai",
            "model_requested": "m-1",
            "stream": 1,
            "started_at": NOON,
            "duration_ms": 100.0,
            "status": "ok",
            "attempts": len(attempts) or 1,
            "schema_version": 2,
        } | values
        self.add("calls", **call)
        for n, attempt in enumerate(attempts, 1):
            own = {"provider": "openai", "model": "m-1", "started_at": NOON, "status": "ok"}
            self.add("attempts", call_id=call["id"], n=n, **(own | attempt))
        return call["id"]

    def price(self, number=1, **nano):
        """A price; decimals are texts."""
        text = ",".join(f'"{name}":"{value}"' for name, value in nano.items())
        self.add("prices", id=number, provider="openai", model="m-1", nano_usd_json=f"{{{text}}}")

    def use(self, call_id, digest, kind="prompt", position=0, **values):
        own = {"bytes": len(digest), "first_seen": NOON} | values
        self.connection.execute(
            "INSERT OR IGNORE INTO fragments (digest, bytes, tokens, first_seen) VALUES (?, ?, ?, ?)",
            (digest, own["bytes"], own.get("tokens"), own["first_seen"]),
        )
        self.add("call_fragments", call_id=call_id, digest=digest, kind=kind, position=position)

    def ask(self, view, order="1"):
        return list(map(dict, self.connection.execute(f"SELECT * FROM {view} ORDER BY {order}")))  # noqa: S608


@pytest.fixture
def log():
    log = Log()
    yield log
    log.connection.close()


def some(row, *names):
    return tuple(row[name] for name in names)


@pytest.mark.parametrize("view", [r.name for r in describe() if r.view])
def test_nothing_is_said_of_an_empty_log(log, view):
    assert log.ask(view) == []


# usage_daily


def tokens(given, output, **values):
    return {
        "input_tokens": given,
        "output_tokens": output,
        "cache_read_tokens": 4,
        "cache_write_tokens": 0,
    } | values


def test_usage_daily_bills_attempts_and_tells_served_tokens_apart(log):
    failed = {"status": "error"}
    log.call(tokens(10, 5, cost_usd_nano=2_000_000), role="r", input_tokens=10, output_tokens=5)
    log.call(role="r", input_tokens=100, output_tokens=20, **HIT)
    log.call(failed, role="r", input_tokens=100, output_tokens=20, cache_outcome="stale")
    log.call(tokens(10, 5), tokens(7, 3, cost_usd_nano=500_000), role="r", input_tokens=7, output_tokens=3)
    log.call(failed, tokens(10, 5, model="m-2", provider=None), role="r", tier=1)
    log.call(failed, **BUSY)
    of_other, of_nobody, of_role = log.ask("usage_daily", "provider, model, role")
    assert some(of_other, "provider", "model", "role", "calls", "attempts") == (None, "m-2", "r", 0, 1)
    assert of_other["billed_input_tokens"] == 10
    assert some(of_nobody, "model", "role", "calls", "not_ok", "attempts") == ("m-1", None, 1, 1, 1)
    assert some(of_nobody, "billed_input_tokens", "cost_usd", "unpriced_attempts") == (None, None, 0)
    assert of_role == {
        "day": DAY,
        "provider": "openai",
        "model": "m-1",
        "role": "r",
        "calls": 5,
        "not_ok": 0,
        "attempts": 5,
        "billed_input_tokens": 27,
        "billed_cache_read_tokens": 12,
        "billed_cache_write_tokens": 0,
        "billed_output_tokens": 13,
        "cost_usd": 0.0025,
        "unpriced_attempts": 1,
        "served_input_tokens": 200,
        "served_output_tokens": 40,
    }


def test_usage_daily_has_the_calls_that_were_removed(log):
    log.call(tokens(10, 5, cost_usd_nano=1_000_000_000))
    sums = {
        "calls": 2,
        "not_ok": 1,
        "attempts": 3,
        "billed_input_tokens": 30,
        "billed_cache_read_tokens": None,
    }
    rest = {"billed_output_tokens": 6, "served_input_tokens": 9}
    log.add(
        "usage_rollup",
        day=DAY,
        provider="openai",
        model="m-1",
        role="",
        cost_usd_nano=500_000_000,
        **sums,
        **rest,
    )
    log.add("usage_rollup", day="2026-11-01", provider="", model="m-1", role="r", **sums)
    earlier, today = log.ask("usage_daily", "day")
    assert some(earlier, "day", "provider", "role", "calls") == ("2026-11-01", None, "r", 2)
    assert some(earlier, "cost_usd", "unpriced_attempts") == (None, 3)
    assert some(today, "calls", "not_ok", "attempts", "billed_input_tokens") == (3, 1, 4, 40)
    assert some(today, "billed_cache_read_tokens", "billed_output_tokens") == (4, 11)
    assert some(today, "cost_usd", "unpriced_attempts", "served_input_tokens") == (1.5, 0, 9)


# latency


def test_latency_counts_what_a_model_answered(log):
    for n in range(1, 201):
        log.call(duration_ms=float(n), ttft_ms=n / 2)
    log.call(duration_ms=9e9, ttft_ms=1.0, **HIT)
    log.call(duration_ms=9e9, **BUSY)
    log.call(duration_ms=9e9, attempts=0)
    log.call(duration_ms=200.0, queue_ms=250.0)
    log.call(duration_ms=7.0, provider=None)
    rows = {(row["provider"], row["measure"]): row for row in log.ask("latency")}
    assert rows["openai", "duration_ms"] == {
        "provider": "openai", "model": "m-1", "measure": "duration_ms", "calls": 201,
        "p50_ms": 101.0, "p95_ms": 191.0, "p99_ms": 199.0, "max_ms": 200.0,
    }  # fmt: skip
    assert rows["openai", "ttft_ms"]["calls"] == 200
    assert some(rows["openai", "queue_ms"], "calls", "p50_ms", "p99_ms") == (1, 250.0, 250.0)
    assert some(rows[None, "duration_ms"], "calls", "p50_ms", "max_ms") == (1, 7.0, 7.0)
    assert len(rows) == 4


@given(values=st.lists(st.floats(0, 1e6), min_size=1, max_size=60))
@settings(max_examples=60)
def test_latency_is_of_the_nearest_rank(values):
    log = Log()
    for value in values:
        log.call(duration_ms=value)
    (row,) = log.ask("latency")
    log.connection.close()
    ordered = sorted(values)
    for name, percent in (("p50_ms", 50), ("p95_ms", 95), ("p99_ms", 99)):
        at_least = next(
            v for v in ordered if sum(other <= v for other in ordered) * 100 >= percent * len(ordered)
        )
        assert row[name] == at_least
    assert some(row, "calls", "max_ms") == (len(values), ordered[-1])


# what was saved


def test_cache_stats(log):
    log.price(input=150, output=600)
    used = {"input_tokens": 10, "output_tokens": 5, "price_id": 1}
    for outcome in ("hit", "hit", "stale", "coalesced", "miss", "bypass"):
        log.call(cache_outcome=outcome, **used)
    log.call(input_tokens=10, output_tokens=5, cache_read_tokens=5)
    log.call(input_tokens=1000, cache_outcome="hit")  # nobody knows its price
    (row,) = log.ask("cache_stats")
    assert row == {
        "day": DAY,
        "model": "m-1",
        "calls": 8,
        "hits": 3,
        "stale": 1,
        "coalesced": 1,
        "misses": 1,
        "bypassed": 1,
        "hit_rate": pytest.approx(5 / 6),
        "served_input_tokens": 1040,
        "served_output_tokens": 20,
        "saved_usd": pytest.approx((40 * 150 + 20 * 600) / 1e9),
        "provider_input_tokens": 30,
        "provider_cache_read_tokens": 5,
        "provider_cache_rate": pytest.approx(1 / 6),
    }


def test_prefix_savings_are_net_of_what_writing_costs(log):
    log.price(1, input=1000, cache_read=100, cache_write=1250, output=5000)
    log.price(2, input="37.5", output=300)
    log.call(tokens(3000, 9, cache_read_tokens=2000, cache_write_tokens=0, price_id=1), {"status": "error"})
    log.call(tokens(3000, 9, cache_read_tokens=0, cache_write_tokens=2000, price_id=1))
    log.call(tokens(100, 9, cache_read_tokens=50, cache_write_tokens=None, price_id=2, model="m-2"))
    log.call(tokens(100, 9, cache_read_tokens=50, model="m-3"))
    first, second, third = log.ask("prefix_savings", "model")
    assert some(first, "attempts", "input_tokens", "cache_read_tokens", "cache_write_tokens") == (
        2,
        6000,
        2000,
        2000,
    )
    assert first["read_rate"] == pytest.approx(1 / 3)
    assert first["saved_usd"] == pytest.approx((2000 * 900 - 2000 * 250) / 1e9)
    assert second["saved_usd"] == 0, "without a price of its own, what is cached costs as much as what is not"
    assert (third["model"], third["saved_usd"]) == ("m-3", None)


def test_compression_savings(log):
    log.price(input=150, output=600)
    dense = {"role": "r", "compressor": "dense", "tokens_before": 1000, "tokens_after": 400}
    log.call(price_id=1, **dense)
    log.call(price_id=1, **dense)
    log.call(price_id=1, **dense, **HIT)
    log.call(**(dense | {"role": None, "model_requested": "m-2"}))
    log.call()
    unpriced, priced = log.ask("compression_savings", "role")
    assert unpriced["saved_usd"] is None
    assert priced == {
        "day": DAY,
        "role": "r",
        "model": "m-1",
        "compressor": "dense",
        "calls": 2,
        "tokens_before": 2000,
        "tokens_after": 800,
        "tokens_saved": 1200,
        "saved_rate": 0.6,
        "saved_usd": pytest.approx(1200 * 150 / 1e9),
    }


def test_price_list_knows_decimals_and_what_is_left_out(log):
    log.price(1, input="18.75", cache_read="1.5", output="75")
    (row,) = log.ask("price_list")
    assert some(row, "input_nano", "cache_read_nano", "cache_write_nano", "output_nano") == (
        18.75,
        1.5,
        18.75,
        75.0,
    )


# what was sent


def test_fragment_usage(log):
    later = f"{DAY}T13:00:00.000000Z"
    first, second, _ = log.call(role="a"), log.call(role="b", started_at=later), log.call(role="a")
    log.use(first, "rules", tokens=2310)
    log.use(first, "rules", position=1)
    log.use(second, "rules", "system")
    log.use(second, "rules")
    log.use(first, "note", "context")
    note, of_system, rules = log.ask("fragment_usage", "digest, kind DESC")
    assert some(note, "digest", "tokens", "tokens_sent") == ("note", None, None)
    assert some(of_system, "kind", "calls", "roles") == ("system", 1, "b")
    assert rules == {
        "digest": "rules",
        "kind": "prompt",
        "calls": 2,
        "share_of_calls": pytest.approx(2 / 3),
        "bytes": 5,
        "tokens": 2310,
        "tokens_sent": 4620,
        "roles": "a,b",
        "first_seen": NOON,
        "last_seen": later,
    }


def test_a_prompt_that_one_call_alone_has_is_left_out_of_fragment_usage(log):
    first, second = log.call(), log.call()
    for kind in ("prompt", "reply", "context", "tool", "schema", "system"):
        log.use(first, f"own {kind}", kind)
    log.use(first, "twice in one call", position=1)
    log.use(first, "twice in one call", position=2)
    log.use(first, "shared", position=3)
    log.use(second, "shared")
    kinds = ["context", "schema", "system", "tool"]
    found = [(row["digest"], row["calls"], row["roles"]) for row in log.ask("fragment_usage", "digest")]
    assert found == [*((f"own {kind}", 1, None) for kind in kinds), ("shared", 2, None)]


def test_top_prompts(log):
    later = f"{DAY}T13:00:00.000000Z"
    same = {"prompt_digest": "p", "input_tokens": 10, "output_tokens": 5}
    log.call(**same, cost_usd_nano=3_000, role="b")
    log.call(**same, cost_usd_nano=3_000, role="a")
    log.call(**same, **HIT, started_at=later)
    log.call(prompt_digest="p", **BUSY)
    log.call(**(same | {"prompt_digest": "q"}))
    log.call(**(same | {"prompt_digest": "q"}))
    log.call(prompt_digest="once")
    log.call()
    log.call()
    top, unpriced = log.ask("top_prompts", "prompt_digest")
    assert top == {
        "prompt_digest": "p",
        "model": "m-1",
        "role": "a",
        "calls": 4,
        "served": 1,
        "not_ok": 1,
        "input_tokens": 20,
        "output_tokens": 10,
        "cost_usd": pytest.approx(6e-6),
        "avoidable_usd": pytest.approx(3e-6),
        "first_at": NOON,
        "last_at": later,
    }
    assert some(unpriced, "calls", "cost_usd", "avoidable_usd") == (2, None, None)


# what went wrong


def test_retries(log):
    failed = BUSY | {"wait_ms": 0.0}
    log.call(failed, {"wait_ms": 500.0})
    log.call(failed, failed | {"wait_ms": 1500.0}, **BUSY)
    log.call({"status": "abandoned"}, status="abandoned")
    log.call({})
    (row,) = log.ask("retries")
    assert row == {
        "provider": "openai",
        "model": "m-1",
        "error_class": "too_many_requests",
        "error_type": "x.RateLimitError",
        "failures": 3,
        "retried": 2,
        "recovered": 1,
        "mean_wait_ms": 1000.0,
    }


def test_errors(log):
    later = f"{DAY}T12:00:01.000000Z"
    log.call(**BUSY)
    log.call(**BUSY, started_at=later)
    log.call(status="abandoned")
    log.call()
    gone, busy = log.ask("errors", "status")
    assert some(gone, "status", "error_class", "http_status", "calls") == ("abandoned", None, None, 1)
    assert some(busy, "status", "error_class", "http_status", "calls", "last_at") == (
        "error", "too_many_requests", 429, 2, later,
    )  # fmt: skip


# what belongs together


def test_batch_stats(log):
    own = {"started_at": NOON, "role": "r", "strategy": "one_call"}
    log.add("batches", id="b1", n=3, flushed_by="full", duration_ms=900.0, **own)
    log.add("batches", id="b2", n=1, flushed_by="time", duration_ms=100.0, **own)
    log.add("batches", id="b3", n=5, **(own | {"strategy": "fanout"}))
    first, repair = log.call(batch_id="b1", cost_usd_nano=7_000), log.call(batch_id="b1")
    for slot, (call_id, ok, ms) in enumerate([(first, 1, 300.0), (repair, 1, 800.0), (first, 0, None)]):
        log.add("batch_slots", batch_id="b1", slot=slot, call_id=call_id, plan_ok=ok, first_plan_ms=ms)
    log.add("batch_slots", batch_id="b2", slot=0, first_plan_ms=100.0)
    unknown, row = log.ask("batch_stats", "strategy")
    assert some(unknown, "strategy", "batches", "full", "good_rate", "cost_usd") == (
        "fanout",
        1,
        0,
        None,
        None,
    )
    assert row == {
        "day": DAY,
        "role": "r",
        "strategy": "one_call",
        "batches": 2,
        "full": 1,
        "agents": 4,
        "agents_per_batch": 2.0,
        "calls_per_batch": 1.0,
        "good_plans": 2,
        "bad_plans": 1,
        "good_rate": pytest.approx(2 / 3),
        "first_plan_ms": 200.0,
        "duration_ms": 500.0,
        "cost_usd": pytest.approx(7e-6),
    }


def at(second):
    return f"{DAY}T12:00:{second:02}.000000Z"


def test_chains(log):
    used = {"input_tokens": 10, "output_tokens": 5, "cost_usd_nano": 1_000, "conversation_id": "v"}
    first = log.call(**used, cache_read_tokens=3, trace_id="t", role="r", started_at=at(0))
    second = log.call(**used, parent_id=first, trace_id="t", started_at=at(2), duration_ms=1_000.0)
    log.call(**(used | HIT), parent_id=second, trace_id="t", started_at=at(5), duration_ms=500.0)
    orphan = log.call(parent_id="removed", **BUSY)
    log.call()
    whole, rest = log.ask("chains", "calls DESC")
    assert whole == {
        "chain_id": first,
        "trace_id": "t",
        "conversation_id": "v",
        "role": "r",
        "started_at": at(0),
        "duration_ms": 5_500.0,
        "model_ms": 1_600.0,
        "calls": 3,
        "not_ok": 0,
        "served": 1,
        "attempts": 2,
        "input_tokens": 30,
        "cache_read_tokens": 3,
        "output_tokens": 15,
        "cost_usd": pytest.approx(2e-6),
    }
    assert orphan
    assert some(rest, "chain_id", "calls", "not_ok", "cost_usd") == ("removed", 1, 1, None)


def test_chains_end_even_in_a_circle(log):
    log.call(id="a", parent_id="b")
    log.call(id="b", parent_id="a")
    assert log.ask("chains") == []


@given(parents=st.lists(st.integers(0, 30), max_size=12))
@settings(max_examples=40)
def test_chains_hold_every_call_that_has_to_do_with_another(parents):
    """Each call answers for one of those before it, or for none."""
    log = Log()
    ids, roots = [], []
    for number, parent in enumerate(parents):
        alone = parent >= number
        parent_id = None if alone else ids[parent]
        ids.append(log.call(parent_id=parent_id))
        roots.append(ids[-1] if alone else roots[parent])
    found = {row["chain_id"]: row["calls"] for row in log.ask("chains")}
    log.connection.close()
    assert found == {root: roots.count(root) for root in roots if roots.count(root) > 1}


def test_traces(log):
    log.call(trace_id="nightly", started_at=at(0))
    log.call(trace_id="nightly", started_at=at(9))
    log.call(parent_id="x")
    (row,) = log.ask("traces")
    assert some(row, "trace_id", "calls", "duration_ms", "model_ms") == ("nightly", 2, 9_100.0, 200.0)
