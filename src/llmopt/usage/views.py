"""The views of the usage log: what is asked of it every day.

Tokens are billed where a model ran, so they are summed over attempts. An answer out of llmopt's own cache
carries the tokens that it cost when it was made; they count as served, never as billed. Money is summed by
price first, so that the prices are joined with a few sums and not with every call.
"""

from __future__ import annotations

SERVED = "coalesce(cache_outcome, '') IN ('hit', 'stale', 'coalesced')"
"""Tells the calls that llmopt's own cache answered."""

_PRICE_LIST = """
SELECT id, provider, model, valid_from, input AS input_nano,
    coalesce(CAST(json_extract(nano_usd_json, '$.cache_read') AS REAL), input) AS cache_read_nano,
    coalesce(CAST(json_extract(nano_usd_json, '$.cache_write') AS REAL), input) AS cache_write_nano,
    CAST(json_extract(nano_usd_json, '$.output') AS REAL) AS output_nano, source
FROM (SELECT *, CAST(json_extract(nano_usd_json, '$.input') AS REAL) AS input FROM prices)
"""

_USAGE_DAILY = f"""
SELECT day, provider, model, role, sum(calls) AS calls, sum(not_ok) AS not_ok, sum(attempts) AS attempts,
    sum(input) AS billed_input_tokens, sum(cache_read) AS billed_cache_read_tokens,
    sum(cache_write) AS billed_cache_write_tokens, sum(output) AS billed_output_tokens,
    sum(cost) / 1e9 AS cost_usd, sum(unpriced) AS unpriced_attempts,
    sum(served_input) AS served_input_tokens, sum(served_output) AS served_output_tokens
FROM (
    SELECT substr(started_at, 1, 10) AS day, provider, model_requested AS model, role,
        count(*) AS calls, sum(status <> 'ok') AS not_ok, 0 AS attempts,
        NULL AS input, NULL AS cache_read, NULL AS cache_write, NULL AS output, NULL AS cost, 0 AS unpriced,
        sum(iif({SERVED}, input_tokens, NULL)) AS served_input,
        sum(iif({SERVED}, output_tokens, NULL)) AS served_output
    FROM calls GROUP BY 1, 2, 3, 4
    UNION ALL
    SELECT substr(a.started_at, 1, 10), a.provider, a.model, calls.role, 0, 0, count(*),
        sum(a.input_tokens), sum(a.cache_read_tokens), sum(a.cache_write_tokens), sum(a.output_tokens),
        sum(a.cost_usd_nano), sum(a.input_tokens IS NOT NULL AND a.cost_usd_nano IS NULL), NULL, NULL
    FROM attempts AS a JOIN calls ON calls.id = a.call_id GROUP BY 1, 2, 3, 4
    UNION ALL
    SELECT day, nullif(provider, ''), model, nullif(role, ''), calls, not_ok, attempts,
        billed_input_tokens, billed_cache_read_tokens, billed_cache_write_tokens, billed_output_tokens,
        cost_usd_nano, iif(billed_input_tokens IS NOT NULL AND cost_usd_nano IS NULL, attempts, 0),
        served_input_tokens, served_output_tokens
    FROM usage_rollup
)
GROUP BY day, provider, model, role
"""  # noqa: S608 - SERVED is a constant

_MEASURED = f"""
FROM calls WHERE status = 'ok' AND attempts > 0 AND {{measure}} IS NOT NULL AND NOT {SERVED}
"""

