"""What the views say about a day whose calls are known."""

from __future__ import annotations

import pytest

from llmopt import usage
from llmopt.types import Attempt, Usage
from llmopt.usage.record import Fault, Labels
from llmopt.usage.sink import Sink

BUSY = Fault("error", "x.RateLimitError", "too_many_requests", 429, 1000.0)


@pytest.fixture
def ask(path, record):
    """Writes records, and asks a view."""
    opened = []

    def ask(view, *records, order="1"):
        sink = Sink(path)
        assert sink.write(records) == len(records)
        sink.close()
        opened.append(usage.open(path))
        return list(opened[-1].query(f"SELECT * FROM {view} ORDER BY {order}"))  # noqa: S608

    yield ask
    for database in opened:
        database.close()


def run(model="m-1", *, tokens=(10, 5), waited_s=0.0, failed=False):
    used = None if failed else Usage(*tokens, {"prompt_tokens_details": {"cached_tokens": 4}})
    return Attempt(model, 50.0, waited_s, 50.02, 50.1, None, used)


def test_usage_daily_bills_attempts_and_tells_served_tokens_apart(ask, record):
    served = {"attempts": [], "usage": Usage(100, 20), "source": "cache"}
    well = record(attempts=[run()], labels=Labels(role="r"))
    hit = record(labels=Labels(role="r"), notes={"cache": "hit"}, **served)
    stale = record(
        labels=Labels(role="r"),
        notes={"cache": "stale"},
        **(served | {"attempts": [run(failed=True)]}),
        faults=[BUSY],
    )
    twice = record(attempts=[run(), run(tokens=(7, 3))], labels=Labels(role="r"))
    tier = record(attempts=[run(failed=True), run("m-2")], faults=[BUSY, None], labels=Labels(role="r"))
    failed = record(fault=BUSY, faults=[BUSY], attempts=[run(failed=True)], usage=None)
    days = ask("usage_daily", well, hit, stale, twice, tier, failed, order="provider, model, role")
    of_other, of_nobody, of_role = days
    assert [day["day"] for day in days] == ["2026-11-21"] * 3
    assert (of_other["provider"], of_other["model"], of_other["role"]) == (None, "m-2", "r")
    assert (of_other["calls"], of_other["attempts"], of_other["billed_input_tokens"]) == (0, 1, 10)
    assert (of_nobody["model"], of_nobody["role"], of_nobody["calls"], of_nobody["not_ok"]) == (
        "m-1",
        None,
        1,
        1,
    )
    assert of_nobody["billed_input_tokens"] is None
    assert of_role == {
        "day": "2026-11-21",
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
        "cost_usd": None,
        "served_input_tokens": 200,
        "served_output_tokens": 40,
    }


def test_latency_by_nearest_rank(ask, record):
    calls = [record(ended_s=50.0 + n / 1000) for n in range(1, 201)]
    hit = record(attempts=[], source="cache", ended_s=99.0)
    failed = record(fault=BUSY, ended_s=99.0)
    waited = record(notes={"queue_s": 0.25}, ended_s=50.2)
    found = {row["measure"]: row for row in ask("latency", *calls, hit, failed, waited)}
    duration = found["duration_ms"]
    assert duration["calls"] == 201
    assert [duration[f"p{p}_ms"] for p in (50, 95, 99)] == pytest.approx([101, 191, 199])
    assert duration["max_ms"] == pytest.approx(200)
    assert (found["queue_ms"]["calls"], found["queue_ms"]["p99_ms"]) == (1, 250.0)
    assert found["ttft_ms"]["calls"] == 201


def test_latency_of_one_call(ask, record):
    rows = {row["measure"]: row for row in ask("latency", record())}
    assert {
        name: rows["ttft_ms"][name] for name in ("p50_ms", "p95_ms", "p99_ms", "max_ms")
    } == pytest.approx(dict.fromkeys(("p50_ms", "p95_ms", "p99_ms", "max_ms"), 40.0))


def test_cache_stats(ask, record):
    outcomes = ["hit", "hit", "stale", "coalesced", "miss", "bypass"]
    calls = [record(notes={"cache": outcome}, attempts=[run()]) for outcome in outcomes]
    details = {"prompt_tokens_details": {"cached_tokens": 5}}
    (row,) = ask("cache_stats", *calls, record(usage=Usage(10, 5, details)))
    assert row == {
        "day": "2026-11-21",
        "model": "m-1",
        "calls": 7,
        "hits": 2,
        "stale": 1,
        "coalesced": 1,
        "misses": 1,
        "bypassed": 1,
        "hit_rate": 0.8,
        "served_input_tokens": 40,
        "served_output_tokens": 20,
        "provider_input_tokens": 30,
        "provider_cache_read_tokens": 5,
        "provider_cache_rate": pytest.approx(1 / 6),
    }


def test_retries(ask, record):
    recovered = record(attempts=[run(failed=True), run(waited_s=0.5)], faults=[BUSY, None])
    lost = record(
        attempts=[run(failed=True), run(failed=True, waited_s=1.5)],
        faults=[BUSY, BUSY],
        fault=BUSY,
        usage=None,
    )
    (row,) = ask("retries", recovered, lost, record())
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


def test_errors(ask, record):
    gone = Fault("abandoned")
    rows = ask(
        "errors",
        record(fault=BUSY),
        record(fault=BUSY, wall_s=1_795_262_401.0),
        record(fault=gone),
        record(),
        order="status",
    )
    assert [(row["status"], row["error_class"], row["http_status"], row["calls"]) for row in rows] == [
        ("abandoned", None, None, 1),
        ("error", "too_many_requests", 429, 2),
    ]
    assert rows[1]["last_at"] == "2026-11-21T12:00:01.000000Z"
