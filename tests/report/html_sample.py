"""Reports for tests of pages: a plausible one of any size, and one whose every text is hostile."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from datetime import date, timedelta
from random import Random

from llmopt.report.types import (
    BatchStats,
    CacheCandidate,
    Change,
    Comparison,
    DropCount,
    ErrorCount,
    Figures,
    Finding,
    FragmentUse,
    Latency,
    OddFragment,
    Period,
    Report,
    RetryCount,
    Saving,
    Throughput,
    TierCount,
)

HOSTILE = (
    "<script>alert(1)</script>",
    "</title></style></script><img src=x onerror=alert(1)>",
    "\" onmouseover=alert(1) x='",
    "'><svg onload=alert(1)>",
    "{{7*7}} ${7*7} }</style>{",
    "\u202egnp.exe\u2066\u2069",
    "نموذج اللغة gpt-4o מודל",
    "a\0b\x1b[2Jc\ud800d\ufffee\u2028f\x85g\r\n",
    "&lt;b&gt; &amp;amp; &#x3c;",
    "--> <!-- <![CDATA[ ]]> <?php",
    "javascript:alert(1)",
    "expression(alert(1));background:url(//evil)",
    "n" * 200,
    "W\u0300\u0301\u0302" * 50,
    "",
)
"""Names as they might come out of a log that somebody else has written to."""

AT = "2026-11-20T18:04:05.123456Z"


def sample(*, days: int = 14, models: int = 4, calls: int = 20_000, seed: int = 7, **changes) -> Report:
    """A plausible report."""
    random = Random(seed)
    by_day = tuple(_figures(_day(n, days), calls // days, random, 1.0 - n / days / 2) for n in range(days))
    groups = tuple(_figures(_model(n), calls // (n + 2), random, 1 / (n + 1)) for n in range(models))
    report = Report(
        path="usage.db",
        made_at="2026-11-21T09:00:00Z",
        period=Period("14d", None, None, f"{_day(0, days)}T00:02:00Z", AT, float(days)),
        total=replace(_figures("all", calls, random, 1.0), cost_usd=41.27),
        groups=groups,
        days=by_day,
        savings=SAVINGS,
        latency=tuple(_latencies(models, calls, random)),
        throughput=Throughput(61.3, 1.4, 88, AT),
        errors=tuple(_errors(models)),
        retries=(RetryCount(_model(0), "too_many_requests", "RateLimitError", 412, 398, 377, 91_000.0),),
        tiers=(TierCount(0, _model(0), _model(0), 8000, 20.1, 810.0), TierCount(1, _model(0), None, 41)),
        fragments=tuple(_fragment(n, random) for n in range(20)),
        odd_fragments=(OddFragment(_fragment(3, random), "missing in one role", "3 of 4 roles send it"),),
        candidates=tuple(_candidate(n, random) for n in range(12)),
        batches=(BATCH, replace(BATCH, role="stealth", judged_rows=0, valid_rows=0, valid_low=None)),
        drops=(DropCount("disk full", 12, AT),),
        findings=FINDINGS,
        cache_outcomes=(("miss", 9000), ("hit", 4000), ("bypass", 40)),
        token_sources=(("provider", 15_000), ("tokenizer", 4000), ("estimate", 40)),
        unpriced_models=("my-own-model",),
        rolled_up_calls=1200,
        notes=("The price of my-own-model is unknown: what it has cost is in no figure.",),
        comparison=COMPARISON,
    )
    return replace(report, **changes)


def hostile(word: str) -> Report:
    """A report with `word` wherever a report holds a text."""
    return _spoilt(sample(days=3, models=2), word)


def _spoilt(value, word):
    if isinstance(value, str):
        return word
    if is_dataclass(value):
        return replace(value, **{f.name: _spoilt(getattr(value, f.name), word) for f in fields(value)})
    if isinstance(value, dict):
        return {f"{word}{n}": _spoilt(item, word) for n, item in enumerate(value.values())}
    return tuple(_spoilt(item, word) for item in value) if isinstance(value, tuple) else value


def _day(n: int, days: int) -> str:
    return (date(2026, 11, 21) - timedelta(days=days - n)).isoformat()


def _model(n: int) -> str:
    known = ("claude-sonnet-4-5", "gpt-4o-mini", "gpt-4o", "gemini-2.5-flash")
    return known[n] if n < len(known) else f"provider-{n}/a-model-with-a-long-name-{n}-2026-11-20"


def _figures(name: str, calls: int, random: Random, factor: float) -> Figures:
    weight = factor * random.uniform(0.7, 1.3)
    served = int(calls * (0.55 - 0.4 * factor))
    tokens = int(1500 * calls * weight)
    return Figures(
        name,
        calls=calls,
        ok_calls=int(calls * random.uniform(0.95, 1.0)),
        served_calls=served,
        missed_calls=calls - served,
        attempts=int(calls * 1.05) - served,
        billed_input_tokens=tokens,
        billed_cache_read_tokens=int(tokens * random.uniform(0.2, 0.6)),
        billed_cache_write_tokens=int(tokens * 0.02),
        billed_output_tokens=tokens // 9,
        reasoning_tokens=tokens // 90,
        cost_usd=tokens * 1.4e-6,
        p50_duration_ms=820 * weight,
        p95_duration_ms=2900 * weight,
        p50_ttft_ms=230 * weight,
        p95_ttft_ms=600 * weight,
    )


def _latencies(models: int, calls: int, random: Random):
    for measure, median in (("duration", 900.0), ("ttft", 220.0), ("queue", 15.0)):
        for n in range(-1, models):
            values = sorted(
                random.lognormvariate(0, 0.6) * median * (1 + max(n, 0) % 7 / 3) for _ in range(100)
            )
            bounds = [1.25 ** (step + 4) for step in range(45)]
            counts = [
                sum(low < v <= high for v in values) for low, high in zip([0, *bounds], bounds, strict=False)
            ]
            first = next(n for n, count in enumerate(counts) if count)
            bins = tuple(zip(bounds, counts, strict=True))[first:]
            marks = (values[50], values[95], values[98], values[-1])
            yield Latency("all" if n < 0 else _model(n), measure, calls // (n + 3), *marks, bins)


def _errors(models: int):
    kinds = (
        ("too_many_requests", "RateLimitError", 429),
        ("timeout", "CallTimeout", None),
        (None, None, None),
    )
    for n, (kind, name, status) in enumerate(kinds):
        yield ErrorCount(
            _model(n % models), "error" if kind else "cancelled", kind, name, status, 90 // (n + 1), AT
        )


def _fragment(n: int, random: Random) -> FragmentUse:
    digest = f"{random.getrandbits(256):064x}"
    roles = (("tactical", 500 - n), ("stealth", 40))
    excerpt = "You are the squad leader of a patrol in a game" if n % 2 else None
    kind = ("system", "context", "tool")[n % 3]
    return FragmentUse(digest, kind, 9300 - n, 2310 - n, n % 4 == 0, 840 - 20 * n, AT, AT, roles, excerpt)


def _candidate(n: int, random: Random) -> CacheCandidate:
    digest = f"{random.getrandbits(256):064x}"
    usd = None if n == 5 else 1.8 / (n + 1)
    return CacheCandidate(digest, _model(n % 3), "support", 96 - n, 1810.4, 96.2, 172_000 // (n + 1), usd, AT)


SAVINGS = (
    Saving(
        "cache", "llmopt's cache", 6021, 6021, 9_800_000, 12.93, "measured", "usage of the answers x price"
    ),
    Saving(
        "prefix_cache",
        "provider's prefix cache",
        9211,
        None,
        4_900_000,
        9.41,
        "measured",
        "reads x (1 - discount)",
    ),
    Saving(
        "compression",
        "compression",
        8150,
        None,
        5_210_000,
        6.70,
        "estimated",
        "(before - after) x input price",
    ),
    Saving(
        "batching",
        "batching",
        410,
        3280,
        2_100_000,
        None,
        "assumed",
        "prompts that were not sent x their tokens",
    ),
)

FINDINGS = (
    Finding(
        "repeated-fragment",
        "A 2,310-token fragment was sent 840 times, uncached: put it first and let the provider cache it.",
        {
            "fragment": "3f9a01bc22",
            "calls": 840,
            "fragment_tokens": 2310,
            "cached_share": 0.02,
            "cost_usd": 5.4,
        },
        "llmopt.wrap(model, llmopt.PromptCache())  # and fragments=[rules, ...] before what changes",
        9.80,
        1_940_400,
    ),
    Finding(
        "repeated-prompt",
        "96 prompts of role support were answered by a model again although they were the same.",
        {"prompts": 96, "calls": 1210, "repeated_tokens": 172_000},
        "llmopt.Cache(max_entries=4096, ttl=3600)",
        3.10,
        172_000,
        "measured",
    ),
    Finding(
        "slow-tail",
        "5 of 100 calls of claude-sonnet-4-5 take longer than 14 s, while half of them are done in 0.9 s.",
        {"p50_ms": 905.2, "p95_ms": 14_210.0, "calls": 4000},
        "llmopt.Timeout(10)",
    ),
    Finding("unpriced", "my-own-model has no known price.", {"attempts": 120}, "", None, 41_000, "assumed"),
)

COMPARISON = Comparison(
    "2026-11-01..2026-11-07",
    "2026-11-08..2026-11-14",
    8123,
    9530,
    (
        Change("cost_per_call_usd", "cost of a call", "usd", 0.0042, 0.0021, -0.0023, -0.0019, "better"),
        Change("tokens_per_call", "tokens of a call", "tokens", 1810.0, 1020.0, -850.0, -730.0, "better"),
        Change("duration_p50_ms", "median time", "ms", 905.0, 880.0, -60.0, 14.0, "no difference shown"),
        Change("duration_p95_ms", "95th percentile", "ms", 3100.0, 4300.0, 700.0, 1700.0, "worse"),
        Change("hit_rate", "hit rate", "share", 0.0, 0.34, 0.32, 0.36, "better"),
        Change("valid_rate", "valid rows", "share", None, 0.98, None, None, "unknown"),
    ),
    "Percentile bootstrap, 2,000 resamples, 95 %",
)

BATCH = BatchStats(
    "tactical",
    410,
    4100,
    820,
    4080,
    3990,
    0.971,
    0.982,
    3200.0,
    2400.0,
    410.0,
    (("full", 380), ("time", 30)),
    (("one_call", 410),),
)
