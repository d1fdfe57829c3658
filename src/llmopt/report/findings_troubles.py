"""Findings about what goes wrong: refusals, answers that nobody reads, unknown prices, losses of the log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from .facts import Facts
from .pricing import price_of
from .tally import Sums
from .types import Finding
from .worth import counted, tokens_a_week, usd_a_week

__all__ = ["RULES"]

LEAST: Final = 10
"""Failures below which it may be chance."""

REFUSED_SHARE: Final = 0.005
"""Share of all runs that a provider must refuse: each costs a wait, and trust at the provider."""

WASTED_SHARE: Final = 0.005
"""Share of all calls that nobody waits for."""


def rate_limited(facts: Facts) -> Iterator[Finding]:
    """Find providers that refuse runs because there are too many."""
    refused = [row for row in facts.retries if row.error_class == "too_many_requests"]
    failures = sum(row.failures for row in refused)
    if failures < LEAST or failures < REFUSED_SHARE * facts.total.attempts:
        return
    waits_ms = [row.waited_ms for row in refused if row.waited_ms is not None]
    yield Finding(
        "rate-limited",
        f"{counted(failures, 'run')} were refused because there were too many (HTTP 429); the calls waited "
        f"{sum(waits_ms) / 1000:,.0f} s for another one.",
        {
            "refused_runs": failures,
            "share_of_runs": failures / facts.total.attempts,
            "models": ", ".join(sorted({row.model for row in refused})),
            "waited_ms": sum(waits_ms) if waits_ms else None,
            "recovered_calls": sum(row.recovered for row in refused),
        },
        "llmopt.RateLimit(requests_per_minute=..., tokens_per_minute=...)  # your limits at the provider",
        None,
        None,
        "measured",
    )


def wasted(facts: Facts) -> Iterator[Finding]:
    """Find calls that were paid for and given up."""
    calls = sum(row.calls for row in facts.wasted)
    if calls < LEAST or calls < WASTED_SHARE * facts.total.calls:
        return
    nano, tokens, priced = 0.0, 0, False
    for row in facts.wasted:
        sums = Sums(row.input_tokens, row.output_tokens)
        price = price_of(facts.prices, row.price)
        tokens += sums.tokens
        priced = priced or price is not None or row.cost_nano is not None
        nano += row.cost_nano if row.cost_nano is not None else price.of(sums) if price else 0.0
    yield Finding(
        "abandoned-calls",
        f"{counted(calls, 'call')} were cancelled or left before the end of the answer: what a model had "
        "read and written until then is paid.",
        {"calls": calls, "share_of_calls": calls / facts.total.calls, "tokens": tokens or None},
        "model.prompt(..., max_tokens=...)  # ask for no more than is read",
        usd_a_week(nano, facts) if priced else None,
        tokens_a_week(tokens, facts) if tokens else None,
    )


def unpriced(facts: Facts) -> Iterator[Finding]:
    """Find models whose price is unknown."""
    rows = [row for row in facts.ledger.by_model() if row.unpriced_attempts]
    if not rows:
        return
    names = ", ".join(f'"{row.name}": (INPUT, OUTPUT)' for row in rows)
    tokens = sum(row.billed_tokens or 0 for row in rows)
    yield Finding(
        "unknown-price",
        f"The price of {', '.join(row.name for row in rows)} is unknown: costs and savings leave it out.",
        {"models": len(rows), "runs": sum(row.unpriced_attempts for row in rows), "tokens": tokens},
        f"llmopt.UsageLog(prices={{{names}}})  # dollars per million tokens; then: llmopt log reprice",
        None,
        tokens_a_week(tokens, facts),
        "measured",
    )


def lost_records(facts: Facts) -> Iterator[Finding]:
    """Find losses of the log itself."""
    if facts.drops:
        records = sum(drop.records for drop in facts.drops)
        yield Finding(
            "lost-records",
            f"{counted(records, 'record')} of the log {'was' if records == 1 else 'were'} lost: "
            "the figures are too low.",
            {drop.reason: drop.records for drop in facts.drops},
            "llmopt log doctor  # says what is wrong",
            None,
            None,
            "measured",
        )


RULES: Final = (rate_limited, wasted, unpriced, lost_records)
