from __future__ import annotations

import math

import pytest

from llmopt.report import report_of
from llmopt.report.batches import Batch, shared_tokens, wilson
from llmopt.report.pricing import Price, effective_saved
from llmopt.report.tally import Sums

from .conftest import NOW

# PRICES of conftest: 100 nano-dollars a token of input, 10 read, 125 written, 400 of output.


def saved(log):
    return {saving.code: saving for saving in report_of(log.path, now=NOW).savings}


def test_nothing_is_saved_where_nothing_was_at_work(small_log):
    small_log.price()
    small_log.call(price_id=1, cost_usd_nano=14_000)
    assert saved(small_log) == {}


def test_the_cache_saves_what_its_answers_would_have_cost(small_log):
    small_log.price()
    small_log.call(price_id=1, cost_usd_nano=14_000, cache_outcome="miss")
    for outcome in ("hit", "stale", "coalesced"):
        small_log.served(outcome, price_id=1, cache_read_tokens=40)
    saving = saved(small_log)["cache"]
    assert (saving.calls, saving.spared_calls, saving.tokens) == (3, 3, 330)
    assert math.isclose(saving.usd, 3 * (60 * 100 + 40 * 10 + 10 * 400) / 1e9)
    assert saving.confidence == "measured"


def test_answers_that_llmopt_counted_itself_are_estimates(small_log):
    small_log.served(tokens_source="tokenizer")
    saving = saved(small_log)["cache"]
    assert (saving.usd, saving.confidence) == (None, "estimated")


def test_compression_saves_at_the_price_that_was_paid_for_input(small_log):
    small_log.price()
    small_log.call(
        price_id=1,
        cost_usd_nano=9000,
        tokens_before=250,
        tokens_after=150,
        input_tokens=200,
        cache_read_tokens=100,
    )
    small_log.served(price_id=1, tokens_before=250, tokens_after=150)  # saved by the cache, not once more
    saving = saved(small_log)["compression"]
    assert (saving.calls, saving.tokens, saving.confidence) == (1, 100, "estimated")
    assert math.isclose(saving.usd, 100 * (100 * 100 + 100 * 10) / 200 / 1e9)


def test_the_prefix_cache_saves_on_reading_and_pays_for_writing(small_log):
    small_log.price()
    small_log.call(
        price_id=1, cost_usd_nano=1, input_tokens=1000, cache_read_tokens=600, cache_write_tokens=200
    )
    saving = saved(small_log)["prefix_cache"]
    assert math.isclose(saving.usd, (600 * 90 - 200 * 25) / 1e9)
    assert saving.tokens == 600 * 0.9 - 200 * 0.25
    assert saving.confidence == "measured"


@pytest.mark.parametrize(("model", "tokens"), [("claude-x", 600 * 0.9 - 200 * 0.25), ("my-own", 0)])
def test_without_a_price_the_rules_of_the_provider_hold(small_log, model, tokens):
    small_log.call(model_requested=model, input_tokens=1000, cache_read_tokens=600, cache_write_tokens=200)
    saving = saved(small_log)["prefix_cache"]
    assert (saving.usd, saving.tokens, saving.confidence) == (None, tokens, "estimated")


def test_a_price_of_nothing_is_no_division_by_zero():
    assert effective_saved("claude-x", Sums(input=10, read=10), Price(0, 0, 0, 0)) == 9


def test_prices_that_cannot_be_read_are_unknown(small_log):
    for number, text in enumerate(('{"input": "x"}', "[]", "{", '{"output": "1"}'), 1):
        small_log.insert("prices", id=number, provider="p", model="m", valid_from="2026", nano_usd_json=text)
        small_log.served(price_id=number)
    assert saved(small_log)["cache"].usd is None


