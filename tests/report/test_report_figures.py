from __future__ import annotations

import math

import pytest

from llmopt.errors import ConfigurationError
from llmopt.report import report_of
from llmopt.report.figures import NOBODY
from llmopt.usage import open as open_log

from .conftest import NOW

BILLED = ("input", "cache_read", "cache_write", "output")


@pytest.fixture(scope="module")
def report(made_up):
    return report_of(made_up, now=NOW)


def test_the_total_is_what_the_tables_say(report, ask):
    ((calls, ok, served, missed),) = ask(
        "SELECT count(*), sum(status = 'ok'), sum(cache_outcome IN ('hit', 'stale', 'coalesced')), "
        "sum(cache_outcome = 'miss') FROM calls"
    )
    total = report.total
    assert (total.calls, total.ok_calls, total.served_calls, total.missed_calls) == (
        calls,
        ok,
        served,
        missed,
    )
    ((runs, cost, unpriced),) = ask(
        "SELECT count(*), sum(cost_usd_nano), sum(input_tokens IS NOT NULL AND cost_usd_nano IS NULL) "
        "FROM attempts"
    )
    assert (total.attempts, total.unpriced_attempts) == (runs, unpriced)
    assert math.isclose(total.cost_usd, cost / 1e9)


@pytest.mark.parametrize(("by", "column"), [("model", "model"), ("day", "day"), ("role", "role")])
def test_groups_are_those_of_the_daily_view(made_up, ask, by, column):
    tokens = ", ".join(f"sum(billed_{name}_tokens)" for name in BILLED)
    rows = ask(
        f"SELECT {column}, sum(calls), sum(attempts), sum(cost_usd), {tokens} "  # noqa: S608
        "FROM usage_daily GROUP BY 1"
    )
    groups = {group.name: group for group in report_of(made_up, by=by, now=NOW).groups}
    assert groups.keys() == {row[0] for row in rows}
    for name, calls, attempts, cost, *billed in rows:
        group = groups[name]
        assert (group.calls, group.attempts) == (calls, attempts)
        assert [getattr(group, f"billed_{kind}_tokens") for kind in BILLED] == billed
        assert group.cost_usd == pytest.approx(cost)


@pytest.mark.parametrize(("most", "error"), [(200_000, 1e-6), (0, 1e-2)], ids=["few calls", "many calls"])
def test_latencies_are_those_of_the_view(made_up, ask, monkeypatch, most, error):
    monkeypatch.setattr("llmopt.report.scan.EXACT_CALLS", most)
    rows = ask("SELECT model, measure, calls, p50_ms, p95_ms, p99_ms, max_ms FROM latency")
    found = {(row.model, f"{row.measure}_ms"): row for row in report_of(made_up, now=NOW).latency}
    for model, measure, calls, *times in rows:
        if measure != "queue_ms":
            row = found[model, measure]
            assert row.calls == calls
            assert [row.p50_ms, row.p95_ms, row.p99_ms, row.max_ms] == pytest.approx(
                times, rel=error, abs=1e-3
            )


@pytest.mark.parametrize("ms", [0.1234, 1.234, 12.34, 123.4, 1234.5, 12345.6, 123456.7])
def test_times_of_many_calls_have_three_digits(small_log, monkeypatch, ms):
    monkeypatch.setattr("llmopt.report.scan.EXACT_CALLS", 0)
    small_log.call(duration_ms=ms)
    assert report_of(small_log.path, now=NOW).total.p50_duration_ms == pytest.approx(ms, rel=1e-2, abs=1e-2)


def test_latencies_of_all_models_come_first_and_their_bins_hold_all_calls(report):
    for measure in ("duration", "ttft", "queue"):
        first = next(row for row in report.latency if row.measure == measure)
        assert first.model == "all"
        assert sum(calls for _, calls in first.bins) == first.calls
        bounds = [bound for bound, _ in first.bins]
        assert bounds == sorted(bounds)
        assert bounds[-1] >= first.max_ms


