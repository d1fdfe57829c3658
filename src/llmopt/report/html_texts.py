"""The texts that were sent: prompts that came again, fragments, and batches of agents."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from .html_figures import DASH, measured, moment, shares
from .html_markup import Html, element, join, name, text
from .html_numbers import count, money, percent, rate, sizes, times
from .html_table import Column, number, numbers, table
from .marks import axis, interval, meter
from .scales import LinearScale
from .types import BatchStats, CacheCandidate, FragmentUse, OddFragment, Report

__all__ = ["batches", "texts"]

_Row = TypeVar("_Row")

_LIMIT_EXCERPT = 90
_DIGEST = 10
"""Characters of a digest that tell it from others in one log."""

_ALL, _ENDS = LinearScale(0.0, 1.0), (0.0, 0.5, 1.0)


def texts(report: Report) -> Html:
    """Return the texts and prompts that are sent most, and those that look odd."""
    return join(_candidates(report), _fragments(report), _odd(report))


def batches(report: Report) -> Html:
    """Return batches of agents by role, with the share of their rows that were valid."""
    rows = report.batches
    columns: list[Column[BatchStats]] = [
        Column("role", lambda b: name(b.role), "name"),
        number("batches", lambda b: b.batches, count),
        number("agents", lambda b: b.agents, count),
        number("agents a call", lambda b: b.agents_per_call, "{:.1f}".format, measured),
        number("valid rows", lambda b: b.valid_rate, rate),
        Column(axis(_ALL, _ENDS, percent), _valid, "drawing"),
        number("prompt tokens", lambda b: b.prompt_tokens, count),
        numbers("first plan, p50", rows, lambda b: b.p50_first_plan_ms, times),
        numbers("all plans, p50", rows, lambda b: b.p50_duration_ms, times),
        Column("sent off by", lambda b: shares(b.flushed_by)),
        Column("cut as", lambda b: shares(b.strategies)),
    ]
    hint = "Bars of the valid rows are their 95 % intervals."
    return table("Batches", columns, rows, hint=hint)


def _candidates(report: Report) -> Html:
    rows = report.candidates
    most = max((candidate.repeated_usd or 0.0 for candidate in rows), default=0.0)
    columns: list[Column[CacheCandidate]] = [
        Column("prompt", lambda c: _digest(c.prompt_digest), "name"),
        numbers("paid again", rows, lambda c: c.repeated_usd, money),
        Column("", lambda c: meter(c.repeated_usd, most, "b"), "drawing"),
        numbers("tokens again", rows, lambda c: c.repeated_tokens, sizes),
        number("calls", lambda c: c.calls, count),
        number("input", lambda c: c.input_tokens, count),
        number("output", lambda c: c.output_tokens, count),
        Column("model", lambda c: name(c.model), "label"),
        Column("role", lambda c: name(c.role) if c.role else DASH),
        Column("last", lambda c: moment(c.last_at)),
    ]
    hint = "The same prompt, answered by a model again: what Cache() would have answered."
    return table("Prompts that were sent again", columns, rows, hint=hint)


def _fragments(report: Report) -> Html:
    sent = sizes(f.tokens * f.calls for f in report.fragments)
    columns: list[Column[FragmentUse]] = [
        *_fragment_columns(lambda f: f),
        number("calls", lambda f: f.calls, count),
        Column("tokens sent", lambda f: _tokens(f, sent(f.tokens * f.calls)), "number"),
        Column("roles", lambda f: shares(f.roles), "label"),
        Column("last", lambda f: moment(f.last_at)),
    ]
    return table("Fragments that are sent most", columns, report.fragments)


def _odd(report: Report) -> Html:
    columns: list[Column[OddFragment]] = [
        *_fragment_columns(lambda odd: odd.fragment),
        Column("what is odd", lambda odd: odd.reason, "label"),
        Column("why", lambda odd: odd.detail, "sentence"),
    ]
    hint = "Perhaps a fault in how prompts are put together."
    return table("Fragments that look odd", columns, report.odd_fragments, hint=hint)


def _fragment_columns(of: Callable[[_Row], FragmentUse]) -> list[Column[_Row]]:
    return [
        Column("fragment", lambda row: _text_of(of(row)), "name"),
        Column("part", lambda row: of(row).kind),
        Column("tokens", lambda row: _tokens(of(row), count(of(row).tokens)), "number"),
    ]


def _text_of(fragment: FragmentUse) -> Html:
    digest = _digest(fragment.digest)
    if not fragment.excerpt:
        return digest
    excerpt = element("bdi", fragment.excerpt[:_LIMIT_EXCERPT], class_="excerpt")
    return join(digest, " ", excerpt)


def _digest(digest: str) -> Html:
    return element("code", digest[:_DIGEST], title=digest[:64])


def _tokens(fragment: FragmentUse, said: str) -> Html:
    return text(f"≈ {said}" if fragment.tokens_estimated else said)


def _valid(stats: BatchStats) -> Html:
    if stats.valid_rate is None or stats.valid_low is None or stats.valid_high is None:
        return interval(None, _ALL, "a")
    return interval((stats.valid_low, stats.valid_rate, stats.valid_high), _ALL, "a")
