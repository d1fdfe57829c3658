"""Day by day: small charts beside each other, and one table with their figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from .charts import Chart, Series, bars, lines
from .html_figures import cost, day, idle, measured
from .html_markup import Html, element, join
from .html_numbers import count, duration, money, percent, rate, short, sizes, times
from .html_table import Column, number, numbers, table
from .types import Figures

__all__ = ["LIMIT_DAYS", "by_day", "volume"]

LIMIT_DAYS = 120
"""The last so many days are drawn: more are no longer told apart, and a page stays small."""


def by_day(days: Sequence[Figures], *, unfolded: bool = False) -> Html:
    """Return the charts and the table of the last days.

    Args:
        days: the figures of each day, in order.
        unfolded: whether the table is seen at once.
    """
    shown = days[-LIMIT_DAYS:]
    charts = element("div", *_charts(shown), class_="multiples") if len(shown) > 1 else None
    figures = _table(shown)
    if charts is None:
        return figures
    cut = f"The last {LIMIT_DAYS} of {len(days)} days. " if len(days) > len(shown) else ""
    note = element("p", f"{cut}Days are those of UTC.", class_="note")
    summary = element("summary", "These figures as a table")
    return join(charts, note, element("details", summary, figures, open=unfolded))


def _charts(days: Sequence[Figures]) -> tuple[Html, ...]:
    return (
        bars(_cost(days)),
        bars(_tokens(days)),
        bars(_calls(days)),
        lines(_rates(days)),
        lines(_latency(days)),
        lines(_failures(days)),
    )


def _cost(days: Sequence[Figures]) -> Chart:
    unsure = frozenset(n for n, figures in enumerate(days) if figures.unpriced_attempts)
    series = _series("cost", days, lambda f: idle(f, f.cost_usd), "a")
    return replace(_chart("cost", "Cost", days, [series], _dollars), unsure=unsure)


def _tokens(days: Sequence[Figures]) -> Chart:
    layers = [
        _series("input", days, _fresh_input, "a"),
        _series("prefix-cached", days, lambda f: f.billed_cache_read_tokens or 0, "d"),
        _series("output", days, lambda f: idle(f, f.billed_output_tokens), "b"),
    ]
    return _chart("tokens", "Billed tokens", days, layers, short)


def _calls(days: Sequence[Figures]) -> Chart:
    layers = [
        _series("model", days, lambda f: max(0, f.ok_calls - f.served_calls), "a"),
        _series("cache", days, lambda f: f.served_calls, "c"),
        _series("not ok", days, lambda f: f.failed_calls, "bad"),
    ]
    return _chart("calls", "Calls", days, layers, short)


def _rates(days: Sequence[Figures]) -> Chart:
    layers = [
        _series("llmopt's cache", days, lambda f: f.hit_rate, "c"),
        _series("provider's prefix cache", days, lambda f: f.provider_cache_rate, "d"),
    ]
    return _chart("rates", "Hit rates", days, layers, percent)


def _latency(days: Sequence[Figures]) -> Chart:
    layers = [
        _series("p50", days, lambda f: f.p50_duration_ms, "a"),
        _series("p95", days, lambda f: f.p95_duration_ms, "b"),
    ]
    return _chart("latency", "Time of a call", days, layers, duration)


def _failures(days: Sequence[Figures]) -> Chart:
    series = _series("not ok", days, lambda f: f.failure_rate, "bad")
    return _chart("failures", "Calls not ok", days, [series], percent)


def _chart(
    key: str,
    title: str,
    days: Sequence[Figures],
    series: Sequence[Series],
    form: Callable[[float], str],
) -> Chart:
    return Chart(f"day-{key}", title, [day(figures.name) for figures in days], series, form)


def _series(name: str, days: Sequence[Figures], of: Callable[[Figures], float | None], tone: str) -> Series:
    return Series(name, [of(figures) for figures in days], tone)


def _fresh_input(figures: Figures) -> float | None:
    tokens = figures.billed_input_tokens
    return idle(figures, tokens if tokens is None else tokens - (figures.billed_cache_read_tokens or 0))


def _dollars(value: float) -> str:
    return f"${short(value)}"


def _table(days: Sequence[Figures]) -> Html:
    dollars = money(figures.cost_usd for figures in days)
    columns: list[Column[Figures]] = [
        Column("day", lambda f: day(f.name, year=True), "name"),
        Column("cost", lambda f: cost(f, dollars), "number"),
        *volume(days),
    ]
    return table("Day by day", columns, days, most=LIMIT_DAYS)


def volume(rows: Sequence[Figures]) -> list[Column[Figures]]:
    """Return the columns that figures have beside their cost, whatever they are grouped by."""
    form = times(figures.p95_duration_ms for figures in rows)
    return [
        number("calls", lambda f: f.calls, count),
        number("not ok", lambda f: f.failure_rate, rate, measured),
        number("hit rate", lambda f: f.hit_rate, rate, measured),
        numbers("input tokens", rows, lambda f: idle(f, f.billed_input_tokens), sizes),
        number("prefix-cached", lambda f: f.provider_cache_rate, rate, measured),
        numbers("output tokens", rows, lambda f: idle(f, f.billed_output_tokens), sizes),
        number("p50", lambda f: f.p50_duration_ms, form, measured),
        number("p95", lambda f: f.p95_duration_ms, form, measured),
    ]