@pytest.mark.parametrize("by", ["model", "role", "agent", "day"])
def test_groups_and_days_add_up_to_the_total(made_up, by):
    report = report_of(made_up, by=by, now=NOW)
    for parts in (report.groups, report.days):
        for name in ("calls", "ok_calls", "served_calls", "missed_calls", "attempts", "unpriced_attempts"):
            assert sum(getattr(part, name) for part in parts) == getattr(report.total, name)
        for name in ("billed_input_tokens", "billed_output_tokens", "cost_usd"):
            known = [getattr(part, name) for part in parts if getattr(part, name) is not None]
            assert math.isclose(sum(known), getattr(report.total, name))


def test_the_dearest_group_comes_first_and_days_in_order(report, made_up):
    costs = [group.cost_usd or 0 for group in report.groups]
    assert costs == sorted(costs, reverse=True)
    days = [day.name for day in report.days]
    assert days == sorted(days)
    assert report_of(made_up, by="day", now=NOW).groups == report.days


def test_a_period_counts_its_calls_alone(made_up, ask):
    report = report_of(made_up, since="3d", until="2026-11-20T12:00", now=NOW)
    assert report.period.name == "3d..2026-11-20T12:00"
    ((calls,),) = ask(
        "SELECT count(*) FROM calls WHERE started_at >= ? AND started_at < ?",
        "2026-11-18T09",
        "2026-11-20T12",
    )
    assert report.total.calls == calls == sum(day.calls for day in report.days)
    assert report.period.first_at >= "2026-11-18T09"
    assert report.period.last_at < "2026-11-20T12"


def test_days_without_calls_are_there(small_log):
    small_log.call(started_at="2026-11-01T10:00:00.000000Z")
    small_log.call(started_at="2026-11-04T10:00:00.000000Z")
    report = report_of(small_log.path, now=NOW)
    assert [(day.name[-2:], day.calls) for day in report.days] == [("01", 1), ("02", 0), ("03", 0), ("04", 1)]
    assert report.days[1].cost_usd is None
    assert report.period.days == 3.0


def test_runs_are_billed_for_the_model_that_was_run(small_log):
    small_log.price(1, "m")
    small_log.price(2, "other")
    failed = {"status": "error", "error_class": "server"}
    answered = {
        "model": "other",
        "input_tokens": 300,
        "output_tokens": 30,
        "cost_usd_nano": 42,
        "price_id": 2,
    }
    small_log.call(
        attempts=2,
        runs=[failed, answered],
        tier=1,
        cost_usd_nano=42,
        price_id=1,
        input_tokens=300,
        output_tokens=30,
    )
    small_log.call(cost_usd_nano=14_000, price_id=1, tier=0)
    report = report_of(small_log.path, now=NOW)
    groups = {group.name: group for group in report.groups}
    assert groups["m"].calls == 2
    assert (groups["m"].attempts, groups["m"].billed_input_tokens) == (2, 100)
    assert (groups["other"].calls, groups["other"].attempts) == (0, 1)
    assert groups["other"].billed_input_tokens == 300
    assert math.isclose(groups["other"].cost_usd, 42e-9)
    assert math.isclose(report.total.cost_usd, 14_042e-9)
    assert [(tier.tier, tier.answered_by, tier.calls) for tier in report.tiers] == [
        (0, "m", 1),
        (1, "other", 1),
    ]


def test_a_function_as_the_last_tier_has_no_model(small_log):
    small_log.call(attempts=1, runs=[{"status": "error"}], tier=2, input_tokens=None, output_tokens=None)
    (tier,) = report_of(small_log.path, now=NOW).tiers
    assert (tier.answered_by, tier.cost_usd) == (None, None)


def test_what_an_answer_out_of_the_cache_carries_is_not_billed(small_log):
    small_log.price()
    small_log.call(cache_outcome="miss", cost_usd_nano=14_000, price_id=1)
    small_log.served("hit", price_id=1)
    stale = [{"status": "error", "error_class": "server"}]
    small_log.call(cache_outcome="stale", attempts=1, runs=stale, price_id=1)
    total = report_of(small_log.path, now=NOW).total
    assert (total.served_calls, total.missed_calls, total.attempts) == (2, 1, 2)
    assert (total.billed_input_tokens, total.billed_output_tokens) == (100, 10)
    assert total.hit_rate == 2 / 3


