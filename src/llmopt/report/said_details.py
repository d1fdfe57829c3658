"""Says the details of a report: failures, texts, batches, and where the figures come from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from .document import Block, Lines, Table, sections
from .html_numbers import count, duration, money, percent, rate, short, usd
from .said_figures import minute, or_none
from .types import (
    BatchStats,
    CacheCandidate,
    ErrorCount,
    FragmentUse,
    OddFragment,
    Report,
    RetryCount,
    TierCount,
)

__all__ = ["batches", "failures", "sources", "texts"]

_MOST: Final = 8
"""Rows of a table: the rest is in --json."""

_DIGEST: Final = 10  # characters that tell a text from the others of a log


def failures(report: Report) -> Iterator[Block]:
    """Yield calls that did not end well, runs that were retried, and tiers that stood in."""
    errors = Table(("not ok", "", "model", "calls", "last"), tuple(map(_error, report.errors[:_MOST])), 3)
    head = ("run that failed", "model", "runs", "retried", "recovered", "waited")
    retries = Table(head, tuple(map(_retry, report.retries[:_MOST])), 2)
    tiers = Table(
        ("tier", "model", "answered by", "calls", "cost", "p50"), tuple(map(_tier, report.tiers)), 3
    )
    yield from sections("What failed", errors, retries, tiers)


def _error(row: ErrorCount) -> tuple[str, ...]:
    kind = row.error_class or (row.error_type or "").rpartition(".")[2] or "-"
    if row.http_status is not None:
        kind += f" ({row.http_status})"
    return row.status, kind, row.model, count(row.calls), minute(row.last_at)


def _retry(row: RetryCount) -> tuple[str, ...]:
    kind = row.error_class or (row.error_type or "").rpartition(".")[2] or "-"
    numbers = map(count, (row.failures, row.retried, row.recovered))
    return kind, row.model, *numbers, or_none(row.waited_ms, duration)


def _tier(row: TierCount) -> tuple[str, ...]:
    answered_by = row.answered_by or "a function"
    figures = or_none(row.cost_usd, usd), or_none(row.p50_duration_ms, duration)
    return str(row.tier), row.model, answered_by, count(row.calls), *figures


def texts(report: Report) -> Iterator[Block]:
    """Yield prompts that came again, frequent fragments, and odd ones."""
    shown = report.candidates[:_MOST]
    dollars = money(candidate.repeated_usd for candidate in shown)
    candidates = Table(
        ("prompt sent again", "model", "role", "calls", "tokens", "cost"),
        tuple((*_candidate(row), or_none(row.repeated_usd, dollars)) for row in shown),
        3,
    )
    calls = report.total.calls
    head = ("fragment", "part", "begins", "roles", "tokens", "calls", "share")
    fragments = Table(head, tuple(_fragment(use, calls) for use in report.fragments[:_MOST]), 4)
    odd = Lines(tuple(map(_odd, report.odd_fragments[:_MOST])), "odd: ")
    estimated = any(use.tokens_estimated for use in report.fragments[:_MOST])
    note = Lines(("~ estimated from their bytes",)) if estimated else None
    yield from sections("What was sent", candidates, fragments, note, odd)


def _candidate(row: CacheCandidate) -> tuple[str, ...]:
    tokens = or_none(row.repeated_tokens, short)
    return row.prompt_digest[:_DIGEST], row.model, row.role or "-", count(row.calls), tokens


def _fragment(use: FragmentUse, calls: int) -> tuple[str, ...]:
    roles = ", ".join(role for role, _ in use.roles) or "-"
    tokens = f"{'~' if use.tokens_estimated else ''}{count(use.tokens)}"
    share = rate(min(1.0, use.calls / calls)) if calls else "-"
    return _short(use), use.kind, use.excerpt or "-", roles, tokens, count(use.calls), share


def _odd(odd: OddFragment) -> str:
    return f"{_short(odd.fragment)} ({odd.fragment.kind}) {odd.reason}: {odd.detail}"


def _short(use: FragmentUse) -> str:
    return use.digest[:_DIGEST]


def batches(report: Report) -> Iterator[Block]:
    """Yield batches of agents by role."""
    head = ("role", "batches", "agents", "a call", "valid rows", "95 %", "first plan", "all")
    yield from sections("Batches", Table(head, tuple(map(_batch, report.batches))))


def _batch(row: BatchStats) -> tuple[str, ...]:
    ends = "-"
    if row.valid_low is not None and row.valid_high is not None:
        ends = f"{100 * row.valid_low:.1f}..{100 * row.valid_high:.1f}"
    return (
        row.role,
        count(row.batches),
        count(row.agents),
        or_none(row.agents_per_call, lambda value: f"{value:.1f}"),
        or_none(row.valid_rate, rate),
        ends,
        or_none(row.p50_first_plan_ms, duration),
        or_none(row.p50_duration_ms, duration),
    )


def sources(report: Report) -> Iterator[Block]:
    """Yield what the cache did, who counted the tokens, and what was lost."""
    lines: list[str] = []
    if report.cache_outcomes:
        lines.append(f"llmopt's own cache: {_list(report.cache_outcomes)}.")
    if report.token_sources:
        lines.append(f"Tokens counted by: {_list(report.token_sources)} (calls).")
    if report.total.unpriced_attempts:
        share = percent(report.total.unpriced_attempts / max(1, report.total.attempts))
        lines.append(f"Price unknown for {share} of the runs: {', '.join(report.unpriced_models)}.")
    drops = Table(
        ("records lost", "records", "last"),
        tuple((d.reason, count(d.records), minute(d.last_at)) for d in report.drops),
    )
    yield from sections("Where the figures come from", Lines(tuple(lines)), drops)


def _list(counted: tuple[tuple[str, int], ...]) -> str:
    return ", ".join(f"{name} {count(number)}" for name, number in counted)
