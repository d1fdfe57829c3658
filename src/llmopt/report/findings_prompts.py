"""Findings about what is sent: texts that no prefix cache holds, prompts that come again, long answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from ..compress.prefix.cache_rules import rules_for
from .facts import Facts
from .html_numbers import usd
from .latency import nearest_rank
from .pricing import NANO, price_of
from .sample import Sampled
from .tally import total
from .types import Finding, FragmentUse
from .worth import counted, mean_price, tokens_a_week, usd_a_week

__all__ = ["RULES"]

LEAST_CALLS: Final = 20
"""Calls below which nothing repeats often enough for a line of code."""

UNCACHED_SHARE: Final = 0.25
"""Share of a fragment's calls that must have missed the prefix cache, of the recent ones as well. The first
call of every few minutes misses it always."""

COVERED: Final = 0.9
"""Share of a text that must have been read from the cache: providers cache whole blocks and leave a rest."""

REPEATED_SHARE: Final = 0.02
"""Share of all answers that must repeat earlier ones: a cache costs its look-ups."""

LONG_FACTOR: Final = 4.0
"""An answer is long that has so many times the tokens of the median answer of its role and model."""

LONG_SHARE: Final = 0.15
"""Share of the output tokens that must be beyond that."""

LONG_CALLS: Final = 50
"""Answers from which on their median says something."""

OWN_TOKENS: Final = 600
"""Tokens of its own (in no text that comes again) that a prompt must have for compression to be worth it."""

UNSHRUNK_SHARE: Final = 0.5
"""Share of a role's recent calls that must go without compression."""

SHRINKS_BY: Final = 0.3
"""Share of its tokens that compression is taken to save on JSON, where the log has none to go by: what "safe"
saves on tables beside compact JSON, rounded down."""


def uncached_fragment(facts: Facts) -> Iterator[Finding]:
    """Find texts that were sent over and over without the provider's prefix cache."""
    with_text = facts.sample.with_text()
    recent = {call.id for call in facts.sample.recent}
    for use in facts.texts.frequent:
        calls = with_text.get(use.digest, [])
        told = [
            call for call in calls if call.is_answered and call.read_tokens is not None and _holds(call, use)
        ]
        missed = [call for call in told if (call.read_tokens or 0) < COVERED * use.tokens]
        missed_lately = sum(call.id in recent for call in missed)
        told_lately = sum(call.id in recent for call in told)
        often = missed and len(missed) >= UNCACHED_SHARE * len(told)
        if not often or use.calls < LEAST_CALLS or missed_lately < UNCACHED_SHARE * max(1, told_lately):
            continue
        sent = round(use.calls * len(missed) / len(calls))
        price = mean_price(missed, facts.prices)
        worth = None if price is None else usd_a_week(sent * use.tokens * (price.input - price.read), facts)
        yield Finding(
            "uncached-fragment",
            f"This {use.tokens:,}-token {use.kind} text was sent {sent:,} times uncached.",
            {
                "digest": use.digest,
                "starts_with": use.excerpt or "(not kept)",
                "roles": ", ".join(role for role, _ in use.roles) or "-",
                "tokens": use.tokens,
                "calls": use.calls,
                "uncached_share": len(missed) / len(told),
                "sampled_calls": len(told),
            },
            "llmopt.PromptCache()  # and put this text first: system=, or the first of fragments=",
            worth,
            tokens_a_week(sent * use.tokens, facts),
        )


def _holds(call: Sampled, use: FragmentUse) -> bool:
    """Tell whether the provider of a call can cache a prefix that is this text."""
    rules = rules_for(call.model)
    return rules.read_factor < 1 and use.tokens >= rules.minimum_tokens


def repeated_prompt(facts: Facts) -> Iterator[Finding]:
    """Find prompts that a model was asked again although it had answered them."""
    again = list(facts.repeats.found.values())
    calls = sum(repeat.calls for repeat in again)
    answered = sum(len(cell.durations_us) for cell in facts.ledger.cells)
    if calls < LEAST_CALLS or calls < REPEATED_SHARE * answered:
        return
    (top,) = facts.repeats.candidates(1)
    in_use = facts.total.served_calls + facts.total.missed_calls
    yield Finding(
        "repeated-prompt",
        f"{counted(calls, 'call')} asked what a model had answered before: {counted(len(again), 'prompt')}, "
        f"one of them {top.calls:,} times.",
        {
            "repeated_calls": calls,
            "share_of_answers": calls / answered,
            "prompts": len(again),
            "dearest_prompt": top.prompt_digest,
            "dearest_prompt_calls": top.calls,
            "calls_looked_up_in_a_cache": in_use,
        },
        _CACHE_MORE if in_use else "llmopt.Cache(ttl=3600)",
        usd_a_week(sum(repeat.cost_nano for repeat in again), facts)
        if any(r.priced for r in again)
        else None,
        tokens_a_week(sum(repeat.input_tokens + repeat.output_tokens for repeat in again), facts),
    )


_CACHE_MORE: Final = (
    "llmopt.Cache(ttl=86_400, store=llmopt.SQLiteStore('cache.db'))  # longer, and shared by all processes"
)


