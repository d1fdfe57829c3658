"""Logs that are not as logs mostly are: each gives a report that can be read."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from llmopt.errors import StoreError
from llmopt.report import report_of
from llmopt.report.html import page
from llmopt.report.log import opened
from llmopt.report.scan import SLICE_CALLS, pieces
from llmopt.report.selection import ALL, Selection
from llmopt.testing.usage import fill_log

from .conftest import NOW


def read(log, **given):
    """Make a report, and have it said in every form."""
    report = report_of(getattr(log, "path", log), now=NOW, **given)
    json.dumps(report.to_dict(), allow_nan=False)
    assert page(report)
    text = str(report)
    assert max(map(len, text.splitlines())) <= 80
    return report, " ".join(text.split())


def test_an_empty_log(small_log):
    report, text = read(small_log)
    assert report.total.calls == 0
    assert (report.total.cost_usd, report.period.first_at, report.period.days) == (None, None, None)
    assert "no calls in this log yet" in text
    assert report.days == report.groups == report.findings == ()


def test_a_period_without_calls_says_where_there_are_some(small_log):
    small_log.call()
    report, text = read(small_log, since="2026-11-21")
    assert report.total.calls == 0
    assert "The log has some from 2026-11-20T10:00 to 2026-11-20T10:00 UTC" in text


def test_one_call(small_log):
    small_log.price()
    small_log.call(price_id=1, cost_usd_nano=14_000, duration_ms=1037.5)
    report, text = read(small_log)
    assert report.total.calls == 1
    assert report.total.p50_duration_ms == report.total.p95_duration_ms == 1037.5
    assert report.throughput.calls_per_min is None
    assert "all ended well" in text
    assert "$0.000014" in text


def test_a_log_of_the_first_version(old_log):
    old_log.text("rules")
    for number in range(30):
        old_log.call(
            role="r",
            cost_usd_nano=None,
            texts=[("system", "rules")],
            cache_outcome=("miss", None)[number % 2],
        )
    old_log.refused()
    old_log.insert("batches", id="b", n=2)
    report, text = read(old_log, by="role")
    assert report.total.calls == 31
    assert report.total.unpriced_attempts == 31
    assert report.fragments[0].tokens == 100
    assert report.candidates == ()
    assert report.batches[0].agents == 2
    assert "too_many_requests" in text
    with closing(sqlite3.connect(old_log.path)) as connection:
        columns = {row[1] for row in connection.execute("PRAGMA table_info(calls)")}
    assert "prompt_digest" not in columns  # it is read, and left as it is


def test_a_log_of_the_first_version_is_compared(old_log):
    for _ in range(30):
        old_log.call(role="r")
    report, _ = read(old_log, compare=("before:2026-11-20T10:00:15", "after:2026-11-20T10:00:15"))
    assert report.comparison.first_calls == 14


def test_only_failures(small_log):
    for kind in ("auth", "timeout", None):
        small_log.refused(kind, retried=False)
    small_log.call(status="cancelled", attempts=0, input_tokens=None, output_tokens=None, tokens_source=None)
    report, text = read(small_log)
    assert (report.total.ok_calls, report.total.failure_rate) == (0, 1.0)
    assert report.latency == ()
    assert report.total.p50_duration_ms is None
    assert "4 not ok (100 %)" in text


def test_only_unknown_prices(small_log):
    for _ in range(3):
        small_log.call()
    report, text = read(small_log)
    assert (report.total.cost_usd, report.saved_usd) == (None, None)
    assert report.unpriced_models == ("m",)
    assert "cost" in text
    assert "unknown" in text
    assert "$0" not in text


def test_only_sums_of_removed_calls(small_log):
    small_log.insert(
        "usage_rollup", day="2026-10-01", provider="p", model="m", role="r", calls=7, not_ok=0, attempts=7
    )
    report, text = read(small_log)
    assert report.total.calls == 7
    assert (report.total.billed_input_tokens, report.total.unpriced_attempts) == (None, 0)
    assert (report.total.cost_usd, report.period.days) == (None, 1.0)
    assert "only sums by day are left" in text


def test_times_in_the_future_and_long_past(small_log):
    small_log.call()
    small_log.call(started_at="2026-11-20T12:00:00.000000Z")
    small_log.call(started_at="2099-01-01T00:00:00.000000Z")
    small_log.call(started_at="1970-01-01T00:00:01.000000Z")
    report, text = read(small_log)
    assert report.total.calls == 4
    assert report.period.days == 1.0  # by the two whose times can be right
    assert len(report.days) == 3  # not those of 130 years
    assert "1 call is dated in the future" in text
    assert "1 call is dated before 2020" in text


def test_nothing_but_times_that_cannot_be_right(small_log):
    small_log.call(started_at="2099-01-01T00:00:00.000000Z")
    small_log.call(started_at="2099-01-03T00:00:00.000000Z")
    report, _ = read(small_log)
    assert report.period.days == 2.0


def test_rows_that_are_in_no_order(small_log):
    days = [f"2026-11-{day:02}T{day:02}:00:00.000000Z" for day in (20, 3, 11, 7, 19, 1)]
    for number in range(60):
        small_log.call(started_at=days[number * 7 % 6])
    with opened(small_log.path) as log:
        slices = list(pieces(log, ALL, 5))
    assert {slice_.rows for slice_ in slices} == {None}  # they are read by the index
    report, _ = read(small_log)
    assert report.total.calls == 60
    assert {day.calls for day in report.days if day.calls} == {10}


def test_slices_hold_all_calls_once(made_up, ask):
    with opened(made_up) as log:
        for selection, calls in ((ALL, SLICE_CALLS), (ALL, 7), (Selection(role="stealth"), 50)):
            where, values = selection.where()
            found = []
            for slice_ in pieces(log, selection, calls):
                first, last = slice_.rows or (0, 2**40)
                found += ask(
                    "SELECT id FROM calls WHERE rowid BETWEEN ? AND ? "  # noqa: S608
                    f"AND started_at >= ? AND started_at < ? AND {where}",
                    first,
                    last,
                    slice_.since,
                    slice_.until,
                    *values,
                )
            assert sorted(found) == ask(f"SELECT id FROM calls WHERE {where} ORDER BY id", *values)  # noqa: S608


def test_names_that_would_harm_a_terminal_or_a_page(small_log):
    name = "\x1b[2J<script>alert(1)</script>\n\x07" + "m" * 200
    for _ in range(40):
        small_log.call(model_requested=name, role=name, agent=name, prompt_digest="d" * 64)
    small_log.refused("timeout", retried=False, model_requested=name)
    for by in ("model", "role", "agent"):
        report, text = read(small_log, by=by)
        assert "\x1b" not in text
        assert "\x07" not in text
        assert "<script>" not in page(report)


def test_many_days_become_lines(small_log):
    for month in range(1, 11):
        for day in range(1, 29, 3):
            small_log.call(started_at=f"2026-{month:02}-{day:02}T10:00:00.000000Z")
    _, text = read(small_log)
    assert "The last 62 days" in text


def test_many_groups_are_cut(small_log):
    for number in range(40):
        small_log.call(agent=f"agent {number:02}")
    report, text = read(small_log, by="agent")
    assert len(report.groups) == 40
    assert "25 more: --json" in text


def test_a_log_with_contents(tmp_path):
    fill_log(tmp_path / "log.db", 300, now=NOW, with_content=True)
    report, text = read(tmp_path / "log.db")
    assert report.fragments[0].excerpt
    assert report.fragments[0].excerpt[:12] in text


@pytest.mark.parametrize("content", [b"", b"not a database at all, but some text" * 20])
def test_what_is_no_log_is_refused(tmp_path, content):
    path = tmp_path / "log.db"
    path.write_bytes(content)
    with pytest.raises(StoreError):
        report_of(path)


def test_a_missing_log_is_refused(tmp_path):
    with pytest.raises(StoreError, match="missing"):
        report_of(tmp_path / "missing.db")


def test_a_log_that_breaks_while_it_is_read_is_a_store_error(small_log):
    small_log.call()
    with pytest.raises(StoreError, match="cannot be read"), opened(small_log.path) as log:
        log.rows("SELECT no_such_column FROM calls")


def test_a_connection_that_cannot_be_made_ready_is_closed(small_log, monkeypatch):
    closed = []

    class Connection(sqlite3.Connection):
        def close(self):
            closed.append(self)
            super().close()

    def fail(*_):
        raise sqlite3.DatabaseError("malformed")

    with opened(small_log.path) as log:
        connect = sqlite3.connect
        monkeypatch.setattr(sqlite3, "connect", lambda *args, **kw: connect(*args, **kw, factory=Connection))
        monkeypatch.setattr("llmopt.report.log._complete", fail)
        with pytest.raises(sqlite3.DatabaseError, match="malformed"):
            log.connect()
    assert len(closed) == 1


def test_more_prompts_than_there_is_room_for_are_told_of(small_log, monkeypatch):
    monkeypatch.setattr("llmopt.report.repeats.MOST_PROMPTS", 2)
    for number in range(4):
        small_log.call(prompt_digest=f"{number:064}")
    _, text = read(small_log)
    assert "more prompts than were remembered" in text
