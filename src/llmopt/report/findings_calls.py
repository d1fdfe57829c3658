"""Findings about how calls are made: one for each agent, without a limit of time, of a dear model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import ceil
from typing import Final

from .facts import Facts
from .sample import Tick
from .types import Finding, Latency, TierCount
from .worth import a_week, counted, mean_price, tokens_a_week, usd_a_week

__all__ = ["RULES"]

TICK_S: Final = 0.1
"""Seconds between calls of one tick: from the beginning of one, or from its end, to the next one's beginning.
A loop over agents takes a few milliseconds."""

TICK_AGENTS: Final = 3
"""Agents from which on a tick is worth a planner."""

TICK_SHARE: Final = 0.1
"""Share of a role's calls that a planner must be able to spare."""

TICK_CALLS: Final = 20
"""Calls of a role that must have been looked at."""

TAIL_FACTOR: Final = 8.0
"""A tail is slow whose 99th percentile is so many times the median."""

TAIL_MS: Final = 10_000.0
"""The 99th percentile from which on people notice."""

TAIL_CALLS: Final = 100
"""Calls from which on a 99th percentile says something."""

LIMIT_FACTOR: Final = 1.5
"""What a limit of time leaves beyond the 95th percentile."""

FALLBACK_CALLS: Final = 30
"""Calls that a cheaper model must have answered as a fallback."""

CHEAPER_BY: Final = 0.7
"""What it may cost at most, beside the model that it stood in for."""

VALID_RATE: Final = 0.97
"""Rate of valid rows that the whole 95 % interval must be below: about one repair in thirty rows."""


def one_by_one(facts: Facts) -> Iterator[Finding]:
    """Find roles whose agents are each asked for alone, at the same moment."""
    spared, seen = _spared(facts.sample.ticks)
    calls = facts.sample.roles()
    tokens = {use.digest: use.tokens for use in facts.texts.frequent}
    for (role, model), number in sorted(spared.items()):
        rate = number / seen[role, model]
        if seen[role, model] < TICK_CALLS or rate < TICK_SHARE:
            continue
        of_role = [call for call in facts.sample.calls if (call.role, call.model) == (role, model)]
        shared = sum(
            tokens.get(digest, 0) for call in of_role for digest, _ in facts.sample.texts.get(call.id, ())
        )
        share = len(of_role) / len(facts.sample.calls)
        all_spared = rate * share * facts.sample.of
        saved = all_spared * shared / max(1, len(of_role))
        price = mean_price(of_role, facts.prices)
        yield Finding(
            "one-call-per-agent",
            f"{role or 'Without a role'}, {model}: {100 * rate:.0f} % of the calls are made beside others of "
            "their kind, one for each agent. One request can plan for all of them.",
            {
                "role": role or "-",
                "model": model,
                "calls_a_planner_spares_per_week": round(a_week(all_spared, facts.period)),
                "shared_tokens_per_call": round(shared / max(1, len(of_role))),
                "calls_looked_at": seen[role, model],
                "sampled_calls_of_role": calls[role],
            },
            f"@llmopt.planner(model, role={role!r})  # then: for plan in plan_for.batch(agents)"
            if role
            else "@llmopt.planner(model)  # then: for plan in plan_for.batch(agents)",
            None if price is None else usd_a_week(saved * price.input, facts),
            tokens_a_week(saved, facts),
        )


def _spared(windows: Sequence[Sequence[Tick]]) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]:
    """Return how many calls a planner would have spared, and how many were looked at, by role and model."""
    spared: Counter[tuple[str, str]] = Counter()
    seen: Counter[tuple[str, str]] = Counter()
    for window in windows:
        groups: dict[tuple[str, str], list[Tick]] = {}
        for tick in window:
            groups.setdefault((tick.role, tick.model), []).append(tick)
        for key, ticks in groups.items():
            seen[key] += len(ticks)
            alone = [tick for tick in ticks if tick.agent and not tick.batch_id]
            for cluster in _clusters(alone):
                agents = len({tick.agent for tick in cluster})
                spared[key] += agents - 1 if agents >= TICK_AGENTS else 0
    return spared, seen


