"""Says a report in blocks: what a terminal shows of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final

from .document import Block, Items, Lines, Table, sections
from .html_numbers import count, duration, percent, rate, short, signed, usd
from .said_details import batches, failures, sources, texts
from .said_figures import days, groups, minute, of_all, or_none, savings, speeds
from .types import Change, Figures, Finding, Period, Report

__all__ = ["said"]

_MOST_FINDINGS: Final = 10


def said(report: Report) -> Iterator[Block]:
    """Yield the blocks of a report.

    Args:
        report: the report.
    """
    yield Lines((f"llmopt report: {report.path}", _about(report.period)))
    if report.total.calls:
        yield Table(("", "", ""), tuple(_headline(report)), 3)
    yield Lines(report.notes, "! ")
    parts = (_compared, _changes, groups, savings, days, speeds, failures, texts, batches, sources)
    yield from chain.from_iterable(part(report) for part in parts)


def _about(period: Period) -> str:
    asked = f"Period: {period.name}."
    if period.first_at is None or period.last_at is None:
        return asked
    return f"{asked} Calls from {minute(period.first_at)} to {minute(period.last_at)} UTC."


# The headline


def _headline(report: Report) -> Iterator[tuple[str, str, str]]:
    total = report.total
    yield "cost", or_none(total.cost_usd, usd, "unknown"), _cost_note(report)
    if report.savings:
        yield "saved", or_none(report.saved_usd, usd, "unknown"), _saved_note(report)
    failed = f"{count(total.failed_calls)} not ok ({percent(total.failure_rate or 0.0)})"
    yield "calls", count(total.calls), failed if total.failed_calls else "all ended well"
    yield "tokens", or_none(total.billed_tokens, short, "unknown"), _tokens_note(total)
    if total.hit_rate is not None:
        looked_up = total.served_calls + total.missed_calls
        yield (
            "cache hits",
            percent(total.hit_rate),
            f"{count(total.served_calls)} of {count(looked_up)} look-ups",
        )
    whole, first = of_all(report, "duration"), of_all(report, "ttft")
    if whole:
        note = f"95 of 100 within {duration(whole.p95_ms)}"
        note += f"; first token after {duration(first.p50_ms)}" if first else ""
        yield "median call", duration(whole.p50_ms), note


def _cost_note(report: Report) -> str:
    total, days = report.total, report.period.days
    said_ = [f"about {usd(7 * total.cost_usd / days)} a week"] if total.cost_usd is not None and days else []
    if total.unpriced_attempts:
        said_.append(
            f"at least: no price for {count(total.unpriced_attempts)} of {count(total.attempts)} runs"
        )
    return "; ".join(said_)


def _saved_note(report: Report) -> str:
    saved, paid = report.saved_usd, report.total.cost_usd
    if saved is None or paid is None or saved + paid <= 0:
        return "no price is known" if saved is None else ""
    return f"{percent(saved / (saved + paid))} of what it would have cost"


def _tokens_note(total: Figures) -> str:
    parts = ((total.billed_input_tokens, "in"), (total.billed_output_tokens, "out"))
    said_ = ", ".join(f"{short(value)} {way}" for value, way in parts if value is not None)
    cached = total.provider_cache_rate
    return said_ if cached is None else f"{said_}; {percent(cached)} of the input from prefix caches"


# What to change


def _changes(report: Report) -> Iterator[Block]:
    shown, more = report.findings[:_MOST_FINDINGS], len(report.findings) - _MOST_FINDINGS
    items = Items(tuple((_worth(finding), finding.title, finding.fix) for finding in shown))
    yield from sections("What to change", items, Lines((f"{more} more: --json",)) if more > 0 else None)


def _worth(finding: Finding) -> str:
    about = "" if finding.confidence == "measured" else "~"
    if finding.usd_per_week is not None:
        return f"{about}{usd(finding.usd_per_week)}/week"
    return or_none(finding.tokens_per_week, lambda tokens: f"{about}{short(tokens)} tok/week", "")


def _compared(report: Report) -> Iterator[Block]:
    beside = report.comparison
    if beside is not None:
        sides = f"First: {beside.first}, {count(beside.first_calls)} calls. "
        sides += f"Second: {beside.second}, {count(beside.second_calls)} calls."
        head = ("", "first", "second", "change, 95 % interval", "verdict")
        table = Table(head, tuple(map(_change, beside.changes)))
        yield from sections("Before and after", Lines((sides,)), table, Lines((beside.method,)))


_FORMS: Final[dict[str, Callable[[float], str]]] = {
    "usd": usd,
    "tokens": count,
    "ms": duration,
    "share": rate,
}


def _change(change: Change) -> tuple[str, ...]:
    form = _FORMS[change.unit]
    with_sign = signed(form)
    ends = or_none(change.difference, with_sign)
    if change.low is not None and change.high is not None:
        ends = f"{with_sign(change.low)} to {with_sign(change.high)}"
    sides = (or_none(change.first, form), or_none(change.second, form))
    verdict = "no difference" if change.verdict == "no difference shown" else change.verdict
    return (change.title, *sides, ends, verdict)
