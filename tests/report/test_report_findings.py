from __future__ import annotations

import pytest

import llmopt
from llmopt.report import analyze_usage

from .conftest import NOW


def findings(log):
    return {finding.code: finding for finding in analyze_usage(log.path, now=NOW)}


def priced(log, **nano):
    log.price(**nano)
    return {"price_id": 1, "cost_usd_nano": 14_000, "model_requested": "claude-x"}


def test_a_log_in_which_all_is_well_has_no_findings(small_log):
    own = priced(small_log)
    for number in range(60):
        small_log.call(**own, prompt_digest=f"{number:064}", cache_read_tokens=90)
    assert findings(small_log) == {}


def test_an_empty_log_has_no_findings(small_log):
    assert findings(small_log) == {}


def test_a_fragment_that_no_prefix_cache_holds(small_log):
    own = priced(small_log)
    small_log.text("rules", tokens=2310, tokens_source="tokenizer", content="Rules of engagement")
    for _ in range(40):
        small_log.call(**own, role="r", input_tokens=2500, cache_read_tokens=0, texts=[("context", "rules")])
    found = findings(small_log)["uncached-fragment"]
    assert found.title == "This 2,310-token context text was sent 40 times uncached."
    assert found.fix.startswith("llmopt.PromptCache()")
    assert found.usd_per_week == pytest.approx(7 * 40 * 2310 * 90 / 1e9)
    assert found.tokens_per_week == 7 * 40 * 2310
    assert found.evidence["starts_with"] == "Rules of engagement"
    assert found.evidence["uncached_share"] == 1.0


@pytest.mark.parametrize(
    ("given", "tokens"),
    [
        ({"cache_read_tokens": 2304}, 2310),  # whole blocks of it
        ({"cache_read_tokens": None}, 2310),  # the provider does not say
        ({"cache_read_tokens": 0}, 900),  # too short for any cache
        ({"cache_read_tokens": 0, "model_requested": "my-own"}, 2310),  # there is no cache
    ],
)
def test_fragments_that_are_cached_or_cannot_be_are_no_finding(small_log, given, tokens):
    own = priced(small_log)
    small_log.text("rules", tokens=tokens)
    for number in range(40):
        digest = {"prompt_digest": f"{number:064}"}
        small_log.call(**{**own, "input_tokens": tokens + 90, **digest, **given}, texts=[("system", "rules")])
    assert "uncached-fragment" not in findings(small_log)


def test_a_fragment_that_is_cached_by_now_is_no_finding(small_log):
    own = priced(small_log)
    small_log.text("rules", tokens=2310)
    for number in range(80):
        read = 0 if number < 50 else 2304
        small_log.call(**own, input_tokens=2500, cache_read_tokens=read, texts=[("system", "rules")])
    assert "uncached-fragment" not in findings(small_log)


def test_prompts_that_a_model_has_answered_already(small_log):
    own = priced(small_log)
    for number in range(42):
        small_log.call(**own, prompt_digest=f"{number % 2:064}")
    found = findings(small_log)["repeated-prompt"]
    assert found.title.startswith(
        "40 calls asked what a model had answered before: 2 prompts, one of them 21 times"
    )
    assert found.fix == "llmopt.Cache(ttl=3600)"
    assert found.usd_per_week == pytest.approx(7 * 40 * 14_000 / 1e9)
    small_log.served(prompt_digest="0" * 64)
    assert "SQLiteStore" in findings(small_log)["repeated-prompt"].fix


def test_repeated_prompts_without_a_price_have_tokens(small_log):
    for _ in range(30):
        small_log.call(prompt_digest="d" * 64)
    found = findings(small_log)["repeated-prompt"]
    assert (found.usd_per_week, found.tokens_per_week) == (None, 7 * 29 * 110)


