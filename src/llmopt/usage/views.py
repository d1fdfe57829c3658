"""The views of the usage log: what is asked of it every day.

Tokens are billed where a model ran, so they are summed over attempts. An answer out of llmopt's own cache
carries the tokens that it cost when it was made; they count as served, never as billed.
"""

from __future__ import annotations

SERVED = "coalesce(cache_outcome, '') IN ('hit', 'stale', 'coalesced')"
"""Tells the calls that llmopt's own cache answered."""

_USAGE_DAILY = f"""
SELECT day, provider, model, role, sum(calls) AS calls, sum(not_ok) AS not_ok, sum(attempts) AS attempts,
    sum(input) AS billed_input_tokens, sum(cache_read) AS billed_cache_read_tokens,
    sum(cache_write) AS billed_cache_write_tokens, sum(output) AS billed_output_tokens,
    sum(cost) / 1e9 AS cost_usd,
    sum(served_input) AS served_input_tokens, sum(served_output) AS served_output_tokens
FROM (
    SELECT substr(started_at, 1, 10) AS day, provider, model_requested AS model, role,
        1 AS calls, status <> 'ok' AS not_ok, 0 AS attempts,
        NULL AS input, NULL AS cache_read, NULL AS cache_write, NULL AS output, NULL AS cost,
        iif({SERVED}, input_tokens, NULL) AS served_input, iif({SERVED}, output_tokens, NULL) AS served_output
    FROM calls
    UNION ALL
    SELECT substr(a.started_at, 1, 10), a.provider, a.model, calls.role, 0, 0, 1,
        a.input_tokens, a.cache_read_tokens, a.cache_write_tokens, a.output_tokens, a.cost_usd_nano,
        NULL, NULL
    FROM attempts AS a JOIN calls ON calls.id = a.call_id
)
GROUP BY day, provider, model, role
"""  # noqa: S608 - SERVED is a constant

_MEASURED = " UNION ALL ".join(
    f"SELECT provider, model_requested AS model, '{name}' AS measure, {name} AS value FROM calls"  # noqa: S608
    f" WHERE status = 'ok' AND attempts > 0 AND {name} IS NOT NULL AND NOT {SERVED}"
    for name in ("duration_ms", "ttft_ms", "queue_ms")
)


# The percentile of nearest rank is the smallest value that at least so many do not exceed.
_LATENCY = f"""
SELECT provider, model, measure, count(*) AS calls, min(iif(share >= 0.50, value, NULL)) AS p50_ms,
    min(iif(share >= 0.95, value, NULL)) AS p95_ms, min(iif(share >= 0.99, value, NULL)) AS p99_ms,
    max(value) AS max_ms
FROM (
    SELECT *, cume_dist() OVER (PARTITION BY provider, model, measure ORDER BY value) AS share
    FROM ({_MEASURED})
)
GROUP BY provider, model, measure
"""  # noqa: S608 - put together from constants

_CACHE_STATS = f"""
SELECT *, (hits + stale + coalesced) * 1.0 / nullif(hits + stale + coalesced + misses, 0) AS hit_rate,
    provider_cache_read_tokens * 1.0 / nullif(provider_input_tokens, 0) AS provider_cache_rate
FROM (
    SELECT substr(started_at, 1, 10) AS day, model_requested AS model, count(*) AS calls,
        count(iif(cache_outcome = 'hit', 1, NULL)) AS hits,
        count(iif(cache_outcome = 'stale', 1, NULL)) AS stale,
        count(iif(cache_outcome = 'coalesced', 1, NULL)) AS coalesced,
        count(iif(cache_outcome = 'miss', 1, NULL)) AS misses,
        count(iif(cache_outcome = 'bypass', 1, NULL)) AS bypassed,
        sum(iif({SERVED}, input_tokens, NULL)) AS served_input_tokens,
        sum(iif({SERVED}, output_tokens, NULL)) AS served_output_tokens,
        sum(iif({SERVED}, NULL, input_tokens)) AS provider_input_tokens,
        sum(iif({SERVED}, NULL, cache_read_tokens)) AS provider_cache_read_tokens
    FROM calls GROUP BY day, model
)
"""  # noqa: S608 - SERVED is a constant

_RETRIES = """
SELECT a.provider, a.model, a.error_class, a.error_type, count(*) AS failures,
    sum(a.n < calls.attempts) AS retried, sum(a.n < calls.attempts AND calls.status = 'ok') AS recovered,
    avg(later.wait_ms) AS mean_wait_ms
FROM attempts AS a JOIN calls ON calls.id = a.call_id
    LEFT JOIN attempts AS later ON later.call_id = a.call_id AND later.n = a.n + 1
WHERE a.status <> 'ok'
GROUP BY a.provider, a.model, a.error_class, a.error_type
"""

_ERRORS = """
SELECT substr(started_at, 1, 10) AS day, provider, model_requested AS model, status, error_class, error_type,
    http_status, count(*) AS calls, max(started_at) AS last_at
FROM calls WHERE status <> 'ok'
GROUP BY day, provider, model, status, error_class, error_type, http_status
"""

QUERIES = {
    "usage_daily": _USAGE_DAILY,
    "latency": _LATENCY,
    "cache_stats": _CACHE_STATS,
    "retries": _RETRIES,
    "errors": _ERRORS,
}
"""The query of each view. The view has the columns that `schema` lists, taken from it by name."""
