"""The statements of `retention`: what is too old, what goes with it, and what is kept of it as sums."""
# ruff: noqa: S608 - they are put together from constants

from __future__ import annotations

from .views import SERVED

_KINDS = ("system", "context", "prompt", "tool", "schema", "reply")
_GIVEN = "IN (SELECT value FROM json_each(?))"
_CALLS = "IN (SELECT value FROM json_each(:calls))"
_DIGESTS = "IN (SELECT value FROM json_each(:digests))"

EXPIRED_CALLS = "SELECT id FROM calls WHERE started_at < ? ORDER BY started_at LIMIT ?"
USES = f"SELECT DISTINCT digest FROM call_fragments WHERE call_id {_GIVEN}"


def _add(names: tuple[str, ...], rows: str) -> str:
    """Return the statement that adds to the sums of days. A sum of nothing is unknown, not zero."""
    sums = ", ".join(f"{n} = coalesce({n} + excluded.{n}, {n}, excluded.{n})" for n in names)
    return f"""
        INSERT INTO usage_rollup (day, provider, model, role, calls, not_ok, attempts, {", ".join(names)})
        {rows}
        ON CONFLICT (day, provider, model, role) DO UPDATE SET calls = calls + excluded.calls,
            not_ok = not_ok + excluded.not_ok, attempts = attempts + excluded.attempts, {sums}
    """


_SUM_OF_CALLS = _add(
    ("served_input_tokens", "served_output_tokens"),
    f"""
        SELECT substr(started_at, 1, 10), coalesce(provider, ''), model_requested, coalesce(role, ''),
            count(*), sum(status <> 'ok'), 0,
            sum(iif({SERVED}, input_tokens, NULL)), sum(iif({SERVED}, output_tokens, NULL))
        FROM calls WHERE id {_CALLS} GROUP BY 1, 2, 3, 4
    """,
)
_SUM_OF_ATTEMPTS = _add(
    (
        *("billed_input_tokens", "billed_cache_read_tokens", "billed_cache_write_tokens"),
        *("billed_output_tokens", "cost_usd_nano"),
    ),
    f"""
        SELECT substr(a.started_at, 1, 10), coalesce(a.provider, ''), a.model, coalesce(calls.role, ''),
            0, 0, count(*), sum(a.input_tokens), sum(a.cache_read_tokens), sum(a.cache_write_tokens),
            sum(a.output_tokens), sum(a.cost_usd_nano)
        FROM attempts AS a JOIN calls ON calls.id = a.call_id WHERE a.call_id {_CALLS} GROUP BY 1, 2, 3, 4
    """,
)

FORGET_CALLS = (
    _SUM_OF_CALLS,
    _SUM_OF_ATTEMPTS,
    f"DELETE FROM attempts WHERE call_id {_CALLS}",
    f"DELETE FROM call_fragments WHERE call_id {_CALLS}",
    f"""
        DELETE FROM fragments WHERE digest {_DIGESTS}
            AND NOT EXISTS (SELECT 1 FROM call_fragments AS used WHERE used.digest = fragments.digest)
    """,
    f"DELETE FROM calls WHERE id {_CALLS}",
    # SQLite gives the numbers of the last rows again when these are gone: nobody must take them for sent.
    "UPDATE exports SET position = min(position, (SELECT coalesce(max(rowid), 0) FROM calls))",
)
"""Removes `:calls`, a JSON array of ids, with what is theirs, and of `:digests` what nobody else uses."""

EXPIRED_BATCHES = """
    SELECT id FROM batches WHERE coalesce(started_at, '') < ? AND NOT EXISTS (
        SELECT 1 FROM batch_slots JOIN calls ON calls.id = batch_slots.call_id
        WHERE batch_slots.batch_id = batches.id
    ) LIMIT ?
"""
FORGET_BATCHES = (
    f"DELETE FROM batch_slots WHERE batch_id {_GIVEN}",
    f"DELETE FROM batches WHERE id {_GIVEN}",
)
FORGET_PROCESSES = "DELETE FROM processes WHERE started_at < ?"

# Ids of calls are in the order of time, so that the greatest one that uses a text is its last use. It is
# looked up by kind, as the index has it: a text may have a million uses.
_USES_BY_KIND = ", ".join(
    "coalesce((SELECT max(call_id) FROM call_fragments AS used"
    f" WHERE used.digest = fragments.digest AND used.kind = '{kind}'), '')"
    for kind in _KINDS
)

EXPIRED_CONTENTS = f"""
    SELECT rowid, coalesce((SELECT started_at FROM calls WHERE id = max({_USES_BY_KIND})), '') < ?
    FROM fragments WHERE rowid > ? AND content IS NOT NULL AND first_seen < ? ORDER BY rowid LIMIT ?
"""
"""For each text: the number of its row, and whether its last use was before that time."""

FORGET_CONTENTS = f"UPDATE fragments SET content = NULL WHERE rowid {_GIVEN}"