# The percentile of nearest rank is the smallest value that at least so many do not exceed: its place is the
# share of the number, rounded up. Counts and places apart are faster than cume_dist(), which holds all back.
_QUANTILES = f"""
SELECT counted.provider AS provider, counted.model AS model, '{{measure}}' AS measure, calls,
    max(iif(place = (calls * 50 + 99) / 100, value, NULL)) AS p50_ms,
    max(iif(place = (calls * 95 + 99) / 100, value, NULL)) AS p95_ms,
    max(iif(place = (calls * 99 + 99) / 100, value, NULL)) AS p99_ms, max(value) AS max_ms
FROM (
    SELECT provider, model_requested AS model, {{measure}} AS value,
        row_number() OVER (PARTITION BY provider, model_requested ORDER BY {{measure}}) AS place
    {_MEASURED}
) AS ranked
CROSS JOIN (SELECT provider, model_requested AS model, count(*) AS calls {_MEASURED} GROUP BY 1, 2) AS counted
    ON counted.provider IS ranked.provider AND counted.model = ranked.model AND place IN
    ((calls * 50 + 99) / 100, (calls * 95 + 99) / 100, (calls * 99 + 99) / 100, calls)
GROUP BY 1, 2
"""  # noqa: S608 - put together from constants

_LATENCY = " UNION ALL ".join(
    f"SELECT * FROM ({_QUANTILES.format(measure=name)})"  # noqa: S608
    for name in ("duration_ms", "ttft_ms", "queue_ms")
)

_CACHE_STATS = f"""
SELECT *, (hits + stale + coalesced) * 1.0 / nullif(hits + stale + coalesced + misses, 0) AS hit_rate,
    provider_cache_read_tokens * 1.0 / nullif(provider_input_tokens, 0) AS provider_cache_rate
FROM (
    SELECT day, by_price.model AS model, sum(calls) AS calls, sum(hits) AS hits, sum(stale) AS stale,
        sum(coalesced) AS coalesced, sum(misses) AS misses, sum(bypassed) AS bypassed,
        sum(served_input) AS served_input_tokens, sum(served_output) AS served_output_tokens,
        sum(served_input * input_nano + served_output * output_nano) / 1e9 AS saved_usd,
        sum(provider_input) AS provider_input_tokens, sum(provider_read) AS provider_cache_read_tokens
    FROM (
        SELECT substr(started_at, 1, 10) AS day, model_requested AS model, price_id, count(*) AS calls,
            count(iif(cache_outcome = 'hit', 1, NULL)) AS hits,
            count(iif(cache_outcome = 'stale', 1, NULL)) AS stale,
            count(iif(cache_outcome = 'coalesced', 1, NULL)) AS coalesced,
            count(iif(cache_outcome = 'miss', 1, NULL)) AS misses,
            count(iif(cache_outcome = 'bypass', 1, NULL)) AS bypassed,
            sum(iif({SERVED}, input_tokens, NULL)) AS served_input,
            sum(iif({SERVED}, output_tokens, NULL)) AS served_output,
            sum(iif({SERVED}, NULL, input_tokens)) AS provider_input,
            sum(iif({SERVED}, NULL, cache_read_tokens)) AS provider_read
        FROM calls GROUP BY 1, 2, 3
    ) AS by_price LEFT JOIN price_list ON price_list.id = by_price.price_id
    GROUP BY 1, 2
)
"""  # noqa: S608 - SERVED is a constant

_PREFIX_SAVINGS = """
SELECT day, by_price.provider AS provider, by_price.model AS model, sum(attempts) AS attempts,
    sum(input) AS input_tokens, sum(cache_read) AS cache_read_tokens, sum(cache_write) AS cache_write_tokens,
    sum(cache_read) * 1.0 / nullif(sum(input), 0) AS read_rate,
    sum(cache_read * (input_nano - cache_read_nano)
        - coalesce(cache_write, 0) * (cache_write_nano - input_nano)) / 1e9 AS saved_usd
FROM (
    SELECT substr(started_at, 1, 10) AS day, provider, model, price_id, count(*) AS attempts,
        sum(input_tokens) AS input, sum(cache_read_tokens) AS cache_read,
        sum(cache_write_tokens) AS cache_write
    FROM attempts WHERE input_tokens IS NOT NULL GROUP BY 1, 2, 3, 4
) AS by_price LEFT JOIN price_list ON price_list.id = by_price.price_id
GROUP BY 1, 2, 3
"""

