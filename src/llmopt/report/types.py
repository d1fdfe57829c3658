"""What a report holds: plain values, each with its unit in its name.

What is unknown is None, never zero. Times are ISO-8601 in UTC, shares are fractions, dollars are US dollars.
"Billed" tokens are those of the runs of models; an answer out of llmopt's own cache is served, not billed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

from .counts import (
    BatchStats,
    CacheCandidate,
    DropCount,
    ErrorCount,
    FragmentUse,
    OddFragment,
    RetryCount,
    TierCount,
)
from .values import plain, share

__all__ = [
    "BatchStats",
    "CacheCandidate",
    "Change",
    "Comparison",
    "Confidence",
    "DropCount",
    "ErrorCount",
    "Figures",
    "Finding",
    "FragmentUse",
    "Latency",
    "OddFragment",
    "Period",
    "Report",
    "RetryCount",
    "Saving",
    "Throughput",
    "TierCount",
    "Verdict",
    "plain",
    "share",
]

Verdict: TypeAlias = Literal["better", "worse", "no difference shown", "unknown"]
"""Of the second side beside the first. No difference is shown where the interval holds zero."""

Confidence: TypeAlias = Literal["measured", "estimated", "assumed"]
"""Measured: the log says so. Estimated: reckoned from what it says. Assumed: rests on a rule of thumb too."""


@dataclass(frozen=True, slots=True)
class Period:
    """The calls that a report is about.

    Attributes:
        name: as it was asked for: "7d", "2026-11-01..2026-11-07", "all".
        since: calls that began before are not in it; None for no limit.
        until: calls that began then or later are not in it; None for no limit.
        first_at: when the first of its calls began; None where there is none.
        last_at: when the last one did.
        days: days between the two, but at least one: what figures a week are reckoned over.
    """

    name: str
    since: str | None = None
    until: str | None = None
    first_at: str | None = None
    last_at: str | None = None
    days: float | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """What a set of calls has come to: all of them, those of a day, a model, a role or an agent.

    Grouped by model, calls count for the model that was asked for, attempts and all that is billed for the
    model that was run.

    Attributes:
        name: the day, model, role or agent; "all"; "-" where the log does not say.
        calls: calls, whatever became of them.
        ok_calls: those that ended well.
        served_calls: those that llmopt's own cache answered (hit, stale, coalesced).
        missed_calls: those that it looked up and did not find.
        attempts: runs of a model.
        unpriced_attempts: runs with tokens whose price is unknown.
        billed_input_tokens: input tokens of the runs, cached ones included.
        billed_cache_read_tokens: those that a provider read from its prefix cache.
        billed_cache_write_tokens: those that a provider wrote to it.
        billed_output_tokens: output tokens of the runs, reasoning included.
        reasoning_tokens: those spent on reasoning.
        cost_usd: price of the runs whose price is known: where `unpriced_attempts` is not 0, the least that
            they have cost.
        p50_duration_ms: half of the calls that a model answered took no longer (nearest rank).
        p95_duration_ms: 95 of 100 took no longer.
        p50_ttft_ms: the same for the time to the first event.
        p95_ttft_ms: likewise.
    """

    name: str
    calls: int = 0
    ok_calls: int = 0
    served_calls: int = 0
    missed_calls: int = 0
    attempts: int = 0
    unpriced_attempts: int = 0
    billed_input_tokens: int | None = None
    billed_cache_read_tokens: int | None = None
    billed_cache_write_tokens: int | None = None
    billed_output_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_usd: float | None = None
    p50_duration_ms: float | None = None
    p95_duration_ms: float | None = None
    p50_ttft_ms: float | None = None
    p95_ttft_ms: float | None = None

    @property
    def failed_calls(self) -> int:
        """Calls that did not end well: errors, and calls that were cancelled or abandoned."""
        return self.calls - self.ok_calls

    @property
    def failure_rate(self) -> float | None:
        """Their share."""
        return share(self.failed_calls, self.calls)

    @property
    def hit_rate(self) -> float | None:
        """Calls that llmopt's own cache answered, among those that it looked up."""
        return share(self.served_calls, self.served_calls + self.missed_calls)

    @property
    def provider_cache_rate(self) -> float | None:
        """Billed input tokens that a provider read from its prefix cache."""
        return share(self.billed_cache_read_tokens, self.billed_input_tokens)

    @property
    def billed_tokens(self) -> int | None:
        """Input and output tokens of the runs."""
        known = [t for t in (self.billed_input_tokens, self.billed_output_tokens) if t is not None]
        return sum(known) if known else None

    @property
    def cost_per_call_usd(self) -> float | None:
        """Price of a call, cached ones included; None where the price of some run is unknown."""
        return None if self.unpriced_attempts or self.cost_usd is None else share(self.cost_usd, self.calls)


@dataclass(frozen=True, slots=True)
class Saving:
    """What one means has saved.

    Attributes:
        code: "cache", "compression", "batching" or "prefix_cache".
        title: its name for people.
        calls: calls that it was at work on.
        spared_calls: calls of a model that need not be made for it; None where it spares none.
        tokens: tokens that were not paid for. Of the prefix cache: effective tokens, as the provider prices
            them, less what writing has cost.
        usd: what they would have cost, as far as prices are known; negative where it has cost more.
        confidence: how the figures came about.
        formula: how they were reckoned, in one line.
    """

    code: str
    title: str
    calls: int = 0
    spared_calls: int | None = None
    tokens: int | None = None
    usd: float | None = None
    confidence: Confidence = "measured"
    formula: str = ""


