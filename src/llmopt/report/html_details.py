"""The body of a page: what it cost by group, what was saved, and what is slow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from .html_days import volume
from .html_figures import about, cost, figure, measured, moment
from .html_markup import Html, element, join, name, text
from .html_numbers import count, duration, money, short, sizes, times
from .html_table import Column, number, table
from .marks import axis, distribution, meter, split
from .scales import LogScale
from .types import Figures, Latency, Report, Saving

__all__ = ["costs", "savings", "speed"]

_LIMIT_GROUPS = 60
_LIMIT_LATENCIES = 25

_LIMIT_SPAN = 1e5
"""The longest that is drawn, beside the shortest: a call of a microsecond would take all the room."""

_SAVING_TONES: Mapping[str, str] = {"cache": "c", "prefix_cache": "d", "compression": "e", "batching": "b"}

_MEASURES: Mapping[str, tuple[str, str]] = {
    "duration": ("Time of a call", "From its beginning to its end, retries and waiting included."),
    "ttft": ("Time to the first token", "From its beginning to the first event of the answer."),
    "queue": ("Time held back", "By llmopt's own rate limits."),
}


def costs(report: Report) -> Html:
    """Return what each group has cost, the dearest first."""
    groups = report.groups
    dollars = money((*(g.cost_usd for g in groups), report.total.cost_usd))
    per_call = money(g.cost_per_call_usd for g in groups)
    most = max((g.cost_usd or 0.0 for g in groups), default=0.0)
    columns: list[Column[Figures]] = [
        Column(report.by, lambda g: name(g.name), "name"),
        Column("cost", lambda g: cost(g, dollars), "number"),
        Column("", lambda g: meter(g.cost_usd, most) if g is not report.total else text(""), "drawing"),
        number("cost a call", lambda g: g.cost_per_call_usd, per_call),
        *volume((*groups, report.total)),
    ]
    title = f"By {report.by}"
    return table(title, columns, groups, total=report.total, most=_LIMIT_GROUPS, hint=_hint(report))


def _hint(report: Report) -> str | None:
    if report.by != "model":
        return None
    return "Calls count for the model that was asked for; tokens and cost for the one that was run."


def savings(report: Report) -> Html:
    """Return what would have been paid, what was, and by what the difference was made."""
    dollars = money(saving.usd for saving in report.savings)
    tokens = sizes(saving.tokens for saving in report.savings)
    columns: list[Column[Saving]] = [
        Column("by", _means, "name"),
        Column("saved", lambda s: _signed_saving(s, about(s.usd, dollars, s.confidence)), "number"),
        Column("tokens", lambda s: about(s.tokens, tokens, s.confidence), "number"),
        number("calls", lambda s: s.calls, count),
        number("calls spared", lambda s: s.spared_calls, count, measured),
        Column("how sure", lambda s: s.confidence),
        Column("how it was reckoned", lambda s: s.formula, "sentence"),
    ]
    return join(_would_have_cost(report), table("What was not paid", columns, _ranked(report)))


def _ranked(report: Report) -> list[Saving]:
    return sorted(
        report.savings, key=lambda saving: -math.inf if saving.usd is None else saving.usd, reverse=True
    )


def _means(saving: Saving) -> Html:
    return element("span", saving.title, class_=f"key {_SAVING_TONES.get(saving.code, 'rest')}")


def _signed_saving(saving: Saving, shown: Html) -> Html:
    return element("span", shown, class_="bad-word") if (saving.usd or 0.0) < 0 else shown


def _would_have_cost(report: Report) -> Html | None:
    paid, saved = report.total.cost_usd, report.saved_usd
    if paid is None or not saved or saved <= 0:
        return None
    parts = [("paid", paid, "a")]
    parts += [(s.title.lower(), s.usd, _SAVING_TONES.get(s.code, "rest")) for s in _ranked(report) if s.usd]
    form = money((paid + saved,))
    least = "at least " if report.total.unpriced_attempts else ""
    said = f"Without them it would have cost {least}{form(paid + saved)}; {form(paid)} were paid."
    return join(element("p", said, class_="lead"), split("saved", said, parts))


def speed(report: Report) -> Html:
    """Return how long calls took, model by model, and how much went through."""
    tables = (_latency_table(report.latency, measure) for measure in _MEASURES)
    return join(_throughput(report), *tables)


def _throughput(report: Report) -> Html | None:
    through = report.throughput
    if through.calls_per_min is None and through.output_tokens_per_s is None:
        return None
    a_minute = figure(through.calls_per_min, short)
    peak = figure(through.peak_calls_per_min, short)
    tokens = figure(through.output_tokens_per_s, short)
    parts = (a_minute, " calls a minute on average; ", peak, " in the busiest one (", moment(through.peak_at))
    return element("p", *parts, "). One call yields ", tokens, " output tokens a second.", class_="lead")


def _latency_table(latency: Sequence[Latency], measure: str) -> Html | None:
    rows = [row for row in latency if row.measure == measure]
    if not rows:
        return None
    scale = _latency_scale(rows[:_LIMIT_LATENCIES])
    form = times(row.p99_ms for row in rows)
    title, hint = _MEASURES[measure]
    columns: list[Column[Latency]] = [
        Column("model", lambda row: "all models" if row.model == "all" else name(row.model), "name"),
        Column(axis(scale, scale.ticks(), duration), lambda row: _spread(row, scale), "drawing"),
        number("p50", lambda row: row.p50_ms, form),
        number("p95", lambda row: row.p95_ms, form),
        number("p99", lambda row: row.p99_ms, form),
        number("longest", lambda row: row.max_ms, form),
        number("calls", lambda row: row.calls, count),
    ]
    legend = " Hill: how many calls took so long; dot: p50; strokes: p95 and p99."
    return table(title, columns, rows, most=_LIMIT_LATENCIES, hint=hint + legend)


def _spread(row: Latency, scale: LogScale) -> Html:
    return distribution(row.bins, (row.p50_ms, row.p95_ms, row.p99_ms), scale)


def _latency_scale(rows: Sequence[Latency]) -> LogScale:
    """Up to the longest 99th percentile only: the longest call of all would press the others together."""
    shortest = min([bound for row in rows for bound, _ in row.bins[:1]] + [row.p50_ms for row in rows])
    longest = max(row.p99_ms for row in rows)
    low = max(shortest / 2, longest / _LIMIT_SPAN, 1e-3)
    return LogScale(low, max(longest * 1.3, low * 10))