_COMPRESSION_SAVINGS = f"""
SELECT day, role, by_price.model AS model, compressor, sum(calls) AS calls,
    sum(before) AS tokens_before, sum(after) AS tokens_after, sum(before - after) AS tokens_saved,
    sum(before - after) * 1.0 / nullif(sum(before), 0) AS saved_rate,
    sum((before - after) * input_nano) / 1e9 AS saved_usd
FROM (
    SELECT substr(started_at, 1, 10) AS day, role, model_requested AS model, compressor, price_id,
        count(*) AS calls, sum(tokens_before) AS before, sum(tokens_after) AS after
    FROM calls WHERE tokens_before IS NOT NULL AND tokens_after IS NOT NULL AND NOT {SERVED}
    GROUP BY 1, 2, 3, 4, 5
) AS by_price LEFT JOIN price_list ON price_list.id = by_price.price_id
GROUP BY 1, 2, 3, 4
"""  # noqa: S608 - SERVED is a constant

# Most texts are the prompts of one call each: the index alone leaves them out, before anything is joined.
# CROSS JOIN keeps the order of the tables, so that nothing is to be sorted.
_FRAGMENT_USAGE = """
SELECT digest, kind, calls, calls * 1.0 / (SELECT count(*) FROM calls) AS share_of_calls,
    bytes, tokens, tokens * calls AS tokens_sent, roles, first_at AS first_seen, last_at AS last_seen
FROM (
    SELECT used.digest AS digest, used.kind AS kind, max(used.calls) AS calls,
        group_concat(DISTINCT role) AS roles, min(started_at) AS first_at, max(started_at) AS last_at
    FROM (
        SELECT digest, kind, count(DISTINCT call_id) AS calls FROM call_fragments GROUP BY digest, kind
        HAVING count(DISTINCT call_id) > 1 OR kind NOT IN ('prompt', 'reply')
    ) AS used
    CROSS JOIN call_fragments ON call_fragments.digest = used.digest AND call_fragments.kind = used.kind
    CROSS JOIN calls ON calls.id = call_fragments.call_id
    GROUP BY used.digest, used.kind
) JOIN fragments USING (digest)
"""

_TOP_PROMPTS = f"""
SELECT *, cost_usd * (asked - 1) / nullif(asked, 0) AS avoidable_usd
FROM (
    SELECT prompt_digest, model_requested AS model, min(role) AS role, count(*) AS calls,
        sum({SERVED}) AS served, sum(status <> 'ok') AS not_ok,
        count(iif({SERVED}, NULL, cost_usd_nano)) AS asked,
        sum(iif({SERVED}, NULL, input_tokens)) AS input_tokens,
        sum(iif({SERVED}, NULL, output_tokens)) AS output_tokens,
        sum(cost_usd_nano) / 1e9 AS cost_usd, min(started_at) AS first_at, max(started_at) AS last_at
    FROM calls WHERE prompt_digest IS NOT NULL
    GROUP BY prompt_digest, model_requested HAVING count(*) > 1
)
"""  # noqa: S608 - SERVED is a constant

_RETRIES = """
SELECT a.provider, a.model, a.error_class, a.error_type, count(*) AS failures,
    sum(a.n < calls.attempts) AS retried, sum(a.n < calls.attempts AND calls.status = 'ok') AS recovered,
    avg(later.wait_ms) AS mean_wait_ms
FROM attempts AS a JOIN calls ON calls.id = a.call_id
    LEFT JOIN attempts AS later ON later.call_id = a.call_id AND later.n = a.n + 1
WHERE a.status = 'error'
GROUP BY a.provider, a.model, a.error_class, a.error_type
"""