def test_unknown_is_none_and_never_zero(small_log):
    small_log.call(input_tokens=None, output_tokens=None, tokens_source=None, ttft_ms=None)
    report = report_of(small_log.path, now=NOW)
    total = report.total
    assert (total.billed_input_tokens, total.billed_output_tokens, total.cost_usd) == (None, None, None)
    assert (total.hit_rate, total.provider_cache_rate, total.p50_ttft_ms) == (None, None, None)
    assert total.unpriced_attempts == 0
    assert report.token_sources == (("nobody", 1),)
    assert report.throughput.output_tokens_per_s is None
    assert not report.savings


def test_zero_is_zero_where_it_is_known(small_log):
    small_log.call(cache_read_tokens=0, cost_usd_nano=0)
    total = report_of(small_log.path, now=NOW).total
    assert (total.provider_cache_rate, total.cost_usd, total.cost_per_call_usd) == (0.0, 0.0, 0.0)


def test_the_throughput_is_of_the_busiest_minute(small_log):
    for second in (1, 2, 3):
        small_log.call(
            started_at=f"2026-11-20T10:00:{second:02}.000000Z", duration_ms=500.0, output_tokens=20
        )
    small_log.call(started_at="2026-11-20T12:00:01.000000Z", duration_ms=500.0, output_tokens=20)
    pace = report_of(small_log.path, now=NOW).throughput
    assert (pace.peak_calls_per_min, pace.peak_at) == (3, "2026-11-20T10:00:00Z")
    assert pace.output_tokens_per_s == 40
    assert pace.calls_per_min == 4 / 120


def test_agents_and_roles_without_a_name_have_one(small_log):
    small_log.call(role="r", agent="a")
    small_log.call()
    for by, name in (("role", "r"), ("agent", "a")):
        groups = report_of(small_log.path, by=by, now=NOW).groups
        assert {group.name for group in groups} == {name, NOBODY}


def test_sums_of_removed_calls_count_where_their_day_begins_in_the_period(small_log):
    row = {
        "provider": "p",
        "model": "m",
        "calls": 10,
        "not_ok": 1,
        "attempts": 12,
        "billed_input_tokens": 1000,
        "billed_cache_read_tokens": 5,
        "billed_cache_write_tokens": 0,
        "billed_output_tokens": 100,
        "cost_usd_nano": 5_000_000_000,
    }
    small_log.insert("usage_rollup", day="2026-11-01", role="r", **row)
    small_log.insert("usage_rollup", day="2026-11-02", role="", **{**row, "cost_usd_nano": None})
    small_log.call(cost_usd_nano=0)
    report = report_of(small_log.path, now=NOW, by="role")
    total = report.total
    assert (total.calls, total.ok_calls, total.attempts) == (21, 19, 25)
    assert (total.cost_usd, total.unpriced_attempts) == (5.0, 12)
    assert report.rolled_up_calls == 20
    assert {group.name: group.calls for group in report.groups} == {"r": 10, NOBODY: 11}
    assert any("sums by day" in note for note in report.notes)
    assert report.period.first_at == "2026-11-01T00:00:00.000000Z"
    later = report_of(small_log.path, since="2026-11-01T00:00:01", now=NOW)
    assert later.rolled_up_calls == 10
    assert {g.name for g in report_of(small_log.path, now=NOW, by="agent").groups} == {NOBODY}


def test_a_database_will_do_as_well_as_its_file(made_up, report):
    database = open_log(made_up)
    assert report_of(database, now=NOW) == report
    assert database["calls"].count == 3000


@pytest.mark.parametrize("wrong", [{"by": "provider"}, {"since": "soon"}, {"since": "1d", "until": "2d"}])
def test_wrong_arguments_are_refused(made_up, wrong):
    with pytest.raises(ConfigurationError):
        report_of(made_up, now=NOW, **wrong)