def batch(log, number, agents, prompt_tokens, calls=1, **given):
    price = {"price_id": 1, "cost_usd_nano": 1000}
    ids = [
        log.call(batch_id=f"b{number}", input_tokens=prompt_tokens // calls, **price)["id"]
        for _ in range(calls)
    ]
    row = {"n": agents, "prompt_tokens": prompt_tokens, "role": "r", "duration_ms": 100.0, **given}
    log.insert("batches", id=f"b{number}", started_at="2026-11-20T10:00:00.000000Z", **row)
    for slot in range(agents):
        ok = int(slot > 0 or number % 2)
        log.insert(
            "batch_slots",
            batch_id=f"b{number}",
            slot=slot,
            call_id=ids[slot * calls // agents],
            plan_ok=ok,
            first_plan_ms=10.0 + slot,
        )


def test_batching_saves_what_agents_share(small_log):
    small_log.price()
    batch(small_log, 1, 4, 1000 + 4 * 50, flushed_by="full", strategy="one_call")
    batch(small_log, 2, 8, 1000 + 8 * 50, flushed_by="time", strategy="one_call")
    batch(small_log, 3, 6, 2 * 1000 + 6 * 50, calls=2, flushed_by="time", strategy="fanout")
    report = report_of(small_log.path, now=NOW)
    saving = next(saving for saving in report.savings if saving.code == "batching")
    assert (saving.calls, saving.spared_calls, saving.tokens) == (4, 14, 14_000)
    assert math.isclose(saving.usd, 14_000 * 100 / 1e9)
    assert saving.confidence == "estimated"
    (stats,) = report.batches
    assert (stats.batches, stats.agents, stats.calls, stats.judged_rows, stats.valid_rows) == (
        3,
        18,
        4,
        18,
        17,
    )
    assert stats.valid_low < stats.valid_rate < stats.valid_high
    assert (stats.flushed_by, stats.agents_per_call) == ((("time", 2), ("full", 1)), 4.5)
    assert stats.p50_first_plan_ms == 10.0


def test_where_batches_are_all_alike_what_never_changes_is_known_to_be_shared(small_log):
    small_log.price()
    small_log.text("rules", tokens=700, tokens_source="tokenizer")
    batch(small_log, 1, 4, 1200)
    batch(small_log, 2, 4, 1200)
    assert saved(small_log)["batching"].tokens is None
    for _ in range(2):
        small_log.call(role="r", texts=[("system", "rules")])
    assert saved(small_log)["batching"].tokens == 6 * 700


def test_batches_without_calls_spare_nothing_that_is_known(small_log):
    small_log.call()
    small_log.insert("batches", id="b", n=4, started_at="2026-11-20T10:00:00.000000Z")
    saving = saved(small_log)["batching"]
    assert (saving.spared_calls, saving.tokens, saving.usd) == (0, None, None)
    (stats,) = report_of(small_log.path, now=NOW).batches
    assert (stats.role, stats.valid_rate, stats.valid_low, stats.agents_per_call) == ("-", None, None, None)


def test_what_is_shared_is_neither_less_than_nothing_nor_more_than_all():
    def sizes(*rows):
        return [Batch("", "", None, None, n, tokens, None, 0, 0, calls, None) for calls, n, tokens in rows]

    assert shared_tokens(sizes((1, 2, 100), (1, 4, 300))) == 0
    assert shared_tokens(sizes((1, 2, 300), (1, 4, 100))) == 200
    assert shared_tokens(sizes((1, 2, 300))) is None
    assert shared_tokens([]) is None


def test_the_interval_of_a_share_stays_within_its_bounds():
    assert wilson(0, 3)[0] == 0.0
    assert wilson(3, 3)[1] == 1.0
    low, high = wilson(50, 100)
    assert (round(low, 3), round(high, 3)) == (0.404, 0.596)


def test_all_savings_of_a_large_log(made_up, ask):
    found = {saving.code: saving for saving in report_of(made_up, now=NOW).savings}
    assert list(found) == ["cache", "compression", "batching", "prefix_cache"]
    assert all(saving.usd > 0 and saving.formula for saving in found.values())
    ((tokens,),) = ask("SELECT sum(tokens_saved) FROM compression_savings")
    assert found["compression"].tokens == tokens
    ((usd,),) = ask("SELECT sum(saved_usd) FROM cache_stats")
    assert found["cache"].usd <= usd  # the view takes all input for new
    ((usd,),) = ask("SELECT sum(saved_usd) FROM prefix_savings")
    assert found["prefix_cache"].usd == pytest.approx(usd)