_BATCH_STATS = """
SELECT substr(b.started_at, 1, 10) AS day, b.role, b.strategy, count(*) AS batches,
    sum(b.flushed_by IS 'full') AS full, sum(b.n) AS agents, avg(b.n) AS agents_per_batch,
    sum(coalesce(c.calls, 0)) * 1.0 / count(*) AS calls_per_batch,
    sum(s.good) AS good_plans, sum(s.bad) AS bad_plans,
    sum(s.good) * 1.0 / nullif(sum(s.good + s.bad), 0) AS good_rate,
    avg(s.first_plan_ms) AS first_plan_ms, avg(b.duration_ms) AS duration_ms, sum(c.cost) / 1e9 AS cost_usd
FROM batches AS b
    LEFT JOIN (
        SELECT batch_id, sum(plan_ok = 1) AS good, sum(plan_ok = 0) AS bad,
            min(first_plan_ms) AS first_plan_ms
        FROM batch_slots GROUP BY batch_id
    ) AS s ON s.batch_id = b.id
    LEFT JOIN (
        SELECT batch_id, count(*) AS calls, sum(cost_usd_nano) AS cost
        FROM calls WHERE batch_id IS NOT NULL GROUP BY batch_id
    ) AS c ON c.batch_id = b.id
GROUP BY 1, 2, 3
"""

_TOGETHER = f"""
    min(role) AS role, min(started_at) AS started_at,
    round((max(julianday(started_at) + duration_ms / 864e5) - min(julianday(started_at))) * 864e5, 1)
        AS duration_ms,
    sum(duration_ms) AS model_ms, count(*) AS calls, sum(status <> 'ok') AS not_ok, sum({SERVED}) AS served,
    sum(attempts) AS attempts, sum(input_tokens) AS input_tokens, sum(cache_read_tokens) AS cache_read_tokens,
    sum(output_tokens) AS output_tokens, sum(cost_usd_nano) / 1e9 AS cost_usd
"""

# From each call that answers for another one's tools upwards: no index leads down. UNION ends a circle.
_CHAINS = f"""
WITH RECURSIVE above (id, ancestor) AS (
    SELECT id, parent_id FROM calls WHERE parent_id IS NOT NULL
    UNION
    SELECT above.id, calls.parent_id FROM above JOIN calls ON calls.id = above.ancestor
    WHERE calls.parent_id IS NOT NULL
), steps (id, chain_id) AS MATERIALIZED (
    SELECT above.id, ancestor FROM above LEFT JOIN calls AS first ON first.id = ancestor
    WHERE first.parent_id IS NULL
), of_chain (id, chain_id) AS (
    SELECT id, chain_id FROM steps UNION ALL SELECT DISTINCT chain_id, chain_id FROM steps
)
SELECT chain_id, max(trace_id) AS trace_id, max(conversation_id) AS conversation_id, {_TOGETHER}
FROM of_chain CROSS JOIN calls USING (id) GROUP BY chain_id
"""  # noqa: S608 - put together from constants

_TRACES = f"""
SELECT trace_id, {_TOGETHER} FROM calls WHERE trace_id IS NOT NULL GROUP BY trace_id
"""  # noqa: S608 - put together from constants

_ERRORS = """
SELECT substr(started_at, 1, 10) AS day, provider, model_requested AS model, status, error_class, error_type,
    http_status, count(*) AS calls, max(started_at) AS last_at
FROM calls WHERE status <> 'ok'
GROUP BY day, provider, model, status, error_class, error_type, http_status
"""

QUERIES = {
    "price_list": _PRICE_LIST,
    "usage_daily": _USAGE_DAILY,
    "latency": _LATENCY,
    "cache_stats": _CACHE_STATS,
    "prefix_savings": _PREFIX_SAVINGS,
    "compression_savings": _COMPRESSION_SAVINGS,
    "fragment_usage": _FRAGMENT_USAGE,
    "top_prompts": _TOP_PROMPTS,
    "retries": _RETRIES,
    "batch_stats": _BATCH_STATS,
    "chains": _CHAINS,
    "traces": _TRACES,
    "errors": _ERRORS,
}
"""The query of each view. The view has the columns that `schema` lists, taken from it by name."""