def test_a_few_answers_that_are_far_longer_than_the_others(small_log):
    own = priced(small_log)
    for number in range(60):
        small_log.call(**own, role="r", output_tokens=2000 if number % 10 == 0 else 50)
    found = findings(small_log)["long-answers"]
    assert found.fix == "model.prompt(..., max_tokens=200)"
    assert found.evidence["answers_beyond"] == 6
    assert found.usd_per_week == pytest.approx(7 * 6 * 1800 * 400 / 1e9)


@pytest.mark.parametrize("compresses", [False, True])
def test_prompts_with_much_text_of_their_own(small_log, compresses):
    own = priced(small_log)
    small_log.text("rules", tokens=200)
    for _ in range(40):
        small_log.call(**own, role="r", input_tokens=1200, texts=[("system", "rules")])
        if compresses:
            small_log.call(
                **own,
                role="s",
                input_tokens=300,
                tokens_before=600,
                tokens_after=300,
                texts=[("system", "rules")],
            )
    found = findings(small_log)["uncompressed"]
    assert found.fix == "llmopt.Compress(\"safe\", role='r')"
    assert found.evidence["own_tokens_per_call"] == pytest.approx(1000)
    assert found.confidence == ("estimated" if compresses else "assumed")
    assert found.evidence["saved_share"] == (0.5 if compresses else 0.3)
    assert found.usd_per_week > 0


def test_a_prefix_cache_that_costs_more_than_it_saves(small_log):
    own = priced(small_log)
    for number in range(40):
        digest = f"{number:064}"
        small_log.call(
            **own, prompt_digest=digest, input_tokens=500, cache_write_tokens=400, cache_read_tokens=0
        )
    found = findings(small_log)["prefix-cache-loss"]
    assert found.usd_per_week == pytest.approx(7 * 40 * 400 * 25 / 1e9)
    assert found.confidence == "measured"


@pytest.mark.parametrize("role", ["r", None])
def test_agents_that_are_asked_for_one_by_one(small_log, role):
    own = priced(small_log)
    small_log.text("rules", tokens=100)
    for tick in range(10):
        for agent in range(5):
            started_at = f"2026-11-20T10:{tick:02}:00.0{agent}0000Z"
            small_log.call(
                **own, role=role, agent=f"a{agent}", started_at=started_at, texts=[("system", "rules")]
            )
    found = findings(small_log)["one-call-per-agent"]
    assert found.fix.startswith("@llmopt.planner(model" + (", role='r')" if role else ")"))
    assert found.evidence["calls_a_planner_spares_per_week"] == 7 * 40
    assert found.tokens_per_week == 7 * 40 * 100


def test_agents_that_are_asked_for_one_after_the_other(small_log):
    for tick in range(10):
        for agent in range(4):  # each begins when the one before has ended
            started_at = f"2026-11-20T10:{tick:02}:{agent:02}.005000Z"
            small_log.call(agent=f"a{agent}", started_at=started_at, duration_ms=990.0)
    assert "one-call-per-agent" in findings(small_log)


@pytest.mark.parametrize(
    "given", [{"agent": None}, {"agent": "a"}, {"batch_id": "b"}], ids=["nobody", "one agent", "batches"]
)
def test_calls_of_nobody_of_one_agent_or_of_batches_need_no_planner(small_log, given):
    for number in range(40):
        agent = {"agent": f"a{number % 4}", **given}
        small_log.call(**agent, started_at=f"2026-11-20T10:{number // 4:02}:00.0{number % 4}0000Z")
    assert "one-call-per-agent" not in findings(small_log)


def test_a_slow_tail(small_log):
    for number in range(200):
        small_log.call(duration_ms=60_000.0 if number % 40 == 0 else 1000.0 + number)
    small_log.refused("timeout")
    found = findings(small_log)["slow-tail"]
    assert found.fix == "llmopt.Fallback(llm.get_model(...)), llmopt.Timeout(2)  # 1.5 x p95"
    assert found.evidence["timeouts"] == 1
    assert found.evidence["p99_ms"] == 60_000.0


