"""The end of a page: what went wrong, and where the figures come from."""

from __future__ import annotations

from collections.abc import Sequence

from .html_figures import DASH, measured, moment, names, shares
from .html_markup import Html, element, join, name, text
from .html_numbers import count, money, times
from .html_table import Column, number, numbers, table
from .marks import meter
from .types import DropCount, ErrorCount, Report, RetryCount, TierCount

__all__ = ["failures", "sources"]


def failures(report: Report) -> Html:
    """Return what went wrong, and what retries and fallbacks made of it."""
    retries = table("Runs that failed", _retry_columns(report.retries), report.retries, most=15)
    return join(_errors(report), retries, _tiers(report))


def sources(report: Report) -> Html:
    """Return where the figures come from, and what is missing in them."""
    pairs = [
        ("Made", moment(report.made_at)),
        ("Tokens were counted by", shares(report.token_sources)),
        ("The cache's answers", shares(report.cache_outcomes)),
        ("Models without a known price", names(report.unpriced_models)),
        ("Calls of which only daily sums are left", text(count(report.rolled_up_calls))),
        ("Records that the log has lost", text(count(report.dropped_records))),
    ]
    items = (join(element("dt", title), element("dd", value)) for title, value in pairs)
    return join(_marks(), element("dl", *items, class_="pairs"), _drops(report) if report.drops else None)


# What went wrong


def _errors(report: Report) -> Html:
    most = max((error.calls for error in report.errors), default=0)
    columns: list[Column[ErrorCount]] = [
        Column("kind", lambda e: name(e.error_class or e.status), "name"),
        number("calls", lambda e: e.calls, count),
        Column("", lambda e: meter(e.calls, most, "bad"), "drawing"),
        Column("model", lambda e: name(e.model), "label"),
        Column("status", lambda e: name(e.status)),
        Column("error", lambda e: name(e.error_type) if e.error_type else DASH, "label"),
        number("HTTP", lambda e: e.http_status, str, measured),
        Column("last", lambda e: moment(e.last_at)),
    ]
    return table("Calls that did not end well", columns, report.errors, most=20)


def _retry_columns(rows: Sequence[RetryCount]) -> list[Column[RetryCount]]:
    return [
        Column("kind", lambda r: name(r.error_class or r.error_type or "unknown"), "name"),
        Column("model", lambda r: name(r.model), "label"),
        Column("error", lambda r: name(r.error_type) if r.error_type else DASH, "label"),
        number("failures", lambda r: r.failures, count),
        number("tried again", lambda r: r.retried, count),
        number("ended well", lambda r: r.recovered, count),
        numbers("waited", rows, lambda r: r.waited_ms, times, measured),
    ]


def _tiers(report: Report) -> Html | None:
    if not report.tiers:
        return None
    rows = report.tiers
    columns: list[Column[TierCount]] = [
        Column("tier", lambda t: f"fallback {t.tier}" if t.tier else "the model itself", "name"),
        Column("model", lambda t: name(t.model), "label"),
        Column(
            "answered by",
            lambda t: text("a function") if t.answered_by is None else name(t.answered_by),
            "label",
        ),
        number("calls", lambda t: t.calls, count),
        numbers("cost", rows, lambda t: t.cost_usd, money),
        numbers("p50", rows, lambda t: t.p50_duration_ms, times, measured),
    ]
    return table("Fallbacks", columns, rows)


def _drops(report: Report) -> Html:
    columns: list[Column[DropCount]] = [
        Column("reason", lambda d: name(d.reason), "name"),
        number("records", lambda d: d.records, count),
        Column("last", lambda d: moment(d.last_at)),
    ]
    return table("What the log has lost", columns, report.drops)


def _marks() -> Html:
    said: tuple[tuple[str, str], ...] = (
        ("≈", "reckoned from what the log says, or assumed; not measured"),
        ("≥", "the least: for some of it the price is unknown"),
        ("unknown", "the log does not say; it is not zero"),
        ("p50, p95, p99", "50, 95 and 99 of 100 calls took no longer"),
        (DASH, "there was nothing to measure"),
    )
    items = (join(element("dt", mark), element("dd", meaning)) for mark, meaning in said)
    return element("dl", *items, class_="pairs")