@dataclass(frozen=True, slots=True)
class Latency:
    """How long calls took that a model answered: answers out of llmopt's own cache are left out.

    Of more than 200,000 calls they are known to three digits.

    Attributes:
        model: the model that was called; "all" for all of them.
        measure: "duration", "ttft" (time to the first event) or "queue" (held back by rate limits).
        calls: calls that it was measured of.
        p50_ms: half of them took no longer (nearest rank).
        p95_ms: 95 of 100 took no longer.
        p99_ms: 99 of 100 took no longer.
        max_ms: the longest.
        bins: how many calls took up to so many ms and more than the bound before; for charts.
    """

    model: str
    measure: str
    calls: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    bins: tuple[tuple[float, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Throughput:
    """How much went through.

    Attributes:
        output_tokens_per_s: output tokens of the calls that a model answered, by their time together: the
            speed of one call, waiting included.
        calls_per_min: calls a minute between the first and the last one.
        peak_calls_per_min: calls of the busiest minute of the busiest hour.
        peak_at: that minute.
    """

    output_tokens_per_s: float | None = None
    calls_per_min: float | None = None
    peak_calls_per_min: int | None = None
    peak_at: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One figure of two sides.

    Attributes:
        measure: "cost_per_call_usd" (of calls whose price is known), "tokens_per_call", "duration_p50_ms",
            "duration_p95_ms", "failure_rate", "hit_rate", "provider_cache_rate" or "valid_rate".
        title: its name for people.
        unit: "usd", "tokens", "ms" or "share".
        first: the figure of the first side; None where the log does not tell.
        second: that of the second.
        low: lower end of the 95 % bootstrap interval of the second less the first.
        high: upper end.
        verdict: of the second side.
    """

    measure: str
    title: str
    unit: str
    first: float | None
    second: float | None
    low: float | None = None
    high: float | None = None
    verdict: Verdict = "unknown"

    @property
    def difference(self) -> float | None:
        """Second less first."""
        return None if self.first is None or self.second is None else self.second - self.first


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two periods, roles or tags side by side.

    Attributes:
        first: name of the first side.
        second: name of the second.
        first_calls: its calls.
        second_calls: its calls.
        changes: the figures.
        method: how the intervals were made, in one line.
    """

    first: str
    second: str
    first_calls: int
    second_calls: int
    changes: tuple[Change, ...]
    method: str


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that can be made cheaper, faster or safer, and how.

    Attributes:
        code: its kind, as "repeated-prompt".
        title: what was found, in one sentence with its figures.
        evidence: the figures behind it, by name.
        fix: the line of code to add, or what else to do.
        usd_per_week: dollars a week that it costs; None where that is unknown.
        tokens_per_week: tokens a week that it costs; None where it is not about tokens.
        confidence: how sure these are.
    """

    code: str
    title: str
    evidence: Mapping[str, Any]
    fix: str
    usd_per_week: float | None = None
    tokens_per_week: int | None = None
    confidence: Confidence = "estimated"


@dataclass(frozen=True, slots=True)
class Report:
    """What a usage log says of a period. `str(report)` is for people, 80 columns wide.

    Attributes:
        path: the file.
        made_at: when the report was made.
        period: which calls it is about.
        total: their figures together.
        by: what they are grouped by: "model", "role", "agent" or "day".
        groups: the figures of each group, the dearest first, days in order.
        days: the figures of each day, in order, those without calls included.
        savings: what cache, compression, batching and prefix cache have saved.
        latency: by measure, for all models together first.
        throughput: how much went through.
        errors: calls that did not end well, the most frequent first.
        retries: runs that failed, the most frequent first.
        tiers: which tiers of fallbacks answered; empty where no call had any.
        fragments: the most frequent fragments.
        odd_fragments: fragments that are rarely or unexpectedly used.
        candidates: prompts that were sent again although they were the same, the dearest first.
        batches: batches by role.
        drops: what the log has lost.
        findings: what could be changed, the dearest first.
        cache_outcomes: calls by what llmopt's own cache did: hit, stale, coalesced, miss, bypass.
        token_sources: calls by who counted their tokens: provider, tokenizer, estimate, nobody.
        unpriced_models: models whose price is unknown.
        rolled_up_calls: calls that were removed from the log; of these only sums by day are known.
        notes: what a reader has to know before using the figures.
        comparison: two sides beside each other, if that was asked for.
    """

    path: str
    made_at: str
    period: Period
    total: Figures
    by: str = "model"
    groups: tuple[Figures, ...] = ()
    days: tuple[Figures, ...] = ()
    savings: tuple[Saving, ...] = ()
    latency: tuple[Latency, ...] = ()
    throughput: Throughput = Throughput()
    errors: tuple[ErrorCount, ...] = ()
    retries: tuple[RetryCount, ...] = ()
    tiers: tuple[TierCount, ...] = ()
    fragments: tuple[FragmentUse, ...] = ()
    odd_fragments: tuple[OddFragment, ...] = ()
    candidates: tuple[CacheCandidate, ...] = ()
    batches: tuple[BatchStats, ...] = ()
    drops: tuple[DropCount, ...] = ()
    findings: tuple[Finding, ...] = ()
    cache_outcomes: tuple[tuple[str, int], ...] = ()
    token_sources: tuple[tuple[str, int], ...] = ()
    unpriced_models: tuple[str, ...] = ()
    rolled_up_calls: int = 0
    notes: tuple[str, ...] = ()
    comparison: Comparison | None = None

    @property
    def dropped_records(self) -> int:
        """Records that the log has lost."""
        return sum(drop.records for drop in self.drops)

    @property
    def saved_usd(self) -> float | None:
        """What was saved, as far as prices are known."""
        known = [saving.usd for saving in self.savings if saving.usd is not None]
        return sum(known) if known else None

    def __str__(self) -> str:
        from .text import written

        return written(self)

    def to_dict(self) -> dict[str, Any]:
        """Return all figures, as JSON has them."""
        return cast("dict[str, Any]", plain(self))