def test_a_cheaper_model_that_has_stood_in(small_log):
    small_log.price(1)
    small_log.price(2, "cheap", input="10", output="40")
    for _ in range(40):
        small_log.call(price_id=1, cost_usd_nano=14_000, tier=0)
        answered = {"model": "cheap", "price_id": 2, "cost_usd_nano": 1400}
        small_log.call(
            price_id=1,
            cost_usd_nano=1400,
            tier=1,
            attempts=2,
            runs=[{"status": "error", "error_class": "server"}, answered],
        )
    found = findings(small_log)["cheaper-model"]
    assert '"cheap"), llmopt.Fallback(llm.get_model("m"))' in found.fix
    assert found.confidence == "assumed"
    assert found.evidence["fallback_calls"] == 40
    assert found.usd_per_week > 0


def test_a_dearer_model_that_has_stood_in_is_no_finding(small_log):
    small_log.price(1)
    for _ in range(40):
        small_log.call(price_id=1, cost_usd_nano=14_000, tier=0)
        answered = {"model": "dear", "price_id": 1, "cost_usd_nano": 140_000}
        small_log.call(tier=1, cost_usd_nano=140_000, attempts=2, runs=[{"status": "error"}, answered])
    assert "cheaper-model" not in findings(small_log)


def test_rows_that_are_not_valid(small_log):
    call = small_log.call(**priced(small_log))
    for number in range(10):
        small_log.insert("batches", id=f"b{number}", n=10, role="r", started_at=call["started_at"])
        for slot in range(10):
            row = {"batch_id": f"b{number}", "slot": slot, "call_id": call["id"], "plan_ok": int(slot > 1)}
            small_log.insert("batch_slots", **row)
    found = findings(small_log)["invalid-rows"]
    assert found.title.startswith("r: 20 of 100 plans were not valid")
    assert found.evidence["valid_rate"] == 0.8
    assert found.usd_per_week == pytest.approx(7 * 20 * 14_000 / 100 / 1e9)


def test_too_many_requests(small_log):
    for _ in range(12):
        small_log.refused()
    found = findings(small_log)["rate-limited"]
    assert found.evidence["refused_runs"] == found.evidence["recovered_calls"] == 12
    assert found.evidence["waited_ms"] == 12 * 1500
    assert found.fix.startswith("llmopt.RateLimit(")


@pytest.mark.parametrize("price", [1, None])
def test_calls_that_nobody_waited_for(small_log, price):
    small_log.price()
    gone = {"status": "abandoned", "input_tokens": None, "output_tokens": None}
    for _ in range(12):
        small_log.call(status="abandoned", tokens_source="tokenizer", price_id=price, runs=[gone])
    found = findings(small_log)["abandoned-calls"]
    assert found.evidence == {"calls": 12, "share_of_calls": 1.0, "tokens": 12 * 110}
    assert found.usd_per_week == (pytest.approx(7 * 12 * 14_000 / 1e9) if price else None)


def test_prices_that_are_unknown(small_log):
    small_log.call(model_requested="my-own")
    found = findings(small_log)["unknown-price"]
    assert '"my-own": (INPUT, OUTPUT)' in found.fix
    assert (found.usd_per_week, found.tokens_per_week) == (None, 770)


def test_records_that_were_lost(small_log):
    small_log.insert("drops", at="2026-11-20T10:00:00.000000Z", pid=1, reason="quota", records=1)
    found = findings(small_log)["lost-records"]
    assert found.title.startswith("1 record of the log was lost")
    assert found.evidence == {"quota": 1}


def test_findings_are_ranked_by_money_and_a_week_is_a_week(made_up):
    found = llmopt.analyze_usage(made_up, now=NOW)
    worths = [finding.usd_per_week or 0 for finding in found]
    assert worths == sorted(worths, reverse=True)
    assert all(finding.evidence and finding.title and finding.fix for finding in found)
    one_day = llmopt.analyze_usage(made_up, since="2026-11-17", until="2026-11-18", now=NOW)
    assert {finding.code for finding in one_day} & {finding.code for finding in found}