def long_answers(facts: Facts) -> Iterator[Finding]:
    """Find roles in which a few answers are far longer than the others."""
    groups: defaultdict[tuple[str, str], list[Sampled]] = defaultdict(list)
    for call in facts.sample.calls:
        if call.is_answered and call.output_tokens and not call.batch_id:
            groups[call.role, call.model].append(call)
    for (role, model), calls in sorted(groups.items()):
        sizes = sorted(call.output_tokens or 0 for call in calls)
        limit = LONG_FACTOR * (nearest_rank(sizes, 0.5) or 0)
        beyond = sum(max(0.0, size - limit) for size in sizes)
        if len(calls) < LONG_CALLS or beyond < LONG_SHARE * sum(sizes):
            continue
        price = mean_price(calls, facts.prices)
        tokens = beyond * facts.sample.of / len(facts.sample.calls)
        yield Finding(
            "long-answers",
            f"{role or 'Without a role'}, {model}: {100 * beyond / sum(sizes):.0f} % of the output tokens "
            f"are beyond {limit:.0f} tokens an answer, {LONG_FACTOR:g} times the median.",
            {
                "role": role or "-",
                "model": model,
                "median_output_tokens": nearest_rank(sizes, 0.5),
                "longest_output_tokens": sizes[-1],
                "answers_beyond": sum(size > limit for size in sizes),
                "sampled_calls": len(calls),
            },
            f"model.prompt(..., max_tokens={limit:.0f})",
            None if price is None else usd_a_week(tokens * price.output, facts),
            tokens_a_week(tokens, facts),
        )


def uncompressed(facts: Facts) -> Iterator[Finding]:
    """Find roles whose prompts have much text of their own and go without compression."""
    tokens = {use.digest: use.tokens for use in facts.texts.frequent}
    roles: defaultdict[str, list[Sampled]] = defaultdict(list)
    for call in facts.sample.recent:
        if call.is_answered and call.input_tokens is not None:
            roles[call.role].append(call)
    shrinks_by, is_measured = _shrinks_by(facts)
    for role, calls in sorted(roles.items()):
        plain = [call for call in calls if call.tokens_before is None]
        own = [_own_tokens(call, facts, tokens) for call in plain]
        mean = sum(own) / len(own) if own else 0.0
        number = round(len(plain) * facts.sample.of / len(facts.sample.recent))
        if mean < OWN_TOKENS or len(plain) < UNSHRUNK_SHARE * len(calls) or number < LEAST_CALLS:
            continue
        price = mean_price(plain, facts.prices)
        saved = shrinks_by * mean * number
        yield Finding(
            "uncompressed",
            f"{role or 'Without a role'}: prompts have {mean:,.0f} tokens of their own and are sent as they "
            f"are. If that is JSON or tables, {100 * shrinks_by:.0f} % of them can be spared.",
            {
                "role": role or "-",
                "own_tokens_per_call": mean,
                "calls_at_the_present_rate": number,
                "saved_share": shrinks_by,
                "saved_share_is_from": "other calls of this log" if is_measured else "a rule of thumb",
            },
            f'llmopt.Compress("safe", role={role!r})' if role else 'llmopt.Compress("safe")',
            None if price is None else usd_a_week(saved * price.input, facts),
            tokens_a_week(saved, facts),
            "estimated" if is_measured else "assumed",
        )


def _own_tokens(call: Sampled, facts: Facts, tokens: dict[str, int]) -> int:
    """Return the input tokens of a call that are in none of the frequent texts."""
    shared = sum(tokens.get(digest, 0) for digest, _ in facts.sample.texts.get(call.id, ()))
    return max(0, (call.input_tokens or 0) - shared)


def _shrinks_by(facts: Facts) -> tuple[float, bool]:
    """Return the share of input tokens that compression takes, and whether this log has shown it."""
    before = sum(call.tokens_before or 0 for call in facts.sample.calls)
    after = sum(call.tokens_after or 0 for call in facts.sample.calls)
    return (1 - after / before, True) if after < before else (SHRINKS_BY, False)


def prefix_loss(facts: Facts) -> Iterator[Finding]:
    """Find models whose prefix cache has cost more for writing than it saved for reading."""
    for model in sorted({row.model for row in facts.ledger.billed}):
        rows = [row for row in facts.ledger.billed if row.model == model and row.sums.write]
        priced = [(price, row) for row in rows if (price := price_of(facts.prices, row.price)) is not None]
        lost = -sum(price.discount(row.sums) for price, row in priced)
        if lost <= LOSS_SHARE * sum(row.cost_nano or 0 for row in rows) or not lost:
            continue
        sums = total(row.sums for row in rows)
        yield Finding(
            "prefix-cache-loss",
            f"{model}: writing to the prefix cache has cost {usd(lost / NANO)} more than reading it saved.",
            {"model": model, "written_tokens": sums.write, "read_tokens": sums.read},
            "# leave llmopt.PromptCache() out here, or keep what changes out of the first part of the prompt",
            usd_a_week(lost, facts),
            None,
            "measured",
        )


LOSS_SHARE: Final = 0.01
"""Share of a model's cost that its prefix cache must lose."""

RULES: Final = (uncached_fragment, repeated_prompt, long_answers, uncompressed, prefix_loss)