def _clusters(ticks: Sequence[Tick]) -> Iterator[list[Tick]]:
    """Yield calls that follow close upon each other."""
    cluster = list(ticks[:1])
    for before, tick in pairwise(ticks):
        gap_s = min(tick.began_s - before.began_s, abs(tick.began_s - before.ended_s))
        if gap_s > TICK_S:
            yield cluster
            cluster = []
        cluster.append(tick)
    if cluster:
        yield cluster


def slow_tail(facts: Facts) -> Iterator[Finding]:
    """Find models some of whose calls take far longer than most, or are given up."""
    timeouts = Counter[str]()
    for retry in facts.retries:
        if retry.error_class == "timeout":
            timeouts[retry.model] += retry.failures
    for row in facts.latencies:
        if row.measure != "duration" or (row.model == "all" and len(facts.ledger.times) > 1):
            continue
        model = row.model if row.model != "all" else next(iter(facts.ledger.times))
        is_slow = row.p99_ms >= max(TAIL_MS, TAIL_FACTOR * row.p50_ms)
        if row.calls >= TAIL_CALLS and is_slow:
            yield _slow(row, model, timeouts[model])


def _slow(row: Latency, model: str, timeouts: int) -> Finding:
    limit_s = ceil(LIMIT_FACTOR * row.p95_ms / 1000)
    return Finding(
        "slow-tail",
        f"{model}: one call of 100 takes more than {row.p99_ms / 1000:.1f} s, while half take at most "
        f"{row.p50_ms / 1000:.1f} s.",
        {
            "model": model,
            "p50_ms": row.p50_ms,
            "p95_ms": row.p95_ms,
            "p99_ms": row.p99_ms,
            "max_ms": row.max_ms,
            "calls": row.calls,
            "timeouts": timeouts,
        },
        f"llmopt.Fallback(llm.get_model(...)), llmopt.Timeout({limit_s})  # {LIMIT_FACTOR:g} x p95",
        None,
        None,
        "measured",
    )


def cheaper_model(facts: Facts) -> Iterator[Finding]:
    """Find models that serve well as a fallback and cost less than the one they stand in for."""
    of_model = {row.name: row for row in facts.ledger.by_model()}
    for tier in facts.tiers:
        asked = of_model.get(tier.model)
        if tier.cost_usd is None or asked is None or not asked.cost_usd or tier.calls < FALLBACK_CALLS:
            continue
        dear, cheap = asked.cost_usd / asked.attempts, tier.cost_usd / tier.calls
        if tier.tier and tier.answered_by and cheap <= CHEAPER_BY * dear:
            yield _cheaper(
                tier, tier.answered_by, a_week((dear - cheap) * asked.attempts, facts.period), dear, cheap
            )


def _cheaper(tier: TierCount, model: str, usd: float, dear: float, cheap: float) -> Finding:
    return Finding(
        "cheaper-model",
        f"{model} has answered {counted(tier.calls, 'call')} in the place of {tier.model}, at "
        f"{100 * cheap / dear:.0f} % of its price.",
        {
            "model": tier.model,
            "fallback": model,
            "fallback_calls": tier.calls,
            "usd_per_run": dear,
            "usd_per_fallback_call": cheap,
            "fallback_p50_ms": tier.p50_duration_ms,
        },
        f'llmopt.wrap(llm.get_model("{model}"), llmopt.Fallback(llm.get_model("{tier.model}")))'
        "  # judge its answers first",
        usd,
        None,
        "assumed",
    )


def invalid_rows(facts: Facts) -> Iterator[Finding]:
    """Find roles too many of whose plans are not valid."""
    for batched in facts.batches:
        stats = batched.stats
        if stats.valid_high is None or stats.valid_high >= VALID_RATE:
            continue
        invalid = stats.judged_rows - stats.valid_rows
        cost = batched.nano_per_row
        yield Finding(
            "invalid-rows",
            f"{stats.role}: {invalid:,} of {counted(stats.judged_rows, 'plan')} were not valid and had to be "
            "asked for again or made up.",
            {
                "role": stats.role,
                "valid_rate": stats.valid_rate,
                "valid_rate_95_low": stats.valid_low,
                "valid_rate_95_high": stats.valid_high,
                "agents_per_call": stats.agents_per_call,
            },
            f'@llmopt.planner(model, role="{stats.role}", profile="safe")  # or fewer max_agents',
            None if cost is None else usd_a_week(invalid * cost, facts),
        )


RULES: Final = (one_by_one, slow_tail, cheaper_model, invalid_rows)
