from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmopt.errors import ConfigurationError
from llmopt.report import compare_usage, report_of
from llmopt.report.bootstrap import LEAST_BLOCKS, Figure, interval
from llmopt.report.latency import Quantiles, latency, merged, nearest_rank, percentiles

from .conftest import NOW

BEFORE, AFTER = "before:2026-11-14T09:00", "after:2026-11-14T09:00"


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr("llmopt.report.bootstrap.RESAMPLES", 200)


@pytest.fixture
def beside(made_up):
    return compare_usage(BEFORE, AFTER, made_up, now=NOW)


def changes(comparison):
    return {change.measure: change for change in comparison.changes}


def test_what_has_become_better_is_seen(beside):
    found = changes(beside)
    verdicts = {name: change.verdict for name, change in found.items()}
    assert verdicts["tokens_per_call"] == verdicts["provider_cache_rate"] == "better"
    assert found["tokens_per_call"].difference < 0 < found["provider_cache_rate"].difference
    assert verdicts["hit_rate"] == "unknown"  # there was no cache before
    assert found["hit_rate"].first is None


def test_the_other_way_round_it_has_become_worse(made_up, beside):
    there, back = changes(beside), changes(compare_usage(AFTER, BEFORE, made_up, now=NOW))
    for name, change in there.items():
        assert (back[name].first, back[name].second) == (change.second, change.first)
    assert back["tokens_per_call"].verdict == back["provider_cache_rate"].verdict == "worse"


def test_a_period_beside_itself_shows_no_difference(made_up):
    found = compare_usage("7d", "7d", made_up, now=NOW)
    assert {change.verdict for change in found.changes} <= {"no difference shown", "unknown"}
    assert {change.difference for change in found.changes} <= {0.0, None}


def test_sides_are_what_the_tables_say(beside, ask):
    for side, where in (("first", "<"), ("second", ">=")):
        ((calls, failed, tokens),) = ask(
            "SELECT count(*), sum(status <> 'ok'), sum(iif(attempts, coalesce(input_tokens, 0) + "  # noqa: S608
            f"coalesce(output_tokens, 0), 0)) FROM calls WHERE started_at {where} '2026-11-14T09:00'"
        )
        assert getattr(beside, f"{side}_calls") == calls
        assert getattr(changes(beside)["failure_rate"], side) == failed / calls
        assert getattr(changes(beside)["tokens_per_call"], side) == tokens / calls
        ((valid,),) = ask(
            "SELECT avg(plan_ok) FROM batch_slots JOIN batches ON id = batch_id "  # noqa: S608
            f"WHERE started_at {where} '2026-11-14T09:00'"
        )
        assert getattr(changes(beside)["valid_rate"], side) == pytest.approx(valid)


def test_roles_and_tags_are_compared_in_the_period_of_the_report(made_up, ask):
    report = report_of(made_up, since="7d", compare=("role:tactical", "role:stealth"), now=NOW)
    for name, calls in (
        ("tactical", report.comparison.first_calls),
        ("stealth", report.comparison.second_calls),
    ):
        ((number,),) = ask(
            "SELECT count(*) FROM calls WHERE role = ? AND started_at >= '2026-11-14T09'", name
        )
        assert calls == number
    tagged = compare_usage("tag:app=harbour", "tag:app=airport", made_up, now=NOW)
    assert (tagged.first_calls, tagged.second_calls) == (3000, 0)
    assert {change.second for change in tagged.changes} == {None}
    models = compare_usage("model:gpt-4o", "model:qwen3-32b", made_up, now=NOW)
    assert changes(models)["cost_per_call_usd"].second in (
        None,
        0.0,
    )  # its price is unknown, hits cost nothing
    assert changes(models)["duration_p50_ms"].verdict == "worse"


def test_equal_arguments_give_equal_intervals(made_up, beside):
    assert compare_usage(BEFORE, AFTER, made_up, now=NOW) == beside
    assert "seed" in beside.method


def test_too_few_calls_have_no_interval(small_log):
    for _ in range(LEAST_BLOCKS - 1):
        small_log.call(role="a")
    for _ in range(LEAST_BLOCKS):
        small_log.call(role="b")
    found = changes(compare_usage("role:a", "role:b", small_log.path, now=NOW))
    assert {change.verdict for change in found.values()} == {"unknown"}
    assert found["tokens_per_call"].first == 110
    small_log.call(role="a")
    found = changes(compare_usage("role:a", "role:b", small_log.path, now=NOW))
    assert found["tokens_per_call"].verdict == "no difference shown"


def test_an_unknown_side_is_refused(made_up):
    with pytest.raises(ConfigurationError, match="'soon' is no period"):
        compare_usage("soon", "7d", made_up, now=NOW)


# Intervals


def rates(random, rate, blocks=60, size=50):
    return Figure([(sum(random.random() < rate for _ in range(size)), size) for _ in range(blocks)])


def test_intervals_of_rates_hold_the_truth_about_as_often_as_they_say():
    random, held = Random(3), 0
    for seed in range(60):
        low, high = interval(rates(random, 0.10), rates(random, 0.13), seed)
        held += low <= 0.03 <= high
    assert held >= 51  # 57 of 60 are expected; fewer than 51 once in 200 times


def test_intervals_of_quantiles_hold_the_truth_about_as_often_as_they_say():
    random, held = Random(4), 0

    def median(mean):
        blocks = [[random.gauss(mean, 10) for _ in range(40)] for _ in range(40)]
        values = sorted(value for block in blocks for value in block)
        quantiles = Quantiles([(value, 1) for value in values])
        limit = quantiles.at(0.5)
        return Figure([(sum(v <= limit for v in block), len(block)) for block in blocks], quantiles, 0.5)

    for seed in range(40):
        low, high = interval(median(100), median(102), seed)
        held += low <= 2 <= high
    assert held >= 33  # 38 of 40 are expected


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=10, max_size=30), st.integers(0, 99)
)
@settings(max_examples=20)
def test_an_interval_of_any_blocks_is_in_order(blocks, seed):
    ends = interval(Figure(blocks), Figure(blocks), seed)
    assert ends is None or ends[0] <= 0 <= ends[1]


# Percentiles


@given(st.lists(st.integers(1, 50), min_size=1, max_size=200), st.integers(1, 100))
def test_the_nearest_rank_is_the_smallest_value_that_so_many_do_not_exceed(values, percent):
    ordered, share = sorted(values), percent / 100
    times = [(float(value), values.count(value)) for value in sorted(set(values))]
    rank = nearest_rank(ordered, share)
    assert rank == next(percentiles(times, (share,)))
    assert sum(value <= rank for value in values) * 100 >= percent * len(values)
    assert sum(value < rank for value in values) * 100 < percent * len(values)


def test_nothing_has_no_percentiles():
    assert nearest_rank([], 0.5) is None
    assert list(percentiles([], (0.5, 1.0))) == [None, None]
    assert merged([]) == []


def test_times_beyond_all_bounds_are_in_a_bin_of_their_own():
    row = latency("m", "duration", [(1e9, 2)])
    assert (row.calls, row.max_ms, row.bins) == (2, 1e9, ((1e9, 2),))
