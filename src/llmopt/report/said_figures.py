"""Says the figures of a report: groups, days, savings, times."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from .bars import bar, spark
from .document import Block, Lines, Table, sections
from .html_numbers import count, duration, money, rate, short, times
from .types import Figures, Latency, Report

__all__ = ["days", "groups", "minute", "of_all", "or_none", "savings", "speeds"]

MOST_ROWS: Final = 15
"""Groups that are listed."""

NONE: Final = "-"
"""What stands for what is unknown."""

_MOST_DAYS: Final = 31
_BAR: Final = 10


def or_none(value: float | None, form: Callable[[float], str], absent: str = NONE) -> str:
    """Return a value in a form, or what stands for none."""
    return absent if value is None else form(value)


def minute(time: str) -> str:
    """Return a time of the log to the minute."""
    return time[:16].replace("T", " ")


def of_all(report: Report, measure: str) -> Latency | None:
    """Return how long the calls of all models took, by one measure."""
    return next((row for row in report.latency if (row.model, row.measure) == ("all", measure)), None)


def groups(report: Report) -> Iterator[Block]:
    """Yield the figures of each group."""
    if report.by == "day":
        return
    shown, more = report.groups[:MOST_ROWS], len(report.groups) - MOST_ROWS
    costs = money(group.cost_usd for group in shown)
    rows = tuple(_group(group, costs) for group in shown)
    head = (report.by, "calls", "not ok", "hits", "prefix", "in", "out", "cost")
    rest = Lines((f"{more} more: --json",)) if more > 0 else None
    yield from sections(f"By {report.by}", Table(head, rows), rest)


def _group(group: Figures, costs: Callable[[float], str]) -> tuple[str, ...]:
    return (
        group.name,
        count(group.calls),
        or_none(group.failure_rate, rate),
        or_none(group.hit_rate, rate),
        or_none(group.provider_cache_rate, rate),
        or_none(group.billed_input_tokens, short),
        or_none(group.billed_output_tokens, short),
        _cost(group, costs),
    )


def _cost(group: Figures, costs: Callable[[float], str]) -> str:
    if group.cost_usd is None:
        return "unknown" if group.attempts else NONE
    return f"{'>' if group.unpriced_attempts else ''}{costs(group.cost_usd)}"


def savings(report: Report) -> Iterator[Block]:
    """Yield what was saved, and by which formulas."""
    dollars = money(saving.usd for saving in report.savings)
    rows = tuple(
        (
            saving.title,
            count(saving.calls),
            or_none(saving.spared_calls, count),
            or_none(saving.tokens, short),
            or_none(saving.usd, dollars, "unknown"),
            saving.confidence,
        )
        for saving in report.savings
    )
    head = ("", "calls", "calls spared", "tokens", "saved", "how sure")
    formulas = Lines(tuple(f"{saving.title}: {saving.formula}." for saving in report.savings))
    yield from sections("What was saved", Table(head, rows), formulas)


def days(report: Report) -> Iterator[Block]:
    """Yield the figures of each day, or how they went where there are many."""
    found = report.days
    if len(found) > _MOST_DAYS:
        lines = (
            ("calls", [day.calls for day in found]),
            ("cost", [day.cost_usd for day in found]),
            ("p95", [day.p95_duration_ms for day in found]),
        )
        shown = tuple(f"{name:6}{spark(values[-_MOST_DAYS * 2 :])}" for name, values in lines)
        yield from sections(f"The last {min(len(found), _MOST_DAYS * 2)} days", Lines(shown))
        return
    costs, durations = money(day.cost_usd for day in found), times(day.p95_duration_ms for day in found)
    by_cost = any(day.cost_usd for day in found)
    sizes = [(day.cost_usd if by_cost else day.calls) or 0.0 for day in found]
    rows = tuple(
        _day(day, costs, durations, bar(size, max(sizes), _BAR))
        for day, size in zip(found, sizes, strict=True)
    )
    head = ("day", "", "calls", "not ok", "hits", "tokens", "cost", "p50", "p95")
    yield from sections("Day by day", Table(head, rows, 2))


def _day(
    day: Figures, costs: Callable[[float], str], durations: Callable[[float], str], drawn: str
) -> tuple[str, ...]:
    return (
        day.name,
        drawn,
        count(day.calls),
        or_none(day.failure_rate, rate),
        or_none(day.hit_rate, rate),
        or_none(day.billed_tokens, short),
        _cost(day, costs),
        or_none(day.p50_duration_ms, durations),
        or_none(day.p95_duration_ms, durations),
    )


def speeds(report: Report) -> Iterator[Block]:
    """Yield how long calls took, and how much went through."""
    titles = {"duration": "whole call", "ttft": "first token", "queue": "held back"}
    rows = tuple(
        (
            row.model,
            titles[row.measure],
            count(row.calls),
            *map(duration, (row.p50_ms, row.p95_ms, row.p99_ms, row.max_ms)),
        )
        for row in report.latency
    )
    head = ("model", "", "calls", "p50", "p95", "p99", "max")
    yield from sections("What is slow", Table(head, rows, 2), Lines(tuple(_pace(report))))


def _pace(report: Report) -> Iterator[str]:
    whole = of_all(report, "duration")
    if whole and len(whole.bins) > 1:
        first, last = whole.bins[0][0], whole.bins[-1][0]
        drawn = spark([calls for _, calls in whole.bins])
        yield f"Calls by their length, up to {duration(first)} ... up to {duration(last)}: {drawn}"
    pace = report.throughput
    said_: list[str] = []
    if pace.output_tokens_per_s is not None:
        said_.append(f"{pace.output_tokens_per_s:,.0f} output tokens a second of a call")
    if pace.calls_per_min is not None:
        said_.append(f"{pace.calls_per_min:,.2g} calls a minute")
    if pace.peak_calls_per_min is not None and pace.peak_at is not None:
        said_.append(f"at most {count(pace.peak_calls_per_min)}, at {minute(pace.peak_at)}")
    if said_:
        yield f"{', '.join(said_)}."
